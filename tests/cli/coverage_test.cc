#include "apps/quell/coverage.h"

#include <gtest/gtest.h>

namespace quell::cli {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

TEST(Coverage, WithoutLossesEveryWindowIsWhole) {
  Coverage coverage(100 * kSecond);
  coverage.observe(101 * kSecond, 0);
  const LossWindow window = coverage.window(50 * kSecond, 102 * kSecond);
  EXPECT_TRUE(window.is_known);
  EXPECT_EQ(window.count, 0u);
  EXPECT_EQ(window.last_ns, 0u);
  EXPECT_EQ(window.from_ns, 100 * kSecond) << "what was before the sensor is not claimed";
}

TEST(Coverage, OnlyLossesInsideTheWindowCount) {
  Coverage coverage(0);
  coverage.observe(10 * kSecond, 5);
  coverage.observe(20 * kSecond, 12, 19 * kSecond);
  coverage.observe(30 * kSecond, 12);
  EXPECT_EQ(coverage.window(0, 40 * kSecond).count, 12u);
  EXPECT_EQ(coverage.window(0, 40 * kSecond).last_ns, 19 * kSecond);
  EXPECT_EQ(coverage.window(11 * kSecond, 18 * kSecond).count, 0u);
  EXPECT_EQ(coverage.window(11 * kSecond, 19 * kSecond).count, 7u);
  EXPECT_EQ(coverage.window(0, 15 * kSecond).count, 5u);
  EXPECT_EQ(coverage.window(25 * kSecond, 40 * kSecond).count, 0u);
  EXPECT_EQ(coverage.seconds(), (std::vector<LossSecond>{{10, 5}, {19, 7}}));
}

TEST(Coverage, WhatIsNoLongerKeptStillCounts) {
  Coverage coverage(0);
  for (uint64_t i = 1; i <= Coverage::kKept + 10; ++i) coverage.observe(i * kSecond, i);
  EXPECT_EQ(coverage.seconds().size(), Coverage::kKept);
  EXPECT_EQ(coverage.window(0, 10'000 * kSecond).count, Coverage::kKept + 10);
  EXPECT_EQ(coverage.window(20 * kSecond, 10'000 * kSecond).count, Coverage::kKept + 10 - 19);
}

}  // namespace
}  // namespace quell::cli
