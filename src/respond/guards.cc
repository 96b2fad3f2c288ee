#include "respond/guards.h"

#include <fmt/format.h>
#include <fnmatch.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "respond/target.h"

namespace quell::respond {
namespace {

// A machine without these is lost to its owner, or to us. By the executable, because a process chooses its own comm.
constexpr std::string_view kNodePrograms[] = {"dockerd",
                                              "containerd",
                                              "runc",
                                              "crun",
                                              "crio",
                                              "podman",
                                              "conmon",
                                              "k3s",
                                              "kubelet",
                                              "kube-proxy",
                                              "kube-apiserver",
                                              "etcd",
                                              "cilium-agent",
                                              "calico-node",
                                              "flanneld",
                                              "coredns",
                                              "systemd-resolved",
                                              "systemd-journald",
                                              "systemd-logind",
                                              "dbus-daemon",
                                              "NetworkManager",
                                              "systemd-networkd",
                                              "sshd"};
constexpr std::string_view kShim = "containerd-shim";

// Where anybody can write, a program is not sshd because it is called so.
constexpr std::string_view kOpenFolders[] = {"/tmp/", "/var/tmp/", "/dev/shm/", "/run/user/", "/home/"};

std::string describe(const os::ProcessFacts& facts) { return fmt::format("process {} ({})", facts.id.pid, facts.comm); }

std::string_view node_program(const os::ProcessFacts& facts) {
  std::string_view path = facts.exepath;
  if (constexpr std::string_view kDeleted = " (deleted)"; path.ends_with(kDeleted)) path.remove_suffix(kDeleted.size());
  // runc runs from a sealed copy of itself while it starts a container.
  if (path.starts_with("/memfd:runc_cloned")) return "runc";
  for (const std::string_view folder : kOpenFolders)
    if (path.starts_with(folder)) return {};
  // Unreadable (a thread that is ending, another user's process): the name it gives itself has to do.
  std::string_view name = path.empty() ? std::string_view(facts.comm) : path.substr(path.rfind('/') + 1);
  if (name.starts_with(kShim)) return kShim;
  const auto* found = std::find(std::begin(kNodePrograms), std::end(kNodePrograms), name);
  return found != std::end(kNodePrograms) ? *found : std::string_view();
}

std::optional<Refusal> check_host_init(const GuardInput& in) {
  for (const os::ProcessFacts& facts : in.affected)
    if (facts.id.pid == 1)
      return Refusal{"host_init", "pid 1 of the host would be hit; without it the machine stops", ""};
  return {};
}

std::optional<Refusal> check_kernel_thread(const GuardInput& in) {
  for (const os::ProcessFacts& facts : in.affected)
    if (facts.kernel_thread)
      return Refusal{"kernel_thread", fmt::format("{} is a thread of the kernel", describe(facts)), ""};
  return {};
}

std::optional<Refusal> check_self(const GuardInput& in) {
  constexpr int kMaxDepth = 64;  // deeper trees of ancestors do not exist; a loop in /proc's answers must end
  int64_t pid = in.policy.self_pid > 0 ? in.policy.self_pid : getpid();
  for (int depth = 0; depth < kMaxDepth && pid > 1; ++depth) {
    for (const os::ProcessFacts& facts : in.affected)
      if (facts.id.pid == pid)
        return Refusal{"quell_itself",
                       fmt::format("{} is Quell{}", describe(facts),
                                   depth == 0 ? " itself" : "'s ancestor: Quell would go with it"),
                       "to stop Quell, use its service or send it SIGTERM"};
    const auto facts = in.world.os.process_facts(pid);
    if (!facts) break;
    pid = facts->ppid;
  }
  return {};
}

std::optional<Refusal> check_node_program(const GuardInput& in) {
  // Inside a container these names are just a workload's.
  if (in.action.target != EntityKind::process || in.subject.runtime != nullptr) return {};
  for (const os::ProcessFacts& facts : in.affected)
    if (const std::string_view program = node_program(facts); !program.empty())
      return Refusal{
          "node_program",
          fmt::format("{} is {}, which the machine needs to run containers or to be reached", describe(facts), program),
          program == "sshd" ? "end the session's shell instead" : "act on the container instead"};
  return {};
}

std::optional<Refusal> check_protected_label(const GuardInput& in) {
  if (in.subject.runtime == nullptr || in.subject.container.info == nullptr) return {};
  const auto& labels = in.subject.container.info->labels;
  for (const std::string& label : in.policy.protected_labels)
    if (const auto found = labels.find(label); found != labels.end() && found->second != "false")
      return Refusal{
          "protected_label",
          fmt::format("container {} is labelled {}={}", in.subject.target.container_name, label, found->second),
          "take the label off, or act by the runtime's own command"};
  return {};
}

std::optional<Refusal> check_scope(const GuardInput& in) {
  if (in.policy.in_scope == nullptr) return {};
  const os::ProcessFacts& facts = in.subject.process.facts();
  if (facts.id.pid <= 0)
    return Refusal{
        "scope",
        fmt::format("the container does not run, so nothing shows whether it is inside the scope {}", in.policy.scope),
        ""};
  if (in.policy.in_scope(facts)) return {};
  return Refusal{
      "scope", fmt::format("{} is outside the scope {} that Quell was started with", describe(facts), in.policy.scope),
      "start Quell with a wider --scope"};
}

std::string container_label(const GuardInput& in, const std::string& label) {
  if (in.subject.runtime == nullptr || in.subject.container.info == nullptr) return {};
  const auto& labels = in.subject.container.info->labels;
  const auto found = labels.find(label);
  return found == labels.end() ? std::string() : found->second;
}

std::optional<Refusal> check_protected_name(const GuardInput& in) {
  if (in.subject.runtime == nullptr) return {};
  const std::string& name = in.subject.target.container_name;
  for (const std::string& glob : in.policy.protected_names)
    if (fnmatch(glob.c_str(), name.c_str(), 0) == 0)
      return Refusal{"protected_name", fmt::format("container {} is protected by its name ({})", name, glob),
                     "take the name off the list of protected names"};
  const std::string space = container_label(in, "io.kubernetes.pod.namespace");
  const auto& spaces = in.policy.protected_namespaces;
  if (!space.empty() && std::find(spaces.begin(), spaces.end(), space) != spaces.end())
    return Refusal{"protected_name", fmt::format("container {} belongs to the cluster's own namespace {}", name, space),
                   "act with the cluster's own tools"};
  return {};
}

std::optional<Refusal> check_stop_switch(const GuardInput& in) {
  if (!in.stop.is_on || in.action.releases || in.action.effect_class == ActionClass::collect) return {};
  return Refusal{"stop_switch",
                 fmt::format("the stop switch is on since {}, turned by {}{}{}", iso8601_utc(in.stop.since_ns),
                             in.stop.actor, in.stop.reason.empty() ? "" : ": ", in.stop.reason),
                 in.command.is_automatic() ? "turn it off with quell action resume"
                                           : "turn it off with quell action resume, or use --force"};
}

std::optional<Refusal> check_maintenance(const GuardInput& in) {
  if (!in.command.is_automatic() || in.action.effect_class == ActionClass::collect) return {};
  for (const MaintenanceWindow& window : in.policy.maintenance)
    if (window.covers(in.world.clock.realtime_ns()))
      return Refusal{"maintenance", fmt::format("nothing acts by itself during the maintenance window {}", window.name),
                     "a person can run it"};
  return {};
}

std::optional<Refusal> check_rate(const GuardInput& in) {
  if (!in.command.is_automatic() || in.action.effect_class == ActionClass::collect) return {};
  const uint64_t now = in.world.clock.realtime_ns();
  const std::string target = in.subject.target.str();
  const auto exceeds = [&](const Rate& rate, auto&& matches) {
    if (rate.count == 0) return false;
    const uint64_t window_ns = rate.window_s * 1'000'000'000;
    return std::count_if(in.recent.begin(), in.recent.end(), [&](const Automatic& one) {
             return one.at_ns + window_ns > now && matches(one);
           }) >= static_cast<int64_t>(rate.count);
  };
  const auto refuse = [&](std::string_view of_what, const Rate& rate) {
    return Refusal{"rate",
                   fmt::format("{} already had {} automatic actions in {} s", of_what, rate.count, rate.window_s),
                   "look at what the policy does, then arm it again"};
  };
  if (exceeds(in.policy.per_target, [&](const Automatic& one) { return one.target == target; }))
    return refuse("the target", in.policy.per_target);
  if (exceeds(in.policy.per_policy, [&](const Automatic& one) { return one.policy == in.command.policy; }))
    return refuse("the policy " + in.command.policy, in.policy.per_policy);
  if (exceeds(in.policy.per_machine, [](const Automatic&) { return true; }))
    return refuse("this machine", in.policy.per_machine);
  return {};
}

std::optional<Refusal> check_automatic_class(const GuardInput& in) {
  if (!in.command.is_automatic() || in.action.effect_class != ActionClass::critical || in.command.approval.count > 0)
    return {};
  return Refusal{"automatic_class", fmt::format("{} is critical and never runs by itself", in.action.name),
                 "let the policy ask for approval"};
}

std::optional<Refusal> check_container_init(const GuardInput& in) {
  if (in.action.name != "process.kill" || !in.subject.alive || !is_container_init(in.world, in.subject)) return {};
  const std::string name =
      in.subject.target.container_name.empty() ? in.subject.target.container_id : in.subject.target.container_name;
  return Refusal{
      "container_init",
      fmt::format("{} is pid 1 of its container: killing it ends the container, and a restart policy would bring it "
                  "back",
                  describe(in.subject.process.facts())),
      fmt::format("use container.kill or container.stop on container:{}, or --force", name.empty() ? "NAME" : name)};
}

std::optional<Refusal> check_stop_thaws(const GuardInput& in) {
  if (in.action.name != "container.stop" || in.subject.container.state != os::ContainerStatus::State::paused) return {};
  return Refusal{"stop_thaws", "the container is paused, and a stop lets it run again for the whole grace period",
                 "use container.kill, which ends it without running"};
}

constexpr GuardRule kRules[] = {
    {"stop_switch", "nothing while the stop switch is on", check_stop_switch, true},
    {"automatic_class", "nothing critical by itself", check_automatic_class},
    {"maintenance", "nothing by itself in a maintenance window", check_maintenance},
    {"host_init", "never pid 1 of the host", check_host_init},
    {"kernel_thread", "never a thread of the kernel", check_kernel_thread},
    {"quell_itself", "never Quell, nor an ancestor of it", check_self},
    {"node_program", "never container runtimes, kubelet or sshd of the host", check_node_program},
    {"protected_label", "never a container labelled as protected", check_protected_label},
    {"protected_name", "never a container of a protected name, or of the cluster's own namespaces",
     check_protected_name},
    {"scope", "never outside --scope", check_scope},
    {"container_init", "process.kill does not end a container", check_container_init, true},
    {"stop_thaws", "container.stop does not wake a paused container", check_stop_thaws},
    // Last: what another rule refuses does not count as tried.
    {"rate", "not more automatic actions in a while than a target, a policy and the machine are allowed", check_rate},
};

}  // namespace

std::span<const GuardRule> guard_rules() { return kRules; }

bool MaintenanceWindow::covers(uint64_t realtime_ns) const {
  const uint64_t minutes = realtime_ns / 60'000'000'000;
  const auto minute = static_cast<uint32_t>(minutes % 1440);
  const uint64_t weekday = (minutes / 1440 + 4) % 7;  // the epoch began on a Thursday
  const auto is_on = [this](uint64_t day) { return (weekdays >> (day % 7) & 1) != 0; };
  if (from_minute <= to_minute) return is_on(weekday) && minute >= from_minute && minute < to_minute;
  return (is_on(weekday) && minute >= from_minute) || (is_on(weekday + 6) && minute < to_minute);
}

ApprovalNeed approval_need(const GuardPolicy& policy, const ActionSpec& action, const Command& command) {
  ApprovalNeed need = command.approval;
  need.count = std::max(need.count, policy.approvals[static_cast<size_t>(action.effect_class)]);
  return need;
}

std::optional<Refusal> check_guards(const GuardInput& input) {
  const bool force = input.command.force && !input.command.is_automatic();
  for (const GuardRule& rule : kRules) {
    if (force && rule.forceable) continue;
    if (auto refusal = rule.check(input)) return refusal;
  }
  return {};
}

}  // namespace quell::respond
