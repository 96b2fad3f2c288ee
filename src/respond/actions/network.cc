#include "respond/actions/network.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace quell::respond {
namespace {

bool is_allowed(const os::Flow& flow, const os::NetAllowList& allow) {
  const os::IpPrefix remote = os::IpPrefix::of(flow.remote);
  for (const os::NetAllow& entry : allow.entries) {
    if (!entry.remote.contains(remote)) continue;
    const bool fits = entry.protocol == os::NetAllow::Protocol::any ||
                      (entry.protocol == os::NetAllow::Protocol::tcp) == (flow.protocol == os::Flow::Protocol::tcp);
    if (fits && (entry.remote_port == 0 || entry.remote_port == flow.remote_port) &&
        (entry.local_port == 0 || entry.local_port == flow.local_port))
      return true;
  }
  return false;
}

Result<os::NetAllow> parse_entry(std::string_view entry) {
  const auto bad = [&](std::string_view why) {
    return Error{Code::invalid_argument,
                 fmt::format("\"{}\": {}; write 10.0.0.1, 10.0.0.0/8:443/tcp or [2001:db8::1]:53/udp", entry, why),
                 "allow"};
  };
  os::NetAllow out;
  std::string_view rest = entry, address, port;
  if (rest.starts_with('[')) {
    const size_t end = rest.find(']');
    if (end == std::string_view::npos) return bad("the bracket is not closed");
    address = rest.substr(1, end - 1);
    rest.remove_prefix(end + 1);
    // A length may follow the bracket.
    const size_t colon = rest.find(':');
    if (rest.starts_with('/')) {
      address = entry.substr(1, end - 1);
      return bad("put the length inside the brackets");
    }
    if (!rest.empty() && colon != 0) return bad("a colon and a port are expected behind the bracket");
    if (colon == 0) port = rest.substr(1);
  } else if (std::count(rest.begin(), rest.end(), ':') == 1) {
    const size_t colon = rest.find(':');
    address = rest.substr(0, colon);
    port = rest.substr(colon + 1);
  } else {
    address = rest;
  }
  auto prefix = os::IpPrefix::parse(address);
  if (!prefix) return bad(prefix.error().message);
  out.remote = *prefix;
  if (port.empty()) return out;
  if (const size_t slash = port.find('/'); slash != std::string_view::npos) {
    const std::string_view protocol = port.substr(slash + 1);
    if (protocol != "tcp" && protocol != "udp") return bad("the protocol is tcp or udp");
    out.protocol = protocol == "tcp" ? os::NetAllow::Protocol::tcp : os::NetAllow::Protocol::udp;
    port = port.substr(0, slash);
  } else {
    out.protocol = os::NetAllow::Protocol::tcp;
  }
  uint64_t number = 0;
  if (!parse_u64(port, number) || number == 0 || number > 65535) return bad("the port is from 1 to 65535");
  out.remote_port = static_cast<uint16_t>(number);
  return out;
}

}  // namespace

Result<os::NetAllowList> parse_allow(std::string_view text) {
  os::NetAllowList out;
  std::string list(text);
  std::replace(list.begin(), list.end(), ',', ' ');
  for (const std::string_view entry : split(list, ' ')) {
    if (entry.empty()) continue;
    QUELL_TRY(os::NetAllow allow, parse_entry(entry));
    out.entries.push_back(allow);
  }
  QUELL_CHECK(os::check_net_allow(out));
  return out;
}

FlowProof watch_cut_flows(const os::NetNamespace& ns, const os::FlowFilter& filter, const os::NetAllowList& allow) {
  FlowProof out;
  for (const bool again : {false, true}) {
    const auto motion = os::watch_flows(ns, filter, kFlowProofNs);
    if (!motion) {
      out.error = motion.error().str();
      return out;
    }
    out.flows = motion->flows.size();
    out.moved_bytes = 0;
    std::set<uint64_t> moving;
    for (const os::FlowMotion& flow : motion->flows) {
      if (flow.ended || is_allowed(flow.flow, allow)) continue;
      out.moved_bytes += flow.acked + flow.received;
      if (flow.acked + flow.received != 0 && flow.flow.inode != 0) moving.insert(flow.flow.inode);
    }
    if (again || moving.empty()) return out;
    os::FlowFilter those = filter;
    those.inodes = moving;
    const auto destroyed = os::destroy_sockets(ns, those);
    if (!destroyed) {
      out.error = destroyed.error().str();
      return out;
    }
    out.destroyed = destroyed->done.size();
  }
  return out;
}

void write_json(JsonWriter& out, const FlowProof& proof) {
  out.begin_object();
  out.integer("watched_ns", kFlowProofNs).integer("flows", proof.flows).integer("moved_bytes", proof.moved_bytes);
  out.integer("destroyed_sockets", proof.destroyed);
  if (!proof.error.empty()) out.text("error", proof.error);
  out.end_object();
}

void write_json(JsonWriter& out, const os::CgroupRef& cgroup) {
  out.begin_object().text("directory", cgroup.directory).integer("inode", cgroup.inode).end_object();
}

os::CgroupRef cgroup_from_json(const Json& json) { return {json.at("directory").str(), json.at("inode").u64()}; }

void write_json(JsonWriter& out, const os::CgroupCut& cut) {
  const auto direction = [&out](std::string_view name, const os::CutDirection& one) {
    out.key(name).begin_object();
    out.flag("attached", one.attached).integer("program_id", one.program_id);
    out.integer("dropped_packets", one.dropped_packets).integer("dropped_bytes", one.dropped_bytes).end_object();
  };
  out.begin_object();
  direction("ingress", cut.ingress);
  direction("egress", cut.egress);
  out.end_object();
}

}  // namespace quell::respond
