// Each action from the command to the end of its watch, and what a runtime that misbehaves makes of it.
#include "base/text.h"
#include "fixture.h"
#include "respond/worker.h"

namespace quell::respond {
namespace {

using enum ActionState;
using State = FakeRuntime::State;

std::vector<ActionState> states(const ActionRecord& record) {
  std::vector<ActionState> out;
  for (const auto& [at, state] : record.history) out.push_back(state);
  return out;
}

TEST_F(RespondTest, PauseFreezesProvesAndIsWatched) {
  const ActionRecord record = run("container.pause", "container:web");
  EXPECT_EQ(record.state, contained);
  EXPECT_EQ(state(), State::paused);
  EXPECT_EQ(states(record), (std::vector{requested, preflight, executing, executed, verifying, contained}));
  EXPECT_EQ(record.target.container_id, web);
  EXPECT_EQ(record.target.runtime, "docker");
  EXPECT_EQ(record.target.container_pid, 1000);
  EXPECT_EQ(record.target.cgroup_path, "/docker/" + web);
  EXPECT_EQ(record.expires_ns, record.finished_ns + 3600 * kSecond);
  const auto proof = Json::parse(record.proof_json);
  ASSERT_TRUE(proof);
  EXPECT_EQ(proof->at("immediate").at("runtime_state").str(), "paused");
  EXPECT_EQ(proof->at("immediate").at("freezer").str(), "frozen");
  EXPECT_EQ(Json::parse(record.pre_state_json)->at("state").str(), "running");
  EXPECT_EQ(journal.saved_states, (std::vector{executing, contained}))
      << "the intent is journaled before, the outcome after";

  EXPECT_NE(shown(record.id).watch_until_ns, 0u);
  advance(kSecond / 2);
  const ActionRecord after = shown(record.id);
  EXPECT_EQ(after.state, contained);
  EXPECT_EQ(after.watch_until_ns, 0u);
  EXPECT_TRUE(Json::parse(after.proof_json)->at("watch").at("held").boolean());
}

TEST_F(RespondTest, TheIntentIsDurableBeforeTheEffect) {
  docker->before_call = [&](const std::string&) {
    ASSERT_EQ(journal.saved_states, (std::vector{executing}));
    const auto intent = journal.find_action("a-0000000000000001");
    ASSERT_TRUE(intent);
    EXPECT_FALSE(intent->preview_json.empty());
    EXPECT_FALSE(intent->pre_state_json.empty());
    EXPECT_EQ(intent->target.container_id, web);
  };
  EXPECT_EQ(run("container.pause", "container:web").state, contained);
}

TEST_F(RespondTest, WithoutAJournalNothingIsDone) {
  journal.full = true;
  EXPECT_EQ(run_error("container.pause", "container:web"), Code::io);
  EXPECT_EQ(run_error("process.kill", "process:700"), Code::io);
  EXPECT_EQ(state(), State::running);
  EXPECT_TRUE(machine.signals.empty());
}

TEST_F(RespondTest, AnOutcomeThatCannotBeJournaledIsKeptAndSavedLater) {
  docker->after_call = [&](const std::string&) { journal.full = true; };
  const ActionRecord record = run("container.pause", "container:web");
  EXPECT_EQ(record.state, contained);
  EXPECT_EQ(shown(record.id).state, executing);
  journal.full = false;
  advance(options.retry_ns);
  EXPECT_EQ(shown(record.id).state, contained);
}

TEST_F(RespondTest, PauseThatUsesCpuIsEvaded) {
  const ActionRecord record = run("container.pause", "container:web");
  machine.cpu_ns += 20'000'000;
  advance(kSecond / 2);
  const ActionRecord after = shown(record.id);
  EXPECT_EQ(after.state, partially_contained);
  EXPECT_EQ(Json::parse(after.proof_json)->at("watch").at("seen").at("cpu_ns").u64(), 20'000'000u);
  EXPECT_NE(after.expires_ns, 0u) << "it is still to be lifted";
}

TEST_F(RespondTest, PauseThatIsThawedBehindOurBackIsEvaded) {
  const ActionRecord record = run("container.pause", "container:web");
  ASSERT_TRUE(docker->unpause(web));
  advance(kSecond / 2);
  EXPECT_EQ(shown(record.id).state, partially_contained);
}

TEST_F(RespondTest, PauseTheFreezerDoesNotConfirmIsNotContained) {
  machine.freezer_lies = true;
  EXPECT_EQ(run("container.pause", "container:web").state, not_contained);
}

TEST_F(RespondTest, PausedBySomebodyElseIsAlreadyInEffectAndNotOurs) {
  ASSERT_TRUE(docker->pause(web));
  const ActionRecord record = run("container.pause", "container:web");
  EXPECT_EQ(record.state, already_in_effect);
  EXPECT_EQ(record.reason, "already_paused");
  EXPECT_EQ(record.expires_ns, 0u);
  EXPECT_EQ(docker->count("pause"), 1u);
  EXPECT_EQ(runner->undo({record.id, "me", ""}).error().code, Code::conflict);
}

TEST_F(RespondTest, TheSamePauseTwiceIsOneAction) {
  const ActionRecord first = run("container.pause", "container:web");
  const auto second = runner->run(command("container.pause", "container:" + web.substr(0, 62)));
  ASSERT_TRUE(second) << "another way to name it, the same identity";
  EXPECT_TRUE(second->existing);
  EXPECT_EQ(second->record.id, first.id);
  EXPECT_EQ(journal.size(), 1u);
  EXPECT_EQ(docker->count("pause"), 1u);
  undo(first.id);
  const auto third = runner->run(command("container.pause", "container:web"));
  ASSERT_TRUE(third);
  EXPECT_FALSE(third->existing);
  EXPECT_NE(third->record.id, first.id);
  EXPECT_EQ(third->record.state, contained);
}

TEST_F(RespondTest, APauseLiftedByOthersDoesNotPassForOneThatStands) {
  const ActionRecord first = run("container.pause", "container:web");
  ASSERT_TRUE(docker->unpause(web));
  const ActionRecord second = run("container.pause", "container:web");
  EXPECT_NE(second.id, first.id);
  EXPECT_EQ(second.state, contained);
  EXPECT_EQ(state(), State::paused);
  EXPECT_EQ(shown(first.id).state, undone);
}

TEST_F(RespondTest, AKeyStandsForOneCommand) {
  Command c = command("process.kill", "process:700");
  c.idempotency_key = "incident-7";
  const ActionRecord first = run(c);
  EXPECT_EQ(first.state, contained);
  const auto again = runner->run(c);
  ASSERT_TRUE(again) << "the target is gone, the answer is known";
  EXPECT_TRUE(again->existing);
  EXPECT_EQ(again->record.id, first.id);
  c.target = "process:1001";
  EXPECT_EQ(runner->run(c).error().code, Code::conflict);
}

TEST_F(RespondTest, UnpauseLiftsOurPause) {
  const ActionRecord pause = run("container.pause", "container:web");
  const ActionRecord record = run("container.unpause", "container:web");
  EXPECT_EQ(record.state, undone);
  EXPECT_EQ(record.undo_of, pause.id);
  EXPECT_EQ(state(), State::running);
  const ActionRecord lifted = shown(pause.id);
  EXPECT_EQ(lifted.state, undone);
  EXPECT_EQ(lifted.undo_actor, "uid:0 (root)");
  advance(7200 * kSecond);
  EXPECT_EQ(docker->count("unpause"), 1u) << "nothing is left to expire";
}

TEST_F(RespondTest, UnpauseOfWhatRunsChangesNothing) {
  EXPECT_EQ(run("container.unpause", "container:web").state, already_in_effect);
  ASSERT_TRUE(docker->kill(web));
  EXPECT_EQ(run_error("container.unpause", "container:web"), Code::conflict);
}

TEST_F(RespondTest, KillDisarmsTheRestartPolicyFirst) {
  docker->box("web").status.restart_policy = "always";
  const ActionRecord record = run("container.kill", "container:web");
  EXPECT_EQ(record.state, contained);
  EXPECT_EQ(docker->calls, (std::vector<std::string>{"policy=no", "kill"}));
  EXPECT_EQ(Json::parse(record.pre_state_json)->at("restart_policy").str(), "always");
  advance(10 * kSecond);
  EXPECT_EQ(shown(record.id).state, contained);
  const auto undone = runner->undo({record.id, "me", ""});
  ASSERT_FALSE(undone);
  EXPECT_EQ(undone.error().code, Code::unsupported);
  EXPECT_NE(undone.error().message.find("docker update --restart=always web"), std::string::npos)
      << undone.error().message;
}

TEST_F(RespondTest, KillEndsAPausedContainerWithoutWakingIt) {
  ASSERT_TRUE(docker->pause(web));
  EXPECT_EQ(run("container.kill", "container:web").state, contained);
  EXPECT_EQ(docker->count("unpause"), 0u);
}

TEST_F(RespondTest, KillThatIsRefusedPutsThePolicyBack) {
  docker->box("web").status.restart_policy = "always";
  docker->fault = Fault::refused;
  docker->faulty_call = "kill";
  const ActionRecord record = run("container.kill", "container:web");
  EXPECT_EQ(record.state, failed);
  EXPECT_EQ(docker->box("web").status.restart_policy, "always");
  EXPECT_EQ(state(), State::running);
}

TEST_F(RespondTest, KillThatCannotDisarmDoesNotKill) {
  docker->box("web").status.restart_policy = "always";
  docker->fault = Fault::refused;
  docker->faulty_call = "policy=no";
  EXPECT_EQ(run("container.kill", "container:web").state, failed);
  EXPECT_EQ(state(), State::running);
}

TEST_F(RespondTest, AContainerThatComesBackIsPartlyContained) {
  const ActionRecord record = run("container.kill", "container:web");
  EXPECT_EQ(record.state, contained);
  advance(3 * kSecond);
  EXPECT_EQ(shown(record.id).state, contained);
  docker->restart("web");
  advance(kSecond);
  EXPECT_EQ(shown(record.id).state, partially_contained);
  EXPECT_EQ(rule_of(shown(record.id)), "respawned");
}

TEST_F(RespondTest, AnotherContainerOfTheSameImageIsPartlyContained) {
  docker->add("old", 1100);
  const ActionRecord record = run("container.stop", "container:web");
  EXPECT_EQ(record.state, contained);
  docker->add("other", 1200, "no", "redis");
  advance(kSecond);
  EXPECT_EQ(shown(record.id).state, contained);
  docker->add("web-2", 1300);
  advance(kSecond);
  EXPECT_EQ(shown(record.id).state, partially_contained);
}

TEST_F(RespondTest, AStopInItsGraceHoldsNobodyUp) {
  docker->add("other", 1100);
  ActionRecord other, again;
  docker->after_call = [&](const std::string& call) {
    if (!call.starts_with("stop") || !other.id.empty()) return;
    other = run("container.pause", "container:other");
    again = run("container.stop", "container:web");
  };
  const ActionRecord record = run("container.stop", "container:web");
  EXPECT_EQ(record.state, contained);
  EXPECT_EQ(other.state, contained);
  EXPECT_TRUE(again.id == record.id || again.state == already_in_effect) << "the same stop is not sent twice";
}

TEST_F(RespondTest, TheRespawnWatchIsAsLongAsConfigured) {
  options.container_respawn_watch_ns = 2 * kSecond;
  start();
  const ActionRecord record = run("container.kill", "container:web");
  advance(kSecond);
  EXPECT_NE(shown(record.id).watch_until_ns, 0u);
  advance(kSecond);
  EXPECT_EQ(shown(record.id).watch_until_ns, 0u);
}

TEST_F(RespondTest, KillingWhatHasEndedIsSuccess) {
  ASSERT_TRUE(docker->kill(web));
  EXPECT_EQ(run("container.kill", "container:web").state, already_in_effect);
  // With a policy it could come back: the policy goes, the 409 of the kill is what was wanted.
  docker->box("web").status.restart_policy = "always";
  EXPECT_EQ(run("container.kill", "container:web").state, contained);
  EXPECT_EQ(docker->box("web").status.restart_policy, "no");
}

TEST_F(RespondTest, AContainerThatVanishesBetweenIsAlreadyGone) {
  docker->before_call = [&](const std::string& call) {
    if (call == "pause") docker->boxes.clear();
  };
  const ActionRecord record = run("container.pause", "container:web");
  EXPECT_EQ(record.state, already_in_effect);
  EXPECT_EQ(rule_of(record), "already_gone");
}

TEST_F(RespondTest, ALostAnswerIsSettledByLooking) {
  docker->fault = Fault::timeout_after;
  docker->faulty_call = "pause";
  EXPECT_EQ(run("container.pause", "container:web").state, contained) << "it took effect, whatever the answer";
}

TEST_F(RespondTest, ALostRequestIsUnknownUntilItCannotComeAnyMore) {
  docker->fault = Fault::timeout_before;
  docker->faulty_call = "stop";
  const ActionRecord record = run("container.stop", "container:web");
  EXPECT_EQ(record.state, unknown);
  EXPECT_EQ(shown(record.id).state, unknown);
  advance(20 * kSecond);
  EXPECT_EQ(shown(record.id).state, not_contained);
  EXPECT_TRUE(docker->calls.empty()) << "it is never sent twice";
}

TEST_F(RespondTest, ARuntimeThatGoesDownLeavesUnknownAndIsAskedAgain) {
  docker->after_call = [&](const std::string&) { docker->fault = Fault::down; };
  const ActionRecord record = run("container.pause", "container:web");
  EXPECT_EQ(record.state, unknown);
  docker->after_call = nullptr;
  advance(options.retry_ns);
  EXPECT_EQ(shown(record.id).state, unknown);
  docker->fault = Fault::none;
  advance(options.retry_ns);
  const ActionRecord after = shown(record.id);
  EXPECT_EQ(after.state, contained);
  EXPECT_NE(after.expires_ns, 0u);
  EXPECT_EQ(docker->count("pause"), 1u);
}

TEST_F(RespondTest, ProcessKillHitsThatProcessAndNothingElse) {
  const size_t before = machine.processes.size();
  const ActionRecord record = run("process.kill", "process:700");
  EXPECT_EQ(record.state, contained);
  EXPECT_EQ(machine.signals, (std::vector<std::pair<int64_t, int>>{{700, SIGKILL}}));
  EXPECT_EQ(machine.processes.size(), before - 1);
  EXPECT_EQ(record.target.exepath, "/usr/bin/nc");
  EXPECT_NE(record.target.process.start_ticks, 0u);
  EXPECT_EQ(record.expires_ns, 0u);
}

TEST_F(RespondTest, ProcessInAContainerCarriesItsContainer) {
  const ActionRecord record = run("process.kill", "process:1001");
  EXPECT_EQ(record.state, contained);
  EXPECT_EQ(record.target.container_id, web);
  EXPECT_EQ(record.target.container_name, "web");
  EXPECT_EQ(state(), State::running);
}

TEST_F(RespondTest, AProcessThatComesBackIsPartlyContained) {
  machine.add(1002, 1000, "sh", "/bin/sh", "/docker/" + web);  // was there before
  const ActionRecord record = run("process.kill", "process:1001");
  advance(kSecond);
  EXPECT_EQ(shown(record.id).state, contained);
  machine.add(1003, 1000, "sh", "/bin/sh", "/docker/" + web);
  advance(kSecond / 4);
  EXPECT_EQ(shown(record.id).state, partially_contained);
  EXPECT_EQ(rule_of(shown(record.id)), "respawned");
}

TEST_F(RespondTest, AnotherProgramOfTheSameFileIsNoRespawn) {
  machine.add(1002, 1000, "sleep", "/bin/sh", "/docker/" + web);
  const ActionRecord record = run("process.kill", "process:1001");
  machine.add(1003, 1000, "cat", "/bin/sh", "/docker/" + web);
  for (int i = 0; i < 8; ++i) advance(kSecond / 4);
  const ActionRecord after = shown(record.id);
  EXPECT_EQ(after.state, contained);
  EXPECT_TRUE(Json::parse(after.proof_json)->at("watch").at("seen").at("observable").boolean());
}

TEST_F(RespondTest, AWatchThatCouldNotSeeSaysSo) {
  const ActionRecord record = run("process.kill", "process:700");  // alone in its cgroup
  advance(2 * kSecond);
  EXPECT_FALSE(Json::parse(shown(record.id).proof_json)->at("watch").at("seen").at("observable").boolean());
}

TEST_F(RespondTest, AnUninterruptibleProcessIsNotContained) {
  machine.processes.at(700).immortal = true;
  machine.processes.at(700).facts.state = 'D';
  const ActionRecord record = run("process.kill", "process:700");
  EXPECT_EQ(record.state, not_contained);
  EXPECT_EQ(rule_of(record), "uninterruptible");
}

TEST_F(RespondTest, AZombieIsDeadAlready) {
  machine.processes.at(700).facts.state = 'Z';
  EXPECT_EQ(run("process.kill", "process:700").state, already_in_effect);
  EXPECT_TRUE(machine.signals.empty());
}

TEST_F(RespondTest, APidRecycledWhileTheIntentIsWrittenIsNotHit) {
  // Between the journal's flush and the effect another process takes the pid.
  bool swapped = false;
  options.on_record = [&](const ActionRecord& record) {
    if (record.state != executing || swapped) return;
    swapped = true;
    machine.end(700);
    machine.add(700, 1, "innocent", "/usr/bin/innocent", "/user.slice/x");
  };
  start();
  EXPECT_EQ(run("process.kill", "process:700").state, stale_target);
  EXPECT_TRUE(machine.signals.empty());
  EXPECT_TRUE(machine.processes.contains(700));
}

TEST_F(RespondTest, AContainerRestartedWhileTheIntentIsWrittenIsNotHit) {
  options.on_record = [&](const ActionRecord& record) {
    if (record.state == executing) docker->restart("web");
  };
  start();
  EXPECT_EQ(run("container.pause", "container:web").state, stale_target);
  EXPECT_EQ(state(), State::running);
}

TEST_F(RespondTest, PreviewShowsTheBlastRadiusAndChangesNothing) {
  docker->box("web").status.restart_policy = "on-failure:3";
  Command c = command("container.kill", "container:web");
  const auto preview = runner->preview(c);
  ASSERT_TRUE(preview);
  EXPECT_TRUE(preview->hard);
  EXPECT_FALSE(preview->refusal);
  const auto json = Json::parse(preview->json);
  ASSERT_TRUE(json);
  EXPECT_EQ(json->at("apiVersion").str(), "quell/v1");
  EXPECT_EQ(json->at("action").str(), "container.kill");
  EXPECT_EQ(json->at("class").str(), "hard");
  EXPECT_FALSE(json->at("reversible").boolean());
  EXPECT_EQ(json->at("affected_count").u64(), 2u);
  EXPECT_EQ(json->at("affected").array()->at(0).at("pid").i64(), 1000);
  EXPECT_EQ(json->at("affected").array()->at(1).at("comm").str(), "sh");
  EXPECT_EQ(json->at("restart_policy").str(), "on-failure:3");
  EXPECT_EQ(json->at("target").at("container").at("started_at").str(), docker->box("web").status.info->started_at);
  EXPECT_EQ(json->at("effects").array()->size(), 2u);
  EXPECT_TRUE(docker->calls.empty());
  EXPECT_EQ(journal.writes, 0);

  c = command("container.pause", "container:web");
  c.ttl_s = 60;
  EXPECT_EQ(Json::parse(runner->preview(c)->json)->at("ttl_s").u64(), 60u);
}

TEST_F(RespondTest, PreviewOfRefusedNamesTheRule) {
  const auto preview = runner->preview(command("process.kill", "process:1"));
  ASSERT_TRUE(preview);
  ASSERT_TRUE(preview->refusal);
  EXPECT_EQ(Json::parse(preview->json)->at("refusal").at("rule").str(), preview->refusal->rule);
}

TEST_F(RespondTest, TheWorkerDoesWhatIsDue) {
  // Real time and a thread: only that a record is settled without anybody calling poll().
  options.on_record = nullptr;
  runner = std::make_unique<Runner>(World{machine, runtimes, system_clock(), [](uint64_t) {}}, journal, options);
  Worker worker(*runner);
  const ActionRecord record = run("container.pause", "container:web");
  for (int i = 0; i < 1000 && is_unsettled(shown(record.id)) && shown(record.id).watch_until_ns != 0; ++i)
    usleep(10'000);
  EXPECT_EQ(shown(record.id).watch_until_ns, 0u);
}

TEST(Actions, RowsHoldTogether) {
  for (const ActionSpec* spec : kActions) {
    EXPECT_EQ(find_action_spec(spec->name), spec);
    EXPECT_NE(spec->plan, nullptr);
    EXPECT_NE(spec->effect, nullptr);
    EXPECT_NE(spec->prove, nullptr);
    EXPECT_NE(spec->look, nullptr);
    EXPECT_TRUE(spec->undo != nullptr || spec->compensation != nullptr) << spec->name << ": what can a person do?";
    EXPECT_TRUE(spec->default_ttl_s == 0 || spec->undo != nullptr) << spec->name << " expires but cannot be undone";
    EXPECT_FALSE(spec->permissions.empty());
    const auto example = Json::parse(spec->example);
    ASSERT_TRUE(example) << spec->name;
    EXPECT_EQ(example->at("action").str(), spec->name);
    const auto target = parse_target(example->at("target").str());
    ASSERT_TRUE(target);
    EXPECT_EQ(target->kind == TargetRef::Kind::process, spec->target == EntityKind::process);
    for (const std::string_view lifted : split(spec->lifts, '|'))
      EXPECT_TRUE(spec->lifts.empty() || (spec->releases && find_action_spec(lifted) != nullptr)) << spec->name;
    for (const std::string_view text : {spec->mechanism, spec->proof, spec->undo_doc, spec->limits})
      EXPECT_FALSE(text.empty()) << spec->name;
    for (const ParamSpec& param : spec->params) EXPECT_FALSE(param.doc.empty()) << spec->name << " " << param.name;
  }
}

TEST(Transitions, FinalStatesThatEndEverythingLeadNowhere) {
  for (int from = 0; from <= static_cast<int>(already_in_effect); ++from)
    for (const ActionState end :
         {undone, failed, refused_guard, stale_target, cancelled, expired_request, already_in_effect})
      EXPECT_FALSE(may_follow(end, static_cast<ActionState>(from)));
  EXPECT_TRUE(may_follow(preflight, executing));
  EXPECT_FALSE(may_follow(requested, executing)) << "no effect without a preflight";
  EXPECT_FALSE(may_follow(executing, contained)) << "no containment without a proof";
}

}  // namespace
}  // namespace quell::respond
