#pragma once
// The TCP and UDP sockets of a network namespace, as the kernel tells them: which there are, how many bytes they moved,
// and an end to them (SOCK_DESTROY: a reader or writer gets ECONNABORTED, TCP sends a reset). Blocks for the time of a
// few netlink messages. Thread-safe.
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "os/net_allow.h"
#include "os/net_namespace.h"

namespace quell::os {

/// What a TCP flow moved since it began. While both ends are cut off, `acked` and `received` cannot grow; `sent` counts
/// what was handed to the network, also if that dropped it.
struct FlowBytes {
  uint64_t sent = 0, retransmitted = 0, acked = 0, received = 0;
};

struct Flow {
  enum class Protocol : uint8_t { tcp, udp };
  Protocol protocol = Protocol::tcp;
  bool ipv6_socket = false;  // whose addresses may be IPv4 all the same
  IpAddress local, remote;   // IPv4 also where the socket says ::ffff:a.b.c.d
  uint16_t local_port = 0, remote_port = 0;
  uint8_t state = 0;  // the kernel's TCP_* numbers
  uint32_t uid = 0, interface = 0;
  uint64_t inode = 0;              // 0: belongs to no process any more
  uint64_t cookie = 0;             // never used again while the machine runs
  std::optional<FlowBytes> bytes;  // of TCP; kernels before 4.19 do not tell

  /// "tcp 10.0.0.2:41822 -> 10.0.0.1:443"
  std::string str() const;
};

struct FlowFilter {
  std::optional<IpPrefix> remote = {};
  std::optional<std::set<uint64_t>> inodes = {};
  bool tcp = true, udp = true;
};
struct Flows {
  std::vector<Flow> list;
  uint64_t left_out = 0;  // beyond kMaxFlows
};
inline constexpr size_t kMaxFlows = 65536;

/// Errors: permission_denied, unsupported (no INET_DIAG in this kernel), io.
Result<Flows> list_flows(const NetNamespace& ns, const FlowFilter& filter);

/// How far flows got in a time.
struct FlowMotion {
  Flow flow;                         // as it was at the end, or when last seen
  bool ended = false;                // it is no more
  uint64_t acked = 0, received = 0;  // bytes, in the time
};
struct Motion {
  std::vector<FlowMotion> flows;  // those that were there at the begin, and those that came
  uint64_t moved_bytes = 0;       // of all
};
/// Watches TCP flows for `window_ns` (it sleeps): the proof of a cut is that nothing moved.
Result<Motion> watch_flows(const NetNamespace& ns, const FlowFilter& filter, uint64_t window_ns);

struct Destroyed {
  struct Failure {
    Flow flow;
    Error error;
  };
  std::vector<Flow> done;
  std::vector<Failure> failed;
  /// Sockets of the process that reach a network and that this cannot end, "PACKET socket 1234" each.
  std::vector<std::string> unreached;
};
/// Whether this kernel ends sockets for us: tried on one of our own. Errors: unsupported (CONFIG_INET_DIAG_DESTROY),
/// permission_denied (CAP_NET_ADMIN).
Result<void> probe_sock_destroy();
/// Ends every socket that the filter finds, listening ones too. One that ended by itself meanwhile counts as done.
/// Errors: as list_flows(); that single sockets could not be ended is said in the result.
Result<Destroyed> destroy_sockets(const NetNamespace& ns, const FlowFilter& filter);
/// The same for the sockets that a process has open; its identity is the caller's matter. A socket that it shares ends
/// for the others, too. Errors: gone, permission_denied.
Result<Destroyed> destroy_process_sockets(const NetNamespace& ns, int64_t pid);

/// One socket as the kernel describes it: inet_diag_msg and its attributes. Errors: truncated, malformed (neither IPv4
/// nor IPv6).
Result<Flow> parse_diag_message(std::span<const uint8_t> payload, Flow::Protocol protocol);

}  // namespace quell::os
