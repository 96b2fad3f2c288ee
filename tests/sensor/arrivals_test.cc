#include "capture/ebpf/arrivals.h"

#include <gtest/gtest.h>

#include <cstring>

#include "bpf/wire.h"
#include "model/event.h"

namespace quell::capture {
namespace {

/// As the sensor writes it, but with nothing in it except for the name.
std::vector<uint8_t> described(int64_t tid, const std::string& comm) {
  EventBuilder event(ev::SYSCALL_EXECVE_19_X, 77, tid);
  for (const ParamSpec& param : event_spec(ev::SYSCALL_EXECVE_19_X).params) {
    if (param.name == "comm") {
      event.text(comm);
    } else {
      event.empty();
    }
  }
  return event.build();
}

std::vector<uint8_t> rest(uint64_t start_ns) {
  const quell_wire_arrival more{.start_ns = start_ns, .vtid = 2, .vpid = 1, .sid = 3, .has_own_mounts = 1};
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
