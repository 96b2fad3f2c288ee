#pragma once
// What the container actions share: asking a runtime, describing the members, the restart policy.
#include <string>

#include "respond/action_spec.h"

namespace quell::respond {

/// A container now, compared with the identity that was meant.
struct ContainerNow {
  enum class State : uint8_t { missing, ended, replaced, running, paused, unreachable } state = State::unreachable;
  const os::Runtime* runtime = nullptr;
  os::ContainerStatus status;
  std::string error;  // of an unreachable runtime
};
ContainerNow ask(const World& world, const Target& target);
std::string_view to_string(ContainerNow::State state);
std::string_view to_string(os::ContainerStatus::State state);

/// Lists the members of the container's cgroup in `plan.affected`, its pid 1 first. A container that does not run has
/// none.
void list_members(const World& world, const Subject& subject, Plan& plan);

/// Pre-state: the runtime's state and the restart policy.
std::string container_pre_state(const Subject& subject);

/// "web (3ad7b26ded6d)": for sentences.
std::string display_name(const Target& target);

/// Kubernetes restarts and probes what it owns: the warnings that follow for this container.
void warn_about_kubernetes(const Subject& subject, bool ends_it, Plan& plan);

/// Says and, in the effect, does: a restart policy would bring the container back, so it is set to "no" first.
void plan_restart_policy(const Subject& subject, Plan& plan);
Result<void> disarm_restart_policy(const Subject& subject);
Result<void> restore_restart_policy(const World& world, const Target& target, const Json& pre_state);
std::string start_again(const Target& target, const Json& pre_state);

/// For kill and stop: gone or exited is in effect, running under another start is replaced.
Look look_ended(const World& world, const Target& target);
/// The same until it is so or `timeout_ns` has passed, and then every process of the plan dead as well.
Look prove_ended(const World& world, const Subject& subject, const Plan& plan, uint64_t timeout_ns);
/// Watches for the container coming back, and for a new one from the same image.
std::unique_ptr<Watcher> watch_container_respawn(const Call& call, const Subject& subject, const Plan& plan);

/// For pause: paused says the runtime, and frozen says the freezer that it uses.
Look look_frozen(const World& world, const Target& target);
Look look_running(const World& world, const Target& target);
/// Running, under whatever start.
Look look_started(const World& world, const Target& target);
/// Looks every 20 ms until the answer is in_effect, or one that waiting does not change, or `timeout_ns` has passed.
Look look_until(const World& world, const Target& target, Look (*look)(const World&, const Target&),
                uint64_t timeout_ns);

}  // namespace quell::respond
