// One process of a shared cgroup is cut; its neighbour goes on.
#include <bpf/bpf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "os/process_cut.h"
#include "support/net_lab.h"

namespace quell::os {
namespace {
using test::NetChild;
using test::NetLab;
using test::TestCgroup;

const std::string kTag = "0a1b2c3d", kOtherTag = "deadbeef";

class ProcessCutTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = NetLab::missing(); !why.empty()) GTEST_SKIP() << "SKIPPED: " << why;
    if (auto able = probe_cgroup_cut(); !able) GTEST_SKIP() << "SKIPPED: " << able.error().str();
    if (auto able = probe_sock_destroy(); !able) GTEST_SKIP() << "SKIPPED: " << able.error().str();
    lab = std::move(NetLab::make().value());
    cgroup = std::move(TestCgroup::make("shared").value());
    parent = cgroup_ref(cgroup->directory()).value();
    server = NetChild::echo_server(lab->outside(), test::kEchoPort);
  }
  std::unique_ptr<NetChild> talker(const std::string& address, NetChild::Via via = NetChild::Via::tcp) const {
    return NetChild::talker(lab->inside(), address, test::kEchoPort, via, cgroup.get());
  }
  static ProcessHandle handle(const NetChild& child) {
    static const auto machine = make_linux_os();
    return std::move(machine->open_process({.boot_id = "", .pid = child.pid(), .start_ticks = 0}).value());
  }
  bool clean() const {
    for (const auto& entry : std::filesystem::directory_iterator(parent.directory))
      if (entry.is_directory()) return false;
    return true;
  }

  std::unique_ptr<NetLab> lab;
  std::unique_ptr<TestCgroup> cgroup;
  CgroupRef parent;
  std::unique_ptr<NetChild> server;
};

TEST_F(ProcessCutTest, OldAndNewFlowsEndAndTheNeighbourGoesOn) {
  for (const auto via : {NetChild::Via::tcp, NetChild::Via::udp}) {
    const auto victim = talker(test::kOutside4, via), neighbour = talker(test::kOutside4, via);
    ASSERT_TRUE(victim->talks());
    ASSERT_TRUE(neighbour->talks());
    const auto done = cut_process(handle(*victim), parent, kTag, {});
    ASSERT_TRUE(done) << done.error().str();
    EXPECT_TRUE(done->now.in_effect());
    EXPECT_EQ(done->now.members, std::vector<int64_t>{victim->pid()});
    EXPECT_EQ(done->sockets.done.size(), 1u);
    EXPECT_TRUE(victim->silent(600));  // it tries to connect anew meanwhile
    EXPECT_TRUE(neighbour->talks());
    EXPECT_EQ(neighbour->connections(), 1u);
    EXPECT_TRUE(undo_process_cut(parent, kTag).value());
    EXPECT_TRUE(victim->talks());
    EXPECT_EQ(v2_cgroup_of(victim->pid())->directory, parent.directory);
    EXPECT_TRUE(clean());
    EXPECT_FALSE(undo_process_cut(parent, kTag).value());
    EXPECT_FALSE(look_process_cut(parent, kTag)->exists);
  }
}

TEST_F(ProcessCutTest, WhatACrashLeavesIsSeenCompletedOrUndone) {
  const auto victim = talker(test::kOutside4);
  ASSERT_TRUE(victim->talks());
  const std::string child = parent.directory + "/quell-" + kTag;
  // After each step in turn: directory made; cut as well; process moved as well, its sockets alive.
  for (const int steps : {1, 2, 3}) {
    for (const bool complete : {true, false}) {
      ASSERT_EQ(::mkdir(child.c_str(), 0755), 0);
      if (steps >= 2) {
        ASSERT_TRUE(cut_cgroup(cgroup_ref(child).value(), kTag, {}));
      }
      if (steps >= 3) {
        std::ofstream out(child + "/cgroup.procs");
        out << victim->pid() << std::flush;
      }
      const ProcessCut half = look_process_cut(parent, kTag).value();
      EXPECT_TRUE(half.exists);
      EXPECT_EQ(half.cut.whole(), steps >= 2);
      EXPECT_EQ(half.members.size(), steps >= 3 ? 1u : 0u);
      if (complete) {
        EXPECT_TRUE(cut_process(handle(*victim), parent, kTag, {})->now.in_effect());
        EXPECT_TRUE(victim->silent());
      }
      EXPECT_TRUE(undo_process_cut(parent, kTag).value());
      EXPECT_TRUE(victim->talks());
      EXPECT_TRUE(clean());
    }
  }
}

TEST_F(ProcessCutTest, TwiceIsOnce) {
  const auto victim = talker(test::kOutside4);
  ASSERT_TRUE(victim->talks());
  const auto first = cut_process(handle(*victim), parent, kTag, {});
  ASSERT_TRUE(first);
  const auto second = cut_process(handle(*victim), parent, kTag, {});
  ASSERT_TRUE(second) << second.error().str();
  EXPECT_EQ(first->now.child.inode, second->now.child.inode);
  EXPECT_EQ(first->now.cut.egress.program_id, second->now.cut.egress.program_id);
  EXPECT_TRUE(undo_process_cut(parent, kTag).value());
}

TEST_F(ProcessCutTest, ADeadProcessOrAnotherCgroup) {
  auto victim = talker(test::kOutside4);
  ASSERT_TRUE(victim->talks());
  auto other = std::move(TestCgroup::make("other").value());
  ASSERT_TRUE(other->add(victim->pid()));
  EXPECT_EQ(cut_process(handle(*victim), parent, kTag, {}).error().code, Code::stale);
  ASSERT_TRUE(cgroup->add(victim->pid()));
  CgroupRef wrong = parent;
  wrong.inode += 1;
  EXPECT_EQ(cut_process(handle(*victim), wrong, kTag, {}).error().code, Code::stale);
  EXPECT_EQ(look_process_cut(wrong, kTag).error().code, Code::stale);
  EXPECT_FALSE(undo_process_cut(wrong, kTag).value());
  const ProcessHandle held = handle(*victim);
  victim.reset();
  EXPECT_EQ(cut_process(held, parent, kTag, {}).error().code, Code::gone);
  EXPECT_TRUE(clean());
}

TEST_F(ProcessCutTest, AProcessThatDiesWhileCutLeavesNothing) {
  auto victim = talker(test::kOutside4);
  ASSERT_TRUE(victim->talks());
  ASSERT_TRUE(cut_process(handle(*victim), parent, kTag, {}));
  victim.reset();
  const ProcessCut seen = look_process_cut(parent, kTag).value();
  EXPECT_TRUE(seen.exists);
  EXPECT_TRUE(seen.members.empty());
  EXPECT_FALSE(seen.in_effect());
  EXPECT_TRUE(undo_process_cut(parent, kTag).value());
  EXPECT_TRUE(clean());
}

TEST_F(ProcessCutTest, ThreadedCgroupsAreSaidToBeImpossible) {
  const auto victim = talker(test::kOutside4);
  ASSERT_TRUE(victim->talks());
  const std::string threaded = parent.directory + "/threaded";
  ASSERT_EQ(::mkdir(threaded.c_str(), 0755), 0);
  std::ofstream(threaded + "/cgroup.type") << "threaded" << std::flush;
  const CgroupRef ref = cgroup_ref(threaded).value();
  // A process of a threaded cgroup is, as a whole, in its domain; its own directory cannot be named in cgroup.procs.
  const auto result = cut_process(handle(*victim), ref, kTag, {});
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().code == Code::stale || result.error().code == Code::unsupported);
  ::rmdir(threaded.c_str());
}

TEST_F(ProcessCutTest, CgroupsBelowAreAConflict) {
  const auto victim = talker(test::kOutside4);
  ASSERT_TRUE(victim->talks());
  const auto done = cut_process(handle(*victim), parent, kTag, {});
  ASSERT_TRUE(done);
  const std::string below = done->now.child.directory + "/theirs";
  ASSERT_EQ(::mkdir(below.c_str(), 0755), 0);
  EXPECT_EQ(undo_process_cut(parent, kTag).error().code, Code::conflict);
  EXPECT_TRUE(victim->talks());  // nobody is cut all the same
  ASSERT_EQ(::rmdir(below.c_str()), 0);
  EXPECT_TRUE(undo_process_cut(parent, kTag).value());
  EXPECT_TRUE(clean());
}

}  // namespace
}  // namespace quell::os
