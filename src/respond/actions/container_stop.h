#pragma once
// container.stop: SIGTERM, a grace period, SIGKILL. For workloads that must save their data; a guard refuses it on a
// paused container, which would run again for the whole grace period.
#include <fmt/format.h>

#include "respond/actions/containers.h"

namespace quell::respond {

inline constexpr uint32_t kStopGraceSeconds = 10;

inline constexpr ActionSpec kContainerStop{
    .name = "container.stop",
    .summary = "Asks a container to end, kills it after 10 s, and keeps it from restarting.",
    .target = EntityKind::container,
    .effect_class = ActionClass::hard,
    .mechanism = "the restart policy is set to \"no\", then the runtime's own stop: SIGTERM, 10 s, SIGKILL",
    .permissions = "access to the runtime's socket",
    .proof = "the runtime says exited and every process of the container is dead; then 10 s without a new one",
    .undo_doc = "none: start it again",
    .limits = "goes on running until it ends; refused while paused, because a stop would let it run",
    .example = R"({"action":"container.stop","target":"container:web","reason":"compromised"})",
    .effect_waits = true,
    .settle_ns = (kStopGraceSeconds + 2) * 1'000'000'000ull,
    .watch_ns = 10'000'000'000,
    .watch_every_ns = 1'000'000'000,
    .plan = [](const Call& call, const Subject& subject, Plan& plan) -> Result<void> {
      list_members(call.world, subject, plan);
      plan.pre_state_json = container_pre_state(subject);
      plan_restart_policy(subject, plan);
      plan.effects.push_back(fmt::format("sends SIGTERM to container {}, and SIGKILL to its {} process(es) after {} s",
                                         display_name(subject.target), plan.affected.size(), kStopGraceSeconds));
      plan.warnings.push_back("until it ends it goes on running; container.pause or container.kill stop it at once");
      warn_about_kubernetes(subject, true, plan);
      plan.undo = "none; afterwards: " + start_again(subject.target, *Json::parse(plan.pre_state_json));
      const bool ended = look_ended(call.world, subject.target).seen == Seen::in_effect;
      if (ended && (plan.restart_policy.empty() || plan.restart_policy == "no"))
        plan.already_in_effect = true, plan.already_reason = "already_gone";
      return {};
    },
    .effect = [](const Call&, const Subject& subject, const Plan&) -> Result<std::string> {
      QUELL_CHECK(disarm_restart_policy(subject));
      QUELL_CHECK(subject.runtime->stop(subject.target.container_id, kStopGraceSeconds));
      return std::string();
    },
    .prove = [](const Call& call, const Subject& subject, const Plan& plan, const std::string&) -> Look {
      return prove_ended(call.world, subject, plan, 5'000'000'000);
    },
    .look = [](const Call& call, const Json&) { return look_ended(call.world, call.target); },
    .watch = watch_container_respawn,
    .put_back = [](const Call& call,
                   const Json& pre_state) { return restore_restart_policy(call.world, call.target, pre_state); },
    .compensation = start_again,
};

}  // namespace quell::respond
