#pragma once
// process.net_block: one process is cut off from the network, its flows too, and runs on.
#include <fmt/format.h>
#include <linux/capability.h>

#include "os/process_cut.h"
#include "respond/actions/network.h"
#include "respond/actions/processes.h"

namespace quell::respond {

inline constexpr ParamSpec kNetBlockParams[] = {
    {.name = "allow",
     .kind = ParamKind::addresses,
     .doc = "what stays reachable, such as 10.0.0.1:443/tcp, 192.0.2.0/24; empty: nothing, no name servers either"},
};

inline constexpr uint64_t kNetCutCapabilities =
    capability(CAP_BPF) | capability(CAP_NET_ADMIN) | capability(CAP_SYS_ADMIN);

inline std::optional<std::string> missing_cgroup_cut(const World&) {
  const auto probe = os::probe_cgroup_cut();
  return probe ? std::nullopt : std::optional(probe.error().message);
}

inline Look look_process_net_block(const Call& call, const Json& pre_state) {
  HeldProcess held = hold_recorded(call);
  if (held.look) return std::move(*held.look);
  const auto cut = os::look_process_cut(cgroup_from_json(pre_state.at("cgroup")), call.tag());
  JsonWriter proof;
  proof.begin_object();
  if (!cut) {
    proof.text("error", cut.error().str()).end_object();
    if (cut.error().code == Code::gone || cut.error().code == Code::stale)
      return {Seen::ended, "the cgroup of the process is gone", proof.take()};
    return {Seen::cannot_tell, cut.error().str(), proof.take()};
  }
  proof.text("cgroup", cut->child.directory).integer("members", cut->members.size()).key("programs");
  write_json(proof, cut->cut);
  proof.end_object();
  const bool is_inside =
      std::find(cut->members.begin(), cut->members.end(), call.target.process.pid) != cut->members.end();
  if (cut->in_effect() && is_inside) return {Seen::in_effect, "", proof.take()};
  if (!cut->exists) return {Seen::not_in_effect, "the process is not cut off", proof.take()};
  return {Seen::not_in_effect,
          is_inside ? "a program that cuts it off is missing" : "the process has left the cgroup that is cut off",
          proof.take()};
}

inline constexpr ActionSpec kProcessNetBlock{
    .name = "process.net_block",
    .summary = "Cuts one process off from the network; it runs on.",
    .target = EntityKind::process,
    .effect_class = ActionClass::soft,
    .default_ttl_s = 4 * 3600,
    .params = kNetBlockParams,
    .mechanism =
        "the process moves into a cgroup of its own below its own, two eBPF programs there drop what is not "
        "allowed, and the sockets that it has are destroyed",
    .permissions = "CAP_BPF, CAP_NET_ADMIN, CAP_SYS_ADMIN; write access to its cgroup",
    .proof = "the kernel names both programs, the process is inside, and for 250 ms nothing moves",
    .undo_doc = "the programs go, the process goes back to the cgroup it came from; destroyed flows stay so",
    .limits = "children that it has already are not cut off: act on its container; raw packet sockets are not reached",
    .example = R"({"action":"process.net_block","target":"process:1234@88120331","reason":"sends data away"})",
    .missing = missing_cgroup_cut,
    .capabilities = kNetCutCapabilities,
    .plan = [](const Call& call, const Subject& subject, Plan& plan) -> Result<void> {
      if (!subject.alive) {
        plan.already_in_effect = true, plan.already_reason = "already_gone";
        return {};
      }
      QUELL_CHECK(parse_allow(call.param("allow")));
      QUELL_TRY(const os::CgroupRef parent, os::v2_cgroup_of(subject.process.facts().id.pid));
      plan.affected.push_back(subject.process.facts());
      JsonWriter pre_state;
      pre_state.begin_object().key("cgroup");
      write_json(pre_state, parent);
      pre_state.end_object();
      plan.pre_state_json = pre_state.take();
      plan.effects.push_back(fmt::format(
          "process {} reaches no network{}; the connections it has end", display_process(subject.process.facts()),
          call.param("allow").empty() ? "" : fmt::format(" but {}", call.param("allow"))));
      plan.warnings.push_back("children that it has already are not cut off");
      plan.undo = "it reaches the network again; connections that ended stay so";
      return {};
    },
    .effect = [](const Call& call, const Subject& subject, const Plan& plan) -> Result<std::string> {
      QUELL_TRY(const os::NetAllowList allow, parse_allow(call.param("allow")));
      QUELL_TRY(const Json pre_state, Json::parse(plan.pre_state_json));
      QUELL_TRY(const os::ProcessCutDone done,
                os::cut_process(subject.process, cgroup_from_json(pre_state.at("cgroup")), call.tag(), allow));
      JsonWriter out;
      std::vector<std::string> destroyed, failed;
      for (const os::Flow& flow : done.sockets.done) destroyed.push_back(flow.str());
      for (const auto& failure : done.sockets.failed)
        failed.push_back(fmt::format("{}: {}", failure.flow.str(), failure.error.message));
      out.begin_object();
      out.texts("destroyed", destroyed).texts("not_destroyed", failed).texts("unreached", done.sockets.unreached);
      out.end_object();
      return out.take();
    },
    .prove = [](const Call& call, const Subject&, const Plan& plan, const std::string&) -> Look {
      return look_process_net_block(call, *Json::parse(plan.pre_state_json));
    },
    .look = look_process_net_block,
    .undo = [](const Call& call, const Json& pre_state) -> Result<void> {
      QUELL_CHECK(os::undo_process_cut(cgroup_from_json(pre_state.at("cgroup")), call.tag()));
      return {};
    },
};

}  // namespace quell::respond
