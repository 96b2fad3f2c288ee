#pragma once
// A machine with one Docker container "web" (pids 1000, 1001), a host process 700, and a runner on top.
#include <gtest/gtest.h>

#include "base/json.h"
#include "fakes.h"
#include "respond/actions/all.h"
#include "respond/transitions.h"

namespace quell::respond {

inline constexpr uint64_t kSecond = 1'000'000'000;

class RespondTest : public testing::Test {
 protected:
  RespondTest() : machine(clock) {
    auto owned = std::make_unique<FakeRuntime>(machine, "docker");
    docker = owned.get();
    runtimes.push_back(std::move(owned));
    web = docker->add("web", 1000);
    machine.add(700, 1, "nc", "/usr/bin/nc", "/user.slice/nc");
    options.guards.self_pid = kQuellPid;
    options.find_detection = [this](std::string_view id) -> Result<Detection> {
      const auto found = detections.find(std::string(id));
      if (found == detections.end()) return Error{Code::not_found, "no such detection", {}};
      return found->second;
    };
    options.new_id = [this] { return fmt::format("a-{:016x}", ++next_id); };
    start();
  }

  /// A new engine on the same machine and journal, as after a crash or an upgrade.
  void start() {
    runner.reset();
    runner = std::make_unique<Runner>(World{machine, runtimes, clock, [this](uint64_t ns) { clock.advance_ns(ns); }},
                                      journal, options);
  }
  RecoveryReport restart() {
    start();
    auto report = runner->recover();
    EXPECT_TRUE(report);
    return report ? *report : RecoveryReport{};
  }

  static Command command(std::string action, std::string target) {
    Command out;
    out.action = std::move(action);
    out.target = std::move(target);
    out.reason = "test";
    out.actor = "uid:0 (root)";
    return out;
  }
  ActionRecord run(const std::string& action, const std::string& target, bool force = false) {
    Command c = command(action, target);
    c.force = force;
    return run(c);
  }
  ActionRecord run(const Command& c) {
    auto outcome = runner->run(c);
    EXPECT_TRUE(outcome) << outcome.error().str();
    return outcome ? outcome->record : ActionRecord{};
  }
  Code run_error(const std::string& action, const std::string& target) {
    auto outcome = runner->run(command(action, target));
    EXPECT_FALSE(outcome) << to_string(outcome->record.state);
    return outcome ? Code::internal : outcome.error().code;
  }
  ActionRecord shown(const std::string& id) {
    auto record = runner->show(id);
    EXPECT_TRUE(record);
    return record ? *record : ActionRecord{};
  }
  Outcome undo(const std::string& id) {
    auto outcome = runner->undo({id, "uid:0 (root)", "false alarm"});
    EXPECT_TRUE(outcome) << outcome.error().str();
    return outcome ? *outcome : Outcome{};
  }
  void advance(uint64_t ns) {
    clock.advance_ns(ns);
    runner->poll();
  }
  FakeRuntime::State state() { return docker->box("web").status.state; }
  static std::string rule_of(const ActionRecord& record) { return record.reason.substr(0, record.reason.find(':')); }

  Detection detection(int64_t pid, bool in_container) {
    Detection d;
    d.id = "d-1";
    d.evidence_ref = "live:boot-1#7";
    d.process = machine.processes.at(pid).facts.id;
    d.process_name = machine.processes.at(pid).facts.comm;
    if (in_container) {
      d.container_full_id = web;
      d.container = docker->box("web").status.info;
    } else {
      d.container_id = "host";
    }
    return d;
  }

  ManualClock clock;
  FakeOs machine;
  std::vector<std::unique_ptr<os::Runtime>> runtimes;
  FakeRuntime* docker = nullptr;
  std::string web;
  FakeJournal journal;
  RunnerOptions options;
  std::map<std::string, Detection> detections;
  uint64_t next_id = 0;
  std::unique_ptr<Runner> runner;
};

}  // namespace quell::respond
