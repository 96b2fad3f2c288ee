#pragma once
// process.kill_tree: a process with everything it started, also when it forks faster than anybody can list it.
#include <fmt/format.h>
#include <linux/capability.h>

#include "os/kill_tree.h"
#include "respond/actions/process_kill.h"
#include "respond/actions/processes.h"

namespace quell::respond {

inline constexpr ParamSpec kKillTreeParams[] = {
    {.name = "tree",
     .kind = ParamKind::choice,
     .doc = "who belongs to it: what it started, its session, or everything in its cgroup",
     .standard = "descendants",
     .choices = "descendants|session|cgroup"},
};

/// Who was shown to die, from the record.
inline std::vector<ProcessId> recorded_members(const Target& target, const Json& pre_state) {
  std::vector<ProcessId> out;
  if (const Json::Array* members = pre_state.at("members").array())
    for (const Json& member : *members)
      out.push_back({target.process.boot_id, member.at("pid").i64(), member.at("start_ticks").u64()});
  return out;
}

inline Look look_tree_dead(const Call& call, const Json& pre_state) {
  JsonWriter proof;
  const std::vector<ProcessId> members = recorded_members(call.target, pre_state);
  proof.begin_object().integer("members", members.size());
  if (call.target.process.boot_id != call.world.os.boot_id()) {
    proof.text("seen", "machine started again").end_object();
    return {Seen::in_effect, "", proof.take()};
  }
  const auto alive = os::alive_among(call.world.os, members);
  proof.integer("alive", alive.size()).end_object();
  if (alive.empty()) return {Seen::in_effect, "", proof.take()};
  return {Seen::not_in_effect,
          fmt::format("{} of {} live, such as {}", alive.size(), members.size(), display_process(alive.front())),
          proof.take()};
}

inline constexpr ActionSpec kProcessKillTree{
    .name = "process.kill_tree",
    .summary = "Kills a process and everything that belongs to it, fork storms included.",
    .target = EntityKind::process,
    .effect_class = ActionClass::hard,
    .params = kKillTreeParams,
    .mechanism =
        "cgroup.kill where a whole cgroup is meant; else the tree is frozen or stopped first, then SIGKILL to each "
        "through a verified pidfd, until two passes find nobody",
    .permissions = "CAP_KILL; write access to its cgroup",
    .proof =
        "every process that was shown is dead, and nobody new came; then 2 s without the same program in its cgroup",
    .undo_doc = "none: start the service again",
    .limits =
        "who left the session and the tree before is not found by descendants; a process that waits in the kernel "
        "dies only when that wait ends, and is named",
    .example =
        R"({"action":"process.kill_tree","target":"process:1234@88120331","params":{"tree":"cgroup"},"reason":"fork bomb"})",
    .capabilities = capability(CAP_KILL) | capability(CAP_SYS_NICE),
    .watch_ns = 2'000'000'000,
    .watch_every_ns = 250'000'000,
    .plan = [](const Call& call, const Subject& subject, Plan& plan) -> Result<void> {
      QUELL_TRY(const os::TreeScope scope, os::tree_scope_from(call.param("tree")));
      auto tree = os::find_tree(call.world.os, subject.process, scope);
      if (!tree) {
        if (tree.error().code != Code::gone) return std::move(tree).error();
        plan.already_in_effect = true, plan.already_reason = "already_gone";
        return {};
      }
      JsonWriter pre_state;
      pre_state.begin_object().integer("taken_ticks", tree->taken_ticks).text("cgroup", tree->cgroup);
      pre_state.key("members").begin_array();
      for (const os::ProcessFacts& member : tree->members) {
        pre_state.begin_object();
        pre_state.integer("pid", member.id.pid).integer("start_ticks", member.id.start_ticks).end_object();
      }
      pre_state.end_array().end_object();
      plan.pre_state_json = pre_state.take();
      plan.affected = std::move(tree->members);
      plan.effects.push_back(fmt::format("kills {} process(es): {} with {}", plan.affected.size(),
                                         display_process(subject.process.facts()),
                                         scope == os::TreeScope::descendants ? "what it started"
                                         : scope == os::TreeScope::session   ? "its session"
                                                                             : "everything in its cgroup"));
      if (!tree->outside_cgroup.empty())
        plan.warnings.push_back(fmt::format("{} of them left the cgroup and are found by their pid namespace",
                                            tree->outside_cgroup.size()));
      plan.undo = "none; afterwards start the program or its service again";
      return {};
    },
    .effect = [](const Call& call, const Subject&, const Plan& plan) -> Result<std::string> {
      QUELL_TRY(const Json pre_state, Json::parse(plan.pre_state_json));
      os::KillTreeRequest request;
      request.root = call.target.process;
      QUELL_TRY(request.scope, os::tree_scope_from(call.param("tree")));
      request.expected = recorded_members(call.target, pre_state);
      request.previewed_ticks = pre_state.at("taken_ticks").u64();
      QUELL_TRY(const os::KillTreeResult result, os::kill_tree(call.world.os, request));
      JsonWriter out;
      os::write_json(out, result);
      return out.take();
    },
    .prove = [](const Call& call, const Subject&, const Plan& plan, const std::string& result) -> Look {
      Look look = look_tree_dead(call, *Json::parse(plan.pre_state_json));
      const auto told = Json::parse(result);
      const Json::Array* survivors = told ? told->at("survivors").array() : nullptr;
      if (look.seen == Seen::in_effect && survivors != nullptr && !survivors->empty())
        return {Seen::not_in_effect,
                fmt::format("{} live, such as {}: {}", survivors->size(), survivors->front().at("pid").i64(),
                            survivors->front().at("reason").str()),
                look.proof};
      return look;
    },
    .look = look_tree_dead,
    .watch = [](const Call& call, const Subject& subject, const Plan&) -> std::unique_ptr<Watcher> {
      return std::make_unique<RespawnWatcher>(call.world, subject);
    },
    .compensation = [](const Target& target,
                       const Json&) { return fmt::format("start {} or its service again", target.process_name); },
};

}  // namespace quell::respond
