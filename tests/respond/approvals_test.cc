// What happens before an effect: approvals, evidence, cancelling, the stop switch, rates, maintenance.
#include "fixture.h"

namespace quell::respond {
namespace {

using enum ActionState;
using State = FakeRuntime::State;

constexpr char kAlice[] = "uid:1000 (alice)", kBob[] = "uid:1001 (bob)", kCarol[] = "uid:1002 (carol)";

class ApprovalTest : public RespondTest {
 protected:
  ApprovalTest() {
    options.guards.approvals[static_cast<size_t>(ActionClass::soft)] = 1;
    start();
  }
  ActionRecord ask(const std::string& actor = kAlice) {
    Command c = command("container.pause", "container:web");
    c.actor = actor;
    return run(c);
  }
  Result<Outcome> approve(const ActionRecord& record, const std::string& actor) {
    return runner->approve({record.id, actor, "looks right"});
  }
};

TEST_F(ApprovalTest, NothingHappensUntilAnotherPersonAgrees) {
  const ActionRecord asked = ask();
  EXPECT_EQ(asked.state, awaiting_approval);
  EXPECT_EQ(state(), State::running);
  EXPECT_TRUE(is_unsettled(asked));
  EXPECT_EQ(approve(asked, kAlice).error().code, Code::refused) << "not the one who asked";
  const auto done = approve(asked, kBob);
  ASSERT_TRUE(done) << done.error().str();
  EXPECT_EQ(done->record.state, contained);
  ASSERT_EQ(done->record.approvals.size(), 1u);
  EXPECT_EQ(done->record.approvals[0].actor, kBob);
  EXPECT_EQ(done->record.approvals[0].comment, "looks right");
  EXPECT_EQ(state(), State::paused);
  EXPECT_EQ(shown(asked.id).approvals.size(), 1u) << "on record";
  EXPECT_EQ(approve(asked, kCarol).error().code, Code::conflict);
}

TEST_F(ApprovalTest, TwoPersonsAreTwoPersons) {
  options.guards.approvals[static_cast<size_t>(ActionClass::soft)] = 2;
  start();
  const ActionRecord asked = ask();
  ASSERT_EQ(approve(asked, kBob)->record.state, awaiting_approval);
  EXPECT_EQ(approve(asked, kBob).error().code, Code::refused);
  restart();
  EXPECT_EQ(shown(asked.id).approvals.size(), 1u) << "a restart forgets nobody";
  EXPECT_EQ(approve(asked, kCarol)->record.state, contained);
}

TEST_F(ApprovalTest, ARequestEndsByItself) {
  const ActionRecord asked = ask();
  EXPECT_EQ(asked.approve_until_ns, asked.requested_ns + 600 * kSecond);
  EXPECT_LE(runner->poll(), 600 * kSecond);
  advance(600 * kSecond);
  EXPECT_EQ(shown(asked.id).state, expired_request);
  EXPECT_EQ(approve(asked, kBob).error().code, Code::conflict);
  EXPECT_EQ(state(), State::running);
  EXPECT_EQ(ask().state, awaiting_approval) << "it can be asked for again";
}

TEST_F(ApprovalTest, WhatWasAskedForAndIsAnotherNowIsNotTouched) {
  const ActionRecord asked = ask();
  docker->restart("web");
  EXPECT_EQ(approve(asked, kBob)->record.state, stale_target);
  EXPECT_EQ(state(), State::running);
}

TEST_F(ApprovalTest, AGuardThatSaysNoMeanwhileIsHeard) {
  const ActionRecord asked = ask();
  ASSERT_TRUE(runner->set_stop_switch({true, kCarol, "drill", 0}));
  const auto done = approve(asked, kBob);
  ASSERT_TRUE(done);
  EXPECT_EQ(done->record.state, refused_guard);
  EXPECT_EQ(rule_of(done->record), "stop_switch");
}

TEST_F(ApprovalTest, CancelledIsOver) {
  const ActionRecord asked = ask();
  const auto over = runner->cancel({asked.id, kAlice, "false alarm"});
  ASSERT_TRUE(over);
  EXPECT_EQ(over->record.state, cancelled);
  EXPECT_EQ(approve(asked, kBob).error().code, Code::conflict);
  EXPECT_TRUE(runner->cancel({asked.id, kAlice, ""})->existing);
  EXPECT_EQ(runner->cancel({"a-none", kAlice, ""}).error().code, Code::not_found);
}

TEST_F(ApprovalTest, AnotherHatIsNoOtherPerson) {
  const ActionRecord asked = ask("uid:1000 (alice) as uid:0");
  EXPECT_EQ(approve(asked, kAlice).error().code, Code::refused);
  EXPECT_EQ(approve(asked, kBob)->record.state, contained);
}

TEST_F(ApprovalTest, ADiskThatIsFullLosesNoRequest) {
  const ActionRecord asked = ask();
  journal.full = true;
  EXPECT_EQ(approve(asked, kBob).error().code, Code::io);
  EXPECT_EQ(state(), State::running);
  journal.full = false;
  EXPECT_EQ(approve(asked, kBob)->record.state, contained);
}

TEST_F(RespondTest, EvidenceThatNobodyCollectsIsRefused) {
  Command c = command("container.kill", "container:web");
  c.evidence = {{"process_tree"}, 3000};
  const auto outcome = runner->run(c);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::unsupported);
  EXPECT_EQ(state(), State::running);
}

TEST_F(ApprovalTest, TheSameRequestJoinsTheOneThatWaits) {
  const ActionRecord first = ask(), second = ask(kBob);
  EXPECT_EQ(first.id, second.id);
}

TEST_F(RespondTest, WhatTookEffectIsUndoneNotCancelled) {
  const ActionRecord record = run("container.pause", "container:web");
  EXPECT_EQ(runner->cancel({record.id, kAlice, ""}).error().code, Code::conflict);
  EXPECT_EQ(state(), State::paused);
}

TEST_F(RespondTest, EvidenceComesBeforeTheEffect) {
  std::vector<std::string> seen;
  options.collect_evidence = [&](const EvidenceWish& wish, const Call& call, const Subject& subject) {
    EXPECT_EQ(state(), State::running);
    EXPECT_EQ(wish.budget_ms, 3000u);
    EXPECT_EQ(subject.target.container_id, web);
    EXPECT_EQ(shown(call.action_id).state, evidence) << "others see what it does";
    seen = wish.items;
    return std::string(R"({"process_tree":"sha256:00"})");
  };
  start();
  Command c = command("container.kill", "container:web");
  c.evidence = {{"process_tree", "sockets"}, 3000};
  const ActionRecord record = run(c);
  EXPECT_EQ(seen, c.evidence.items);
  EXPECT_EQ(record.state, contained);
  EXPECT_EQ(record.evidence_json, R"({"process_tree":"sha256:00"})");
  EXPECT_EQ(shown(record.id).evidence_json, record.evidence_json);
}

TEST_F(RespondTest, CancelledWhileEvidenceIsCollected) {
  options.collect_evidence = [&](const EvidenceWish&, const Call& call, const Subject&) {
    EXPECT_TRUE(runner->cancel({call.action_id, kBob, "wrong one"}));
    return std::string("{}");
  };
  start();
  Command c = command("container.kill", "container:web");
  c.evidence = {{"process_tree"}, 3000};
  EXPECT_EQ(run(c).state, cancelled);
  EXPECT_EQ(state(), State::running);
}

TEST_F(RespondTest, TheStopSwitchStopsAllButUndoing) {
  const ActionRecord paused = run("container.pause", "container:web");
  ASSERT_TRUE(runner->set_stop_switch({true, kAlice, "wrong rule", 0}));
  EXPECT_EQ(rule_of(run("process.kill", "process:700")), "stop_switch");
  EXPECT_TRUE(machine.processes.contains(700));
  restart();
  EXPECT_TRUE(runner->stop_switch().is_on) << "it survives a restart";
  EXPECT_EQ(runner->stop_switch().actor, kAlice);
  EXPECT_EQ(undo(paused.id).record.state, undone);
  EXPECT_EQ(run("process.kill", "process:700", true).state, contained) << "a person may overrule it";
  Command by_itself = command("container.pause", "container:web");
  by_itself.policy = "p";
  by_itself.force = true;
  EXPECT_EQ(rule_of(run(by_itself)), "stop_switch") << "a policy may not";
  ASSERT_TRUE(runner->set_stop_switch({false, kAlice, "", 0}));
  EXPECT_EQ(run("container.pause", "container:web").state, contained);
}

TEST_F(RespondTest, TheStopSwitchIsOnEvenIfTheDiskIsFull) {
  journal.full = true;
  EXPECT_EQ(runner->set_stop_switch({true, kAlice, "", 0}).error().code, Code::io);
  EXPECT_TRUE(runner->stop_switch().is_on);
  EXPECT_EQ(runner->set_stop_switch({false, kAlice, "", 0}).error().code, Code::io);
  EXPECT_TRUE(runner->stop_switch().is_on) << "off only when that is on record";
}

TEST_F(RespondTest, RatesHoldBackWhatComesByItself) {
  options.guards.per_target = {2, 600};
  options.guards.per_policy = {3, 600};
  start();
  const auto by_policy = [&](const std::string& target) {
    Command c = command("container.pause", target);
    c.policy = "p";
    const ActionRecord record = run(c);
    if (record.state == contained) undo(record.id);
    return record;
  };
  docker->add("other", 3000);
  EXPECT_EQ(by_policy("container:web").state, contained);
  EXPECT_EQ(by_policy("container:web").state, contained);
  const ActionRecord third = by_policy("container:web");
  EXPECT_EQ(rule_of(third), "rate");
  restart();
  EXPECT_EQ(rule_of(by_policy("container:web")), "rate") << "a restart forgets none";
  EXPECT_EQ(by_policy("container:other").state, contained) << "refusals are not counted";
  EXPECT_EQ(rule_of(by_policy("container:other")), "rate") << "the policy's own bound";
  EXPECT_EQ(run("container.pause", "container:web").state, contained) << "a person is not held back";
  advance(601 * kSecond);
  EXPECT_EQ(by_policy("container:other").state, contained);
}

TEST_F(RespondTest, NothingByItselfInAMaintenanceWindow) {
  MaintenanceWindow always{"weekly", 0x7f, 0, 1440};
  options.guards.maintenance = {always};
  start();
  Command c = command("container.pause", "container:web");
  c.policy = "p";
  EXPECT_EQ(rule_of(run(c)), "maintenance");
  EXPECT_EQ(run("container.pause", "container:web").state, contained);
}

TEST(Maintenance, WindowsGoOverMidnight) {
  constexpr uint64_t kMinute = 60 * kSecond, kDay = 1440 * kMinute;
  const MaintenanceWindow saturday_night{"s", 1 << 6, 22 * 60, 4 * 60};
  const uint64_t saturday = 2 * kDay;  // 3 January 1970
  EXPECT_FALSE(saturday_night.covers(saturday + 3 * 60 * kMinute)) << "that is Friday's night";
  EXPECT_FALSE(saturday_night.covers(saturday + (22 * 60 - 1) * kMinute));
  EXPECT_TRUE(saturday_night.covers(saturday + 22 * 60 * kMinute));
  EXPECT_TRUE(saturday_night.covers(saturday + kDay + 4 * 60 * kMinute - 1));
  EXPECT_FALSE(saturday_night.covers(saturday + kDay + 4 * 60 * kMinute));
}

TEST_F(RespondTest, ProtectedNamesAndNamespaces) {
  options.guards.protected_names = {"we*"};
  start();
  EXPECT_EQ(rule_of(run("container.pause", "container:web")), "protected_name");
  options.guards.protected_names = {};
  start();
  docker->relabel("web", {{"io.kubernetes.pod.namespace", "kube-system"}});
  EXPECT_EQ(rule_of(run("container.kill", "container:web")), "protected_name");
  EXPECT_EQ(state(), State::running);
}

TEST_F(RespondTest, WhatIsInEffectIsComparedWithTheMachine) {
  const ActionRecord paused = run("container.pause", "container:web");
  auto standing = runner->in_effect();
  ASSERT_TRUE(standing);
  ASSERT_EQ(standing->size(), 1u);
  EXPECT_EQ(standing->front().record.id, paused.id);
  EXPECT_EQ(standing->front().drift, "");
  ASSERT_TRUE(docker->unpause(web));
  standing = runner->in_effect();
  ASSERT_EQ(standing->size(), 1u);
  EXPECT_NE(standing->front().drift, "");
  run("process.kill", "process:700");
  EXPECT_EQ(runner->in_effect()->size(), 1u) << "a kill does not stand, it is over";
}

TEST_F(RespondTest, AnExpiryIsPutOffOnceWhileItIsNeeded) {
  int told = 0;
  options.is_still_needed = [](const ActionRecord&) { return true; };
  options.on_extended = [&](const ActionRecord&) { ++told; };
  start();
  const ActionRecord record = run("container.pause", "container:web");
  advance(3601 * kSecond);
  EXPECT_EQ(state(), State::paused);
  EXPECT_EQ(told, 1);
  EXPECT_TRUE(shown(record.id).was_extended);
  advance(3601 * kSecond);
  EXPECT_EQ(state(), State::running) << "once";
  EXPECT_EQ(shown(record.id).state, undone);
  EXPECT_EQ(told, 1);
}

TEST_F(RespondTest, ParametersAreCheckedAgainstTheRows) {
  Command c = command("container.pause", "container:web");
  c.params = {{"colour", "red"}};
  const auto refused = runner->run(c);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::invalid_argument);
  EXPECT_EQ(journal.size(), 0u);

  static constexpr ParamSpec kParams[] = {
      {.name = "tree", .kind = ParamKind::choice, .doc = "d", .standard = "none", .choices = "none|cgroup"},
      {.name = "for", .kind = ParamKind::duration, .doc = "d", .standard = "10s"},
      {.name = "path", .kind = ParamKind::path, .doc = "d", .standard = "/"},
      {.name = "count", .kind = ParamKind::number, .doc = "d", .standard = "1"}};
  ActionSpec spec;
  spec.name = "test.action";
  spec.params = kParams;
  EXPECT_EQ(complete_params(spec, {{"tree", "cgroup"}})->at("for"), "10s");
  for (const auto& [name, value] :
       ActionParams{{"tree", "all"}, {"for", "soon"}, {"path", "x"}, {"count", "-1"}, {"tre", "none"}}) {
    const auto completed = complete_params(spec, {{name, value}});
    ASSERT_FALSE(completed) << name;
    EXPECT_EQ(completed.error().code, Code::invalid_argument);
    EXPECT_EQ(completed.error().where, name);
  }
}

}  // namespace
}  // namespace quell::respond
