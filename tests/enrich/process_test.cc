// Life and death of processes.
#include "world.h"

namespace quell::enrich {

constexpr uint32_t kThreadFlags = 0x2000 | 0x8000;  // CLONE_THREAD, CLONE_VM
constexpr uint32_t kNewPid = 0x40, kInPidns = 0x20000000, kParentFlag = 0x100, kVforkFlag = 0x8000000;

TEST(Load, LinksParentsGroupsAndCounts) {
  World w;
  EXPECT_EQ(w.parent_name(100), "sshd");
  EXPECT_EQ(w.parent_name(10), "init");
  EXPECT_EQ(w.parent_name(1), "");
  EXPECT_EQ(w.thread(100)->cwd, "/home/");
  EXPECT_EQ(w.thread(100)->main, w.thread(100));
  EXPECT_TRUE(w.thread(100)->container->is_host());
  EXPECT_EQ(w.tables.counters().threads, 3u);
}

TEST(Load, OrderOfEntriesDoesNotMatter) {
  World w;
  Thread worker = process(100, 10, "worker");
  worker.tid = 101;
  w.snapshot.threads = {worker, process(100, 10, "bash"), process(10, 1, "sshd"), process(1, 0, "init")};
  w.reload();
  EXPECT_EQ(w.parent_name(100), "sshd");
  EXPECT_EQ(w.parent_name(101), "sshd");
  EXPECT_EQ(w.thread(101)->main, w.thread(100));
  EXPECT_EQ(w.thread(100)->live_threads, 2u);
}

TEST(Process, ForkExecExit) {
  World w;
  const auto& forked = w.fork(100, 200);
  EXPECT_EQ(forked.thread, w.thread(100)) << "the parent's side shows the parent";
  EXPECT_EQ(forked.result, 200);
  EXPECT_FALSE(forked.has_fd_class);
  const Thread* child = w.thread(200);
  ASSERT_NE(child, nullptr);
  EXPECT_EQ(child->pid, 200);
  EXPECT_EQ(child->ptid, 100);
  EXPECT_EQ(child->comm, "bash");
  EXPECT_EQ(child->exepath, "/usr/bin/bash");
  EXPECT_EQ(child->cwd, "/home/");
  EXPECT_EQ(child->lastexec_ns, 0u);
  EXPECT_EQ(child->clone_ns, w.now);
  const uint64_t cloned = w.now;

  const auto& executed =
      w.exec(200, {.args = nul_list({"-l", "/tmp"}), .flags = 1 | 2, .ctime = kStart - 5 * kSecondNs});
  EXPECT_EQ(executed.thread, w.thread(200));
  EXPECT_EQ(child->comm, "ls");
  EXPECT_EQ(child->cmdline(), "ls -l /tmp");
  EXPECT_EQ(child->exepath, "/usr/bin/ls");
  EXPECT_TRUE(child->exe_writable);
  EXPECT_TRUE(child->exe_upper_layer);
  EXPECT_FALSE(child->exe_from_memfd);
  EXPECT_EQ(child->lastexec_ns, w.now);
  EXPECT_EQ(child->clone_ns, cloned);
  EXPECT_EQ(child->exe_ino_ctime_duration_clone_ns, cloned - (kStart - 5 * kSecondNs));
  EXPECT_EQ(child->env, nul_list({"A=1", "B=2"}));
  EXPECT_EQ(w.parent_name(200), "bash");

  const auto& exited = w.exit(200, 100);
  EXPECT_EQ(exited.thread, w.thread(200)) << "rules on the exit still see it";
  EXPECT_FALSE(exited.result) << "a tracepoint has no return value";
  w.tick();
  EXPECT_EQ(w.thread(200), nullptr);
  EXPECT_EQ(w.tables.counters().threads, 3u);
}

TEST(Process, FailedExecChangesNothing) {
  World w;
  const uint32_t version = w.thread(100)->version;
  const auto& failed = w.exec(100, {.res = -2});
  EXPECT_EQ(failed.result, -2);
  EXPECT_EQ(failed.thread->comm, "bash");
  EXPECT_EQ(failed.thread->version, version);
}

TEST(Process, ExecWithoutTrustedPathUsesTheFileName) {
  World w;
  w.exec(100, {.filename = "../bin/tool", .trusted = false});
  EXPECT_EQ(w.thread(100)->exepath, "/bin/tool");
  w.exec(100, {.trusted = false});
  EXPECT_EQ(w.thread(100)->exepath, "") << "the old image's path would be wrong";
  w.exec(100, {.exepath = "/tmp/x (deleted)"});
  EXPECT_EQ(w.thread(100)->exepath, "/tmp/x");
}

TEST(Process, FailedCloneMakesNothing) {
  World w;
  w.clone({.res = -11, .tid = 100, .ptid = 10});
  EXPECT_EQ(w.tables.counters().threads, 3u);
}

TEST(Process, VforkChildComesFromItsOwnSide) {
  World w;
  w.clone({.res = 0, .tid = 200, .ptid = 100, .flags = kVforkFlag, .code = ev::SYSCALL_VFORK_20_X});
  ASSERT_NE(w.thread(200), nullptr);
  EXPECT_TRUE(w.thread(200)->inverted);
  w.exec(200, {});
  const auto& parent_side =
      w.clone({.res = 200, .tid = 100, .ptid = 10, .flags = kVforkFlag, .code = ev::SYSCALL_VFORK_20_X});
  EXPECT_EQ(parent_side.thread, w.thread(100));
  EXPECT_EQ(w.thread(200)->comm, "ls") << "the parent's side must not undo the exec";
  EXPECT_EQ(w.parent_name(200), "bash");
}

TEST(Process, InvertedCreationIsKept) {
  World w;
  const auto& own_side = w.clone({.res = 0, .tid = 200, .ptid = 100, .comm = "child"});
  EXPECT_EQ(own_side.thread, w.thread(200));
  w.exec(200, {});
  w.fork(100, 200);
  EXPECT_EQ(w.thread(200)->comm, "ls");
  EXPECT_EQ(w.tables.counters().missed_exits, 0u);
  EXPECT_EQ(w.tables.counters().inverted_clones, 1u);
}

TEST(Process, ChildSideAfterParentSideChangesNothing) {
  World w;
  w.fork(100, 200);
  const Thread* child = w.thread(200);
  const auto& own_side = w.clone({.res = 0, .tid = 200, .ptid = 100, .comm = "other"});
  EXPECT_EQ(own_side.thread, child);
  EXPECT_EQ(child->comm, "bash");
  EXPECT_FALSE(child->inverted);
}

TEST(Process, LateParentSideDoesNotReviveTheDead) {
  World w;
  w.clone({.res = 0, .tid = 200, .ptid = 100});
  w.exit(200, 100);
  w.tick();
  w.fork(100, 200);
  EXPECT_EQ(w.thread(200), nullptr);
  w.now += 5 * kSecondNs;
  w.fork(100, 200);
  EXPECT_NE(w.thread(200), nullptr) << "later it is a new life";
}

TEST(Process, ChildInPidNamespace) {
  World w;
  const auto& parent_side = w.clone({.res = 200, .tid = 100, .ptid = 10, .flags = kNewPid});
  EXPECT_EQ(parent_side.thread, w.thread(100));
  EXPECT_EQ(w.thread(200), nullptr) << "the number may be one of the namespace";
  w.clone({.res = 0,
           .tid = 200,
           .ptid = 100,
           .flags = kNewPid | kInPidns,
           .vtid = 1,
           .vpid = 1,
           .cgroups = kContainerCgroups,
           .pidns_start = 1000 * kSecondNs});
  const Thread* init = w.thread(200);
  ASSERT_NE(init, nullptr);
  EXPECT_EQ(init->vpid, 1);
  EXPECT_EQ(init->pidns_init_start_ns, kStart);
  EXPECT_EQ(init->container->id, "3ad7b26ded6d");
  EXPECT_EQ(init->container->full_id, kContainerId);
  EXPECT_TRUE(init->reaper);
  // Its children: the parent's side has a namespaced result, the child's side creates.
  w.clone({.res = 7, .tid = 200, .ptid = 100, .flags = kInPidns, .vtid = 1, .vpid = 1});
  EXPECT_EQ(w.thread(7), nullptr);
  w.clone({.res = 7, .tid = 200, .ptid = 100, .vtid = 1, .vpid = 1});
  EXPECT_EQ(w.thread(7), nullptr) << "the caller's own vtid gives it away";
  w.clone({.res = 0, .tid = 207, .ptid = 200, .flags = kInPidns, .vtid = 7, .vpid = 7, .cgroups = kContainerCgroups});
  EXPECT_EQ(w.thread(207)->pidns_init_start_ns, kStart) << "of the namespace, from the parent when the event is silent";
  EXPECT_EQ(w.thread(207)->container, init->container);
}

TEST(Process, CloneParentIsLeftToTheChild) {
  World w;
  w.clone({.res = 200, .tid = 100, .ptid = 10, .flags = kParentFlag});
  EXPECT_EQ(w.thread(200), nullptr);
}

TEST(Process, MissedExitIsReplaced) {
  World w;
  w.fork(100, 200);
  w.exec(200, {});
  w.now += 60 * kSecondNs;
  w.fork(10, 200);
  EXPECT_EQ(w.thread(200)->comm, "sshd");
  EXPECT_EQ(w.parent_name(200), "sshd");
  EXPECT_EQ(w.tables.counters().missed_exits, 1u);
  w.now += 60 * kSecondNs;
  w.clone({.res = 0, .tid = 200, .ptid = 1, .comm = "fresh"});
  EXPECT_EQ(w.thread(200)->comm, "fresh");
  EXPECT_EQ(w.tables.counters().missed_exits, 2u);
  EXPECT_EQ(w.tables.counters().threads, 4u);
}

TEST(Threads, ShareWhatTheProcessOwns) {
  World w;
  w.clone({.res = 101, .tid = 100, .ptid = 10, .flags = kThreadFlags, .comm = "worker"});
  const Thread* worker = w.thread(101);
  ASSERT_NE(worker, nullptr);
  EXPECT_EQ(worker->pid, 100);
  EXPECT_EQ(worker->ptid, 10);
  EXPECT_FALSE(worker->is_main());
  EXPECT_EQ(w.thread(100)->live_threads, 2u);
  w.openat(101, 5, -100, "notes");
  ASSERT_NE(w.fd(100, 5), nullptr);
  EXPECT_EQ(w.fd(100, 5)->name, "/home/notes");
  const uint32_t version = worker->version;
  w.apply(w.event(ev::SYSCALL_CHDIR_X, 100).num<int64_t>(0).text("/var/tmp").build());
  EXPECT_EQ(worker->group().cwd, "/var/tmp/");
  EXPECT_NE(worker->version, version) << "threads see the group's directory";
  w.exit(101);
  w.tick();
  EXPECT_EQ(w.thread(100)->live_threads, 1u);
}

TEST(Threads, MainThreadStaysWhileOthersLive) {
  World w;
  w.clone({.res = 101, .tid = 100, .ptid = 10, .flags = kThreadFlags});
  w.openat(100, 5, -100, "notes");
  w.exit(100);
  w.tick();
  ASSERT_NE(w.thread(100), nullptr);
  EXPECT_TRUE(w.thread(100)->dead);
  EXPECT_NE(w.read(101, 5).fd, nullptr);
  EXPECT_EQ(w.thread(100)->live_threads, 1u);
  w.exit(101);
  w.tick();
  EXPECT_EQ(w.thread(101), nullptr);
  EXPECT_EQ(w.thread(100), nullptr) << "the last one takes the main thread along";
}

TEST(Threads, ExecEndsTheOthersAndRevivesTheMainThread) {
  World w;
  w.clone({.res = 101, .tid = 100, .ptid = 10, .flags = kThreadFlags});
  w.clone({.res = 102, .tid = 100, .ptid = 10, .flags = kThreadFlags});
  w.fork(101, 300);
  w.exit(100);
  w.tick();
  // 101 execs: the kernel gives it the id of the main thread.
  w.exec(100, {});
  EXPECT_EQ(w.thread(101), nullptr);
  EXPECT_EQ(w.thread(102), nullptr);
  EXPECT_FALSE(w.thread(100)->dead);
  EXPECT_EQ(w.thread(100)->live_threads, 1u);
  EXPECT_EQ(w.parent_name(300), "ls") << "the child of a thread is a child of the process";
}

TEST(Threads, MainThreadThatComesLater) {
  World w;
  w.clone({.res = 0, .tid = 501, .pid = 500, .ptid = 100, .flags = kThreadFlags, .comm = "early"});
  ASSERT_NE(w.thread(501), nullptr);
  EXPECT_EQ(w.thread(501)->main, nullptr);
  EXPECT_EQ(&w.thread(501)->group(), w.thread(501));
  w.clone({.res = 500, .tid = 100, .ptid = 10, .comm = "main"});
  EXPECT_EQ(w.thread(501)->main, w.thread(500));
}

TEST(Orphans, GoToTheReaperOfTheEvent) {
  World w;
  w.fork(100, 200);
  w.fork(200, 300);
  const uint32_t version = w.thread(300)->version;
  w.exit(200, 1);
  EXPECT_EQ(w.parent_name(300), "bash") << "until the exit was evaluated nothing moves";
  w.tick();
  EXPECT_EQ(w.thread(300)->ptid, 1);
  EXPECT_EQ(w.parent_name(300), "init");
  EXPECT_NE(w.thread(300)->version, version);
}

TEST(Orphans, GoToAnotherThreadFirst) {
  World w;
  w.clone({.res = 101, .tid = 100, .ptid = 10, .flags = kThreadFlags});
  w.fork(101, 300);
  w.exit(101);
  w.tick();
  EXPECT_EQ(w.thread(300)->ptid, 100);
}

TEST(Orphans, GoToTheNearestSubreaper) {
  World w;
  w.apply(w.event(ev::SYSCALL_PRCTL_X, 10).num<int64_t>(0).num<uint32_t>(36).empty().num<int64_t>(1).build());
  w.fork(100, 200);
  w.fork(200, 300);
  w.exit(200);
  w.tick();
  EXPECT_EQ(w.thread(300)->ptid, 10) << "bash does not adopt, sshd does";
}

TEST(Orphans, WithoutAnyHeirHaveNoParent) {
  World w;
  w.snapshot.threads = {process(10, 1, "sshd"), process(100, 10, "bash")};
  w.reload();
  w.fork(100, 200);
  w.exit(100, 4711);
  w.tick();
  EXPECT_EQ(w.thread(200)->ptid, 0);
  EXPECT_EQ(w.parent_name(200), "");
}

TEST(Placeholders, UnknownThreadsAndWhatTheyTellLater) {
  World w;
  const auto& read = w.read(900, 3);
  ASSERT_NE(read.thread, nullptr);
  EXPECT_EQ(read.thread->comm, "<NA>");
  EXPECT_EQ(read.thread->exe, "<NA>");
  EXPECT_EQ(read.thread->exepath, "");
  EXPECT_EQ(read.thread->pid, -1);
  EXPECT_EQ(read.thread->ptid, -1);
  EXPECT_EQ(read.thread->uid, UINT32_MAX);
  EXPECT_TRUE(read.thread->placeholder);
  EXPECT_NE(read.thread->container, nullptr);
  EXPECT_EQ(w.tables.counters().placeholders, 1u);
  w.fork(900, 901);
  w.clone({.res = 902, .tid = 900, .ptid = 10, .comm = "known", .exe = "/bin/known"});
  EXPECT_EQ(w.thread(900)->comm, "known") << "from the first clone that tells its pid";
  EXPECT_FALSE(w.thread(900)->placeholder);
  EXPECT_EQ(w.thread(900)->pid, 900);
  EXPECT_EQ(w.thread(900)->main, w.thread(900));
  EXPECT_EQ(w.parent_name(901), "known");
  EXPECT_EQ(w.parent_name(902), "known");
}

TEST(Placeholders, AnExecMakesThemWhole) {
  World w;
  w.read(900, 3);
  w.exec(900, {.ptid = 100});
  EXPECT_FALSE(w.thread(900)->placeholder);
  EXPECT_EQ(w.thread(900)->main, w.thread(900));
  EXPECT_EQ(w.parent_name(900), "bash");
  EXPECT_EQ(w.thread(900)->uid, 1000u);
}

TEST(Identity, UsersGroupsCapabilities) {
  World w;
  w.apply(w.event(ev::SYSCALL_SETUID_X, 100).num<int64_t>(-1).num<uint32_t>(0).build());
  EXPECT_EQ(w.thread(100)->uid, 1000u);
  const uint32_t version = w.thread(100)->version;
  w.apply(w.event(ev::SYSCALL_SETUID_X, 100).num<int64_t>(0).num<uint32_t>(0).build());
  EXPECT_EQ(w.thread(100)->uid, 0u);
  EXPECT_NE(w.thread(100)->version, version);
  w.apply(w.event(ev::SYSCALL_SETRESUID_X, 100)
              .num<int64_t>(0)
              .num<uint32_t>(5)
              .num<uint32_t>(UINT32_MAX)
              .num<uint32_t>(7)
              .build());
  EXPECT_EQ(w.thread(100)->uid, 0u) << "-1 means unchanged";
  w.apply(w.event(ev::SYSCALL_SETREUID_X, 100).num<int64_t>(0).num<uint32_t>(5).num<uint32_t>(6).build());
  EXPECT_EQ(w.thread(100)->uid, 6u);
  w.apply(w.event(ev::SYSCALL_SETREGID_X, 100).num<int64_t>(0).num<uint32_t>(5).num<uint32_t>(8).build());
  EXPECT_EQ(w.thread(100)->gid, 8u);
  w.apply(
      w.event(ev::SYSCALL_CAPSET_X, 100).num<int64_t>(0).num<uint64_t>(1).num<uint64_t>(2).num<uint64_t>(3).build());
  EXPECT_EQ(w.thread(100)->cap_effective, 3u);
  w.apply(w.event(ev::SYSCALL_UNSHARE_X, 100).num<int64_t>(0).num<uint32_t>(0x100000).build());
  EXPECT_EQ(w.thread(100)->cap_effective, (uint64_t{1} << 41) - 1);
}

TEST(Identity, SessionNameDirectoryLimit) {
  World w;
  w.apply(w.event(ev::SYSCALL_SETSID_X, 100).num<int64_t>(100).build());
  EXPECT_EQ(w.thread(100)->sid, 100);
  EXPECT_EQ(w.thread(100)->pgid, 100);
  w.apply(w.event(ev::SYSCALL_PRCTL_X, 100)
              .num<int64_t>(0)
              .num<uint32_t>(15)
              .text("a-very-long-thread-name")
              .num<int64_t>(0)
              .build());
  EXPECT_EQ(w.thread(100)->comm, "a-very-long-thr");
  w.apply(w.event(ev::SYSCALL_CHDIR_X, 100).num<int64_t>(-2).text("/nowhere").build());
  EXPECT_EQ(w.thread(100)->cwd, "/home/");
  w.apply(w.event(ev::SYSCALL_CHDIR_X, 100).num<int64_t>(0).text("../var/").build());
  EXPECT_EQ(w.thread(100)->cwd, "/var/");
  w.openat(100, 4, -100, "lib", 1 | 1024);
  w.apply(w.event(ev::SYSCALL_FCHDIR_X, 100).num<int64_t>(0).num<int64_t>(4).build());
  EXPECT_EQ(w.thread(100)->cwd, "/var/lib/");
  w.apply(w.event(ev::SYSCALL_GETCWD_X, 100).num<int64_t>(5).text("/srv").build());
  EXPECT_EQ(w.thread(100)->cwd, "/srv/");
  w.apply(w.event(ev::SYSCALL_CHROOT_X, 100).num<int64_t>(0).text("jail").build());
  EXPECT_EQ(w.thread(100)->root, "/srv/jail");
  w.apply(
      w.event(ev::SYSCALL_SETRLIMIT_X, 100).num<int64_t>(0).num<int64_t>(64).num<int64_t>(64).num<uint8_t>(7).build());
  EXPECT_EQ(w.thread(100)->fdlimit, 64);
  w.apply(w.event(ev::SYSCALL_PRLIMIT_X, 1)
              .num<int64_t>(0)
              .num<int64_t>(128)
              .num<int64_t>(128)
              .num<int64_t>(64)
              .num<int64_t>(64)
              .num<int64_t>(100)
              .num<uint8_t>(7)
              .build());
  EXPECT_EQ(w.thread(100)->fdlimit, 128);
}

TEST(Lineage, EpochMovesExactlyWhenDescendantsCouldTell) {
  World w;
  w.fork(100, 200);
  uint32_t epoch = w.tables.lineage_epoch();
  const auto moved = [&] {
    const uint32_t before = std::exchange(epoch, w.tables.lineage_epoch());
    return before != epoch;
  };
  w.exec(200, {});
  EXPECT_FALSE(moved()) << "it leads a group now, but has no descendants";
  w.fork(100, 201);
  EXPECT_FALSE(moved()) << "a new leaf has no descendants";
  w.apply(w.event(ev::SYSCALL_SETUID_X, 201).num<int64_t>(0).num<uint32_t>(5).build());
  EXPECT_FALSE(moved()) << "nobody below";
  w.openat(100, 4, -100, "x");
  w.close(100, 4);
  w.tick();
  EXPECT_FALSE(moved()) << "descriptors are no part of it";
  w.exit(201, 1);
  w.tick();
  EXPECT_FALSE(moved()) << "a leaf leaves nobody";
  w.fork(200, 300);
  EXPECT_FALSE(moved());
  w.exec(200, {.comm = "cat"});
  EXPECT_TRUE(moved()) << "a parent execs";
  w.apply(w.event(ev::SYSCALL_PRCTL_X, 200).num<int64_t>(0).num<uint32_t>(15).text("renamed").num<int64_t>(0).build());
  EXPECT_TRUE(moved()) << "a parent is renamed";
  w.exit(200, 1);
  EXPECT_FALSE(moved()) << "not before the exit was evaluated";
  w.tick();
  EXPECT_TRUE(moved()) << "re-parented";
}

TEST(Lineage, AParentThatAppearsLaterIsFound) {
  World w;
  w.clone({.res = 0, .tid = 800, .ptid = 700, .comm = "child"});
  EXPECT_EQ(w.parent_name(800), "");
  const uint32_t epoch = w.tables.lineage_epoch();
  w.clone({.res = 0, .tid = 700, .ptid = 1, .comm = "parent"});
  EXPECT_EQ(w.parent_name(800), "parent");
  EXPECT_NE(w.tables.lineage_epoch(), epoch);
}

TEST(Context, CarriesNumberTimeAndResult) {
  World w;
  const auto& first = w.read(100, 9, -9);
  EXPECT_EQ(first.number, 1u);
  EXPECT_EQ(first.result, -9);
  EXPECT_TRUE(first.has_fd_class);
  EXPECT_EQ(first.fd_number, 9);
  EXPECT_EQ(first.fd, nullptr);
  const uint64_t start = w.now;
  const auto& second = w.tick(100);
  EXPECT_EQ(second.number, 2u);
  EXPECT_EQ(second.first_ts_ns, start);
  EXPECT_EQ(second.state, &w.tables);
}

}  // namespace quell::enrich
