#include "respond/actions/containers.h"

#include <fmt/format.h>
#include <algorithm>
#include <set>

#include "respond/target.h"

namespace quell::respond {
namespace {

constexpr uint64_t kLookEveryNs = 20'000'000;

using State = ContainerNow::State;

bool restarts_by_itself(const std::string& policy) { return !policy.empty() && policy != "no"; }

std::string runtime_proof(const ContainerNow& now, std::string_view extra_name = {}, std::string_view extra = {}) {
  JsonWriter out;
  out.begin_object();
  out.text("runtime", now.runtime != nullptr ? now.runtime->name() : "").text("runtime_state", to_string(now.state));
  if (now.status.info != nullptr) out.text("started_at", now.status.info->started_at);
  if (!now.error.empty()) out.text("error", now.error);
  if (!extra_name.empty()) out.text(extra_name, extra);
  out.end_object();
  return out.take();
}

std::string_view to_string(os::Frozen frozen) {
  switch (frozen) {
    case os::Frozen::no: return "thawed";
    case os::Frozen::freezing: return "freezing";
    case os::Frozen::yes: return "frozen";
  }
  return "unknown";
}

Look cannot_tell(const ContainerNow& now) { return {Seen::cannot_tell, now.error, runtime_proof(now)}; }

/// After a kill: the container itself, and new containers of its runtime from the same image.
class ContainerRespawnWatcher final : public Watcher {
 public:
  ContainerRespawnWatcher(const Subject& subject) : target_(subject.target), runtime_(*subject.runtime) {
    if (auto ids = runtime_.list()) before_ = {ids->begin(), ids->end()};
  }
  void begin(const World&) override {}

  std::optional<std::string> evaded(const World& world, bool) override {
    const ContainerNow now = ask(world, target_);
    if (now.state == State::running || now.state == State::paused || now.state == State::replaced)
      return fmt::format("respawned: container {} runs again since {}", display_name(target_),
                         now.status.info != nullptr ? now.status.info->started_at : "a moment ago");
    const auto ids = runtime_.list();
    if (!ids) {
      ++unanswered_;
      return {};
    }
    for (const std::string& id : *ids) {
      if (id == target_.container_id || !before_.insert(id).second) continue;
      const auto status = runtime_.inspect(id);
      if (!status || status->info == nullptr || target_.image.empty() || status->info->image != target_.image) continue;
      return fmt::format("respawned: container {} started from the same image {}", status->info->name, target_.image);
    }
    return {};
  }

  std::string describe() const override {
    JsonWriter out;
    out.begin_object();
    out.text("watched", "container respawn").text("image", target_.image).integer("unanswered", unanswered_);
    out.end_object();
    return out.take();
  }

 private:
  Target target_;
  const os::Runtime& runtime_;
  std::set<std::string> before_;
  uint64_t unanswered_ = 0;
};

}  // namespace

std::string_view to_string(ContainerNow::State state) {
  switch (state) {
    case State::missing: return "missing";
    case State::ended: return "exited";
    case State::replaced: return "started_again";
    case State::running: return "running";
    case State::paused: return "paused";
    case State::unreachable: return "unreachable";
  }
  return "unknown";
}

std::string_view to_string(os::ContainerStatus::State state) {
  using enum os::ContainerStatus::State;
  switch (state) {
    case created: return "created";
    case running: return "running";
    case paused: return "paused";
    case exited: return "exited";
    case unknown: break;
  }
  return "unknown";
}

ContainerNow ask(const World& world, const Target& target) {
  ContainerNow now;
  now.runtime = find_runtime(world, target.runtime);
  if (now.runtime == nullptr) {
    now.error = fmt::format("the runtime {} is not configured", target.runtime);
    return now;
  }
  auto status = now.runtime->inspect(target.container_id);
  if (!status) {
    if (status.error().code == Code::not_found)
      now.state = State::missing;
    else
      now.error = status.error().str();
    return now;
  }
  now.status = std::move(*status);
  const bool same = now.status.info != nullptr && now.status.info->started_at == target.started_at;
  switch (now.status.state) {
    case os::ContainerStatus::State::created:
    case os::ContainerStatus::State::exited: now.state = State::ended; break;
    case os::ContainerStatus::State::running: now.state = same ? State::running : State::replaced; break;
    case os::ContainerStatus::State::paused: now.state = same ? State::paused : State::replaced; break;
    case os::ContainerStatus::State::unknown: now.error = "the runtime does not know the container's state"; break;
  }
  return now;
}

std::string display_name(const Target& target) {
  const std::string id = target.container_id.substr(0, 12);
  return target.container_name.empty() || target.container_name == target.container_id
             ? id
             : fmt::format("{} ({})", target.container_name, id);
}

void list_members(const World& world, const Subject& subject, Plan& plan) {
  if (!subject.alive) return;
  plan.affected.push_back(subject.process.facts());
  const auto members = world.os.cgroup_members(subject.process.facts().id.pid);
  if (!members) {
    plan.warnings.push_back(fmt::format("the processes of the container cannot be listed: {}", members.error().str()));
    return;
  }
  for (const int64_t pid : *members) {
    if (pid == subject.process.facts().id.pid) continue;
    if (auto facts = world.os.process_facts(pid)) plan.affected.push_back(std::move(*facts));
  }
}

std::string container_pre_state(const Subject& subject) {
  JsonWriter out;
  out.begin_object();
  out.text("state", to_string(subject.container.state)).text("restart_policy", subject.container.restart_policy);
  out.end_object();
  return out.take();
}

void warn_about_kubernetes(const Subject& subject, bool ends_it, Plan& plan) {
  const bool kubernetes =
      subject.target.runtime_namespace == "k8s.io" ||
      (subject.container.info != nullptr && (!subject.container.info->pod_sandbox_id.empty() ||
                                             subject.container.info->labels.count("io.kubernetes.pod.name") != 0));
  if (!kubernetes) return;
  plan.warnings.push_back(
      ends_it ? "kubelet starts the container again at once, unless its pod is deleted or scaled down"
              : "kubelet restarts the container when its liveness probe fails, by default after 30 s, and the "
                "evidence in it is lost");
}

void plan_restart_policy(const Subject& subject, Plan& plan) {
  plan.restart_policy = subject.container.restart_policy;
  if (restarts_by_itself(plan.restart_policy))
    plan.effects.push_back(
        fmt::format("sets the restart policy from \"{}\" to \"no\" first: otherwise the container comes back",
                    plan.restart_policy));
}

Result<void> disarm_restart_policy(const Subject& subject) {
  if (!restarts_by_itself(subject.container.restart_policy)) return {};
  auto set = subject.runtime->set_restart_policy(subject.target.container_id, "no");
  // A container that is gone, or a runtime without such policies, restarts nothing.
  if (set || set.error().code == Code::unsupported || set.error().code == Code::not_found) return {};
  return std::move(set).error();
}

Result<void> restore_restart_policy(const World& world, const Target& target, const Json& pre_state) {
  const std::string policy = pre_state.at("restart_policy").str();
  if (!restarts_by_itself(policy)) return {};
  const ContainerNow now = ask(world, target);
  // Only what we changed: "no" is what we left behind; anything else is somebody's later decision.
  if (now.runtime == nullptr || now.status.restart_policy != "no") return {};
  return now.runtime->set_restart_policy(target.container_id, policy);
}

std::string start_again(const Target& target, const Json& pre_state) {
  const std::string name = target.container_name.empty() ? target.container_id : target.container_name;
  const std::string policy = pre_state.at("restart_policy").str();
  if (target.runtime != "docker")
    return fmt::format("start container {} again by its owner (kubelet, or ctr task start)", name);
  return restarts_by_itself(policy)
             ? fmt::format("docker update --restart={} {} && docker start {}", policy, name, name)
             : fmt::format("docker start {}", name);
}

Look look_ended(const World& world, const Target& target) {
  const ContainerNow now = ask(world, target);
  switch (now.state) {
    case State::missing:
    case State::ended: return {Seen::in_effect, "", runtime_proof(now)};
    case State::replaced:
      return {Seen::replaced, fmt::format("respawned: container {} was started again", display_name(target)),
              runtime_proof(now)};
    case State::running:
    case State::paused: return {Seen::not_in_effect, "the container still runs", runtime_proof(now)};
    case State::unreachable: break;
  }
  return cannot_tell(now);
}

Look look_until(const World& world, const Target& target, Look (*look)(const World&, const Target&),
                uint64_t timeout_ns) {
  const uint64_t deadline = world.clock.monotonic_ns() + timeout_ns;
  while (true) {
    Look seen = look(world, target);
    if (seen.seen != Seen::not_in_effect || world.clock.monotonic_ns() >= deadline) return seen;
    world.sleep(kLookEveryNs);
  }
}

Look prove_ended(const World& world, const Subject& subject, const Plan& plan, uint64_t timeout_ns) {
  const uint64_t deadline = world.clock.monotonic_ns() + timeout_ns;
  Look seen = look_until(world, subject.target, look_ended, timeout_ns);
  if (seen.seen != Seen::in_effect) return seen;
  // The runtime's word and the kernel's: no process of the container may be left.
  if (subject.alive && !world.os.wait_exit(subject.process, 1'000'000'000))
    return {Seen::not_in_effect,
            fmt::format("the runtime says exited, but pid {} lives", subject.process.facts().id.pid), seen.proof};
  for (const os::ProcessFacts& member : plan.affected) {
    while (true) {
      const auto facts = world.os.process_facts(member.id.pid);
      if (!facts || facts->id.start_ticks != member.id.start_ticks || facts->state == 'Z') break;
      if (world.clock.monotonic_ns() >= deadline)
        return {Seen::not_in_effect,
                fmt::format("pid {} ({}) of the container still lives", member.id.pid, member.comm), seen.proof};
      world.sleep(kLookEveryNs);
    }
  }
  return seen;
}

std::unique_ptr<Watcher> watch_container_respawn(const Call&, const Subject& subject, const Plan&) {
  return std::make_unique<ContainerRespawnWatcher>(subject);
}

Look look_frozen(const World& world, const Target& target) {
  const ContainerNow now = ask(world, target);
  switch (now.state) {
    case State::missing:
    case State::ended: return {Seen::ended, "the container has ended", runtime_proof(now)};
    case State::replaced: return {Seen::replaced, "the container was started again", runtime_proof(now)};
    case State::running: return {Seen::not_in_effect, "the container runs", runtime_proof(now)};
    case State::unreachable: return cannot_tell(now);
    case State::paused: break;
  }
  const auto frozen = world.os.freezer_state(now.status.pid);
  if (!frozen) {
    if (frozen.error().code == Code::gone) return {Seen::ended, "the container has ended", runtime_proof(now)};
    return {Seen::cannot_tell, frozen.error().str(), runtime_proof(now, "freezer", frozen.error().str())};
  }
  const bool yes = *frozen == os::Frozen::yes;
  return {yes ? Seen::in_effect : Seen::not_in_effect,
          yes ? "" : "the runtime says paused, but the freezer does not say frozen",
          runtime_proof(now, "freezer", to_string(*frozen))};
}

Look look_started(const World& world, const Target& target) {
  const ContainerNow now = ask(world, target);
  switch (now.state) {
    case State::missing: return {Seen::ended, "the container was removed", runtime_proof(now)};
    case State::ended: return {Seen::not_in_effect, "the container does not run", runtime_proof(now)};
    case State::replaced:
    case State::paused:
    case State::running: return {Seen::in_effect, "", runtime_proof(now)};
    case State::unreachable: break;
  }
  return cannot_tell(now);
}

Look look_running(const World& world, const Target& target) {
  const ContainerNow now = ask(world, target);
  switch (now.state) {
    case State::missing:
    case State::ended: return {Seen::ended, "the container has ended", runtime_proof(now)};
    case State::replaced: return {Seen::replaced, "the container was started again", runtime_proof(now)};
    case State::paused: return {Seen::not_in_effect, "the container is paused", runtime_proof(now)};
    case State::unreachable: return cannot_tell(now);
    case State::running: break;
  }
  const auto frozen = world.os.freezer_state(now.status.pid);
  // A cgroup without a freezer of its own cannot be frozen.
  if (!frozen && frozen.error().code != Code::unsupported)
    return {Seen::cannot_tell, frozen.error().str(), runtime_proof(now, "freezer", frozen.error().str())};
  if (frozen && *frozen != os::Frozen::no)
    return {Seen::not_in_effect, "the runtime says running, but the freezer does not say thawed",
            runtime_proof(now, "freezer", to_string(*frozen))};
  return {Seen::in_effect, "", runtime_proof(now, "freezer", "thawed")};
}

}  // namespace quell::respond
