#include "capture/ebpf/arrivals.h"

#include <gtest/gtest.h>

#include <cstring>

#include "bpf/wire.h"
#include "model/event.h"

namespace quell::capture {
namespace {

/// As the sensor writes it, but with nothing in it except for the name.
std::vector<uint8_t> described(int64_t tid, const std::string& comm, int64_t ptid = 4) {
  EventBuilder event(ev::SYSCALL_EXECVE_19_X, 77, tid);
  for (const ParamSpec& param : event_spec(ev::SYSCALL_EXECVE_19_X).params) {
    if (param.name == "comm") {
      event.text(comm);
    } else if (param.name == "ptid") {
      event.num(ptid);
    } else {
      event.empty();
    }
  }
  return event.build();
}

std::vector<uint8_t> rest(uint64_t start_ns) {
  const quell_wire_arrival more{.start_ns = start_ns,
                                .vtid = 2,
                                .vpid = 1,
                                .sid = 3,
                                .has_own_mounts = 1,
                                .parent_start_ns = 33,
                                .parent_ptid = 3,
                                .parent_comm = "fifteen letters"};
  std::vector<uint8_t> out(sizeof more);
  std::memcpy(out.data(), &more, sizeof more);
  return out;
}

TEST(Arrivals, AreFoundByTheirId) {
  Arrivals arrivals(4);
  EXPECT_FALSE(arrivals.find(10));
  arrivals.add(described(10, "a"), rest(55));
  const auto found = arrivals.find(10);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->has_own_mounts);
  const Thread& thread = found->thread;
  EXPECT_EQ(thread.tid, 10);
  EXPECT_EQ(thread.comm, "a");
  EXPECT_EQ(thread.exe, "a") << "its arguments were out of reach";
  EXPECT_EQ(thread.clone_ns, 55u);
  EXPECT_EQ(thread.scanned_ns, 77u);
  EXPECT_EQ(thread.vtid, 2);
  EXPECT_EQ(thread.vpid, 1);
  EXPECT_EQ(thread.sid, 3);
}

TEST(Arrivals, TheOldestAreForgottenAndTheNewestWordCounts) {
  Arrivals arrivals(2);
  arrivals.add(described(10, "a"), rest(1));
  arrivals.add(described(20, "b"), rest(1));
  arrivals.add(described(10, "again"), rest(1));
  ASSERT_TRUE(arrivals.find(10));
  EXPECT_EQ(arrivals.find(10)->thread.comm, "again");
  arrivals.add(described(30, "c"), rest(1));
  EXPECT_FALSE(arrivals.find(10));
  EXPECT_TRUE(arrivals.find(20));
  EXPECT_TRUE(arrivals.find(30));
}

TEST(Arrivals, ParentsAreFoundByTheirIdToo) {
  Arrivals arrivals(2);
  arrivals.add(described(10, "a", 5), rest(55));
  EXPECT_FALSE(arrivals.find_parent(10));
  const auto parent = arrivals.find_parent(5);
  ASSERT_TRUE(parent);
  EXPECT_EQ(parent->pid, 5);
  EXPECT_EQ(parent->tid, 5);
  EXPECT_EQ(parent->ptid, 3);
  EXPECT_EQ(parent->comm, "fifteen letters");
  EXPECT_EQ(parent->clone_ns, 33u);
  arrivals.add(described(11, "b", 6), rest(55));
  arrivals.add(described(12, "c", 7), rest(55));
  EXPECT_FALSE(arrivals.find_parent(5)) << "forgotten with its child";
}

/// What /proc says of a process that has become another program meanwhile.
Thread later() {
  Thread now;
  now.tid = now.pid = 10;
  now.ptid = 5;
  now.comm = now.exe = "sh";
  now.exepath = "/bin/sh";
  now.args = "-i";
  now.env = "A=b";
  now.root = "/root/of/it/";
  now.cgroups = "cpu=/now";
  now.exe_ino = 7;
  now.uid = 1000;
  now.scanned_ns = 99;
  return now;
}

TEST(Arrivals, ALaterProgramIsNotTheOneThatCame) {
  Thread then;
  then.tid = then.pid = 10;
  then.ptid = 4;
  then.comm = then.exe = "runc";
  then.exepath = "/usr/bin/runc";
  then.cwd = "/";
  then.cgroups = "cpu=/then";
  then.exe_ino = 6;
  then.uid = 0;
  const Thread both = as_it_arrived(then, later());
  EXPECT_EQ(both.comm, "runc");
  EXPECT_EQ(both.exe, "runc");
  EXPECT_EQ(both.exepath, "/usr/bin/runc");
  EXPECT_EQ(both.args, "");
  EXPECT_EQ(both.env, "");
  EXPECT_EQ(both.cwd, "/");
  EXPECT_EQ(both.uid, 0u);
  EXPECT_EQ(both.ptid, 5) << "of a parent that has ended outside of the scope nobody would hear";
  EXPECT_EQ(both.root, "/root/of/it/");
  EXPECT_EQ(both.cgroups, "cpu=/now");
  EXPECT_EQ(both.scanned_ns, 99u) << "its descriptors are of then";
}

TEST(Arrivals, TheSameProgramHasItsArguments) {
  Thread then;
  then.tid = then.pid = 10;
  then.comm = then.exe = "sh";
  then.exe_ino = 7;
  then.uid = 0;
  const Thread both = as_it_arrived(then, later());
  EXPECT_EQ(both.args, "-i");
  EXPECT_EQ(both.env, "A=b");
  EXPECT_EQ(both.uid, 0u) << "it gave up root later";
}

TEST(Arrivals, WhatIsNotWholeIsNotTaken) {
  Arrivals arrivals(2);
  std::vector<uint8_t> more = rest(1);
  more.pop_back();
  arrivals.add(described(10, "a"), more);
  EXPECT_FALSE(arrivals.find(10));
  std::vector<uint8_t> event = described(10, "a");
  event.pop_back();
  arrivals.add(event, rest(1));
  EXPECT_FALSE(arrivals.find(10));
}

}  // namespace
}  // namespace quell::capture
