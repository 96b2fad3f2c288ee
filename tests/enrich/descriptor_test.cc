// Files, pipes and the other descriptors.
#include "world.h"

namespace quell::enrich {

constexpr uint32_t kCloexec = 4096, kDirectory = 1024, kCreated = 16384, kUpper = 32768;

TEST(Open, FilesAndDirectories) {
  World w;
  const auto& opened = w.openat(100, 3, -100, "notes/../todo", 3 | kCloexec | kUpper);
  ASSERT_NE(opened.fd, nullptr);
  EXPECT_TRUE(opened.has_fd_class);
  EXPECT_EQ(opened.fd_number, 3);
  EXPECT_FALSE(opened.fd_name_changed);
  EXPECT_EQ(opened.fd->name, "/home/todo");
  EXPECT_EQ(opened.fd->given_name(), "notes/../todo");
  EXPECT_EQ(opened.fd->type, FdType::file);
  EXPECT_EQ(opened.fd->ino, 99u);
  EXPECT_EQ(opened.fd->dev, 8u);
  EXPECT_TRUE(opened.fd->has(kFdCloexec));
  EXPECT_TRUE(opened.fd->has(kFdUpperLayer));
  EXPECT_EQ(w.openat(100, 4, -100, "/srv", 1 | kDirectory).fd->type, FdType::directory);
  EXPECT_EQ(w.openat(100, 5, 4, "data/x").fd->name, "/srv/data/x");
  EXPECT_EQ(w.openat(100, 6, 77, "x").fd->name, "<UNKNOWN>/x");
  EXPECT_EQ(w.openat(100, 7, 77, "/x").fd->name, "/x");
  EXPECT_EQ(w.tables.counters().fds, 5u);
}

TEST(Open, NegativeNumbersWithoutSign) {
  World w;
  EXPECT_EQ(w.openat(100, 3, 0xFFFFFF9C, "x").fd->name, "/home/x") << "AT_FDCWD";
  EXPECT_EQ(w.read(100, 0xFFFFFFFF, -9).fd_number, -1);
}

TEST(Open, FailureMakesNoDescriptor) {
  World w;
  const auto& failed = w.openat(100, -2, -100, "/etc/none");
  EXPECT_EQ(failed.fd_number, -1);
  EXPECT_EQ(failed.fd, nullptr);
  EXPECT_EQ(failed.result, -2);
  EXPECT_TRUE(failed.has_fd_class);
  EXPECT_EQ(w.tables.counters().fds, 0u);
}

TEST(Open, OtherCalls) {
  World w;
  const auto& creat = w.apply(w.event(ev::SYSCALL_CREAT_X, 100)
                                  .num<int64_t>(3)
                                  .text("/tmp/a")
                                  .num<uint32_t>(0755)
                                  .num<uint32_t>(1)
                                  .num<uint64_t>(2)
                                  .num<uint16_t>(1)
                                  .build());
  EXPECT_EQ(creat.fd->name, "/tmp/a");
  EXPECT_EQ(creat.fd->open_flags & 0xFFFF & ~kUpper, 2u | 4u | 256u);
  EXPECT_TRUE(creat.fd->has(kFdUpperLayer));
  const auto& open2 = w.apply(w.event(ev::SYSCALL_OPENAT2_X, 100)
                                  .num<int64_t>(4)
                                  .num<int64_t>(-100)
                                  .text("b")
                                  .num<uint32_t>(1)
                                  .num<uint32_t>(0)
                                  .num<uint32_t>(0)
                                  .num<uint32_t>(11)
                                  .num<uint64_t>(12)
                                  .build());
  EXPECT_EQ(open2.fd->name, "/home/b");
  EXPECT_EQ(open2.fd->dev, 11u);
  EXPECT_EQ(open2.fd->ino, 12u);
  const auto& handle = w.apply(w.event(ev::SYSCALL_OPEN_BY_HANDLE_AT_X, 100)
                                   .num<int64_t>(5)
                                   .num<int64_t>(3)
                                   .num<uint32_t>(1)
                                   .text("/etc/shadow")
                                   .num<uint32_t>(1)
                                   .num<uint64_t>(2)
                                   .build());
  EXPECT_EQ(handle.fd->name, "/etc/shadow");
}

TEST(Open, WhatTheCallWasGivenWinsOverWhatMemorySaysLater) {
  World w;
  w.apply(w.event(ev::SYSCALL_OPENAT_2_E, 100)
              .num<int64_t>(-100)
              .text("/etc/shadow")
              .num<uint32_t>(1)
              .num<uint32_t>(0)
              .build(),
          true);
  const auto& opened = w.openat(100, 3, -100, "/tmp/harmless", 3 | kCreated | kUpper);
  EXPECT_EQ(opened.fd->name, "/etc/shadow");
  EXPECT_EQ(opened.fd->open_flags, 1u | kCreated | kUpper) << "the caller's flags, and the bits that the driver added";
  EXPECT_EQ(w.openat(100, 4, -100, "/tmp/b").fd->name, "/tmp/b") << "used once";
}

TEST(Open, HeldArgumentsDoNotOutliveTheirCall) {
  World w;
  w.apply(w.event(ev::SYSCALL_OPENAT_2_E, 100)
              .num<int64_t>(-100)
              .text("/etc/shadow")
              .num<uint32_t>(1)
              .num<uint32_t>(0)
              .build(),
          true);
  w.tick(100);
  EXPECT_EQ(w.openat(100, 3, -100, "/tmp/b").fd->name, "/tmp/b");
  w.apply(w.event(ev::SYSCALL_OPEN_E, 100).text("/etc/shadow").num<uint32_t>(1).num<uint32_t>(0).build(), true);
  EXPECT_EQ(w.openat(100, 3, -100, "/tmp/c").fd->name, "/tmp/c") << "another call";
  w.apply(w.event(ev::SYSCALL_OPENAT_2_E, 100)
              .num<int64_t>(-100)
              .text("/etc/shadow")
              .num<uint32_t>(1)
              .num<uint32_t>(0)
              .build(),
          true);
  EXPECT_EQ(w.openat(10, 3, -100, "/tmp/d").fd->name, "/tmp/d") << "another thread";
}

TEST(Close, IsVisibleToItsOwnEvent) {
  World w;
  w.openat(100, 3, -100, "a");
  const auto& closed = w.close(100, 3);
  ASSERT_NE(closed.fd, nullptr);
  EXPECT_EQ(closed.fd->name, "/home/a");
  w.tick();
  EXPECT_EQ(w.fd(100, 3), nullptr);
  EXPECT_EQ(w.tables.counters().fds, 0u);
  const auto& failed = w.apply(w.event(ev::SYSCALL_CLOSE_X, 100).num<int64_t>(-9).num<int64_t>(3).build());
  EXPECT_EQ(failed.fd, nullptr);
}

TEST(Close, RangesRemoveOrMark) {
  World w;
  for (int fd = 3; fd <= 6; ++fd) w.openat(100, fd, -100, "f");
  const auto range = [&](uint32_t first, uint32_t last, uint32_t flags) {
    w.apply(w.event(ev::SYSCALL_CLOSE_RANGE_X, 100)
                .num<int64_t>(0)
                .num<uint32_t>(first)
                .num<uint32_t>(last)
                .num<uint32_t>(flags)
                .build());
  };
  range(5, UINT32_MAX, 4);
  EXPECT_TRUE(w.fd(100, 6)->has(kFdCloexec));
  EXPECT_FALSE(w.fd(100, 4)->has(kFdCloexec));
  range(3, 4, 0);
  EXPECT_EQ(w.fd(100, 3), nullptr);
  w.exec(100, {});
  EXPECT_EQ(w.tables.counters().fds, 0u) << "exec closed the marked ones";
}

TEST(Dup, CopiesAndClearsCloexec) {
  World w;
  w.openat(100, 3, -100, "a", 1 | kCloexec);
  const auto& dup2 = w.apply(w.event(ev::SYSCALL_DUP2_X, 100).num<int64_t>(1).num<int64_t>(3).num<int64_t>(1).build());
  EXPECT_EQ(dup2.fd_number, 1);
  EXPECT_EQ(dup2.fd->name, "/home/a");
  EXPECT_FALSE(dup2.fd->has(kFdCloexec));
  w.apply(
      w.event(ev::SYSCALL_DUP3_X, 100).num<int64_t>(7).num<int64_t>(3).num<int64_t>(7).num<uint32_t>(kCloexec).build());
  EXPECT_TRUE(w.fd(100, 7)->has(kFdCloexec));
  w.apply(w.event(ev::SYSCALL_DUP_1_X, 100).num<int64_t>(8).num<int64_t>(3).build());
  EXPECT_EQ(w.fd(100, 8)->name, "/home/a");
  w.apply(w.event(ev::SYSCALL_DUP2_X, 100).num<int64_t>(8).num<int64_t>(55).num<int64_t>(8).build());
  EXPECT_EQ(w.fd(100, 8), nullptr) << "a copy of something unknown is unknown";
  const auto& failed = w.apply(w.event(ev::SYSCALL_DUP_1_X, 100).num<int64_t>(-24).num<int64_t>(3).build());
  EXPECT_EQ(failed.fd_number, 3);
}

TEST(Fcntl, DuplicatesAndMarks) {
  World w;
  w.openat(100, 3, -100, "a");
  const auto fcntl = [&](int64_t res, uint8_t cmd, uint64_t arg) {
    w.apply(w.event(ev::SYSCALL_FCNTL_X, 100)
                .num<int64_t>(res)
                .num<int64_t>(3)
                .num<uint8_t>(cmd)
                .num<uint64_t>(arg)
                .build());
  };
  fcntl(10, 1, 10);
  EXPECT_EQ(w.fd(100, 10)->name, "/home/a");
  fcntl(11, 0x1A, 10);
  EXPECT_TRUE(w.fd(100, 11)->has(kFdCloexec));
  fcntl(0, 3, 1);
  EXPECT_TRUE(w.fd(100, 3)->has(kFdCloexec));
  fcntl(0, 3, 0);
  EXPECT_FALSE(w.fd(100, 3)->has(kFdCloexec));
}

TEST(Pipe, TwoEndsOneInode) {
  World w;
  const auto& pipe = w.apply(w.event(ev::SYSCALL_PIPE2_X, 100)
                                 .num<int64_t>(0)
                                 .num<int64_t>(3)
                                 .num<int64_t>(4)
                                 .num<uint64_t>(555)
                                 .num<uint32_t>(kCloexec)
                                 .build());
  EXPECT_EQ(pipe.fd->type, FdType::fifo);
  EXPECT_EQ(w.fd(100, 3)->ino, 555u);
  EXPECT_EQ(w.fd(100, 4)->ino, 555u);
  EXPECT_TRUE(w.fd(100, 4)->has(kFdCloexec));
}

TEST(PlainFds, KindsFromTheirCalls) {
  World w;
  const auto kind = [&](EventBuilder b) { return w.apply(b.build()).fd->type; };
  EXPECT_EQ(kind(w.event(ev::SYSCALL_EVENTFD2_X, 100).num<int64_t>(3).num<uint16_t>(0).num<uint64_t>(0)),
            FdType::event);
  EXPECT_EQ(
      kind(w.event(ev::SYSCALL_SIGNALFD4_X, 100).num<int64_t>(4).num<uint16_t>(0).num<int64_t>(-1).num<uint32_t>(0)),
      FdType::signalfd);
  EXPECT_EQ(kind(w.event(ev::SYSCALL_TIMERFD_CREATE_X, 100).num<int64_t>(5).num<uint8_t>(0).num<uint8_t>(0)),
            FdType::timerfd);
  EXPECT_EQ(kind(w.event(ev::SYSCALL_INOTIFY_INIT1_X, 100).num<int64_t>(6).num<uint16_t>(kCloexec)), FdType::inotify);
  EXPECT_EQ(kind(w.event(ev::SYSCALL_EPOLL_CREATE1_X, 100).num<int64_t>(7).num<uint32_t>(1)), FdType::eventpoll);
  EXPECT_EQ(kind(w.event(ev::SYSCALL_USERFAULTFD_X, 100).num<int64_t>(8).num<uint32_t>(0)), FdType::userfaultfd);
  EXPECT_EQ(kind(w.event(ev::SYSCALL_BPF_2_X, 100).num<int64_t>(9).num<uint32_t>(5)), FdType::bpf);
  EXPECT_EQ(kind(w.event(ev::SYSCALL_MEMFD_CREATE_X, 100).num<int64_t>(10).text("payload").num<uint32_t>(1)),
            FdType::memfd);
  EXPECT_EQ(w.fd(100, 10)->name, "payload");
  EXPECT_TRUE(w.fd(100, 10)->has(kFdCloexec));
  EXPECT_TRUE(w.fd(100, 6)->has(kFdCloexec));
  EXPECT_TRUE(w.fd(100, 7)->has(kFdCloexec));
  w.apply(w.event(ev::SYSCALL_BPF_2_X, 100).num<int64_t>(0).num<uint32_t>(2).build());
  EXPECT_EQ(w.fd(100, 0), nullptr) << "an update of a map returns 0, not descriptor 0";
}

TEST(Pidfd, OpensAndTakesDescriptorsOfOthers) {
  World w;
  w.openat(10, 5, -100, "/etc/secret");
  EXPECT_EQ(w.apply(w.event(ev::SYSCALL_PIDFD_OPEN_X, 100).num<int64_t>(3).num<int64_t>(10).num<uint32_t>(0).build())
                .fd->name,
            "/proc/10");
  const auto& taken = w.apply(
      w.event(ev::SYSCALL_PIDFD_GETFD_X, 100).num<int64_t>(4).num<int64_t>(3).num<int64_t>(5).num<uint32_t>(0).build());
  ASSERT_NE(taken.fd, nullptr);
  EXPECT_EQ(taken.fd->name, "/etc/secret");
  const auto& unknown = w.apply(
      w.event(ev::SYSCALL_PIDFD_GETFD_X, 100).num<int64_t>(4).num<int64_t>(3).num<int64_t>(6).num<uint32_t>(0).build());
  EXPECT_EQ(unknown.fd, nullptr);
  EXPECT_EQ(w.fd(100, 4), nullptr);
}

TEST(Fork, SharesTheTableUntilOneSideChangesIt) {
  World w;
  w.openat(100, 3, -100, "a");
  w.fork(100, 200);
  EXPECT_EQ(w.thread(100)->fds, w.thread(200)->fds);
  EXPECT_EQ(w.tables.counters().fds, 1u) << "shared entries count once";
  w.read(200, 3);
  EXPECT_EQ(w.thread(100)->fds, w.thread(200)->fds) << "looking does not copy";
  w.openat(200, 4, -100, "b");
  EXPECT_NE(w.thread(100)->fds, w.thread(200)->fds);
  EXPECT_EQ(w.fd(100, 4), nullptr);
  EXPECT_EQ(w.fd(200, 3), w.fd(100, 3)) << "entries stay shared";
  EXPECT_EQ(w.tables.counters().fds, 3u);
  w.close(100, 3);
  w.tick();
  EXPECT_NE(w.fd(200, 3), nullptr);
  w.exit(200, 1);
  w.tick();
  EXPECT_EQ(w.tables.counters().fds, 0u);
}

}  // namespace quell::enrich
