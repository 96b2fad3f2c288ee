#pragma once
// container.start: what a stop or a kill took away, brought back by hand. Our own records of those end with it.
#include <fmt/format.h>

#include "respond/actions/containers.h"

namespace quell::respond {

inline constexpr ParamSpec kContainerStartParams[] = {
    {.name = "restart_policy",
     .kind = ParamKind::text,
     .doc = "set before the start: no, always, unless-stopped, on-failure, on-failure:N; empty leaves what is there"},
};

inline constexpr ActionSpec kContainerStart{
    .name = "container.start",
    .summary = "Starts a container that has ended, with the restart policy that it had if that is named.",
    .target = EntityKind::container,
    .effect_class = ActionClass::soft,
    .releases = true,
    .lifts = "container.kill|container.stop",
    .params = kContainerStartParams,
    .mechanism = "the runtime's own start",
    .permissions = "access to the runtime's socket",
    .proof = "the runtime says running and names the new start",
    .undo_doc = "none: container.stop or container.kill end it again",
    .limits = "Docker's containers alone; those of Kubernetes and of ctr are started by their owner",
    .example = R"({"action":"container.start","target":"container:web","reason":"cleaned"})",
    .settle_ns = 5'000'000'000,
    .plan = [](const Call& call, const Subject& subject, Plan& plan) -> Result<void> {
      if (subject.target.runtime != "docker")
        return Error{
            Code::unsupported,
            fmt::format("{} has no start of its own for a container that has ended; its owner starts it (kubelet, "
                        "or ctr task start)",
                        subject.target.runtime),
            {}};
      plan.pre_state_json = container_pre_state(subject);
      plan.restart_policy = subject.container.restart_policy;
      const std::string_view policy = call.param("restart_policy");
      if (!policy.empty() && policy != plan.restart_policy)
        plan.effects.push_back(
            fmt::format("sets the restart policy from \"{}\" to \"{}\"", plan.restart_policy, policy));
      plan.effects.push_back(fmt::format("starts container {} again", display_name(subject.target)));
      plan.warnings.push_back("what made it dangerous may still be in its file system, its image or its configuration");
      plan.undo = "container.stop or container.kill end it again";
      if (subject.container.state == os::ContainerStatus::State::running ||
          subject.container.state == os::ContainerStatus::State::paused)
        plan.already_in_effect = true, plan.already_reason = "already_running";
      return {};
    },
    .effect = [](const Call& call, const Subject& subject, const Plan&) -> Result<std::string> {
      const std::string policy(call.param("restart_policy"));
      if (!policy.empty() && policy != subject.container.restart_policy)
        QUELL_CHECK(subject.runtime->set_restart_policy(subject.target.container_id, policy));
      QUELL_CHECK(subject.runtime->start(subject.target.container_id));
      return std::string();
    },
    .prove = [](const Call& call, const Subject& subject, const Plan&, const std::string&) -> Look {
      return look_until(call.world, subject.target, look_started, 5'000'000'000);
    },
    .look = [](const Call& call, const Json&) { return look_started(call.world, call.target); },
    .compensation = [](const Target& target,
                       const Json&) { return fmt::format("run container.stop on container:{}", target.container_id); },
};

}  // namespace quell::respond
