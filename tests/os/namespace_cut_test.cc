// nftables in namespaces that the test made: cuts of a container, isolation of a host, and what the kernel ends by
// itself.
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "os/namespace_cut.h"
#include "os/nft.h"
#include "support/net_lab.h"

namespace quell::os {
namespace {
using test::NetChild;
using test::NetLab;
using Via = NetChild::Via;

const std::string kTag = "0a1b2c3d", kOtherTag = "deadbeef";

class NamespaceCutTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = NetLab::missing(); !why.empty()) GTEST_SKIP() << "SKIPPED: " << why;
    if (auto able = probe_namespace_cut(); !able) GTEST_SKIP() << "SKIPPED: " << able.error().str();
    lab = std::move(NetLab::make().value());
    server = NetChild::echo_server(lab->outside(), test::kEchoPort);
    before = rules();
  }
  std::string rules() const { return NetLab::run(lab->inside(), {"nft", "list", "ruleset"}).value(); }
  std::unique_ptr<NetChild> talker(const std::string& address, Via via = Via::tcp) const {
    return NetChild::talker(lab->inside(), address, test::kEchoPort, via);
  }

  std::unique_ptr<NetLab> lab;
  std::unique_ptr<NetChild> server;
  std::string before;
};

TEST_F(NamespaceCutTest, LiveFlowsStopAndGoOn) {
  const auto tcp4 = talker(test::kOutside4), tcp6 = talker(test::kOutside6);
  const auto udp4 = talker(test::kOutside4, Via::udp), udp6 = talker(test::kOutside6, Via::udp);
  for (const auto* flow : {&tcp4, &tcp6, &udp4, &udp6}) ASSERT_TRUE((*flow)->talks());
  const auto cut = cut_namespace(lab->inside(), kTag, {}, 0);
  ASSERT_TRUE(cut) << cut.error().str();
  EXPECT_TRUE(cut->in_effect);
  EXPECT_FALSE(cut->remaining_s);
  EXPECT_EQ(cut->digest.size(), 64u);
  for (const auto* flow : {&tcp4, &tcp6, &udp4, &udp6}) EXPECT_TRUE((*flow)->silent());
  const auto seen = look_namespace_cut(lab->inside(), kTag).value();
  EXPECT_TRUE(seen.in_effect);
  EXPECT_EQ(seen.digest, cut->digest);
  EXPECT_GT(seen.dropped_out.packets, 0u);
  EXPECT_TRUE(undo_namespace_cut(lab->inside(), kTag).value());
  for (const auto* flow : {&tcp4, &tcp6, &udp4, &udp6}) EXPECT_TRUE((*flow)->talks());
  EXPECT_EQ(tcp4->connections(), 1u);
  EXPECT_EQ(rules(), before);
  EXPECT_FALSE(look_namespace_cut(lab->inside(), kTag)->exists);
  EXPECT_FALSE(undo_namespace_cut(lab->inside(), kTag).value());
}

TEST_F(NamespaceCutTest, AFlowThatConnectionTrackingKnowsStopsAsWell) {
  const std::string warm =
      "table inet own { chain c { type filter hook input priority 0; ct state established,related accept; }; }";
  const auto tracked = run_nft(lab->inside(), {"-f", "-"}, warm);
  if (!tracked && tracked.error().code == Code::unsupported) GTEST_SKIP() << "no connection tracking in this kernel";
  ASSERT_TRUE(tracked) << tracked.error().str();
  const auto flow = talker(test::kOutside4);
  ASSERT_TRUE(flow->talks());
  ASSERT_TRUE(cut_namespace(lab->inside(), kTag, {}, 0));
  EXPECT_TRUE(flow->silent());
  EXPECT_TRUE(undo_namespace_cut(lab->inside(), kTag).value());
  EXPECT_TRUE(flow->talks());
}

TEST_F(NamespaceCutTest, TheAllowListHoldsInBothDirections) {
  const auto inner = NetChild::echo_server(lab->inside(), test::kOtherPort);
  const auto to_allowed = talker(test::kOutside4), by_udp = talker(test::kOutside4, Via::udp);
  const auto from_outside4 = NetChild::talker(lab->outside(), test::kInside4, test::kOtherPort);
  const auto from_outside6 = NetChild::talker(lab->outside(), test::kInside6, test::kOtherPort);
  const auto to_other = talker(test::kOutside6);
  for (const auto* flow : {&to_allowed, &by_udp, &from_outside4, &from_outside6, &to_other})
    ASSERT_TRUE((*flow)->talks());
  NetAllowList allow;
  allow.entries.push_back({.remote = IpPrefix::parse("10.77.0.0/24").value(),
                           .protocol = NetAllow::Protocol::tcp,
                           .remote_port = test::kEchoPort});
  allow.entries.push_back({.remote = IpPrefix::parse(test::kOutside6).value(),
                           .protocol = NetAllow::Protocol::tcp,
                           .local_port = test::kOtherPort});
  const auto cut = cut_namespace(lab->inside(), kTag, allow, 0);
  ASSERT_TRUE(cut) << cut.error().str();
  EXPECT_TRUE(to_allowed->talks());
  EXPECT_TRUE(from_outside6->talks());
  for (const auto* flow : {&by_udp, &from_outside4, &to_other}) EXPECT_TRUE((*flow)->silent());
  const auto fresh = NetChild::talker(lab->outside(), test::kInside6, test::kOtherPort);
  EXPECT_TRUE(fresh->talks());
  EXPECT_TRUE(undo_namespace_cut(lab->inside(), kTag).value());
}

TEST_F(NamespaceCutTest, LoopbackStaysOnlyIfAsked) {
  const auto local = NetChild::echo_server(lab->inside(), test::kOtherPort),
             dns = NetChild::echo_server(lab->inside(), 53);
  const auto to_local = NetChild::talker(lab->inside(), "127.0.0.1", test::kOtherPort);
  const auto to_dns = NetChild::talker(lab->inside(), "127.0.0.1", 53, Via::udp);
  const auto to_docker = NetChild::talker(lab->inside(), "127.0.0.11", test::kOtherPort);
  for (const auto* flow : {&to_local, &to_dns, &to_docker}) ASSERT_TRUE((*flow)->talks());
  ASSERT_TRUE(cut_namespace(lab->inside(), kTag, {.entries = {}, .loopback = true}, 0));
  EXPECT_TRUE(to_local->talks());
  EXPECT_TRUE(to_dns->silent());
  EXPECT_TRUE(to_docker->silent());
  EXPECT_TRUE(undo_namespace_cut(lab->inside(), kTag).value());
}

TEST_F(NamespaceCutTest, TheKernelEndsItAlone) {
  const auto flow = talker(test::kOutside4);
  ASSERT_TRUE(flow->talks());
  const pid_t pid = ::fork();
  if (pid == 0) {
    (void)cut_namespace(lab->inside(), kTag, {}, 3000);
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
  const auto seen = look_namespace_cut(lab->inside(), kTag).value();
  EXPECT_TRUE(seen.in_effect);
  ASSERT_TRUE(seen.remaining_s);
  EXPECT_LE(*seen.remaining_s, 3u);
  EXPECT_TRUE(flow->silent());
  EXPECT_TRUE(flow->talks());  // by itself
  const auto over = look_namespace_cut(lab->inside(), kTag).value();
  EXPECT_TRUE(over.exists);
  EXPECT_FALSE(over.in_effect);
  EXPECT_FALSE(over.remaining_s);
  EXPECT_EQ(extend_namespace_cut(lab->inside(), kTag, 1000).error().code, Code::gone);
  // A new cut with the same tag is possible all the same, and what is over can be cleaned up.
  EXPECT_TRUE(cut_namespace(lab->inside(), kTag, {}, 60000)->in_effect);
  EXPECT_TRUE(flow->silent());
  EXPECT_TRUE(undo_namespace_cut(lab->inside(), kTag).value());
  EXPECT_EQ(rules(), before);
}

TEST_F(NamespaceCutTest, TheSameTagTwiceIsOneCutAndTwoTagsAreTwo) {
  const auto flow = talker(test::kOutside4);
  ASSERT_TRUE(flow->talks());
  ASSERT_TRUE(cut_namespace(lab->inside(), kTag, {}, 0));
  const std::string once = NetLab::run(lab->inside(), {"nft", "-s", "list", "ruleset"}).value();
  ASSERT_TRUE(cut_namespace(lab->inside(), kTag, {}, 0));
  EXPECT_EQ(NetLab::run(lab->inside(), {"nft", "-s", "list", "ruleset"}).value(), once);
  ASSERT_TRUE(cut_namespace(lab->inside(), kOtherTag, {}, 0));
  EXPECT_TRUE(undo_namespace_cut(lab->inside(), kTag).value());
  EXPECT_TRUE(look_namespace_cut(lab->inside(), kOtherTag)->in_effect);
  EXPECT_TRUE(flow->silent());
  EXPECT_TRUE(undo_namespace_cut(lab->inside(), kOtherTag).value());
  EXPECT_TRUE(flow->talks());
  EXPECT_EQ(rules(), before);
}

TEST_F(NamespaceCutTest, WhatSomebodyTookAwayIsSeenAndPutBack) {
  const auto cut = cut_namespace(lab->inside(), kTag, {}, 0).value();
  const std::string table = cut_table_name(kTag);
  ASSERT_TRUE(run_nft(lab->inside(), {"insert", "rule", "inet", table, "output", "accept"}));
  EXPECT_NE(look_namespace_cut(lab->inside(), kTag)->digest, cut.digest);
  ASSERT_TRUE(run_nft(lab->inside(), {"flush", "chain", "inet", table, "output"}));
  EXPECT_FALSE(look_namespace_cut(lab->inside(), kTag)->in_effect);
  EXPECT_EQ(cut_namespace(lab->inside(), kTag, {}, 0)->digest, cut.digest);
  ASSERT_TRUE(run_nft(lab->inside(), {"delete", "element", "inet", table, "cut", "{", "ipv6", "}"}));
  EXPECT_FALSE(look_namespace_cut(lab->inside(), kTag)->in_effect);
  EXPECT_TRUE(undo_namespace_cut(lab->inside(), kTag).value());
}

TEST_F(NamespaceCutTest, AHostIsIsolatedWithItsManagementForAWhile) {
  const auto manager = talker(test::kOutside4), attacker = talker(test::kOutside6);
  const auto local_server = NetChild::echo_server(lab->inside(), test::kOtherPort);
  const auto local = NetChild::talker(lab->inside(), "127.0.0.1", test::kOtherPort);
  for (const auto* flow : {&manager, &attacker, &local}) ASSERT_TRUE((*flow)->talks());
  NetAllowList allow;
  EXPECT_EQ(isolate_host(lab->inside(), kTag, allow, 60000).error().code, Code::invalid_argument);
  allow.entries.push_back({.remote = IpPrefix::parse(test::kOutside4).value()});
  EXPECT_EQ(isolate_host(lab->inside(), kTag, allow, 0).error().code, Code::invalid_argument);
  EXPECT_EQ(isolate_host(lab->inside(), kTag, allow, kMaxNetTtlMs + 1).error().code, Code::invalid_argument);
  EXPECT_EQ(rules(), before);

  ASSERT_TRUE(isolate_host(lab->inside(), kTag, allow, 2000)->in_effect);
  EXPECT_TRUE(attacker->silent());
  EXPECT_TRUE(manager->talks());
  EXPECT_TRUE(local->talks());
  const auto extended = extend_namespace_cut(lab->inside(), kTag, 600'000);
  ASSERT_TRUE(extended) << extended.error().str();
  ASSERT_TRUE(extended->remaining_s);
  EXPECT_GT(*extended->remaining_s, 500u);
  EXPECT_LE(*extended->remaining_s, 600u);
  EXPECT_TRUE(attacker->silent(2500));  // the first time is over
  EXPECT_TRUE(extend_namespace_cut(lab->inside(), kTag, 1000)->in_effect);
  EXPECT_TRUE(attacker->talks());  // nobody extended it
  EXPECT_TRUE(undo_namespace_cut(lab->inside(), kTag).value());
  EXPECT_EQ(rules(), before);
}

TEST_F(NamespaceCutTest, TheHostsOwnNamespaceIsRefused) {
  const auto own = NetNamespace::open("/proc/self/ns/net");
  ASSERT_TRUE(own) << own.error().str();
  EXPECT_TRUE(own->is_hosts());
  EXPECT_FALSE(lab->inside().is_hosts());
  EXPECT_EQ(cut_namespace(*own, kTag, {}, 1000).error().code, Code::refused);
}

TEST_F(NamespaceCutTest, NamespacesThatAreNone) {
  EXPECT_EQ(NetNamespace::of_process(0x7fffffff).error().code, Code::gone);
  EXPECT_EQ(NetNamespace::open("/run/netns/there-is-none").error().code, Code::gone);
  EXPECT_EQ(NetNamespace::open("/proc/self/ns/mnt").error().code, Code::invalid_argument);
  EXPECT_EQ(NetNamespace::open("/proc/self/status").error().code, Code::invalid_argument);
  // A namespace without processes lives on in its descriptor.
  pid_t pid = ::fork();
  if (pid == 0) {
    ::pause();
    ::_exit(0);
  }
  const auto held = NetNamespace::of_process(server->pid());
  ASSERT_TRUE(held);
  server.reset();
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  EXPECT_TRUE(cut_namespace(*held, kTag, {}, 0)->in_effect);
  EXPECT_TRUE(undo_namespace_cut(*held, kTag).value());
}

TEST_F(NamespaceCutTest, WithoutNftOrCapabilitiesItSaysSo) {
  const auto in_child = [&](const std::function<bool()>& check) {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(check() ? 0 : 1);
    int status = 0;
    ::waitpid(pid, &status, 0);
    return status == 0;
  };
  EXPECT_TRUE(in_child([&] {
    ::setenv("PATH", "", 1);
    return cut_namespace(lab->inside(), kTag, {}, 0).error().code == Code::unsupported &&
           probe_namespace_cut().error().code == Code::unsupported;
  }));
  EXPECT_TRUE(in_child([&] {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    __user_cap_data_struct data[2] = {};
    return ::syscall(SYS_capset, &header, data) == 0 &&
           cut_namespace(lab->inside(), kTag, {}, 0).error().code == Code::permission_denied &&
           probe_namespace_cut().error().code == Code::permission_denied;
  }));
  EXPECT_EQ(rules(), before);
}

}  // namespace
}  // namespace quell::os
