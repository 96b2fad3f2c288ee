// Limits, forgetting, and the race between a scan of /proc and the stream.
#include "world.h"

namespace quell::enrich {

TEST(Bounds, FullThreadTableDropsTheIdle) {
  Options options;
  options.max_threads = 64;
  World w(options);
  for (int64_t tid = 1000; tid < 1500; ++tid) {
    w.fork(100, tid);
    ASSERT_LE(w.tables.counters().threads, 64u);
    ASSERT_NE(w.thread(tid), nullptr);
  }
  EXPECT_GT(w.tables.counters().threads_evicted, 400u);
  EXPECT_NE(w.thread(100), nullptr) << "who acts is not idle";
  EXPECT_NE(w.thread(1), nullptr) << "the ancestor of all is kept";
  EXPECT_EQ(w.thread(10), nullptr) << "sshd was idle for longest";
}

TEST(Bounds, DeadGoBeforeIdle) {
  Options options;
  options.max_threads = 16;
  World w(options);
  w.clone({.res = 201, .tid = 100, .ptid = 10, .flags = 0x2000});
  w.exit(100);
  w.tick();
  ASSERT_TRUE(w.thread(100)->dead);
  for (int64_t tid = 1000; tid < 1010; ++tid) {
    w.tick(201);
    w.fork(1, tid);
  }
  EXPECT_EQ(w.thread(100), nullptr);
  ASSERT_NE(w.thread(201), nullptr) << "its thread goes on without it";
  EXPECT_EQ(w.thread(201)->main, nullptr);
}

TEST(Bounds, SnapshotBiggerThanTheTable) {
  Options options;
  options.max_threads = 16;
  World w(options);
  for (int64_t tid = 1000; tid < 1100; ++tid) w.snapshot.threads.push_back(process(tid, 1, "x"));
  w.reload();
  EXPECT_EQ(w.tables.counters().threads, 16u);
  EXPECT_EQ(w.tables.counters().threads_refused, 87u);
}

TEST(Bounds, Descriptors) {
  Options options;
  options.max_fds_per_process = 4;
  options.max_fds = 6;
  World w(options);
  for (int64_t fd = 3; fd < 10; ++fd) {
    const auto& opened = w.openat(100, fd, -100, "f");
    ASSERT_NE(opened.fd, nullptr) << "the event itself still shows what it opened";
    EXPECT_EQ(opened.fd->name, "/home/f");
  }
  EXPECT_EQ(w.tables.counters().fds, 4u);
  EXPECT_EQ(w.tables.counters().fds_refused, 3u);
  EXPECT_EQ(w.openat(100, 3, -100, "g").fd->name, "/home/g") << "a number that is there can be replaced";
  for (int64_t fd = 3; fd < 6; ++fd) w.openat(10, fd, -100, "f");
  EXPECT_EQ(w.tables.counters().fds, 6u);
  EXPECT_EQ(w.tables.counters().fds_refused, 4u);
}

TEST(Live, UnknownThreadsAreLookedUpOnce) {
  std::vector<int64_t> asked;
  Options options;
  options.live = true;
  options.read_thread = [&](int64_t tid, Thread& out, std::vector<std::pair<int64_t, Fd>>& fds) {
    asked.push_back(tid);
    if (tid == 999) return false;
    out = process(500, 10, "daemon");
    out.tid = tid;
    out.scanned_ns = kStart;
    Fd fd;
    fd.type = FdType::file;
    fd.name = "/var/log/x";
    fds.emplace_back(7, fd);
    return true;
  };
  World w(options);
  const auto& read = w.read(501, 7);
  EXPECT_EQ(asked, (std::vector<int64_t>{501, 500})) << "a thread brings its process";
  ASSERT_NE(read.fd, nullptr);
  EXPECT_EQ(read.fd->name, "/var/log/x");
  EXPECT_EQ(w.thread(501)->main, w.thread(500));
  EXPECT_EQ(w.parent_name(500), "sshd");
  w.read(501, 7);
  EXPECT_EQ(asked.size(), 2u);
  EXPECT_TRUE(w.read(999, 3).thread->placeholder);
  w.read(999, 3);
  EXPECT_EQ(asked.size(), 3u) << "a failure is remembered by the placeholder";
  EXPECT_EQ(w.tables.counters().lookups, 3u);
  EXPECT_EQ(w.tables.counters().lookups_failed, 1u);
  w.exit(777);
  EXPECT_EQ(asked.size(), 3u) << "who exits is not looked up";
}

TEST(Live, StaleThreadsArePurged) {
  Options options;
  options.live = true;
  options.is_alive = [](const Thread& thread) { return thread.tid != 100; };
  World w(options);
  for (int64_t tid : {1, 10, 100}) w.tick(tid);
  w.tables.housekeep(w.now + 10 * kSecondNs);
  EXPECT_NE(w.thread(100), nullptr) << "idle, but not for long";
  w.tables.housekeep(w.now + 700 * kSecondNs);
  EXPECT_EQ(w.thread(100), nullptr);
  EXPECT_NE(w.thread(10), nullptr) << "idle and alive";
  EXPECT_EQ(w.tables.counters().threads_purged, 1u);
}

TEST(Scan, OlderEventsLeadToWhatItFound) {
  World w;
  const uint64_t scan = kStart + 10 * kSecondNs;
  for (Thread& thread : w.snapshot.threads) thread.scanned_ns = scan;
  Fd fd;
  fd.type = FdType::file;
  fd.name = "/now";
  fd.flags = kFdCloexec;
  w.snapshot.fd_lists = {{100, {{3, fd}, {4, fd}}}};
  w.reload();

  // bash at the scan was two other programs before.
  const auto& executed = w.exec(100, {.comm = "first", .ptid = 77});
  ASSERT_EQ(executed.thread, w.thread(100));
  EXPECT_EQ(w.thread(100)->comm, "first");
  EXPECT_EQ(w.thread(100)->ptid, 10) << "the parent is the one that the scan found";
  EXPECT_NE(w.fd(100, 4), nullptr) << "opened after the exec, or it would not be there";
  const auto& opened = w.openat(100, 3, -100, "older");
  ASSERT_NE(opened.fd, nullptr);
  EXPECT_EQ(opened.fd->name, "/home/older");
  w.close(100, 3);
  w.tick();
  EXPECT_NE(w.fd(100, 3), nullptr) << "it may have come again over a socket, of which no event tells";
  w.apply(w.event(ev::SYSCALL_SETUID_X, 100).num<int64_t>(0).num<uint32_t>(0).build());
  EXPECT_EQ(w.thread(100)->uid, 0u);
  w.exec(100, {.comm = "bash"});
  EXPECT_EQ(w.thread(100)->comm, "bash");
  EXPECT_EQ(w.tables.counters().stale_events, 1u);

  w.exit(100, 1);
  w.tick();
  EXPECT_NE(w.thread(100), nullptr) << "the exit of the tid's previous owner";
  EXPECT_FALSE(w.thread(100)->dead);
  w.fork(10, 100);
  EXPECT_EQ(w.thread(100)->scanned_ns, scan) << "the child was scanned after it had been made";
  w.fork(10, 200);
  EXPECT_NE(w.thread(200), nullptr) << "a child that the scan missed is made";
  EXPECT_EQ(w.tables.counters().stale_events, 2u);

  w.now = scan;
  w.exec(100, {.comm = "newer"});
  EXPECT_EQ(w.thread(100)->comm, "newer");
  EXPECT_EQ(w.fd(100, 4), nullptr);
}

TEST(Scan, EventsOfWhoHadTheIdBeforeDoNotCount) {
  World w;
  for (Thread& thread : w.snapshot.threads) {
    thread.clone_ns = kStart + 9 * kSecondNs;
    thread.scanned_ns = kStart + 10 * kSecondNs;
  }
  w.reload();
  w.exec(100, {.comm = "older"});
  EXPECT_EQ(w.thread(100)->comm, "bash");
  EXPECT_EQ(w.tables.counters().stale_events, 1u);
}

TEST(Load, StartsOver) {
  World w;
  w.fork(100, 200);
  w.openat(200, 3, -100, "x");
  w.clone({.res = 0, .tid = 300, .ptid = 1, .cgroups = kContainerCgroups});
  w.close(200, 3);
  w.reload();
  EXPECT_EQ(w.tables.counters().threads, 3u);
  EXPECT_EQ(w.tables.counters().fds, 0u);
  EXPECT_EQ(w.tables.counters().containers, 0u);
  EXPECT_EQ(w.tick().thread, w.thread(1));
}

TEST(Snapshot, OfTheTablesLoadsAgain) {
  World w;
  w.fork(100, 200);
  w.openat(200, 3, -100, "x");
  const Snapshot taken = w.tables.snapshot();
  ASSERT_EQ(taken.threads.size(), 4u);
  EXPECT_EQ(taken.threads[3].tid, 200);
  ASSERT_EQ(taken.fd_lists.size(), 1u);
  EXPECT_EQ(taken.users.size(), 2u);
  StateTables again{{}};
  again.load(taken);
  EXPECT_EQ(again.thread(200)->comm, "bash");
  EXPECT_EQ(again.thread(200)->fds->find(3)->name, "/home/x");
}

}  // namespace quell::enrich
