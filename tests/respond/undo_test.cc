// Undo restores what the action changed and only that; expiries do the same by themselves.
#include "fixture.h"

namespace quell::respond {
namespace {

using enum ActionState;
using State = FakeRuntime::State;

TEST_F(RespondTest, UndoRestoresThePreState) {
  const auto before = machine.processes.at(1000);
  const ActionRecord record = run("container.pause", "container:web");
  const Outcome outcome = undo(record.id);
  EXPECT_FALSE(outcome.existing);
  EXPECT_EQ(outcome.record.state, undone);
  EXPECT_EQ(outcome.record.undo_actor, "uid:0 (root)");
  EXPECT_EQ(outcome.record.undo_reason, "false alarm");
  EXPECT_EQ(outcome.record.expires_ns, 0u);
  EXPECT_EQ(state(), State::running);
  EXPECT_EQ(machine.processes.at(1000).frozen, before.frozen);
  EXPECT_EQ(machine.processes.at(1000).facts.id, before.facts.id);
  EXPECT_EQ(journal.saved_states, (std::vector{executing, contained, undoing, undone}));
  EXPECT_TRUE(undo(record.id).existing) << "undoing twice is fine";
  EXPECT_EQ(docker->count("unpause"), 1u);
}

TEST_F(RespondTest, UndoOfARestartedContainerIsAConflict) {
  const ActionRecord record = run("container.pause", "container:web");
  docker->restart("web");
  ASSERT_TRUE(docker->pause(web));  // paused by somebody else, in its new life
  const ActionRecord after = undo(record.id).record;
  EXPECT_EQ(after.state, undo_failed);
  EXPECT_EQ(rule_of(after), "undo_conflict");
  EXPECT_EQ(state(), State::paused) << "what we did not do is not undone";
}

TEST_F(RespondTest, UndoOfAnEndedContainerIsAConflict) {
  const ActionRecord record = run("container.pause", "container:web");
  ASSERT_TRUE(docker->kill(web));
  EXPECT_EQ(undo(record.id).record.state, undo_failed);
}

TEST_F(RespondTest, UndoOfWhatSomebodyLiftedIsDone) {
  const ActionRecord record = run("container.pause", "container:web");
  ASSERT_TRUE(docker->unpause(web));
  EXPECT_EQ(undo(record.id).record.state, undone);
  EXPECT_EQ(docker->count("unpause"), 1u);
}

TEST_F(RespondTest, UndoThatTheRuntimeRefusesCanBeTriedAgain) {
  const ActionRecord record = run("container.pause", "container:web");
  docker->fault = Fault::refused;
  EXPECT_EQ(undo(record.id).record.state, undo_failed);
  docker->fault = Fault::none;
  EXPECT_EQ(undo(record.id).record.state, undone);
  EXPECT_EQ(state(), State::running);
}

TEST_F(RespondTest, UndoWithoutARuntimeChangesNothing) {
  const ActionRecord record = run("container.pause", "container:web");
  docker->fault = Fault::down;
  EXPECT_EQ(runner->undo({record.id, "me", ""}).error().code, Code::unavailable);
  EXPECT_EQ(shown(record.id).state, contained);
  docker->fault = Fault::none;
  EXPECT_EQ(undo(record.id).record.state, undone);
}

TEST_F(RespondTest, UndoThatIsNotAnsweredIsFinishedLater) {
  const ActionRecord record = run("container.pause", "container:web");
  docker->fault = Fault::timeout_before;
  EXPECT_EQ(undo(record.id).record.state, undoing);
  docker->fault = Fault::none;
  advance(options.retry_ns);
  EXPECT_EQ(shown(record.id).state, undone);
  EXPECT_EQ(state(), State::running);
}

TEST_F(RespondTest, UndoWithoutAJournalChangesNothing) {
  const ActionRecord record = run("container.pause", "container:web");
  journal.full = true;
  EXPECT_EQ(runner->undo({record.id, "me", ""}).error().code, Code::io);
  EXPECT_EQ(state(), State::paused);
  journal.full = false;
  EXPECT_EQ(undo(record.id).record.state, undone);
}

TEST_F(RespondTest, UndoOfWhatCannotBeUndone) {
  EXPECT_EQ(runner->undo({"a-none", "me", ""}).error().code, Code::not_found);
  const ActionRecord kill = run("process.kill", "process:700");
  EXPECT_EQ(runner->undo({kill.id, "me", ""}).error().code, Code::unsupported);
  const ActionRecord refused = run("container.stop", "container:web");
  EXPECT_EQ(runner->undo({refused.id, "me", ""}).error().code, Code::unsupported);
}

TEST_F(RespondTest, APauseExpires) {
  Command c = command("container.pause", "container:web");
  c.ttl_s = 120;
  const ActionRecord record = run(c);
  advance(119 * kSecond);
  EXPECT_EQ(state(), State::paused);
  advance(2 * kSecond);
  EXPECT_EQ(state(), State::running);
  const ActionRecord after = shown(record.id);
  EXPECT_EQ(after.state, undone);
  EXPECT_EQ(after.undo_actor, "ttl");
  std::vector<ActionState> tail;
  for (size_t i = after.history.size() - 3; i < after.history.size(); ++i) tail.push_back(after.history[i].second);
  EXPECT_EQ(tail, (std::vector{expiring, undoing, undone}));
}

TEST_F(RespondTest, AnExpirySurvivesARestart) {
  const ActionRecord record = run("container.pause", "container:web");
  clock.advance_ns(kSecond);
  EXPECT_EQ(restart().resumed, 1u);
  EXPECT_EQ(shown(record.id).state, contained);
  clock.advance_ns(3600 * kSecond);
  EXPECT_EQ(state(), State::paused);
  runner->poll();
  EXPECT_EQ(state(), State::running);
  EXPECT_EQ(shown(record.id).state, undone);
}

TEST_F(RespondTest, AnExpiryWaitsForItsRuntime) {
  const ActionRecord record = run("container.pause", "container:web");
  advance(kSecond);
  docker->fault = Fault::down;
  advance(3601 * kSecond);
  EXPECT_EQ(shown(record.id).state, contained);
  docker->fault = Fault::none;
  EXPECT_LE(runner->poll(), options.retry_ns);
  advance(options.retry_ns);
  EXPECT_EQ(shown(record.id).state, undone);
}

TEST_F(RespondTest, AnExpiryOfWhatEndedIsOver) {
  const ActionRecord record = run("container.pause", "container:web");
  EXPECT_EQ(run("container.kill", "container:web").state, contained);
  advance(3601 * kSecond);
  EXPECT_EQ(shown(record.id).state, undone);
  EXPECT_EQ(docker->count("unpause"), 0u);
}

TEST_F(RespondTest, PollSaysWhenSomethingIsDue) {
  EXPECT_EQ(runner->poll(), UINT64_MAX);
  run("container.pause", "container:web");
  EXPECT_LE(runner->poll(), kSecond / 2);
  advance(kSecond / 2);
  const uint64_t due = runner->poll();
  EXPECT_GT(due, 3500 * kSecond);
  EXPECT_LE(due, 3600 * kSecond);
}

TEST_F(RespondTest, ARestartPolicyIsSetAndPutBack) {
  docker->box("web").status.restart_policy = "on-failure:3";
  Command c = command("container.set_restart_policy", "container:web");
  const ActionRecord record = run(c);
  EXPECT_EQ(record.state, contained);
  EXPECT_EQ(record.command.params.at("policy"), "no") << "what was not said has its standard value";
  EXPECT_EQ(docker->box("web").status.restart_policy, "no");
  EXPECT_EQ(runner->in_effect()->size(), 1u);
  EXPECT_EQ(undo(record.id).record.state, undone);
  EXPECT_EQ(docker->box("web").status.restart_policy, "on-failure:3");
}

TEST_F(RespondTest, ARestartPolicyThatSomebodyChangedSinceStays) {
  docker->box("web").status.restart_policy = "always";
  const ActionRecord record = run("container.set_restart_policy", "container:web");
  docker->box("web").status.restart_policy = "unless-stopped";
  EXPECT_NE(runner->in_effect()->front().drift, "");
  const ActionRecord after = undo(record.id).record;
  EXPECT_EQ(after.state, undo_failed);
  EXPECT_EQ(rule_of(after), "undo_conflict");
  EXPECT_EQ(docker->box("web").status.restart_policy, "unless-stopped");
}

TEST_F(RespondTest, DifferentParametersAreDifferentActions) {
  docker->box("web").status.restart_policy = "always";
  Command c = command("container.set_restart_policy", "container:web");
  const ActionRecord first = run(c);
  c.params = {{"policy", "unless-stopped"}};
  const ActionRecord second = run(c);
  EXPECT_NE(first.id, second.id);
  EXPECT_EQ(second.state, contained);
  EXPECT_EQ(run(c).id, second.id);
}

TEST_F(RespondTest, AKilledContainerIsStartedWithItsPolicy) {
  docker->box("web").status.restart_policy = "always";
  const ActionRecord killed = run("container.kill", "container:web");
  EXPECT_EQ(killed.state, contained);
  Command c = command("container.start", "container:web");
  c.params = {{"restart_policy", "always"}};
  const ActionRecord started = run(c);
  EXPECT_EQ(started.state, undone) << "it lifts a containment";
  EXPECT_EQ(state(), State::running);
  EXPECT_EQ(docker->box("web").status.restart_policy, "always");
  EXPECT_EQ(shown(killed.id).state, undone);
  EXPECT_EQ(shown(killed.id).undo_actor, "uid:0 (root)");
  EXPECT_EQ(run("container.start", "container:web").state, already_in_effect);
}

TEST_F(RespondTest, ElsewhereThanWithDockerTheReasonIsSaid) {
  auto owned = std::make_unique<FakeRuntime>(machine, "containerd");
  FakeRuntime* containerd = owned.get();
  runtimes.push_back(std::move(owned));
  containerd->add("job", 5000);
  start();
  for (const char* action : {"container.start", "container.set_restart_policy"}) {
    const auto outcome = runner->run(command(action, "container:job"));
    ASSERT_FALSE(outcome) << action;
    EXPECT_EQ(outcome.error().code, Code::unsupported);
  }
  EXPECT_EQ(journal.size(), 0u);
}

}  // namespace
}  // namespace quell::respond
