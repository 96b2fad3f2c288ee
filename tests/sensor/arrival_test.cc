// Processes that are moved into the scope and are gone before anybody could look them up.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ctime>
#include <fstream>

#include "base/clock.h"
#include "needs_sensor.h"

namespace quell::capture::test {
namespace {

uint64_t seconds(uint64_t ns) { return ns / 1'000'000'000; }

TEST(SensorArrival, WhoMovesItselfIsKnownWithItsArguments) {
  NEEDS_SENSOR();
  Sandbox box;
  const pid_t pid = fork();
  if (pid == 0) {
    setenv("QUELL_ARRIVAL", "here", 1);
    setpgid(0, 0);
    const std::string command = "cd /usr; echo $$ > " + box.group() + "/cgroup.procs";
    if (setregid(1002, 1002) != 0) _exit(1);
    execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    _exit(127);
  }
  int status = -1;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  ASSERT_EQ(status, 0);
  const Events events = box.collect();
  EXPECT_TRUE(all_of(events, ev::SYSCALL_EXECVE_19_X).empty()) << "an arrival is no event";

  const auto arrival = box.source().find_arrival(pid);
  ASSERT_TRUE(arrival);
  EXPECT_FALSE(arrival->has_own_mounts);
  const Thread& thread = arrival->thread;
  EXPECT_EQ(thread.tid, pid);
  EXPECT_EQ(thread.pid, pid);
  EXPECT_EQ(thread.vtid, pid);
  EXPECT_EQ(thread.vpid, pid);
  EXPECT_EQ(thread.ptid, getpid());
  EXPECT_EQ(thread.pgid, pid);
  EXPECT_EQ(thread.sid, getsid(0));
  EXPECT_EQ(thread.comm, "sh");
  EXPECT_EQ(thread.exe, "sh");
  EXPECT_EQ(thread.args.substr(0, 3), std::string("-c\0", 3));
  EXPECT_NE(thread.env.find("QUELL_ARRIVAL=here"), std::string::npos);
  EXPECT_EQ(thread.cwd, "/usr");
  EXPECT_FALSE(thread.exepath.empty());
  EXPECT_NE(thread.exe_ino, 0u);
  EXPECT_EQ(thread.uid, geteuid());
  EXPECT_EQ(thread.gid, 1002u);
  const std::string name = box.group().substr(box.group().rfind('/'));
  EXPECT_NE(thread.cgroups.find(name), std::string::npos) << thread.cgroups;
  EXPECT_LE(seconds(system_clock().realtime_ns()) - seconds(thread.clone_ns), 60u);
  EXPECT_GE(thread.scanned_ns, thread.clone_ns);
  EXPECT_FALSE(box.source().find_arrival(getpid())) << "the one outside";
}

TEST(SensorArrival, WhoIsMovedByAnotherIsKnownByName) {
  NEEDS_SENSOR();
  Sandbox box;
  box.run([] {});
  const auto arrival = box.source().find_arrival(box.pid());
  ASSERT_TRUE(arrival);
  const Thread& thread = arrival->thread;
  EXPECT_EQ(thread.ptid, getpid());
  EXPECT_FALSE(thread.comm.empty());
  EXPECT_EQ(thread.exe, thread.comm);
  EXPECT_TRUE(thread.args.empty()) << "its memory is its own";
  EXPECT_NE(thread.exepath.find("sensor_arrival_test"), std::string::npos) << thread.exepath;

  const auto parent = box.source().find_parent_of_arrival(getpid());
  ASSERT_TRUE(parent);
  EXPECT_EQ(parent->ptid, getppid());
  std::string comm;
  std::getline(std::ifstream("/proc/self/comm"), comm);
  EXPECT_EQ(parent->comm, comm);
  EXPECT_LE(parent->clone_ns, thread.clone_ns);
  EXPECT_LE(seconds(thread.clone_ns) - seconds(parent->clone_ns), 60u);
}

TEST(SensorArrival, MountsOfItsOwnAreSeen) {
  NEEDS_SENSOR();
  Sandbox box;
  const pid_t pid = fork();
  if (pid == 0) {
    if (unshare(CLONE_NEWNS) != 0) _exit(1);
    std::ofstream(box.group() + "/cgroup.procs") << "0" << std::flush;
    _exit(0);
  }
  int status = -1;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  ASSERT_EQ(status, 0);
  box.collect();
  const auto arrival = box.source().find_arrival(pid);
  ASSERT_TRUE(arrival);
  EXPECT_TRUE(arrival->has_own_mounts);
}

}  // namespace
}  // namespace quell::capture::test
