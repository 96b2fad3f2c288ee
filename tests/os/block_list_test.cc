// The list of blocked addresses, in a namespace that the test made.
#include <gtest/gtest.h>

#include "os/block_list.h"
#include "os/namespace_cut.h"
#include "os/nft.h"
#include "os/sock_diag.h"
#include "support/net_lab.h"

namespace quell::os {
namespace {
using test::NetChild;
using test::NetLab;

const std::string kTag = "0a1b2c3d", kOtherTag = "deadbeef";

IpPrefix prefix(const std::string& text) { return IpPrefix::parse(text).value(); }

class BlockListTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = NetLab::missing(); !why.empty()) GTEST_SKIP() << "SKIPPED: " << why;
    if (auto able = probe_namespace_cut(); !able) GTEST_SKIP() << "SKIPPED: " << able.error().str();
    lab = std::move(NetLab::make().value());
    before = rules();
  }
  const NetNamespace& ns() const { return lab->inside(); }
  std::string rules() const { return NetLab::run(lab->inside(), {"nft", "list", "ruleset"}).value(); }

  std::unique_ptr<NetLab> lab;
  std::string before;
};

TEST_F(BlockListTest, LiveFlowsOfBothFamiliesEndInBothDirections) {
  const auto server = NetChild::echo_server(lab->outside(), test::kEchoPort);
  const auto inner = NetChild::echo_server(lab->inside(), test::kOtherPort);
  const auto to4 = NetChild::talker(ns(), test::kOutside4, test::kEchoPort);
  const auto to6 = NetChild::talker(ns(), test::kOutside6, test::kEchoPort);
  const auto from4 = NetChild::talker(lab->outside(), test::kInside4, test::kOtherPort);
  for (const auto* flow : {&to4, &to6, &from4}) ASSERT_TRUE((*flow)->talks());
  const auto blocked = block_prefix(ns(), prefix(test::kOutside4), kTag, 600'000);
  ASSERT_TRUE(blocked) << blocked.error().str();
  EXPECT_EQ(blocked->tag, kTag);
  EXPECT_TRUE(to4->silent());
  EXPECT_TRUE(from4->silent());
  EXPECT_TRUE(to6->talks());
  ASSERT_TRUE(block_prefix(ns(), prefix("fd77::1"), kOtherTag, 0));
  EXPECT_TRUE(to6->silent());
  const BlockList list = list_blocked(ns()).value();
  EXPECT_TRUE(list.in_effect);
  EXPECT_EQ(list.entries.size(), 2u);
  EXPECT_GT(list.dropped_out.packets, 0u);
  ASSERT_NE(list.find(prefix(test::kOutside4)), nullptr);
  EXPECT_GT(list.find(prefix(test::kOutside4))->remaining_s.value(), 500u);
  EXPECT_FALSE(list.find(prefix("fd77::1"))->remaining_s);
  ASSERT_TRUE(unblock_prefix(ns(), prefix(test::kOutside4), kTag));
  EXPECT_TRUE(to4->talks());
  EXPECT_TRUE(from4->talks());
  EXPECT_TRUE(to6->silent());
  ASSERT_TRUE(unblock_prefix(ns(), prefix("fd77::1"), kOtherTag));
  EXPECT_TRUE(to6->talks());
  EXPECT_EQ(rules(), before);
}

TEST_F(BlockListTest, NetworksAndTheirAddressesLiveSideBySide) {
  const auto server = NetChild::echo_server(lab->outside(), test::kEchoPort);
  const auto flow = NetChild::talker(ns(), test::kOutside4, test::kEchoPort);
  ASSERT_TRUE(flow->talks());
  // The network holds our own address: a wider one without it does not exist, so the other half is blocked.
  EXPECT_EQ(block_prefix(ns(), prefix("10.77.0.0/24"), kTag, 0).error().code, Code::refused);
  ASSERT_TRUE(block_prefix(ns(), prefix("10.77.0.0/31"), kTag, 0));
  ASSERT_TRUE(block_prefix(ns(), prefix(test::kOutside4), kOtherTag, 0));
  EXPECT_TRUE(flow->silent());
  EXPECT_EQ(block_prefix(ns(), prefix("10.77.0.0/31"), kOtherTag, 0).error().code, Code::already_exists);
  EXPECT_EQ(block_prefix(ns(), prefix("10.78.0.0/16"), kOtherTag, 0)->prefix, prefix("10.78.0.0/16"));
  EXPECT_EQ(block_prefix(ns(), prefix("10.78.4.0/24"), kTag, 0).error().code, Code::conflict);
  ASSERT_TRUE(unblock_prefix(ns(), prefix("10.77.0.0/31"), kTag));
  EXPECT_TRUE(flow->silent());
  ASSERT_TRUE(unblock_prefix(ns(), prefix(test::kOutside4), kOtherTag));
  EXPECT_TRUE(flow->talks());
  ASSERT_TRUE(unblock_prefix(ns(), prefix("10.78.0.0/16"), kOtherTag));
  EXPECT_EQ(rules(), before);
}

TEST_F(BlockListTest, TheSameAgainExtendsAndNeverShortens) {
  ASSERT_TRUE(block_prefix(ns(), prefix("192.0.2.1"), kTag, 100'000));
  EXPECT_GT(block_prefix(ns(), prefix("192.0.2.1"), kTag, 900'000)->remaining_s.value(), 800u);
  EXPECT_GT(block_prefix(ns(), prefix("192.0.2.1"), kTag, 5'000)->remaining_s.value(), 800u);
  EXPECT_EQ(list_blocked(ns())->entries.size(), 1u);
  EXPECT_FALSE(block_prefix(ns(), prefix("192.0.2.1"), kTag, 0)->remaining_s);
  EXPECT_FALSE(block_prefix(ns(), prefix("192.0.2.1"), kTag, 5'000)->remaining_s);
  ASSERT_TRUE(block_prefix(ns(), prefix("2001:db8:7::/48"), kTag, 100'000));
  EXPECT_GT(block_prefix(ns(), prefix("2001:db8:7::/48"), kTag, 900'000)->remaining_s.value(), 800u);
}

TEST_F(BlockListTest, TheKernelTakesEntriesOut) {
  const auto server = NetChild::echo_server(lab->outside(), test::kEchoPort);
  const auto flow = NetChild::talker(ns(), test::kOutside4, test::kEchoPort);
  ASSERT_TRUE(flow->talks());
  ASSERT_TRUE(block_prefix(ns(), prefix(test::kOutside4), kTag, 1500));
  EXPECT_TRUE(flow->silent());
  EXPECT_TRUE(flow->talks());
  EXPECT_EQ(list_blocked(ns())->entries.size(), 0u);
  EXPECT_EQ(unblock_prefix(ns(), prefix(test::kOutside4), kTag).error().code, Code::not_found);
}

TEST_F(BlockListTest, RulesThatSomebodyTookAwayArePutBack) {
  ASSERT_TRUE(block_prefix(ns(), prefix("192.0.2.1"), kTag, 0));
  ASSERT_TRUE(run_nft(ns(), {"flush", "chain", "inet", kBlockTable, "output"}));
  EXPECT_FALSE(list_blocked(ns())->in_effect);
  ASSERT_TRUE(block_prefix(ns(), prefix("192.0.2.1"), kTag, 0));
  EXPECT_TRUE(list_blocked(ns())->in_effect);
  EXPECT_EQ(list_blocked(ns())->entries.size(), 1u);
}

TEST_F(BlockListTest, Refusals) {
  for (const char* text : {"127.0.0.1", "127.0.0.0/8", "::1", "0.0.0.0", "::", "10.0.0.0/7", "2001::/16", "224.0.0.251",
                           "255.255.255.255", "ff02::/32", "10.77.0.2", "10.77.0.0/24", "fd77::2", "fd77::/64"}) {
    const auto result = block_prefix(ns(), prefix(text), kTag, 0);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().code, Code::refused) << text;
  }
  EXPECT_EQ(rules(), before);
  EXPECT_EQ(unblock_prefix(ns(), prefix("192.0.2.1"), kTag).error().code, Code::not_found);
  EXPECT_EQ(block_prefix(ns(), prefix("192.0.2.1"), "x", 0).error().code, Code::invalid_argument);
  ASSERT_TRUE(block_prefix(ns(), prefix("192.0.2.1"), kTag, 0));
  EXPECT_EQ(block_prefix(ns(), prefix("192.0.2.1"), kOtherTag, 0).error().code, Code::already_exists);
  EXPECT_EQ(unblock_prefix(ns(), prefix("192.0.2.1"), kOtherTag).error().code, Code::conflict);
  EXPECT_TRUE(unblock_prefix(ns(), prefix("192.0.2.1"), kTag));
  EXPECT_TRUE(list_blocked(ns())->entries.empty());
}

}  // namespace
}  // namespace quell::os
