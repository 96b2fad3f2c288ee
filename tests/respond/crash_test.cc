// The engine dies around every journal write and every call to the runtime; the next one must resolve what it finds, by
// asking the machine, without ever doing an effect a second time.
#include "fixture.h"

namespace quell::respond {
namespace {

using enum ActionState;
using State = FakeRuntime::State;

class CrashTest : public RespondTest {
 protected:
  /// Runs `steps`, letting the engine die where the test armed it; then starts the next one and lets it settle.
  template <typename Steps>
  bool crashes(Steps&& steps) {
    bool crashed = false;
    try {
      steps();
    } catch (const Crash&) {
      crashed = true;
    }
    journal.crash_after = journal.crash_before = 0;
    docker->before_call = docker->after_call = nullptr;
    machine.before_signal = nullptr;
    restart();
    for (int i = 0; i < 20; ++i) advance(kSecond);
    return crashed;
  }
  ActionRecord only_record() {
    const auto records = journal.list_actions({});
    EXPECT_EQ(records->size(), 1u);
    return records->empty() ? ActionRecord{} : records->front();
  }
};

TEST_F(CrashTest, AroundEveryWriteOfAPauseAndItsUndo) {
  int crash_points = 0;
  for (const bool after : {false, true}) {
    for (int k = 1;; ++k) {
      SCOPED_TRACE(fmt::format("{} write {}", after ? "after" : "before", k));
      journal = FakeJournal();
      docker->calls.clear();
      if (state() == State::paused) {
        ASSERT_TRUE(docker->unpause(web));
        docker->calls.clear();
      }
      start();
      (after ? journal.crash_after : journal.crash_before) = k;
      const bool crashed = crashes([&] {
        const ActionRecord record = run("container.pause", "container:web");
        advance(kSecond / 2);
        undo(record.id);
      });
      EXPECT_LE(docker->count("pause"), 1u);
      EXPECT_LE(docker->count("unpause"), 1u);
      if (journal.size() > 0) {
        const ActionRecord record = only_record();
        EXPECT_TRUE(is_final(record.state)) << to_string(record.state);
        EXPECT_NE(record.state, unknown);
        // The record and the machine tell the same story.
        EXPECT_EQ(is_in_effect(record), state() == State::paused) << to_string(record.state);
        if (is_in_effect(record)) {
          EXPECT_NE(record.expires_ns, 0u) << "a pause that is found must still expire";
          advance(3600 * kSecond);
          EXPECT_EQ(state(), State::running);
        }
      } else {
        EXPECT_TRUE(docker->calls.empty()) << "no effect without an intent";
      }
      if (!crashed) break;
      ++crash_points;
    }
  }
  EXPECT_EQ(crash_points, 10) << "executing, contained, watched, undoing, undone: before and after each";
}

TEST_F(CrashTest, AroundEveryWriteOfAContainerKill) {
  for (const bool after : {false, true}) {
    for (int k = 1;; ++k) {
      SCOPED_TRACE(fmt::format("{} write {}", after ? "after" : "before", k));
      journal = FakeJournal();
      docker->boxes.clear();
      docker->calls.clear();
      web = docker->add("web", 1000, "always");
      start();
      (after ? journal.crash_after : journal.crash_before) = k;
      const bool crashed = crashes([&] {
        run("container.kill", "container:web");
        for (int i = 0; i < 10; ++i) advance(kSecond);
      });
      EXPECT_LE(docker->count("kill"), 1u);
      if (journal.size() > 0) {
        const ActionRecord record = only_record();
        EXPECT_TRUE(record.state == contained || record.state == not_contained) << to_string(record.state);
        EXPECT_EQ(record.state == contained, state() == State::exited);
        EXPECT_EQ(docker->box("web").status.restart_policy, record.state == contained ? "no" : "always");
        EXPECT_FALSE(is_unsettled(record));
      }
      if (!crashed) break;
    }
  }
}

TEST_F(CrashTest, AroundEveryWriteOfAProcessKill) {
  for (const bool after : {false, true}) {
    for (int k = 1;; ++k) {
      SCOPED_TRACE(fmt::format("{} write {}", after ? "after" : "before", k));
      journal = FakeJournal();
      machine.signals.clear();
      machine.add(700, 1, "nc", "/usr/bin/nc", "/user.slice/nc");
      start();
      (after ? journal.crash_after : journal.crash_before) = k;
      const bool crashed = crashes([&] {
        run("process.kill", "process:700");
        for (int i = 0; i < 4; ++i) advance(kSecond);
      });
      EXPECT_LE(machine.signals.size(), 1u);
      if (journal.size() > 0) {
        const ActionRecord record = only_record();
        EXPECT_EQ(record.state, machine.processes.contains(700) ? not_contained : contained);
        EXPECT_FALSE(is_unsettled(record));
      }
      if (!crashed) break;
    }
  }
}

TEST_F(CrashTest, BetweenTheIntentAndTheEffect) {
  docker->before_call = [](const std::string&) { throw Crash{}; };
  EXPECT_TRUE(crashes([&] { run("container.pause", "container:web"); }));
  EXPECT_EQ(only_record().state, not_contained);
  EXPECT_EQ(state(), State::running);
}

TEST_F(CrashTest, BetweenTheEffectAndTheRecord) {
  docker->after_call = [](const std::string&) { throw Crash{}; };
  EXPECT_TRUE(crashes([&] { run("container.pause", "container:web"); }));
  const ActionRecord record = only_record();
  EXPECT_EQ(record.state, contained);
  EXPECT_EQ(record.expires_ns, record.requested_ns + 3600 * kSecond);
  EXPECT_EQ(docker->count("pause"), 1u);
  EXPECT_EQ(undo(record.id).record.state, undone);
}

TEST_F(CrashTest, BetweenThePolicyAndTheKill) {
  docker->box("web").status.restart_policy = "unless-stopped";
  docker->after_call = [](const std::string& call) {
    if (call == "policy=no") throw Crash{};
  };
  EXPECT_TRUE(crashes([&] { run("container.kill", "container:web"); }));
  EXPECT_EQ(only_record().state, not_contained);
  EXPECT_EQ(state(), State::running);
  EXPECT_EQ(docker->box("web").status.restart_policy, "unless-stopped") << "what was changed is put back";
}

TEST_F(CrashTest, BetweenTheUndosIntentAndItsEffect) {
  const ActionRecord record = run("container.pause", "container:web");
  docker->before_call = [](const std::string&) { throw Crash{}; };
  EXPECT_TRUE(crashes([&] { undo(record.id); }));
  EXPECT_EQ(only_record().state, undone) << "an undo that was asked for is finished";
  EXPECT_EQ(state(), State::running);
  EXPECT_EQ(docker->count("unpause"), 1u);
}

TEST_F(CrashTest, BetweenTheUndosEffectAndItsRecord) {
  const ActionRecord record = run("container.pause", "container:web");
  docker->after_call = [](const std::string&) { throw Crash{}; };
  EXPECT_TRUE(crashes([&] { undo(record.id); }));
  EXPECT_EQ(only_record().state, undone);
  EXPECT_EQ(docker->count("unpause"), 1u);
}

TEST_F(CrashTest, BetweenASignalsIntentAndTheSignal) {
  machine.before_signal = [] { throw Crash{}; };
  EXPECT_TRUE(crashes([&] { run("process.kill", "process:700"); }));
  EXPECT_EQ(only_record().state, not_contained);
  EXPECT_TRUE(machine.processes.contains(700)) << "a restart does not kill by itself";
}

TEST_F(CrashTest, WithThePidRecycledMeanwhile) {
  machine.before_signal = [] { throw Crash{}; };
  EXPECT_THROW(run("process.kill", "process:700"), Crash);
  machine.before_signal = nullptr;
  machine.end(700);
  machine.add(700, 1, "innocent", "/usr/bin/innocent", "/x");
  EXPECT_EQ(restart().resolved, 1u);
  EXPECT_EQ(only_record().state, contained) << "the one that was meant is dead";
  EXPECT_TRUE(machine.processes.contains(700));
}

TEST_F(CrashTest, WithTheMachineRestartedMeanwhile) {
  machine.before_signal = [] { throw Crash{}; };
  EXPECT_THROW(run("process.kill", "process:700"), Crash);
  machine.before_signal = nullptr;
  machine.boot = "boot-2";
  restart();
  EXPECT_EQ(only_record().state, contained);
}

TEST_F(CrashTest, WithTheContainerRestartedMeanwhile) {
  docker->after_call = [](const std::string&) { throw Crash{}; };
  EXPECT_THROW(run("container.kill", "container:web"), Crash);
  docker->after_call = nullptr;
  docker->restart("web");
  restart();
  EXPECT_EQ(only_record().state, partially_contained);

  journal = FakeJournal();
  docker->before_call = [](const std::string&) { throw Crash{}; };
  start();
  EXPECT_THROW(run("container.pause", "container:web"), Crash);
  docker->before_call = nullptr;
  docker->restart("web");
  restart();
  EXPECT_EQ(only_record().state, stale_target);
}

TEST_F(CrashTest, WithTheRuntimeDownAtTheNextStart) {
  docker->after_call = [](const std::string&) { throw Crash{}; };
  EXPECT_THROW(run("container.pause", "container:web"), Crash);
  docker->after_call = nullptr;
  docker->fault = Fault::down;
  EXPECT_EQ(restart().unresolved, 1u);
  EXPECT_EQ(only_record().state, unknown);
  EXPECT_EQ(restart().unresolved, 1u) << "and at the one after";
  docker->fault = Fault::none;
  advance(options.retry_ns);
  EXPECT_EQ(only_record().state, contained);
  EXPECT_EQ(docker->count("pause"), 1u);
}

TEST_F(CrashTest, AStopUnderWayIsWaitedFor) {
  // The daemon goes on with the grace period after the engine died.
  docker->before_call = [](const std::string&) { throw Crash{}; };
  EXPECT_THROW(run("container.stop", "container:web"), Crash);
  docker->before_call = nullptr;
  clock.advance_ns(2 * kSecond);
  restart();
  EXPECT_EQ(only_record().state, unknown);
  ASSERT_TRUE(docker->kill(web));  // its grace has passed
  advance(12 * kSecond);
  EXPECT_EQ(only_record().state, contained);
}

TEST_F(CrashTest, DuringAWatch) {
  run("container.kill", "container:web");
  restart();
  const ActionRecord record = only_record();
  EXPECT_EQ(record.state, contained);
  EXPECT_EQ(record.watch_until_ns, 0u);
  EXPECT_TRUE(Json::parse(record.proof_json)->at("watch").at("interrupted").boolean());
}

TEST_F(CrashTest, BeforeAnythingWasDone) {
  ActionRecord record;
  record.id = "a-00000000000000ff";
  record.command = command("container.pause", "container:web");
  record.state = preflight;
  ASSERT_TRUE(journal.save_action(record));
  record.id = "a-00000000000000fe";
  record.command.action = "container.teleport";
  record.state = executing;
  ASSERT_TRUE(journal.save_action(record));
  const RecoveryReport report = restart();
  EXPECT_EQ(report.resolved, 1u);
  EXPECT_EQ(report.unresolved, 1u) << "an action of another version is left alone";
  EXPECT_EQ(shown("a-00000000000000ff").state, cancelled);
  EXPECT_EQ(shown("a-00000000000000fe").state, executing);
}

}  // namespace
}  // namespace quell::respond
