#pragma once
// container.set_restart_policy: whether a container comes back by itself. Undone only while it still is what we set.
#include <fmt/format.h>

#include "respond/actions/containers.h"

namespace quell::respond {

inline constexpr ParamSpec kRestartPolicyParams[] = {
    {.name = "policy",
     .kind = ParamKind::text,
     .doc = "no, always, unless-stopped, on-failure or on-failure:N",
     .standard = "no"},
};

/// Whether the policy is ours, the one before, or a third that somebody has set since.
inline Look look_restart_policy(const Call& call, const Json& pre_state) {
  const ContainerNow now = ask(call.world, call.target);
  JsonWriter proof;
  proof.begin_object();
  proof.text("runtime", call.target.runtime).text("restart_policy", now.status.restart_policy).end_object();
  if (now.state == ContainerNow::State::missing) return {Seen::ended, "the container is gone", proof.take()};
  if (now.state == ContainerNow::State::unreachable) return {Seen::cannot_tell, now.error, proof.take()};
  const std::string& policy = now.status.restart_policy;
  if (policy == call.param("policy")) return {Seen::in_effect, "", proof.take()};
  if (policy == pre_state.at("restart_policy").str())
    return {Seen::not_in_effect, "the restart policy is what it was", proof.take()};
  return {Seen::changed, fmt::format("somebody has set the restart policy to \"{}\" since", policy), proof.take()};
}

inline constexpr ActionSpec kContainerSetRestartPolicy{
    .name = "container.set_restart_policy",
    .summary = "Sets whether Docker starts a container again by itself when it ends.",
    .target = EntityKind::container,
    .effect_class = ActionClass::soft,
    .params = kRestartPolicyParams,
    .mechanism = "Docker's update of the container's configuration",
    .permissions = "access to Docker's socket",
    .proof = "Docker names the new policy",
    .undo_doc = "the policy before, if nobody has set a third one since",
    .limits = "Docker alone has restart policies; elsewhere the container's owner decides",
    .example =
        R"({"action":"container.set_restart_policy","target":"container:web","params":{"policy":"no"},"reason":"it respawns"})",
    .settle_ns = 1'000'000'000,
    .plan = [](const Call& call, const Subject& subject, Plan& plan) -> Result<void> {
      if (subject.target.runtime != "docker")
        return Error{Code::unsupported,
                     fmt::format("{} has no restart policies; the container's owner decides whether it comes back",
                                 subject.target.runtime),
                     {}};
      plan.pre_state_json = container_pre_state(subject);
      plan.restart_policy = subject.container.restart_policy;
      const std::string_view policy = call.param("policy");
      plan.effects.push_back(fmt::format("sets the restart policy of container {} from \"{}\" to \"{}\"",
                                         display_name(subject.target), plan.restart_policy, policy));
      plan.undo = fmt::format("sets it to \"{}\" again", plan.restart_policy);
      if (policy == plan.restart_policy) plan.already_in_effect = true, plan.already_reason = "already_set";
      return {};
    },
    .effect = [](const Call& call, const Subject& subject, const Plan&) -> Result<std::string> {
      QUELL_CHECK(subject.runtime->set_restart_policy(subject.target.container_id, std::string(call.param("policy"))));
      return std::string();
    },
    .prove = [](const Call& call, const Subject&, const Plan& plan, const std::string&) -> Look {
      return look_restart_policy(call, *Json::parse(plan.pre_state_json));
    },
    .look = look_restart_policy,
    .undo = [](const Call& call, const Json& pre_state) -> Result<void> {
      const ContainerNow now = ask(call.world, call.target);
      if (now.runtime == nullptr) return Error{Code::unavailable, now.error, {}};
      return now.runtime->set_restart_policy(call.target.container_id, pre_state.at("restart_policy").str());
    },
};

}  // namespace quell::respond
