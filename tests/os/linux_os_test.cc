// Real children, and cgroups made for the occasion where we are allowed to.
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "os/os.h"

namespace quell::os {
namespace {

/// A child that sleeps (or spins) until it is killed; reaped at the end.
class Child {
 public:
  explicit Child(const char* comm = "quelltest", bool spin = false) {
    int ready[2];
    EXPECT_EQ(::pipe(ready), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::prctl(PR_SET_NAME, comm);
      (void)!::write(ready[1], "x", 1);
      for (;;) {
        if (!spin) ::pause();
        (void)::getppid();  // an infinite loop needs an effect
      }
    }
    char byte;
    EXPECT_EQ(::read(ready[0], &byte, 1), 1);
    ::close(ready[0]);
    ::close(ready[1]);
  }
  ~Child() { reap(); }
  void reap() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
};

/// A cgroup directory that is removed at the end.
class Cgroup {
 public:
  Cgroup(const std::string& hierarchy, const std::string& name) : path_("/sys/fs/cgroup/" + hierarchy + "/" + name) {
    made_ = ::mkdir(path_.c_str(), 0755) == 0;
  }
  ~Cgroup() {
    if (made_) {
      write("freezer.state", "THAWED");
      for (int i = 0; i < 100 && ::rmdir(path_.c_str()) != 0; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }
  bool made() const { return made_; }
  bool write(const std::string& file, const std::string& text) const {
    if (!std::filesystem::exists(path_ + "/" + file)) return false;
    std::ofstream out(path_ + "/" + file);
    out << text;
    out.flush();
    return out.good();
  }
  bool add(pid_t pid) const { return write("cgroup.procs", std::to_string(pid)); }

 private:
  std::string path_;
  bool made_ = false;
};

std::string unique_name(const char* suffix) { return "quell_os_test_" + std::to_string(::getpid()) + suffix; }

const Os& machine() {
  static const std::unique_ptr<Os> os = make_linux_os();
  return *os;
}

bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 500; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return false;
}

TEST(LinuxOs, FactsOfAChildWithANastyName) {
  const Child child("a) R 1 (b");
  const auto facts = machine().process_facts(child.pid());
  ASSERT_TRUE(facts) << facts.error().str();
  EXPECT_EQ(facts->id.pid, child.pid());
  EXPECT_EQ(facts->id.boot_id, machine().boot_id());
  EXPECT_EQ(facts->id.boot_id.size(), 36u);
  EXPECT_GT(facts->id.start_ticks, 0u);
  EXPECT_EQ(facts->ppid, ::getpid());
  EXPECT_EQ(facts->comm, "a) R 1 (b");
  EXPECT_EQ(facts->uid, ::geteuid());
  EXPECT_EQ(facts->exepath, std::filesystem::read_symlink("/proc/self/exe"));
  struct stat info {};
  ASSERT_EQ(::stat("/proc/self/exe", &info), 0);
  EXPECT_EQ(facts->exe_ino, info.st_ino);
  EXPECT_EQ(facts->exe_dev, info.st_dev);
  EXPECT_FALSE(facts->kernel_thread);
  EXPECT_GT(facts->pid_namespace, 0u);
  EXPECT_FALSE(facts->cgroups.empty());
  EXPECT_FALSE(facts->args.empty());
}

TEST(LinuxOs, KernelThreadsAreKnown) {
  const auto facts = machine().process_facts(2);
  if (!facts || facts->comm != "kthreadd") GTEST_SKIP() << "SKIPPED: pid 2 is not kthreadd here (a pid namespace?)";
  EXPECT_TRUE(facts->kernel_thread);
}

TEST(LinuxOs, GoneAndInvalidPids) {
  Child child;
  const pid_t pid = child.pid();
  child.reap();
  EXPECT_EQ(machine().process_facts(pid).error().code, Code::gone);
  EXPECT_EQ(machine().open_process({.boot_id = "", .pid = pid, .start_ticks = 0}).error().code, Code::gone);
  EXPECT_EQ(machine().cgroup_members(pid).error().code, Code::gone);
  EXPECT_EQ(machine().process_facts(0).error().code, Code::invalid_argument);
  EXPECT_EQ(machine().process_facts(-5).error().code, Code::invalid_argument);
  EXPECT_EQ(machine().open_process({.boot_id = "", .pid = -1, .start_ticks = 0}).error().code, Code::invalid_argument);
}

TEST(LinuxOs, OpenComparesTheIdentity) {
  const Child child;
  const ProcessId id = machine().process_facts(child.pid())->id;
  const auto right = machine().open_process(id);
  ASSERT_TRUE(right) << right.error().str();
  EXPECT_EQ(right->facts().id, id);

  ProcessId other = id;
  other.start_ticks += 1;
  EXPECT_EQ(machine().open_process(other).error().code, Code::stale);
  other = id;
  other.boot_id = "00000000-0000-0000-0000-000000000000";
  EXPECT_EQ(machine().open_process(other).error().code, Code::stale);
  EXPECT_TRUE(machine().open_process({.boot_id = "", .pid = child.pid(), .start_ticks = 0}));
}

TEST(LinuxOs, AZombieIsGone) {
  const Child child;
  const ProcessId id = machine().process_facts(child.pid())->id;
  const auto handle = machine().open_process(id);
  ASSERT_TRUE(handle);
  EXPECT_FALSE(machine().wait_exit(*handle, 1'000'000));
  ASSERT_TRUE(machine().signal(*handle, SIGKILL));
  EXPECT_TRUE(machine().wait_exit(*handle, 10'000'000'000));
  EXPECT_EQ(machine().process_facts(child.pid())->state, 'Z');
  EXPECT_EQ(machine().open_process(id).error().code, Code::gone);
}

TEST(LinuxOs, SignalToAReapedProcessIsGone) {
  Child child;
  const auto handle = machine().open_process({.boot_id = "", .pid = child.pid(), .start_ticks = 0});
  ASSERT_TRUE(handle);
  child.reap();
  EXPECT_EQ(machine().signal(*handle, SIGKILL).error().code, Code::gone);
  EXPECT_TRUE(machine().wait_exit(*handle, 0));
}

TEST(LinuxOs, HandlesMove) {
  const Child child;
  auto first = machine().open_process({.boot_id = "", .pid = child.pid(), .start_ticks = 0});
  ASSERT_TRUE(first);
  ProcessHandle second = std::move(*first);
  EXPECT_EQ(first->pidfd(), -1);
  EXPECT_GE(second.pidfd(), 0);
  ProcessHandle third;
  third = std::move(second);
  EXPECT_EQ(third.facts().id.pid, child.pid());
}

TEST(LinuxOs, AThreadIsNoProcess) {
  std::atomic<pid_t> tid{0};
  std::atomic<bool> done{false};
  std::thread thread([&] {
    tid = ::gettid();
    while (!done) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  });
  while (tid == 0) std::this_thread::yield();
  EXPECT_EQ(machine().open_process({.boot_id = "", .pid = tid, .start_ticks = 0}).error().code, Code::invalid_argument);
  done = true;
  thread.join();
}

TEST(LinuxOs, MembersOfANestedCgroup) {
  const std::string hierarchy = std::filesystem::exists("/sys/fs/cgroup/unified") ? "unified" : ".";
  const std::string name = unique_name("_m");
  Cgroup outer(hierarchy, name), inner(hierarchy, name + "/inner");
  if (!outer.made() || !inner.made()) GTEST_SKIP() << "SKIPPED: no right to make cgroups";
  Child first, second;
  if (!outer.add(first.pid()) || !inner.add(second.pid()))
    GTEST_SKIP() << "SKIPPED: no right to move processes between cgroups";
  const auto members = machine().cgroup_members(first.pid());
  ASSERT_TRUE(members) << members.error().str();
  EXPECT_EQ(*members, (std::vector<int64_t>{std::min(first.pid(), second.pid()), std::max(first.pid(), second.pid())}));
  EXPECT_EQ(machine().cgroup_members(second.pid()).value(), std::vector<int64_t>{second.pid()});
  first.reap();
  second.reap();
}

TEST(LinuxOs, FreezerV1) {
  Cgroup group("freezer", unique_name("_f"));
  if (!group.made()) GTEST_SKIP() << "SKIPPED: no v1 freezer here, or no right to use it";
  Child child("spinner", true);
  ASSERT_TRUE(group.add(child.pid()));
  EXPECT_EQ(machine().freezer_state(child.pid()).value(), Frozen::no);
  const uint64_t before = machine().cgroup_cpu_ns(child.pid()).value();
  EXPECT_TRUE(eventually([&] { return machine().cgroup_cpu_ns(child.pid()).value() > before; }));

  ASSERT_TRUE(group.write("freezer.state", "FROZEN"));
  ASSERT_TRUE(eventually([&] { return machine().freezer_state(child.pid()).value() == Frozen::yes; }));
  const uint64_t frozen = machine().cgroup_cpu_ns(child.pid()).value();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(machine().cgroup_cpu_ns(child.pid()).value(), frozen);
  ASSERT_TRUE(group.write("freezer.state", "THAWED"));
  EXPECT_TRUE(eventually([&] { return machine().freezer_state(child.pid()).value() == Frozen::no; }));
  child.reap();
}

TEST(LinuxOs, FreezerV2) {
  const std::string hierarchy = std::filesystem::exists("/sys/fs/cgroup/unified") ? "unified" : ".";
  Cgroup group(hierarchy, unique_name("_g"));
  Child child;
  if (!group.made() || !group.add(child.pid())) GTEST_SKIP() << "SKIPPED: no cgroup v2 here, or no right to use it";
  EXPECT_EQ(machine().freezer_state(child.pid()).value(), Frozen::no);
  ASSERT_TRUE(group.write("cgroup.freeze", "1"));
  EXPECT_TRUE(eventually([&] { return machine().freezer_state(child.pid()).value() == Frozen::yes; }));
  ASSERT_TRUE(group.write("cgroup.freeze", "0"));
  EXPECT_TRUE(eventually([&] { return machine().freezer_state(child.pid()).value() == Frozen::no; }));
  child.reap();
}

}  // namespace
}  // namespace quell::os
