// Processes that stand still by the freezer and by signal, and run again.
#include <atomic>

#include "host_support.h"
#include "os/proc_fs.h"
#include "os/suspend.h"

namespace quell::os {
namespace {

constexpr uint64_t kPatience = 10'000'000'000;

SuspendPlan through_json(const SuspendPlan& plan) {
  JsonWriter out;
  write_json(out, plan);
  return *suspend_plan_from_json(*Json::parse(out.take()));
}

void spin_with_threads() {
  static std::atomic<uint64_t> counter{0};
  for (int i = 0; i < 3; ++i)
    std::thread([] {
      for (;;) ++counter, ::usleep(200);
    }).detach();
}

TEST(Suspend, BySignalEveryThreadStopsAndContinues) {
  TestChild child(spin_with_threads);
  const ProcessHandle handle = child.handle();
  const auto plan = plan_suspend(machine(), handle);
  ASSERT_TRUE(plan) << plan.error().str();
  EXPECT_FALSE(plan->freezer);
  EXPECT_FALSE(plan->was_suspended);
  EXPECT_EQ(look_suspended(machine(), handle, *plan).value(), Suspension::running);
  ASSERT_TRUE(suspend(machine(), handle, *plan, kPatience));
  ASSERT_TRUE(suspend(machine(), handle, *plan, kPatience));
  EXPECT_EQ(thread_states(child.pid()).value(), "TTTT");
  // After a crash nothing but the record is there.
  const SuspendPlan recorded = through_json(*plan);
  const ProcessHandle again = child.handle();
  EXPECT_EQ(look_suspended(machine(), again, recorded).value(), Suspension::suspended);
  ASSERT_TRUE(resume(machine(), again, recorded, kPatience));
  EXPECT_EQ(look_suspended(machine(), again, recorded).value(), Suspension::running);
  EXPECT_EQ(resume(machine(), again, recorded, kPatience).error().code, Code::conflict);
}

void by_freezer(const char* hierarchy, Freezer::Version version) {
  TestCgroup group(hierarchy);
  if (!group.made()) GTEST_SKIP() << "SKIPPED: no right to make cgroups of " << hierarchy;
  TestChild child([&] { group.add(::getpid()); });
  const ProcessHandle handle = child.handle();
  const auto plan = plan_suspend(machine(), handle);
  ASSERT_TRUE(plan) << plan.error().str();
  ASSERT_TRUE(plan->freezer);
  EXPECT_EQ(plan->freezer->version, version);
  ASSERT_TRUE(suspend(machine(), handle, *plan, kPatience));
  const SuspendPlan recorded = through_json(*plan);
  EXPECT_EQ(recorded.freezer, plan->freezer);
  EXPECT_EQ(look_suspended(machine(), handle, recorded).value(), Suspension::suspended);
  ::kill(child.pid(), SIGCONT);  // what any process of its user could send
  EXPECT_EQ(look_suspended(machine(), handle, recorded).value(), Suspension::suspended);
  ASSERT_TRUE(resume(machine(), handle, recorded, kPatience));
  EXPECT_EQ(machine().freezer_state(child.pid()).value(), Frozen::no);
  EXPECT_EQ(resume(machine(), handle, recorded, kPatience).error().code, Code::conflict);
}
TEST(Suspend, AloneInAV2Cgroup) { by_freezer("unified", Freezer::Version::v2); }
TEST(Suspend, AloneInAV1Cgroup) { by_freezer("freezer", Freezer::Version::v1); }

TEST(Suspend, NotAloneMeansBySignal) {
  TestCgroup group("unified");
  if (!group.made()) GTEST_SKIP() << "SKIPPED: no right to make cgroups";
  TestChild child([&] { group.add(::getpid()); });
  const ProcessHandle handle = child.handle();
  const auto alone = plan_suspend(machine(), handle);
  TestChild other([&] { group.add(::getpid()); });
  EXPECT_EQ(suspend(machine(), handle, *alone, kPatience).error().code, Code::conflict);
  EXPECT_EQ(machine().freezer_state(child.pid()).value(), Frozen::no);
  EXPECT_FALSE(plan_suspend(machine(), handle)->freezer);
}

TEST(Suspend, WhatAnotherStoppedStaysStopped) {
  TestChild child;
  ::kill(child.pid(), SIGSTOP);
  ASSERT_TRUE(eventually([&] { return read_proc_stat(child.pid())->state == 'T'; }));
  const ProcessHandle handle = child.handle();
  const auto plan = plan_suspend(machine(), handle);
  EXPECT_TRUE(plan->was_suspended);
  ASSERT_TRUE(suspend(machine(), handle, *plan, kPatience));
  ASSERT_TRUE(resume(machine(), handle, *plan, kPatience));
  EXPECT_EQ(read_proc_stat(child.pid())->state, 'T');
}

TEST(Suspend, GoneRefusedAndNotAllowed) {
  TestChild child;
  const ProcessHandle handle = child.handle();
  const auto plan = plan_suspend(machine(), handle);
  as_nobody([&] {
    const auto denied = suspend(machine(), handle, *plan, kPatience);
    EXPECT_EQ(denied.error().code, Code::permission_denied);
  });
  child.reap();
  EXPECT_EQ(suspend(machine(), handle, *plan, kPatience).error().code, Code::gone);
  EXPECT_EQ(look_suspended(machine(), handle, *plan).error().code, Code::gone);
  EXPECT_EQ(resume(machine(), handle, *plan, kPatience).error().code, Code::gone);
  const auto self = machine().open_process({.boot_id = "", .pid = ::getpid(), .start_ticks = 0});
  EXPECT_EQ(plan_suspend(machine(), *self).error().code, Code::refused);
  EXPECT_EQ(suspend_plan_from_json(*Json::parse("{}")).error().code, Code::malformed);
  EXPECT_EQ(suspend_plan_from_json(*Json::parse(R"({"by":"freezer"})")).error().code, Code::malformed);
}

TEST(Freezer, ACgroupIsFrozenByAMember) {
  for (const char* hierarchy : {"unified", "freezer"}) {
    TestCgroup group(hierarchy);
    if (!group.made()) GTEST_SKIP() << "SKIPPED: no right to make cgroups of " << hierarchy;
    TestChild first([&] { group.add(::getpid()); }), second([&] { group.add(::getpid()); });
    const auto plan = plan_cgroup_freeze(second.pid());
    ASSERT_TRUE(plan) << plan.error().str();
    EXPECT_EQ(plan->members.size(), 2u);
    EXPECT_EQ(plan->before, Frozen::no);
    EXPECT_FALSE(plan->note.empty());
    ASSERT_TRUE(freeze(plan->freezer, kPatience));
    EXPECT_EQ(state_of(plan->freezer).value(), Frozen::yes);
    EXPECT_EQ(plan_cgroup_freeze(first.pid())->before, Frozen::yes);
    ASSERT_TRUE(thaw(plan->freezer, kPatience));
    EXPECT_EQ(state_of(plan->freezer).value(), Frozen::no);
    Freezer other = plan->freezer;
    other.inode += 1;
    EXPECT_EQ(freeze(other, kPatience).error().code, Code::stale);
    other.directory += "_no_such";
    EXPECT_EQ(state_of(other).error().code, Code::gone);
  }
}

TEST(Freezer, NotFromAboveNorAroundUs) {
  TestCgroup outer("unified");
  if (!outer.made()) GTEST_SKIP() << "SKIPPED: no right to make cgroups";
  const std::string inner = outer.path() + "/inner";
  ASSERT_EQ(::mkdir(inner.c_str(), 0755), 0);
  {
    TestChild child([&] { std::ofstream(inner + "/cgroup.procs") << ::getpid(); });
    const auto plan = plan_cgroup_freeze(child.pid());
    ASSERT_TRUE(plan);
    ASSERT_TRUE(freeze(plan->freezer, kPatience));
    ASSERT_TRUE(outer.write("cgroup.freeze", "1"));
    EXPECT_EQ(thaw(plan->freezer, 100'000'000).error().code, Code::conflict);
    ASSERT_TRUE(outer.write("cgroup.freeze", "0"));
    EXPECT_TRUE(thaw(plan->freezer, kPatience));
  }
  EXPECT_TRUE(eventually([&] { return ::rmdir(inner.c_str()) == 0; }));
  TestChild self([&] {
    outer.add(::getpid());
    if (plan_cgroup_freeze(::getpid()).error().code != Code::refused) ::_exit(1);
  });
}

}  // namespace
}  // namespace quell::os
