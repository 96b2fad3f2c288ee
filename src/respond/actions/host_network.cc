#include "respond/actions/host_network.h"

#include <fmt/format.h>
#include <linux/capability.h>

#include "os/block_list.h"
#include "os/namespace_cut.h"

namespace quell::respond {
namespace {

// The kernel's own end comes after ours: it counts only if nobody is there to undo.
constexpr uint64_t kGraceMs = 300'000;
// The dead man's switch of an isolated host: how long it stays isolated when nobody says that he is still there.
constexpr uint64_t kDeadManMs = 300'000;

constexpr uint64_t kCapabilities = capability(CAP_NET_ADMIN) | capability(CAP_SYS_ADMIN);

std::optional<std::string> missing(const World&) {
  const auto probe = os::probe_namespace_cut();
  return probe ? std::nullopt : std::optional(probe.error().message);
}

/// The entry of the target's prefix, as one look.
Look look_blocked(const Call& call, bool wants_blocked, std::string_view tag) {
  const auto prefix = os::IpPrefix::parse(call.target.address);
  const auto ns = call.world.network();
  if (!prefix || !ns) return {Seen::cannot_tell, (!prefix ? prefix.error() : ns.error()).str(), "{}"};
  const auto list = os::list_blocked(*ns);
  if (!list) return {Seen::cannot_tell, list.error().str(), "{}"};
  const os::BlockedPrefix* entry = list->find(*prefix);
  JsonWriter proof;
  proof.begin_object();
  proof.flag("listed", entry != nullptr).flag("rules_in_effect", list->in_effect);
  if (entry != nullptr && entry->remaining_s) proof.integer("remaining_s", *entry->remaining_s);
  proof.integer("dropped_in", list->dropped_in.packets).integer("dropped_out", list->dropped_out.packets).end_object();
  if (!wants_blocked)
    return entry == nullptr ? Look{Seen::in_effect, "", proof.take()}
                            : Look{Seen::not_in_effect, "the address is still blocked", proof.take()};
  if (entry == nullptr) return {Seen::not_in_effect, "the address is not blocked", proof.take()};
  if (!tag.empty() && entry->tag != tag) return {Seen::changed, "another action blocks the address", proof.take()};
  if (!list->in_effect) return {Seen::not_in_effect, "it is listed, but the rules are gone", proof.take()};
  return {Seen::in_effect, "", proof.take()};
}

Result<void> plan_block(const Call& call, const Subject&, Plan& plan) {
  QUELL_TRY(const os::IpPrefix prefix, os::IpPrefix::parse(call.target.address));
  QUELL_TRY(const os::NetNamespace ns, call.world.network());
  QUELL_CHECK(os::check_blockable(ns, prefix));
  plan.pre_state_json = "{}";
  plan.effects.push_back(
      fmt::format("this machine and what it forwards exchange no packet with {}; flows that live stall", prefix.str()));
  if (!prefix.is_single()) plan.warnings.push_back("that is a whole network: whoever else lives there is cut off, too");
  plan.undo = "it is reachable again";
  const Look now = look_blocked(call, true, {});
  if (now.seen == Seen::in_effect) plan.already_in_effect = true, plan.already_reason = "already_blocked";
  return {};
}

Result<std::string> block(const Call& call, const Subject&, const Plan&) {
  QUELL_TRY(const os::IpPrefix prefix, os::IpPrefix::parse(call.target.address));
  QUELL_TRY(const os::NetNamespace ns, call.world.network());
  QUELL_CHECK(os::block_prefix(ns, prefix, call.tag(), call.ttl_s == 0 ? 0 : call.ttl_s * 1000 + kGraceMs));
  return std::string();
}

Look prove_block(const Call& call, const Subject&, const Plan&, const std::string&) {
  Look look = look_blocked(call, true, call.tag());
  const auto prefix = os::IpPrefix::parse(call.target.address);
  const auto ns = call.world.network();
  if (look.seen != Seen::in_effect || !prefix || !ns) return look;
  os::FlowFilter filter;
  filter.remote = *prefix;
  const auto motion = os::watch_flows(*ns, filter, kFlowProofNs);
  FlowProof flows;
  if (motion)
    flows.flows = motion->flows.size(), flows.moved_bytes = motion->moved_bytes;
  else
    flows.error = motion.error().message;
  JsonWriter proof;
  proof.begin_object().key("list").raw(look.proof).key("flows");
  write_json(proof, flows);
  proof.end_object();
  look.proof = proof.take();
  if (flows.moved_bytes != 0)
    return {Seen::not_in_effect, fmt::format("{} bytes still moved in 250 ms", flows.moved_bytes), look.proof};
  return look;
}

Result<void> plan_unblock(const Call& call, const Subject&, Plan& plan) {
  QUELL_TRY(const os::IpPrefix prefix, os::IpPrefix::parse(call.target.address));
  plan.pre_state_json = "{}";
  plan.effects.push_back(fmt::format("this machine talks to {} again", prefix.str()));
  plan.undo = "host.block_ip blocks it again";
  if (look_blocked(call, false, {}).seen == Seen::in_effect)
    plan.already_in_effect = true, plan.already_reason = "not_blocked";
  return {};
}

Result<std::string> unblock(const Call& call, const Subject&, const Plan&) {
  QUELL_TRY(const os::IpPrefix prefix, os::IpPrefix::parse(call.target.address));
  QUELL_TRY(const os::NetNamespace ns, call.world.network());
  QUELL_TRY(const os::BlockList list, os::list_blocked(ns));
  const os::BlockedPrefix* entry = list.find(prefix);
  if (entry == nullptr) return Error{Code::not_found, fmt::format("{} is not blocked", prefix.str()), {}};
  QUELL_CHECK(os::unblock_prefix(ns, prefix, entry->tag));
  return std::string();
}

constexpr ParamSpec kIsolateParams[] = {
    {.name = "allow",
     .kind = ParamKind::addresses,
     .doc =
         "who may still be talked to: the addresses you manage this machine from, and Quell's hub; needed, or nobody "
         "gets in to undo it"},
};

Look look_isolated(const Call& call, const Json&) {
  const auto ns = call.world.network();
  if (!ns) return {Seen::cannot_tell, ns.error().str(), "{}"};
  const auto cut = os::look_namespace_cut(*ns, call.tag());
  if (!cut) return {Seen::cannot_tell, cut.error().str(), "{}"};
  JsonWriter proof;
  proof.begin_object().flag("table", cut->exists).flag("drops", cut->in_effect);
  if (cut->remaining_s) proof.integer("remaining_s", *cut->remaining_s);
  proof.integer("dropped_in", cut->dropped_in.packets).integer("dropped_out", cut->dropped_out.packets).end_object();
  if (cut->in_effect) return {Seen::in_effect, "", proof.take()};
  return {Seen::not_in_effect,
          cut->exists ? "the time in the kernel is over, or somebody took rules away" : "the machine is not isolated",
          proof.take()};
}

}  // namespace

const ActionSpec kHostBlockIp{
    .name = "host.block_ip",
    .summary = "Drops every packet between this machine and an address or network.",
    .target = EntityKind::address,
    .effect_class = ActionClass::soft,
    .default_ttl_s = 4 * 3600,
    .mechanism =
        "an element with a time limit in an nftables set; stateless drops at priority -300, before connection "
        "tracking",
    .permissions = "CAP_NET_ADMIN, CAP_SYS_ADMIN, the program nft",
    .proof = "the kernel lists the element and the rules, and for 250 ms no byte moves in flows with that address",
    .undo_doc = "the element goes; by the kernel itself when the time to live has passed",
    .limits =
        "containers with a network of their own are reached where this machine forwards for them; addresses of this "
        "machine, loopback, and networks wider than /8 or /32 are refused",
    .example = R"({"action":"host.block_ip","target":"address:203.0.113.9","reason":"command and control"})",
    .missing = missing,
    .capabilities = kCapabilities,
    .plan = plan_block,
    .effect = block,
    .prove = prove_block,
    .look = [](const Call& call, const Json&) { return look_blocked(call, true, call.tag()); },
    .undo = [](const Call& call, const Json&) -> Result<void> {
      QUELL_TRY(const os::IpPrefix prefix, os::IpPrefix::parse(call.target.address));
      QUELL_TRY(const os::NetNamespace ns, call.world.network());
      return os::unblock_prefix(ns, prefix, call.tag());
    },
};

const ActionSpec kHostUnblockIp{
    .name = "host.unblock_ip",
    .summary = "Lets this machine talk to a blocked address again.",
    .target = EntityKind::address,
    .effect_class = ActionClass::soft,
    .releases = true,
    .lifts = "host.block_ip",
    .mechanism = "the element is taken out of the nftables set",
    .permissions = "CAP_NET_ADMIN, CAP_SYS_ADMIN, the program nft",
    .proof = "the kernel does not list it any more",
    .undo_doc = "host.block_ip blocks it again",
    .limits = "lifts the block whichever action made it",
    .example = R"({"action":"host.unblock_ip","target":"address:203.0.113.9","reason":"false alarm"})",
    .missing = missing,
    .capabilities = kCapabilities,
    .plan = plan_unblock,
    .effect = unblock,
    .prove = [](const Call& call, const Subject&, const Plan&, const std::string&) -> Look {
      return look_blocked(call, false, {});
    },
    .look = [](const Call& call, const Json&) { return look_blocked(call, false, {}); },
    .compensation = [](const Target& target, const Json&) { return "run host.block_ip on " + target.str(); },
};

const ActionSpec kHostIsolateNetwork{
    .name = "host.isolate_network",
    .summary = "Cuts the whole machine off from every network but the addresses that manage it.",
    .target = EntityKind::host,
    .effect_class = ActionClass::wide,
    .default_ttl_s = 4 * 3600,
    .params = kIsolateParams,
    .mechanism =
        "a stateless nftables table with a time limit of five minutes in the kernel, put off while Quell lives: a "
        "dead man's switch",
    .permissions = "CAP_NET_ADMIN, CAP_SYS_ADMIN, the program nft",
    .proof = "the kernel lists the table and its rules",
    .undo_doc = "the table goes; by the kernel itself within five minutes when Quell is not there any more",
    .limits =
        "loopback, neighbour discovery and DHCP stay; containers with networks of their own are cut off from outside, "
        "not from each other",
    .example =
        R"({"action":"host.isolate_network","target":"host:","params":{"allow":"192.0.2.10:22/tcp"},"reason":"root is lost"})",
    .missing = missing,
    .capabilities = kCapabilities,
    .plan = [](const Call& call, const Subject&, Plan& plan) -> Result<void> {
      QUELL_TRY(const os::NetAllowList allow, parse_allow(call.param("allow")));
      if (allow.entries.empty())
        return Error{
            Code::invalid_argument,
            "say who may still reach this machine (allow=ADDRESS[:PORT/tcp], …): otherwise nobody gets in to undo "
            "it",
            "allow"};
      plan.pre_state_json = "{}";
      plan.effects.push_back(
          fmt::format("this machine talks to nobody but {}; flows that live stall, yours too if you are not among them",
                      call.param("allow")));
      plan.warnings.push_back("every service on this machine is unreachable");
      plan.undo = "it talks to everybody again; by itself within five minutes when Quell ends";
      return {};
    },
    .effect = [](const Call& call, const Subject&, const Plan&) -> Result<std::string> {
      QUELL_TRY(const os::NetAllowList allow, parse_allow(call.param("allow")));
      QUELL_TRY(const os::NetNamespace ns, call.world.network());
      QUELL_CHECK(os::isolate_host(ns, call.tag(), allow, kDeadManMs));
      return std::string();
    },
    .prove = [](const Call& call, const Subject&, const Plan&, const std::string&) -> Look {
      return look_isolated(call, Json());
    },
    .look = look_isolated,
    .undo = [](const Call& call, const Json&) -> Result<void> {
      QUELL_TRY(const os::NetNamespace ns, call.world.network());
      QUELL_CHECK(os::undo_namespace_cut(ns, call.tag()));
      return {};
    },
    .keep_alive = [](const Call& call, const Json&) -> Result<void> {
      QUELL_TRY(const os::NetNamespace ns, call.world.network());
      QUELL_CHECK(os::extend_namespace_cut(ns, call.tag(), kDeadManMs));
      return {};
    },
    .keep_alive_ns = kDeadManMs / 5 * 1'000'000,
};

}  // namespace quell::respond
