#include "respond/actions/container_isolate_network.h"

#include <fmt/format.h>
#include <linux/capability.h>

#include "os/namespace_cut.h"
#include "respond/actions/containers.h"
#include "respond/actions/process_net_block.h"

namespace quell::respond {
namespace {

constexpr ParamSpec kParams[] = {
    {.name = "allow",
     .kind = ParamKind::addresses,
     .doc = "what stays reachable, such as 10.0.0.1:443/tcp, 192.0.2.0/24; empty: nothing, no name servers either"},
    {.name = "mechanism",
     .kind = ParamKind::choice,
     .doc =
         "how: by eBPF on the container's cgroup, or by nftables in its network namespace; auto takes the first that "
         "is possible",
     .standard = "auto",
     .choices = "auto|cgroup|namespace"},
};

/// The directory that is the container's own: not one that it shares with the machine.
Result<os::CgroupRef> own_cgroup(const World& world, const Subject& subject) {
  QUELL_TRY(const os::CgroupRef cgroup, os::v2_cgroup_of(subject.process.facts().id.pid));
  const auto host = os::v2_cgroup_of(1);
  if (host && (host->inode == cgroup.inode || host->directory.starts_with(cgroup.directory + "/")))
    return Error{Code::unsupported, "the container has no cgroup v2 directory of its own on this machine", {}};
  const auto ours = os::v2_cgroup_of(world.os.process_facts(getpid()) ? getpid() : 1);
  if (ours && (ours->inode == cgroup.inode || ours->directory.starts_with(cgroup.directory + "/")))
    return Error{Code::unsupported, "the container shares its cgroup with Quell itself", {}};
  return cgroup;
}

Result<os::NetNamespace> own_namespace(const Subject& subject) {
  QUELL_TRY(os::NetNamespace ns, os::NetNamespace::of_process(subject.process.facts().id.pid));
  if (ns.is_hosts())
    return Error{Code::unsupported, "the container shares the machine's network: cutting it would cut the machine", {}};
  return ns;
}

Result<void> plan(const Call& call, const Subject& subject, Plan& plan) {
  if (!subject.alive) {
    plan.already_in_effect = true, plan.already_reason = "already_gone";
    return {};
  }
  QUELL_TRY(const os::NetAllowList allow, parse_allow(call.param("allow")));
  const std::string_view wanted = call.param("mechanism");
  std::string why;
  JsonWriter pre_state;
  pre_state.begin_object();
  bool is_planned = false;
  if (wanted != "namespace") {
    const auto probe = os::probe_cgroup_cut();
    auto cgroup = probe ? own_cgroup(call.world, subject) : Result<os::CgroupRef>(probe.error());
    if (cgroup) {
      pre_state.text("mechanism", "cgroup").key("cgroup");
      write_json(pre_state, *cgroup);
      is_planned = true;
    } else if (wanted == "cgroup") {
      return std::move(cgroup).error();
    } else {
      why = cgroup.error().message;
    }
  }
  if (!is_planned) {
    if (auto probe = os::probe_namespace_cut(); !probe)
      return Error{Code::unsupported, fmt::format("{}{}{}", why, why.empty() ? "" : "; ", probe.error().message), {}};
    auto ns = own_namespace(subject);
    if (!ns) return Error{ns.error().code, fmt::format("{}{}{}", why, why.empty() ? "" : "; ", ns.error().message), {}};
    pre_state.text("mechanism", "namespace").integer("namespace", ns->inode());
    plan.warnings.push_back("every container of its pod shares the network that is cut");
    if (!why.empty()) plan.warnings.push_back("by nftables in its network namespace, because " + why);
  }
  pre_state.end_object();
  plan.pre_state_json = pre_state.take();
  list_members(call.world, subject, plan);
  plan.effects.push_back(fmt::format("container {} reaches nobody{}, and nobody reaches it; its connections stall",
                                     display_name(subject.target),
                                     allow.entries.empty() ? "" : fmt::format(" but {}", call.param("allow"))));
  if (allow.entries.empty()) plan.warnings.push_back("no name server is reachable either");
  warn_about_kubernetes(subject, false, plan);
  plan.undo = "it reaches the network again";
  return {};
}

Look look(const Call& call, const Json& pre_state) {
  const ContainerNow now = ask(call.world, call.target);
  JsonWriter proof;
  proof.begin_object();
  proof.text("mechanism", pre_state.at("mechanism").str()).text("runtime_state", to_string(now.state));
  const auto seen = [&proof](Seen what, std::string note) {
    proof.end_object();
    return Look{what, std::move(note), proof.take()};
  };
  if (now.state == ContainerNow::State::missing || now.state == ContainerNow::State::ended)
    return seen(Seen::ended, "the container has ended");
  if (now.state == ContainerNow::State::replaced) return seen(Seen::replaced, "the container was started again");

  if (pre_state.at("mechanism").str() == "cgroup") {
    const auto cut = os::look_cgroup_cut(cgroup_from_json(pre_state.at("cgroup")), call.tag());
    if (!cut) {
      if (cut.error().code == Code::gone || cut.error().code == Code::stale)
        return seen(Seen::ended, "the container's cgroup is gone");
      return seen(Seen::cannot_tell, cut.error().str());
    }
    proof.key("programs");
    write_json(proof, *cut);
    if (cut->whole()) return seen(Seen::in_effect, "");
    return seen(Seen::not_in_effect, cut->none() ? "nothing cuts it off" : "only one direction is cut");
  }
  if (now.state == ContainerNow::State::unreachable) return seen(Seen::cannot_tell, now.error);
  const auto ns = os::NetNamespace::of_process(now.status.pid);
  if (!ns) return seen(ns.error().code == Code::gone ? Seen::ended : Seen::cannot_tell, ns.error().str());
  if (ns->inode() != pre_state.at("namespace").u64()) return seen(Seen::ended, "the container has another network now");
  const auto cut = os::look_namespace_cut(*ns, call.tag());
  if (!cut) return seen(Seen::cannot_tell, cut.error().str());
  proof.integer("dropped_in", cut->dropped_in.packets).integer("dropped_out", cut->dropped_out.packets);
  if (cut->in_effect) return seen(Seen::in_effect, "");
  return seen(Seen::not_in_effect, cut->exists ? "its rules do not drop any more" : "nothing cuts it off");
}

Result<std::string> cut(const Call& call, const Subject& subject, const Plan& plan) {
  QUELL_TRY(const os::NetAllowList allow, parse_allow(call.param("allow")));
  QUELL_TRY(const Json pre_state, Json::parse(plan.pre_state_json));
  if (pre_state.at("mechanism").str() == "cgroup") {
    QUELL_CHECK(os::cut_cgroup(cgroup_from_json(pre_state.at("cgroup")), call.tag(), allow));
    return std::string();
  }
  QUELL_TRY(const os::NetNamespace ns, own_namespace(subject));
  // The kernel's own end comes after ours: it counts only if nobody is there to undo.
  constexpr uint64_t kGraceS = 300;
  QUELL_CHECK(os::cut_namespace(ns, call.tag(), allow, call.ttl_s == 0 ? 0 : (call.ttl_s + kGraceS) * 1000));
  return std::string();
}

Look prove(const Call& call, const Subject& subject, const Plan& plan, const std::string&) {
  Look seen = look(call, *Json::parse(plan.pre_state_json));
  if (seen.seen != Seen::in_effect) return seen;
  auto allow = parse_allow(call.param("allow"));
  const auto ns = own_namespace(subject);
  FlowProof flows;
  if (!ns || !allow)
    flows.error = !ns ? ns.error().message : allow.error().message;
  else
    flows = watch_cut_flows(*ns, {}, *allow);
  JsonWriter proof;
  proof.begin_object().key("cut").raw(seen.proof).key("flows");
  write_json(proof, flows);
  proof.end_object();
  seen.proof = proof.take();
  // On the machine's own network the container's flows cannot be told from others: there the programs' word has to do.
  if (flows.moved_bytes == 0) return seen;
  return {Seen::not_in_effect, fmt::format("{} bytes still moved in 250 ms", flows.moved_bytes), std::move(seen.proof)};
}

Result<void> undo(const Call& call, const Json& pre_state) {
  if (pre_state.at("mechanism").str() == "cgroup") {
    QUELL_CHECK(os::undo_cgroup_cut(cgroup_from_json(pre_state.at("cgroup")), call.tag()));
    return {};
  }
  const ContainerNow now = ask(call.world, call.target);
  if (now.status.pid <= 0) return Error{Code::gone, "the container has ended", {}};
  QUELL_TRY(const os::NetNamespace ns, os::NetNamespace::of_process(now.status.pid));
  if (ns.inode() != pre_state.at("namespace").u64())
    return Error{Code::conflict, "the container has another network now", {}};
  QUELL_CHECK(os::undo_namespace_cut(ns, call.tag()));
  return {};
}

std::optional<std::string> missing(const World&) {
  const auto cgroup = os::probe_cgroup_cut();
  if (cgroup) return {};
  const auto ns = os::probe_namespace_cut();
  if (ns) return {};
  return fmt::format("{}; {}", cgroup.error().message, ns.error().message);
}

}  // namespace

const ActionSpec kContainerIsolateNetwork{
    .name = "container.isolate_network",
    .summary = "Cuts a container off from every network, connections that live included; it runs on.",
    .target = EntityKind::container,
    .effect_class = ActionClass::soft,
    .default_ttl_s = 4 * 3600,
    .params = kParams,
    .mechanism =
        "two eBPF programs on the container's own cgroup v2 directory drop what is not allowed; where that is not "
        "possible, a stateless nftables table in its network namespace",
    .permissions = "CAP_BPF, CAP_NET_ADMIN, CAP_SYS_ADMIN",
    .proof =
        "the kernel names both programs (or the table), and for 250 ms no byte moves in its flows; flows of sockets "
        "from elsewhere that still move are destroyed",
    .undo_doc = "our programs (or our table) go, and nothing else; by itself when the time to live has passed",
    .limits = "raw packet sockets are not reached; by nftables, all containers that share its network are cut off",
    .example =
        R"({"action":"container.isolate_network","target":"container:web","params":{"allow":"10.0.0.5:443/tcp"},"reason":"data leaves"})",
    .missing = missing,
    .capabilities = kNetCutCapabilities,
    .plan = plan,
    .effect = cut,
    .prove = prove,
    .look = look,
    .undo = undo,
};

}  // namespace quell::respond
