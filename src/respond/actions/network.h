#pragma once
// What the network actions share: the list of what stays allowed, the words for flows, and the proof that nothing
// moves.
#include <string>
#include <string_view>

#include "os/cgroup_cut.h"
#include "os/net_allow.h"
#include "os/net_namespace.h"
#include "os/sock_diag.h"
#include "respond/action_spec.h"

namespace quell::respond {

/// How long nothing may move before a cut counts as proven (response contract: immediate proof).
inline constexpr uint64_t kFlowProofNs = 250'000'000;

/// "10.0.0.1, [2001:db8::1]:443/tcp, 192.0.2.0/24:53/udp": prefixes with an optional remote port and protocol,
/// separated by commas or spaces. Empty: nothing is allowed. Errors: invalid_argument, naming the entry.
Result<os::NetAllowList> parse_allow(std::string_view text);

/// Watches the flows for kFlowProofNs. Flows of sockets that a cgroup's programs do not reach still move then: they are
/// destroyed, and it is watched once more. One object for the proof; `moved` is what moved at last.
struct FlowProof {
  uint64_t moved_bytes = 0;
  size_t flows = 0, destroyed = 0;
  std::string error;  // the flows cannot be told
};
FlowProof watch_cut_flows(const os::NetNamespace& ns, const os::FlowFilter& filter, const os::NetAllowList& allow);
void write_json(JsonWriter& out, const FlowProof& proof);

void write_json(JsonWriter& out, const os::CgroupRef& cgroup);
os::CgroupRef cgroup_from_json(const Json& json);

/// Counters of both directions: what was dropped since the cut.
void write_json(JsonWriter& out, const os::CgroupCut& cut);

}  // namespace quell::respond
