#pragma once
// process.suspend and process.resume: one process stands still, with everything in its memory, until it is let go.
#include <fmt/format.h>
#include <linux/capability.h>

#include "os/suspend.h"
#include "respond/actions/processes.h"

namespace quell::respond {

inline Look look_suspension(const Call& call, const os::SuspendPlan& plan, bool wanted) {
  HeldProcess held = hold_recorded(call);
  if (held.look) return std::move(*held.look);
  const auto state = os::look_suspended(call.world.os, held.handle, plan);
  if (!state) {
    if (state.error().code == Code::gone)
      return {Seen::ended, "the process has ended", process_proof(call.target, "gone")};
    return {Seen::cannot_tell, state.error().str(), process_proof(call.target, "unreadable")};
  }
  const bool stands = *state == os::Suspension::suspended, runs = *state == os::Suspension::running;
  const std::string_view seen = stands ? "suspended" : runs ? "running" : "some threads run";
  const std::string proof =
      process_proof(call.target, fmt::format("{} ({})", seen, plan.freezer ? "freezer" : "state of every thread"));
  if (wanted ? stands : runs) return {Seen::in_effect, "", proof};
  return {Seen::not_in_effect, fmt::format("the process is {}", seen), proof};
}

inline Result<os::SuspendPlan> recorded_suspension(const Json& pre_state) {
  return os::suspend_plan_from_json(pre_state);
}

inline Look look_suspended_as_recorded(const Call& call, const Json& pre_state) {
  const auto plan = recorded_suspension(pre_state);
  if (!plan) return {Seen::cannot_tell, plan.error().str(), process_proof(call.target, "no plan on record")};
  return look_suspension(call, *plan, true);
}

inline constexpr uint64_t kSuspendPatienceNs = 2'000'000'000;

inline constexpr ActionSpec kProcessSuspend{
    .name = "process.suspend",
    .summary = "Makes one process stand still until it is resumed.",
    .target = EntityKind::process,
    .effect_class = ActionClass::soft,
    .default_ttl_s = 1800,
    .mechanism = "the freezer where the process is alone in its cgroup, else SIGSTOP through a verified pidfd",
    .permissions = "CAP_KILL",
    .proof = "the freezer says frozen, or every thread is in state T",
    .undo_doc = "thaw or SIGCONT, whichever made it stand; by itself when the time to live has passed",
    .limits =
        "SIGSTOP is told to its parent, and any process of the same user can continue it; its sockets go on taking "
        "connections that nobody answers",
    .example = R"({"action":"process.suspend","target":"process:1234@88120331","reason":"unknown miner"})",
    .capabilities = capability(CAP_KILL),
    .settle_ns = 2'000'000'000,
    .plan = [](const Call& call, const Subject& subject, Plan& plan) -> Result<void> {
      if (!subject.alive) {
        plan.already_in_effect = true, plan.already_reason = "already_gone";
        return {};
      }
      QUELL_TRY(const os::SuspendPlan how, os::plan_suspend(call.world.os, subject.process));
      plan.affected.push_back(subject.process.facts());
      JsonWriter pre_state;
      os::write_json(pre_state, how);
      plan.pre_state_json = pre_state.take();
      plan.effects.push_back(fmt::format("process {} stands still by {}; its children go on",
                                         display_process(subject.process.facts()),
                                         how.freezer ? "the freezer" : "SIGSTOP"));
      if (!how.freezer)
        plan.warnings.push_back("its parent is told, and any process of the same user can let it run again");
      plan.undo = "it goes on where it stood";
      if (how.was_suspended) plan.already_in_effect = true, plan.already_reason = "already_suspended";
      return {};
    },
    .effect = [](const Call& call, const Subject& subject, const Plan& plan) -> Result<std::string> {
      QUELL_TRY(const Json pre_state, Json::parse(plan.pre_state_json));
      QUELL_TRY(const os::SuspendPlan how, recorded_suspension(pre_state));
      QUELL_CHECK(os::suspend(call.world.os, subject.process, how, kSuspendPatienceNs));
      return std::string();
    },
    .prove = [](const Call& call, const Subject&, const Plan& plan, const std::string&) -> Look {
      return look_suspended_as_recorded(call, *Json::parse(plan.pre_state_json));
    },
    .look = look_suspended_as_recorded,
    .undo = [](const Call& call, const Json& pre_state) -> Result<void> {
      QUELL_TRY(const os::SuspendPlan how, recorded_suspension(pre_state));
      HeldProcess held = hold_recorded(call);
      if (held.look) return Error{Code::gone, held.look->note, {}};
      return os::resume(call.world.os, held.handle, how, kSuspendPatienceNs);
    },
};

/// How a process that stands still is let go: it is stopped, or alone in a frozen cgroup.
inline Result<os::SuspendPlan> plan_resume(const World& world, const os::ProcessHandle& process) {
  QUELL_TRY(os::SuspendPlan how, os::plan_suspend(world.os, process));
  how.was_suspended = false;
  for (const bool by_freezer : {true, false}) {
    if (by_freezer && !how.freezer) continue;
    if (!by_freezer) how.freezer.reset();
    const auto state = os::look_suspended(world.os, process, how);
    if (state && *state != os::Suspension::running) break;
  }
  return how;
}

inline Look look_resumed_as_recorded(const Call& call, const Json& pre_state) {
  const auto plan = recorded_suspension(pre_state);
  if (!plan) return {Seen::cannot_tell, plan.error().str(), process_proof(call.target, "no plan on record")};
  return look_suspension(call, *plan, false);
}

inline constexpr ActionSpec kProcessResume{
    .name = "process.resume",
    .summary = "Lets a process that stands still run again.",
    .target = EntityKind::process,
    .effect_class = ActionClass::soft,
    .releases = true,
    .lifts = "process.suspend",
    .mechanism = "thaw or SIGCONT, whichever it needs",
    .permissions = "CAP_KILL",
    .proof = "the freezer says thawed, or no thread is in state T",
    .undo_doc = "process.suspend stops it again",
    .limits = "a process in a frozen container is let go with container.unpause",
    .example = R"({"action":"process.resume","target":"process:1234@88120331","reason":"false alarm"})",
    .capabilities = capability(CAP_KILL),
    .settle_ns = 2'000'000'000,
    .plan = [](const Call& call, const Subject& subject, Plan& plan) -> Result<void> {
      if (!subject.alive) return Error{Code::gone, "the process has ended", {}};
      QUELL_TRY(const os::SuspendPlan how, plan_resume(call.world, subject.process));
      plan.affected.push_back(subject.process.facts());
      JsonWriter pre_state;
      os::write_json(pre_state, how);
      plan.pre_state_json = pre_state.take();
      plan.effects.push_back(fmt::format("lets process {} run again", display_process(subject.process.facts())));
      plan.undo = "process.suspend stops it again";
      if (look_suspension(call, how, false).seen == Seen::in_effect)
        plan.already_in_effect = true, plan.already_reason = "already_running";
      return {};
    },
    .effect = [](const Call& call, const Subject& subject, const Plan& plan) -> Result<std::string> {
      QUELL_TRY(const Json pre_state, Json::parse(plan.pre_state_json));
      QUELL_TRY(const os::SuspendPlan how, recorded_suspension(pre_state));
      QUELL_CHECK(os::resume(call.world.os, subject.process, how, kSuspendPatienceNs));
      return std::string();
    },
    .prove = [](const Call& call, const Subject&, const Plan& plan, const std::string&) -> Look {
      return look_resumed_as_recorded(call, *Json::parse(plan.pre_state_json));
    },
    .look = look_resumed_as_recorded,
    .compensation = [](const Target& target, const Json&) { return "run process.suspend on " + target.str(); },
};

}  // namespace quell::respond
