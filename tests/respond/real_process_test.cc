// process.kill on real processes of this machine, through the real Os.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fakes.h"
#include "os/os.h"

namespace quell::respond {
namespace {

/// A child that waits for its end.
class Child {
 public:
  Child() : pid_(fork()) {
    if (pid_ == 0) {
      while (true) pause();
    }
  }
  ~Child() {
    if (reaped_) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  pid_t pid() const { return pid_; }
  /// The signal that ended it; 0 while it lives.
  int ended_by() {
    int status = 0;
    if (!reaped_ && waitpid(pid_, &status, WNOHANG) == pid_)
      reaped_ = true, signal_ = WIFSIGNALED(status) ? WTERMSIG(status) : -1;
    return signal_;
  }

 private:
  pid_t pid_;
  bool reaped_ = false;
  int signal_ = 0;
};

class RealProcessTest : public testing::Test {
 protected:
  Result<Outcome> run(const std::string& target) {
    Command command;
    command.action = "process.kill";
    command.target = target;
    return runner.run(command);
  }

  std::unique_ptr<os::Os> machine = os::make_linux_os();
  std::vector<std::unique_ptr<os::Runtime>> runtimes;
  FakeJournal journal;
  Runner runner{
      World{*machine, runtimes, system_clock(), [](uint64_t ns) { usleep(static_cast<useconds_t>(ns / 1000)); }},
      journal, RunnerOptions{}};
};

TEST_F(RealProcessTest, KillsTheOneAndNotItsSibling) {
  Child target, sibling;
  ASSERT_GT(target.pid(), 0);
  const auto facts = machine->process_facts(target.pid());
  ASSERT_TRUE(facts) << facts.error().str();
  const auto outcome = run(fmt::format("process:{}@{}", target.pid(), facts->id.start_ticks));
  ASSERT_TRUE(outcome) << outcome.error().str();
  EXPECT_EQ(outcome->record.state, ActionState::contained) << outcome->record.reason;
  EXPECT_EQ(target.ended_by(), SIGKILL);
  EXPECT_EQ(sibling.ended_by(), 0);
  EXPECT_EQ(outcome->record.target.process.boot_id, machine->boot_id());
}

TEST_F(RealProcessTest, AnotherStartIsNotHit) {
  Child child;
  const auto facts = machine->process_facts(child.pid());
  ASSERT_TRUE(facts);
  const auto outcome = run(fmt::format("process:{}@{}", child.pid(), facts->id.start_ticks + 1));
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->record.state, ActionState::stale_target);
  EXPECT_EQ(child.ended_by(), 0);
}

TEST_F(RealProcessTest, OneselfAndTheParentAreRefused) {
  for (const pid_t pid : {getpid(), getppid(), pid_t{1}}) {
    if (pid == 0) continue;  // the parent lives in another pid namespace
    const auto outcome = run(fmt::format("process:{}", pid));
    ASSERT_TRUE(outcome) << outcome.error().str();
    EXPECT_EQ(outcome->record.state, ActionState::refused_guard) << pid;
  }
}

TEST_F(RealProcessTest, WhatHasEndedIsKnown) {
  auto child = std::make_unique<Child>();
  const auto facts = machine->process_facts(child->pid());
  ASSERT_TRUE(facts);
  const std::string target = fmt::format("process:{}@{}", child->pid(), facts->id.start_ticks);
  child.reset();
  const auto outcome = run(target);
  ASSERT_TRUE(outcome) << outcome.error().str();
  EXPECT_EQ(outcome->record.state, ActionState::already_in_effect);
}

}  // namespace
}  // namespace quell::respond
