#pragma once
// container.kill: SIGKILL to all of a container, and it stays down: the restart policy is disarmed first. Ends a paused
// container without letting it run.
#include <fmt/format.h>

#include "respond/actions/containers.h"

namespace quell::respond {

inline constexpr ActionSpec kContainerKill{
    .name = "container.kill",
    .summary = "Kills every process of a container at once and keeps it from restarting.",
    .target = EntityKind::container,
    .effect_class = ActionClass::hard,
    .mechanism = "the restart policy is set to \"no\", then the runtime's own kill: SIGKILL to every process",
    .permissions = "access to the runtime's socket",
    .proof = "the runtime says exited and every process of the container is dead; then 10 s without a new one",
    .undo_doc = "none: start it again",
    .limits = "what only its memory holds is lost; kubelet starts it again unless its pod is deleted",
    .example = R"({"action":"container.kill","target":"container:web","reason":"crypto miner"})",
    .settle_ns = 1'000'000'000,
    .watch_ns = 10'000'000'000,
    .watch_every_ns = 1'000'000'000,
    .plan = [](const Call& call, const Subject& subject, Plan& plan) -> Result<void> {
      list_members(call.world, subject, plan);
      plan.pre_state_json = container_pre_state(subject);
      plan_restart_policy(subject, plan);
      plan.effects.push_back(fmt::format("kills {} process(es) of container {}; what only its memory holds is lost",
                                         plan.affected.size(), display_name(subject.target)));
      warn_about_kubernetes(subject, true, plan);
      plan.undo = "none; afterwards: " + start_again(subject.target, *Json::parse(plan.pre_state_json));
      const bool ended = look_ended(call.world, subject.target).seen == Seen::in_effect;
      if (ended && (plan.restart_policy.empty() || plan.restart_policy == "no"))
        plan.already_in_effect = true, plan.already_reason = "already_gone";
      return {};
    },
    .effect = [](const Call&, const Subject& subject, const Plan&) -> Result<std::string> {
      QUELL_CHECK(disarm_restart_policy(subject));
      QUELL_CHECK(subject.runtime->kill(subject.target.container_id));
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
