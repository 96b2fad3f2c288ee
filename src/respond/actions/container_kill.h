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
    .permissions = "access to the runtime's socket",
    .example = R"({"action":"container.kill","target":"container:web","reason":"crypto miner"})",
    .settle_ns = 1'000'000'000,
    .watch_ns = 10'000'000'000,
    .watch_every_ns = 1'000'000'000,
    .plan = [](const World& world, const Subject& subject, Plan& plan) -> Result<void> {
      list_members(world, subject, plan);
      plan.pre_state_json = container_pre_state(subject);
      plan_restart_policy(subject, plan);
      plan.effects.push_back(fmt::format("kills {} process(es) of container {}; what only its memory holds is lost",
                                         plan.affected.size(), display_name(subject.target)));
      warn_about_kubernetes(subject, true, plan);
      plan.undo = "none; afterwards: " + start_again(subject.target, *Json::parse(plan.pre_state_json));
      const bool ended = look_ended(world, subject.target).seen == Seen::in_effect;
      if (ended && (plan.restart_policy.empty() || plan.restart_policy == "no"))
        plan.already_in_effect = true, plan.already_reason = "already_gone";
      return {};
    },
    .effect = [](const World&, const Subject& subject, const Plan&) -> Result<void> {
      QUELL_CHECK(disarm_restart_policy(subject));
      return subject.runtime->kill(subject.target.container_id);
    },
    .prove = [](const World& world, const Subject& subject,
                const Plan& plan) { return prove_ended(world, subject, plan, 5'000'000'000); },
    .look = look_ended,
    .watch = watch_container_respawn,
    .put_back = restore_restart_policy,
    .compensation = start_again,
};

}  // namespace quell::respond
