// Sockets of a namespace that the test made: listed, watched, ended.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/cgroup_cut.h"
#include "os/namespace_cut.h"
#include "os/sock_diag.h"
#include "support/net_lab.h"

namespace quell::os {
namespace {
using test::NetChild;
using test::NetLab;
using Via = NetChild::Via;

class SockDiagTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = NetLab::missing(); !why.empty()) GTEST_SKIP() << "SKIPPED: " << why;
    if (auto able = probe_sock_destroy(); !able) GTEST_SKIP() << "SKIPPED: " << able.error().str();
    lab = std::move(NetLab::make().value());
    server = NetChild::echo_server(lab->outside(), test::kEchoPort);
  }
  std::unique_ptr<NetChild> talker(const std::string& address, Via via = Via::tcp) const {
    return NetChild::talker(lab->inside(), address, test::kEchoPort, via);
  }
  FlowFilter to(const std::string& prefix) const { return {.remote = IpPrefix::parse(prefix).value()}; }

  std::unique_ptr<NetLab> lab;
  std::unique_ptr<NetChild> server;
};

TEST_F(SockDiagTest, FlowsAndTheirBytes) {
  const auto tcp4 = talker(test::kOutside4), tcp6 = talker(test::kOutside6), mapped = talker("::ffff:10.77.0.1");
  const auto udp4 = talker(test::kOutside4, Via::udp);
  for (const auto* flow : {&tcp4, &tcp6, &mapped, &udp4}) ASSERT_TRUE((*flow)->talks());
  const Flows four = list_flows(lab->inside(), to("10.77.0.1")).value();
  EXPECT_EQ(four.left_out, 0u);
  ASSERT_EQ(four.list.size(), 3u);
  int tcp = 0, of_ipv6_sockets = 0;
  for (const Flow& flow : four.list) {
    EXPECT_EQ(flow.remote.str(), test::kOutside4);
    EXPECT_EQ(flow.local.str(), test::kInside4);
    EXPECT_EQ(flow.remote_port, test::kEchoPort);
    EXPECT_NE(flow.inode, 0u);
    of_ipv6_sockets += flow.ipv6_socket ? 1 : 0;
    if (flow.protocol != Flow::Protocol::tcp) continue;
    ++tcp;
    ASSERT_TRUE(flow.bytes);
    EXPECT_GT(flow.bytes->acked, 0u);
    EXPECT_GT(flow.bytes->received, 0u);
  }
  EXPECT_EQ(tcp, 2);
  EXPECT_EQ(of_ipv6_sockets, 1);
  EXPECT_EQ(list_flows(lab->inside(), to("fd77::/64"))->list.size(), 1u);
  EXPECT_TRUE(list_flows(lab->inside(), to("192.0.2.0/24"))->list.empty());
  // Nothing of another namespace is seen: the server's listening sockets are in the other one.
  const Flows all = list_flows(lab->inside(), {}).value();
  for (const Flow& flow : all.list) EXPECT_NE(flow.local_port, test::kEchoPort);
}

TEST_F(SockDiagTest, ACutFlowDoesNotMove) {
  const auto flow = talker(test::kOutside4);
  ASSERT_TRUE(flow->talks());
  const Motion alive = watch_flows(lab->inside(), to("10.77.0.1"), 50'000'000).value();
  EXPECT_EQ(alive.flows.size(), 1u);
  EXPECT_GT(alive.moved_bytes, 0u);
  ASSERT_TRUE(cut_namespace(lab->inside(), "0a1b2c3d", {}, 0));
  const Motion cut = watch_flows(lab->inside(), to("10.77.0.1"), 250'000'000).value();
  ASSERT_EQ(cut.flows.size(), 1u);
  EXPECT_FALSE(cut.flows[0].ended);
  EXPECT_EQ(cut.moved_bytes, 0u);
  ASSERT_TRUE(destroy_sockets(lab->inside(), to("10.77.0.1")));
  EXPECT_TRUE(list_flows(lab->inside(), to("10.77.0.1"))->list.size() <= 1u);
}

TEST_F(SockDiagTest, FlowsToAnAddressAreEnded) {
  const auto tcp4 = talker(test::kOutside4), tcp6 = talker(test::kOutside6), udp4 = talker(test::kOutside4, Via::udp);
  const auto mapped = talker("::ffff:10.77.0.1");
  for (const auto* flow : {&tcp4, &tcp6, &mapped, &udp4}) ASSERT_TRUE((*flow)->talks());
  const Destroyed ended = destroy_sockets(lab->inside(), to("10.77.0.1")).value();
  EXPECT_EQ(ended.done.size(), 3u);
  EXPECT_TRUE(ended.failed.empty());
  for (const auto* flow : {&tcp4, &mapped, &udp4})
    EXPECT_TRUE(test::eventually([&] { return (*flow)->connections() == 2; }));
  EXPECT_TRUE(tcp6->talks());
  EXPECT_EQ(tcp6->connections(), 1u);
}

TEST_F(SockDiagTest, TheSocketsOfOneProcessAreEnded) {
  const auto victim = talker(test::kOutside4), neighbour = talker(test::kOutside4);
  for (const auto* flow : {&victim, &neighbour}) ASSERT_TRUE((*flow)->talks());
  const Destroyed ended = destroy_process_sockets(lab->inside(), victim->pid()).value();
  ASSERT_EQ(ended.done.size(), 1u);
  EXPECT_TRUE(ended.unreached.empty());
  EXPECT_TRUE(test::eventually([&] { return victim->connections() == 2; }));
  EXPECT_TRUE(neighbour->talks());
  EXPECT_EQ(neighbour->connections(), 1u);
  // Listening sockets, TCP and UDP of both families: nobody is answered any more.
  const Destroyed listeners = destroy_process_sockets(lab->outside(), server->pid()).value();
  EXPECT_GE(listeners.done.size(), 4u + 2u);
  EXPECT_TRUE(listeners.failed.empty());
  EXPECT_TRUE(test::eventually([&] { return neighbour->silent(100); }));
  EXPECT_EQ(destroy_process_sockets(lab->inside(), 0x7fffffff).error().code, Code::gone);
}

TEST_F(SockDiagTest, WhatCannotBeReachedIsNamed) {
  int raw = -1;
  ASSERT_TRUE(lab->inside().run([&] { raw = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)); }));
  ASSERT_GE(raw, 0);
  const Destroyed ended = destroy_process_sockets(lab->inside(), ::getpid()).value();
  struct stat info {};
  ASSERT_EQ(::fstat(raw, &info), 0);
  bool named = false;
  for (const std::string& text : ended.unreached)
    named = named || text == "PACKET socket " + std::to_string(info.st_ino);
  EXPECT_TRUE(named);
  ::close(raw);
}

TEST_F(SockDiagTest, WithoutCapabilitiesItIsRefused) {
  const auto flow = talker(test::kOutside4);
  ASSERT_TRUE(flow->talks());
  const pid_t pid = ::fork();
  if (pid == 0) {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    __user_cap_data_struct data[2] = {};
    if (::syscall(SYS_capset, &header, data) != 0) ::_exit(9);
    const bool right = probe_sock_destroy().error().code == Code::permission_denied &&
                       destroy_sockets(lab->inside(), {}).error().code == Code::permission_denied;
    ::_exit(right ? 0 : 1);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace quell::os
