// Where processes come from when those that made them are gone: parents follow the kernel, lineages do not.
#include "world.h"

namespace quell::enrich {
namespace {

std::string names(const World& w, int64_t tid, size_t limit = 32) {
  std::string out;
  for (const Creator& one : w.tables.lineage(*w.thread(tid), limit)) out += one.comm + ' ';
  return out;
}

TEST(Lineage, LivingAncestorsAreTheParents) {
  World w;
  w.fork(100, 200);
  EXPECT_EQ(names(w, 200), "bash sshd init ");
  EXPECT_EQ(names(w, 200, 2), "bash sshd ");
  EXPECT_EQ(w.tables.counters().forebears, 0u) << "nothing is remembered while all of them live";
}

TEST(Lineage, OrphanIsAdoptedAndStillComesFromItsCreator) {
  World w;
  w.fork(100, 200);
  w.exec(200, {.args = nul_list({"-c", "job &"}), .comm = "sh", .exepath = "/bin/sh", .ptid = 100});
  w.fork(200, 300);
  w.exec(300, {.comm = "miner", .exepath = "/tmp/miner", .ptid = 200});
  w.exit(200, 1);
  w.tick();
  EXPECT_EQ(w.parent_name(300), "init") << "as the kernel has it";
  EXPECT_EQ(names(w, 300), "sh bash sshd init ");
  const auto lineage = w.tables.lineage(*w.thread(300), 32);
  EXPECT_EQ(lineage[0].pid, 200);
  EXPECT_EQ(lineage[0].exepath, "/bin/sh");
  EXPECT_EQ(lineage[0].cmdline, "sh -c job &");
  EXPECT_EQ(lineage[1].pid, 100);
}

TEST(Lineage, EveryoneAboveMayGoToo) {
  World w;
  w.fork(100, 200);
  w.fork(200, 300);
  w.exec(300, {.comm = "daemon", .ptid = 200});
  w.exit(200, 1);
  w.exec(100, {.comm = "zsh", .ptid = 10});  // still alive: what it is by its end counts
  w.exit(100, 1);
  w.exit(10, 1);
  w.tick();
  EXPECT_EQ(w.thread(100), nullptr);
  EXPECT_EQ(names(w, 300), "bash zsh sshd init ");
  w.fork(300, 400);
  EXPECT_EQ(names(w, 400), "daemon bash zsh sshd init ");
  w.exit(300, 1);
  w.tick();
  EXPECT_EQ(names(w, 400), "daemon bash zsh sshd init ");
  w.exit(400, 1);
  w.tick();
  EXPECT_EQ(w.tables.counters().forebears, 1u)
      << "init's own, who lives; the others went with the last who needed them";
}

TEST(Lineage, AnExecTellsOfAnAdoptionNobodySaw) {
  World w;
  w.fork(10, 200);
  w.exec(200, {.comm = "runc", .ptid = 10});
  w.fork(200, 300);
  w.exec(300, {.comm = "sh", .ptid = 100});  // 200 ended out of sight, and 100 adopts
  EXPECT_EQ(w.parent_name(300), "bash");
  EXPECT_EQ(w.thread(300)->ptid, 100);
  EXPECT_EQ(names(w, 300), "runc sshd init ") << "whom it came from stays";
  w.exec(300, {.comm = "zsh", .ptid = 10});
  EXPECT_EQ(w.parent_name(300), "sshd");
  EXPECT_EQ(names(w, 300), "runc sshd init ");
  w.exec(300, {.comm = "ksh", .ptid = 777});
  EXPECT_EQ(w.parent_name(300), "") << "better nobody than somebody else";
  EXPECT_EQ(w.thread(300)->ptid, 777);
}

TEST(Lineage, AnExecDoesNotReviveAParentThatEnds) {
  World w;
  w.fork(100, 200);
  w.fork(200, 300);
  w.exit(200, 1);
  w.exec(300, {.comm = "sh", .ptid = 200});  // the kernel hands children over after it told of the end
  EXPECT_EQ(w.parent_name(300), "init");
  // A thread of the same process is the same parent.
  w.clone({.res = 101, .tid = 100, .pid = 100, .ptid = 10, .flags = 0x2000, .comm = "bash", .exe = "bash"});
  w.fork(101, 400);
  w.exec(400, {.comm = "ls", .ptid = 100});
  EXPECT_EQ(w.thread(400)->ptid, 101);
  EXPECT_EQ(w.parent_name(400), "bash");
}

TEST(Lineage, AnotherLifeOfTheSamePidIsNoAncestor) {
  World w;
  w.fork(100, 200);
  w.fork(200, 300);
  w.exit(200, 1);
  w.tick();
  w.fork(10, 200);
  w.exec(200, {.comm = "stranger", .ptid = 10});
  EXPECT_EQ(names(w, 300), "bash bash sshd init ");
}

TEST(Lineage, ThreadsShareTheirProcess) {
  World w;
  w.clone({.res = 101, .tid = 100, .pid = 100, .ptid = 10, .flags = 0x2000, .comm = "bash", .exe = "bash"});
  w.fork(101, 200);
  EXPECT_EQ(names(w, 200), "bash sshd init ");
  w.exit(101, 100);  // its child goes to the main thread: the process is the same
  w.tick();
  EXPECT_EQ(names(w, 200), "bash sshd init ");
  EXPECT_EQ(w.tables.counters().forebears, 0u);
  w.exit(100, 1);
  w.tick();
  EXPECT_EQ(w.parent_name(200), "init");
  EXPECT_EQ(names(w, 200), "bash sshd init ");
}

TEST(Lineage, SubreaperAdoptsButDidNotCreate) {
  World w;
  w.apply(w.event(ev::SYSCALL_PRCTL_X, 10).num<int64_t>(0).num<uint32_t>(36).empty().num<int64_t>(1).build());
  w.fork(100, 200);
  w.exit(100);
  w.tick();
  EXPECT_EQ(w.parent_name(200), "sshd");
  EXPECT_EQ(names(w, 200), "bash sshd init ");
}

TEST(Lineage, ChainOfProcessesThatMakeTheNextAndGoStaysBounded) {
  World w;
  int64_t pid = 100;
  for (int64_t next = 1000; next < 6000; ++next) {
    w.fork(pid, next);
    w.exit(pid, 1);
    pid = next;
  }
  w.tick();
  EXPECT_LE(w.tables.counters().forebears, 200u);
  EXPECT_EQ(w.tables.lineage(*w.thread(pid), 32).size(), 32u);
  EXPECT_EQ(w.tables.lineage(*w.thread(pid), 32)[0].pid, 5998);
}

TEST(Lineage, CountIsBounded) {
  World w;
  // Each of many dead parents leaves one child behind.
  int64_t next = 1000;
  for (int i = 0; i < 17'000; ++i) {
    const int64_t parent = next++, child = next++;
    w.fork(100, parent);
    w.fork(parent, child);
    w.exit(parent, 1);
  }
  w.tick();
  EXPECT_LE(w.tables.counters().forebears, 16'384u);
  EXPECT_GT(w.tables.counters().forebears_refused, 0u);
  EXPECT_EQ(names(w, next - 1), "init ") << "without a memory of the creator, who adopted it";
}

TEST(Lineage, ParentsInACircleEnd) {
  World w;
  w.snapshot.threads = {process(1, 0, "init"), process(20, 21, "a"), process(21, 20, "b"), process(30, 20, "c")};
  w.reload();
  w.exit(20);
  w.exit(21);
  w.tick();
  EXPECT_LE(w.tables.lineage(*w.thread(30), 32).size(), 32u);
}

}  // namespace
}  // namespace quell::enrich
