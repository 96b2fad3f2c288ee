// Trees that do not want to die: storms, daemons, stopped and deaf processes, all of them children of this test.
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdio>

#include "host_support.h"
#include "os/kill_tree.h"
#include "os/proc_fs.h"
#include "os/urgency.h"

namespace quell::os {
namespace {

std::vector<ProcessId> ids_of(const ProcessTree& tree) {
  std::vector<ProcessId> ids;
  for (const ProcessFacts& facts : tree.members) ids.push_back(facts.id);
  return ids;
}

KillTreeRequest request_for(const ProcessHandle& root, TreeScope scope) {
  const auto tree = find_tree(machine(), root, scope);
  EXPECT_TRUE(tree) << tree.error().str();
  KillTreeRequest request{.root = root.facts().id, .scope = scope, .expected = {}, .method = {}};
  if (tree) request.expected = ids_of(*tree), request.previewed_ticks = tree->taken_ticks;
  return request;
}

bool killed(const KillTreeResult& result, int64_t pid) {
  return std::any_of(result.killed.begin(), result.killed.end(), [&](const ProcessId& id) { return id.pid == pid; });
}

bool lives(int64_t pid) {
  const auto stat = read_proc_stat(pid);
  return stat && stat->state != 'Z' && stat->state != 'X';
}

/// Memory that a whole tree of forks shares.
struct Shared {
  std::atomic<int> forks{0};
  std::atomic<bool> go{false};
  std::atomic<pid_t> noted{0}, noted_too{0};
};
class SharedMemory {
 public:
  SharedMemory()
      : memory_(new (::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
                    Shared) {}
  ~SharedMemory() { ::munmap(memory_, sizeof(Shared)); }
  Shared* operator->() const { return memory_; }

 private:
  Shared* memory_;
};

/// 200 processes: 100 that fork for ever, with a child alive at each moment, which leaves a daemon now and then.
void storm(Shared* shared) {
  ::signal(SIGTERM, SIG_IGN);
  for (int i = 0; i < 100; ++i) {
    if (::fork() != 0) continue;
    ::alarm(60);
    while (!shared->go) ::usleep(500);
    for (;;) {
      const pid_t child = ::fork();
      if (child == 0) {
        ::alarm(30);
        if (++shared->forks % 64 == 0 && shared->forks < 20'000) {
          ::setsid();
          if (::fork() == 0) {
            ::alarm(30);
            for (;;) ::usleep(1000);
          }
          ::_exit(0);
        }
        ::usleep(3000);
        ::_exit(0);
      }
      if (child > 0) ::waitpid(child, nullptr, 0);
    }
  }
}

class Storm {
 public:
  explicit Storm(const TestCgroup& group)
      : root_([&] {
          EXPECT_TRUE(group.add(::getpid()));
          storm(&*memory_.operator->());
        }) {
    memory_->go = true;
    EXPECT_TRUE(eventually([this] { return memory_->forks > 500; }));
  }
  const TestChild& root() const { return root_; }
  int forks() const { return memory_->forks; }

 private:
  SharedMemory memory_;
  TestChild root_;
};

void storm_is_ended(const std::string& hierarchy, KillMethod method) {
  TestCgroup group(hierarchy);
  if (!group.made()) GTEST_SKIP() << "SKIPPED: no right to make cgroups of " << hierarchy;
  Storm storm(group);
  const Urgency urgency;  // the storm leaves nothing to ordinary threads
  const ProcessHandle root = storm.root().handle();
  KillTreeRequest request = request_for(root, TreeScope::cgroup);
  EXPECT_GE(request.expected.size(), 101u);
  request.method = method;
  request.budget_ns = 30'000'000'000;
  const auto result = kill_tree(machine(), request);
  ASSERT_TRUE(result) << result.error().str();
  EXPECT_EQ(result->method, method);
  EXPECT_TRUE(result->settled);
  EXPECT_TRUE(result->survivors.empty());
  EXPECT_TRUE(killed(*result, storm.root().pid()));
  EXPECT_GE(result->killed.size(), 101u);
  for (const pid_t pid : group.pids()) EXPECT_FALSE(lives(pid)) << pid;
  const int forks = storm.forks();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(storm.forks(), forks);
  std::printf("kill_tree of a fork storm, %s %s: %zu dead, %.1f ms, %zu passes\n", hierarchy.c_str(),
              std::string(to_string(method)).c_str(), result->killed.size(),
              static_cast<double>(result->duration_ns) / 1e6, result->passes);
}

TEST(KillTree, AForkStormByCgroupKill) { storm_is_ended("unified", KillMethod::cgroup_kill); }
TEST(KillTree, AForkStormByTheV2Freezer) { storm_is_ended("unified", KillMethod::frozen_sweep); }
TEST(KillTree, AForkStormByTheV1Freezer) { storm_is_ended("freezer", KillMethod::frozen_sweep); }
TEST(KillTree, AForkStormBySignalsAlone) { storm_is_ended("unified", KillMethod::stopped_sweep); }

TEST(KillTree, DescendantsThatAreDeafStoppedAndOrphaned) {
  SharedMemory shared;
  TestChild root([&] {
    ::setsid();  // its orphans stay known by their session
    ::signal(SIGTERM, SIG_IGN);
    if (::fork() == 0) {
      ::alarm(60);
      if (::fork() == 0) {
        ::alarm(60);
        shared->noted = ::getpid();
        for (;;) ::pause();
      }
      ::_exit(0);
    }
    ::waitpid(-1, nullptr, 0);
    const pid_t stopped = ::fork();
    if (stopped == 0) {
      ::alarm(60);
      ::raise(SIGSTOP);
      for (;;) ::pause();
    }
    shared->noted_too = stopped;
    while (shared->noted == 0) ::usleep(500);
  });
  ASSERT_TRUE(eventually([&] { return read_proc_stat(shared->noted_too)->state == 'T'; }));
  ASSERT_NE(read_proc_stat(shared->noted)->ppid, root.pid());
  const ProcessHandle handle = root.handle();
  const auto result = kill_tree(machine(), request_for(handle, TreeScope::descendants));
  ASSERT_TRUE(result) << result.error().str();
  EXPECT_EQ(result->method, KillMethod::stopped_sweep);
  EXPECT_TRUE(result->survivors.empty());
  for (const int64_t pid : {int64_t{root.pid()}, int64_t{shared->noted}, int64_t{shared->noted_too}}) {
    EXPECT_TRUE(killed(*result, pid)) << pid;
    EXPECT_FALSE(lives(pid)) << pid;
  }
}

TEST(KillTree, ADaemonThatLeftIsKilledWhenTheCallerKnowsIt) {
  SharedMemory shared;
  TestChild root([&] {
    if (::fork() == 0) {
      ::setsid();
      if (::fork() == 0) {
        ::alarm(60);
        shared->noted = ::getpid();
        for (;;) ::pause();
      }
      ::_exit(0);
    }
    ::waitpid(-1, nullptr, 0);
    while (shared->noted == 0) ::usleep(500);
  });
  const ProcessHandle handle = root.handle();
  KillTreeRequest request = request_for(handle, TreeScope::descendants);
  EXPECT_EQ(request.expected.size(), 1u);  // nothing in /proc leads to it
  request.expected.push_back(machine().process_facts(shared->noted)->id);
  ASSERT_TRUE(kill_tree(machine(), request));
  EXPECT_FALSE(lives(shared->noted));
}

TEST(KillTree, TheDeadRootIsNoObstacle) {
  SharedMemory shared;
  TestChild root([&] {
    ::setsid();
    if (::fork() == 0) {
      ::alarm(60);
      shared->noted = ::getpid();
      for (;;) ::pause();
    }
    while (shared->noted == 0) ::usleep(500);
  });
  const KillTreeRequest request = request_for(root.handle(), TreeScope::descendants);
  root.reap();
  ASSERT_TRUE(lives(shared->noted));
  const auto result = kill_tree(machine(), request);
  ASSERT_TRUE(result) << result.error().str();
  EXPECT_FALSE(lives(shared->noted));
  EXPECT_TRUE(alive_among(machine(), request.expected).empty());
  EXPECT_EQ(kill_tree(machine(), request).error().code, Code::gone);
}

TEST(KillTree, ASession) {
  TestChild outside;
  TestChild leader([] { ::setsid(); });
  TestChild member([&] { ::setpgid(0, 0); });
  const ProcessHandle handle = leader.handle();
  const KillTreeRequest request = request_for(handle, TreeScope::session);
  EXPECT_EQ(request.expected.size(), 1u);
  ASSERT_TRUE(kill_tree(machine(), request));
  EXPECT_FALSE(lives(leader.pid()));
  EXPECT_TRUE(lives(outside.pid()));
  EXPECT_TRUE(lives(member.pid()));
  // Theirs is the session of this very test.
  EXPECT_EQ(find_tree(machine(), outside.handle(), TreeScope::session).error().code, Code::refused);
}

TEST(KillTree, OthersInTheCgroupAreNotKilled) {
  TestCgroup group("unified");
  if (!group.made()) GTEST_SKIP() << "SKIPPED: no right to make cgroups";
  TestChild meant([&] { group.add(::getpid()); });
  const ProcessHandle handle = meant.handle();
  TestChild other;
  const KillTreeRequest request = request_for(handle, TreeScope::cgroup);
  ASSERT_TRUE(group.add(other.pid()));  // older than the preview: nobody's child in there
  for (const auto method : {KillMethod::cgroup_kill, KillMethod::frozen_sweep, KillMethod::stopped_sweep}) {
    KillTreeRequest again = request;
    again.method = method;
    // Times are in ticks: whoever started in the one of the preview may pass for newborn.
    again.previewed_ticks = 0;
    EXPECT_EQ(kill_tree(machine(), again).error().code, Code::conflict);
  }
  EXPECT_TRUE(lives(meant.pid()));
  EXPECT_TRUE(lives(other.pid()));
  EXPECT_EQ(machine().freezer_state(meant.pid()).value(), Frozen::no);
}

TEST(KillTree, NeverASliceNorOurselves) {
  TestCgroup slice("unified", ".slice");
  if (!slice.made()) GTEST_SKIP() << "SKIPPED: no right to make cgroups";
  TestChild child([&] { slice.add(::getpid()); });
  const ProcessHandle handle = child.handle();
  EXPECT_EQ(kill_tree(machine(), request_for(handle, TreeScope::cgroup)).error().code, Code::refused);
  const auto self = machine().open_process({.boot_id = "", .pid = ::getpid(), .start_ticks = 0});
  ASSERT_TRUE(self);
  const auto own = kill_tree(machine(), {.root = self->facts().id, .expected = {}, .method = {}});
  EXPECT_EQ(own.error().code, Code::refused);
  const auto parent = machine().process_facts(::getppid());
  ASSERT_TRUE(parent);
  EXPECT_EQ(kill_tree(machine(), {.root = parent->id, .expected = {}, .method = {}}).error().code, Code::refused);
  EXPECT_TRUE(lives(child.pid()));
}

TEST(KillTree, ACgroupFrozenByAnotherDies) {
  for (const char* hierarchy : {"unified", "freezer"}) {
    TestCgroup group(hierarchy);
    if (!group.made()) GTEST_SKIP() << "SKIPPED: no right to make cgroups of " << hierarchy;
    TestChild child([&] { group.add(::getpid()); });
    group.write("cgroup.freeze", "1");
    group.write("freezer.state", "FROZEN");
    ASSERT_TRUE(eventually([&] { return machine().freezer_state(child.pid()).value() == Frozen::yes; }));
    const ProcessHandle handle = child.handle();
    const auto result = kill_tree(machine(), request_for(handle, TreeScope::cgroup));
    ASSERT_TRUE(result) << result.error().str();
    EXPECT_TRUE(result->survivors.empty()) << hierarchy;
    EXPECT_FALSE(lives(child.pid())) << hierarchy;
  }
}

TEST(KillTree, AV1FrozenProcessDiesByCgroupKillToo) {
  TestCgroup v2("unified"), v1("freezer");
  if (!v2.made() || !v1.made()) GTEST_SKIP() << "SKIPPED: this machine has not both hierarchies";
  TestChild child([&] { v2.add(::getpid()), v1.add(::getpid()); });
  v1.write("freezer.state", "FROZEN");
  ASSERT_TRUE(eventually([&] { return machine().freezer_state(child.pid()).value() == Frozen::yes; }));
  const ProcessHandle handle = child.handle();
  const auto result = kill_tree(machine(), request_for(handle, TreeScope::cgroup));
  ASSERT_TRUE(result) << result.error().str();
  EXPECT_EQ(result->method, KillMethod::cgroup_kill);
  EXPECT_TRUE(result->survivors.empty());
}

TEST(KillTree, WhoLeftTheCgroupIsFoundByItsNamespace) {
  QUELL_NEEDS_ROOT();
  TestCgroup group("unified"), elsewhere("unified");
  if (!group.made()) GTEST_SKIP() << "SKIPPED: no right to make cgroups";
  SharedMemory shared;
  TestChild maker([&] {
    if (::unshare(CLONE_NEWPID) != 0) ::_exit(1);
    // The first child is process 1 of the new namespace, its child a member of it that will leave the cgroup.
    const pid_t init = ::fork();
    if (init == 0) {
      ::alarm(60);
      if (::fork() == 0) {
        ::alarm(60);
        for (;;) ::pause();
      }
      for (;;) ::pause();
    }
    shared->noted = init;
  });
  const pid_t init = shared->noted;
  ASSERT_TRUE(group.add(init));
  pid_t escaped = 0;
  ASSERT_TRUE(eventually([&] {
    const auto table = read_process_table();
    for (const auto& [pid, node] : *table)
      if (node.ppid == init) escaped = static_cast<pid_t>(pid);
    return escaped != 0;
  }));
  ASSERT_TRUE(elsewhere.add(escaped));
  const auto handle = machine().open_process({.boot_id = "", .pid = init, .start_ticks = 0});
  ASSERT_TRUE(handle);
  const auto tree = find_tree(machine(), *handle, TreeScope::cgroup);
  ASSERT_TRUE(tree) << tree.error().str();
  EXPECT_EQ(tree->members.size(), 2u);
  EXPECT_EQ(tree->outside_cgroup, std::vector<int64_t>{escaped});
  const auto result = kill_tree(machine(), request_for(*handle, TreeScope::cgroup));
  ASSERT_TRUE(result) << result.error().str();
  EXPECT_FALSE(lives(init));
  EXPECT_FALSE(lives(escaped));
}

TEST(KillTree, WithoutTheRightNobodyDiesAndItIsSaid) {
  QUELL_NEEDS_ROOT();
  TestChild child;
  const ProcessId id = child.id();
  as_nobody([&] {
    const auto result = kill_tree(machine(), {.root = id, .expected = {}, .budget_ns = 200'000'000, .method = {}});
    ASSERT_TRUE(result) << result.error().str();
    EXPECT_TRUE(result->killed.empty());
    ASSERT_EQ(result->survivors.size(), 1u);
    EXPECT_FALSE(result->survivors[0].reason.empty());
  });
  EXPECT_TRUE(lives(child.pid()));
}

TEST(KillTree, ARecycledPidIsNotSignalled) {
  QUELL_NEEDS_ROOT();
  for (int round = 0; round < 20; ++round) {
    TestChild sibling;
    TestChild first;
    const ProcessHandle handle = first.handle();
    const KillTreeRequest request = request_for(handle, TreeScope::descendants);
    const ProcessId old = first.id();
    const pid_t pid = first.pid();
    first.reap();
    // Another life of the same number, a clock tick later at the earliest.
    std::this_thread::sleep_for(std::chrono::milliseconds(11));
    const pid_t recycled = fork_with_pid(pid);
    if (recycled < 0) GTEST_SKIP() << "SKIPPED: no right to choose a pid";
    ASSERT_EQ(recycled, pid);
    EXPECT_EQ(signal_verified(old, SIGKILL).error().code, Code::stale);
    EXPECT_FALSE(kill_tree(machine(), request));
    EXPECT_TRUE(alive_among(machine(), request.expected).empty());
    // As a member that the caller remembers it is passed over as well.
    KillTreeRequest other = request_for(sibling.handle(), TreeScope::descendants);
    other.expected.push_back(old);
    const auto result = kill_tree(machine(), other);
    ASSERT_TRUE(result) << result.error().str();
    EXPECT_FALSE(killed(*result, pid));
    EXPECT_TRUE(lives(pid));
    EXPECT_FALSE(lives(sibling.pid()));
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
}

TEST(KillTree, ScopesHaveNames) {
  for (const auto scope : {TreeScope::descendants, TreeScope::session, TreeScope::cgroup})
    EXPECT_EQ(tree_scope_from(to_string(scope)).value(), scope);
  EXPECT_EQ(tree_scope_from("family").error().code, Code::invalid_argument);
}

TEST(KillTree, TheMachineSaysWhatItCannotDo) {
  for (const auto method : {KillMethod::cgroup_kill, KillMethod::frozen_sweep, KillMethod::stopped_sweep}) {
    const std::string why = why_no_kill(method);
    std::printf("%s: %s\n", std::string(to_string(method)).c_str(), why.empty() ? "can be done" : why.c_str());
  }
  EXPECT_EQ(why_no_kill(KillMethod::stopped_sweep), "");
}

}  // namespace
}  // namespace quell::os
