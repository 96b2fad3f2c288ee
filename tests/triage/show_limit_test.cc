#include "triage/show_limit.h"

#include <gtest/gtest.h>

#include <map>

namespace quell::triage {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

TEST(ShowLimit, HoldsBackWhatIsTooMuchAndTellsIt) {
  std::map<std::string, uint64_t> told;
  ShowLimit limit(2, [&](const std::string& rule, uint64_t count) { told[rule] += count; });
  EXPECT_TRUE(limit.admit("a", 0));
  EXPECT_TRUE(limit.admit("a", 1));
  EXPECT_FALSE(limit.admit("a", 2));
  EXPECT_FALSE(limit.admit("a", 59 * kSecond));
  EXPECT_TRUE(limit.admit("b", 59 * kSecond)) << "each rule has its own";
  EXPECT_TRUE(told.empty());
  limit.tick(60 * kSecond);
  EXPECT_EQ(told["a"], 2u);
  EXPECT_TRUE(limit.admit("a", 61 * kSecond)) << "a new minute";
  EXPECT_EQ(limit.unshown(), 2u);
  limit.flush();
  EXPECT_EQ(told.size(), 1u) << "nothing was held back since";
}

TEST(ShowLimit, ZeroIsNoLimit) {
  ShowLimit limit(0, [](const std::string&, uint64_t) { FAIL(); });
  for (int i = 0; i < 10'000; ++i) EXPECT_TRUE(limit.admit("a", 0));
  limit.flush();
}

}  // namespace
}  // namespace quell::triage
