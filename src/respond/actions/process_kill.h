#pragma once
// process.kill: SIGKILL through the pidfd whose identity was compared, so a recycled pid is never hit.
#include <fmt/format.h>
#include <csignal>
#include <set>

#include "respond/action_spec.h"

namespace quell::respond {

/// After the kill: the same program (executable file and name) appearing anew in the cgroup that the target lived in.
/// The name is compared too, because in an image of one multi-call binary every command is the same file.
class RespawnWatcher final : public Watcher {
 public:
  RespawnWatcher(const World& world, const Subject& subject) : target_(subject.process.facts()) {
    const auto members = world.os.cgroup_members(target_.id.pid);
    if (!members) return;
    for (const int64_t pid : *members) {
      const auto facts = world.os.process_facts(pid);
      if (!facts || pid == target_.id.pid) continue;
      neighbours_.push_back(facts->id);
      if (same_program(*facts)) before_.emplace(facts->id.pid, facts->id.start_ticks);
    }
  }
  void begin(const World&) override {}

  std::optional<std::string> evaded(const World& world, bool) override {
    // The cgroup of a dead process cannot be asked for any more; a neighbour that lives still leads there.
    for (const ProcessId& neighbour : neighbours_) {
      const auto alive = world.os.process_facts(neighbour.pid);
      if (!alive || alive->id.start_ticks != neighbour.start_ticks || alive->cgroups != target_.cgroups) continue;
      const auto members = world.os.cgroup_members(neighbour.pid);
      if (!members) continue;
      observed_ = true;
      for (const int64_t pid : *members) {
        const auto facts = world.os.process_facts(pid);
        if (!facts || !same_program(*facts) || facts->state == 'Z') continue;
        if (facts->id == target_.id || before_.contains({facts->id.pid, facts->id.start_ticks})) continue;
        return fmt::format("respawned: {} runs again as pid {}; its parent is pid {}", facts->comm, pid, facts->ppid);
      }
      return {};
    }
    return {};
  }

  std::string describe() const override {
    JsonWriter out;
    out.begin_object();
    out.text("watched", "respawn in the same cgroup").text("program", target_.exepath).flag("observable", observed_);
    out.end_object();
    return out.take();
  }

 private:
  bool same_program(const os::ProcessFacts& facts) const {
    return facts.exe_ino == target_.exe_ino && facts.exe_dev == target_.exe_dev && facts.comm == target_.comm;
  }
  os::ProcessFacts target_;
  std::vector<ProcessId> neighbours_;
  std::set<std::pair<int64_t, uint64_t>> before_;
  bool observed_ = false;
};

inline Look look_dead(const World& world, const Target& target) {
  const auto proof = [&](std::string_view seen) {
    JsonWriter out;
    out.begin_object();
    out.integer("pid", target.process.pid).integer("start_ticks", target.process.start_ticks).text("seen", seen);
    out.end_object();
    return out.take();
  };
  if (target.process.boot_id != world.os.boot_id()) return {Seen::in_effect, "", proof("machine started again")};
  const auto facts = world.os.process_facts(target.process.pid);
  if (!facts) {
    if (facts.error().code == Code::gone || facts.error().code == Code::not_found)
      return {Seen::in_effect, "", proof("gone")};
    return {Seen::cannot_tell, facts.error().str(), proof("unreadable")};
  }
  if (facts->id.start_ticks != target.process.start_ticks)
    return {Seen::in_effect, "", proof("pid of another process now")};
  if (facts->state == 'Z') return {Seen::in_effect, "", proof("dead, not yet reaped")};
  return {Seen::not_in_effect,
          facts->state == 'D' ? "uninterruptible: it dies when the kernel lets it" : "the process lives",
          proof("alive")};
}

inline constexpr ActionSpec kProcessKill{
    .name = "process.kill",
    .summary = "Kills one process, held by pidfd so that a recycled pid is never hit.",
    .target = EntityKind::process,
    .effect_class = ActionClass::hard,
    .mechanism = "SIGKILL through a pidfd whose identity was compared after it was opened",
    .permissions = "CAP_KILL",
    .proof =
        "the pidfd is readable: dead, though perhaps not yet reaped; then 2 s without the same program in its cgroup",
    .undo_doc = "none: start the program or its service again",
    .limits =
        "its children go on; a process that waits in the kernel dies only when that wait ends; large memory takes "
        "longer to give back",
    .example = R"({"action":"process.kill","target":"process:1234@88120331","reason":"reverse shell"})",
    .watch_ns = 2'000'000'000,
    .watch_every_ns = 250'000'000,
    .plan = [](const Call& call, const Subject& subject, Plan& plan) -> Result<void> {
      const os::ProcessFacts& facts = subject.process.facts();
      plan.affected.push_back(facts);
      JsonWriter pre_state;
      pre_state.begin_object();
      pre_state.text("state", std::string_view(&facts.state, 1)).integer("ppid", facts.ppid).end_object();
      plan.pre_state_json = pre_state.take();
      plan.effects.push_back(fmt::format("kills process {} ({}), started as \"{}\"; its children go on", facts.id.pid,
                                         facts.comm, join_parts(facts.args)));
      plan.undo = "none; afterwards start the program or its service again";
      const auto frozen = call.world.os.freezer_state(facts.id.pid);
      if (frozen && *frozen != os::Frozen::no)
        plan.warnings.push_back("the process is frozen and may die only when it is thawed; container.kill ends it now");
      if (facts.state == 'D')
        plan.warnings.push_back("the process waits in the kernel and dies only when that wait ends");
      if (!subject.alive) plan.already_in_effect = true, plan.already_reason = "already_gone";
      return {};
    },
    .effect = [](const Call& call, const Subject& subject, const Plan&) -> Result<std::string> {
      QUELL_CHECK(call.world.os.signal(subject.process, SIGKILL));
      return std::string();
    },
    .prove = [](const Call& call, const Subject& subject, const Plan&, const std::string&) -> Look {
      // Large processes die slowly: their memory is given back first.
      constexpr uint64_t kPatienceNs = 5'000'000'000;
      const uint64_t started = call.world.clock.monotonic_ns();
      if (!call.world.os.wait_exit(subject.process, kPatienceNs)) return look_dead(call.world, subject.target);
      JsonWriter out;
      out.begin_object();
      out.integer("pid", subject.target.process.pid).integer("start_ticks", subject.target.process.start_ticks);
      out.text("seen", "pidfd readable: dead").integer("after_ns", call.world.clock.monotonic_ns() - started);
      out.end_object();
      return {Seen::in_effect, "", out.take()};
    },
    .look = [](const Call& call, const Json&) { return look_dead(call.world, call.target); },
    .watch = [](const Call& call, const Subject& subject, const Plan&) -> std::unique_ptr<Watcher> {
      return std::make_unique<RespawnWatcher>(call.world, subject);
    },
    .compensation = [](const Target& target,
                       const Json&) { return fmt::format("start {} or its service again", target.process_name); },
};

}  // namespace quell::respond
