// Events that nobody looks at: what must still happen when they are only counted.
#include "world.h"

namespace quell::enrich {

TEST(Pass, OnlyWhatHasNoHandler) {
  for (const EventCode code : {ev::PAGE_FAULT_E, ev::SCHEDSWITCH_6_E, ev::GENERIC_X, ev::SYSCALL_MMAP_X})
    EXPECT_FALSE(StateTables::acts_on(code)) << code;
  for (const EventCode code :
       {ev::SYSCALL_OPENAT_2_X, ev::SYSCALL_CLOSE_X, ev::PROCEXIT_1_E, ev::SYSCALL_OPENAT_2_E, ev::CONTAINER_JSON_2_E})
    EXPECT_TRUE(StateTables::acts_on(code)) << code;
  World w;
  EXPECT_TRUE(w.tables.pass(ev::SYSCALL_MMAP_X, 100, w.now));
  EXPECT_FALSE(w.tables.pass(ev::SYSCALL_CLOSE_X, 100, w.now));
  EXPECT_FALSE(w.tables.pass(ev::SYSCALL_MMAP_X, 4711, w.now)) << "a thread that nobody knows wants a closer look";
  EXPECT_TRUE(w.tables.pass(ev::PAGE_FAULT_E, 4711, w.now)) << "faults and switches are shown without a thread";
}

TEST(Pass, EndsWhatTheLastEventEnded) {
  World w;
  w.openat(100, 3, -100, "f");
  w.close(100, 3);
  ASSERT_NE(w.fd(100, 3), nullptr);
  EXPECT_TRUE(w.tables.pass(ev::PAGE_FAULT_E, 100, w.now));
  EXPECT_EQ(w.fd(100, 3), nullptr);
  w.exit(100);
  EXPECT_FALSE(w.tables.pass(ev::SYSCALL_MMAP_X, 100, w.now));
  EXPECT_EQ(w.thread(100), nullptr);
}

TEST(Pass, KeepsThreadsFromLookingIdle) {
  Options options;
  options.max_threads = 64;
  World w(options);
  for (int64_t tid = 1000; tid < 1500; ++tid) {
    w.fork(100, tid);
    EXPECT_TRUE(w.tables.pass(ev::SYSCALL_MMAP_X, 10, w.now));
  }
  EXPECT_NE(w.thread(10), nullptr);
}

TEST(Pass, AnotherCallVoidsHeldArguments) {
  World w;
  const auto enter = [&] {
    w.apply(w.event(ev::SYSCALL_OPENAT_2_E, 100)
                .num<int64_t>(-100)
                .text("/etc/shadow")
                .num<uint32_t>(1)
                .num<uint32_t>(0)
                .build(),
            true);
  };
  enter();
  EXPECT_TRUE(w.tables.pass(ev::PAGE_FAULT_E, 100, w.now)) << "a page fault inside the call is no other call";
  EXPECT_EQ(w.openat(100, 3, -100, "/tmp/decoy").fd->name, "/etc/shadow");
  enter();
  EXPECT_TRUE(w.tables.pass(ev::SYSCALL_MMAP_X, 100, w.now));
  EXPECT_EQ(w.openat(100, 4, -100, "/tmp/plain").fd->name, "/tmp/plain");
}

TEST(Pass, TheFirstEventSetsTheBeginOfTheStream) {
  World w;
  EXPECT_TRUE(w.tables.pass(ev::PAGE_FAULT_E, 100, kStart + 5));
  EXPECT_EQ(w.tick().first_ts_ns, kStart + 5);
}

TEST(Shared, OpensOfOneFileShareItsEntryUntilSomethingDiffers) {
  World w;
  const Fd* first = w.openat(100, 3, -100, "/etc/hosts").fd;
  EXPECT_EQ(w.openat(10, 7, -100, "/etc/hosts").fd, first);
  EXPECT_EQ(first->given_name(), "/etc/hosts");
  EXPECT_NE(w.openat(10, 8, -100, "/etc/hosts", 1 | 4096).fd, first) << "close-on-exec is another descriptor";
  const Fd* folder = w.openat(100, 4, -100, "/etc/../etc/hosts").fd;
  EXPECT_EQ(folder->name, "/etc/hosts");
  EXPECT_EQ(folder->given_name(), "/etc/../etc/hosts");
  w.close(100, 3);
  w.tick();
  EXPECT_EQ(w.fd(10, 7)->name, "/etc/hosts");
}

}  // namespace quell::enrich
