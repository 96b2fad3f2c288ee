#pragma once
// Cuts a network namespace by an nftables table of its own in it (os/nft_rules says what is in there). The table
// belongs to the namespace, not to us: it stays when we end, it is found by its tag alone, and the kernel ends it by
// itself when a time to live was given. Cuts with other tags in the same namespace are independent; a packet passes if
// all allow it.
//
// What this does not reach: raw packet sockets (AF_PACKET) see and send frames beside the hooks. All functions block
// for the run of one or two nft programs, some 10 ms each, and are thread-safe.
//
// Needs CAP_SYS_ADMIN (to enter the namespace), CAP_NET_ADMIN and the program nft.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "os/net_allow.h"
#include "os/net_namespace.h"
#include "os/nft_rules.h"

namespace quell::os {

struct NamespaceCut {
  bool exists = false;  // there is a table of this tag
  /// And it drops both families in all directions. Not so when its time is over, or somebody took a part of it away.
  bool in_effect = false;
  std::optional<uint64_t> remaining_s;                  // absent: without end, or nothing left
  NftCounter dropped_in, dropped_out, dropped_forward;  // since the cut
  /// NftTable::digest: compare it with the one after the cut to see whether somebody altered the rules.
  std::string digest;
};

/// Tries it in a namespace made for the occasion. Errors, each with the reason in a sentence: unsupported (no nft, no
/// nf_tables), permission_denied.
Result<void> probe_namespace_cut();

/// The cut of a container's namespace. `ttl_ms` 0: without end. A cut of this tag that is in effect is left as it is;
/// one whose time is over or that was damaged is put back whole. Errors: refused (the host's own namespace),
/// invalid_argument, limit, those of run_nft().
Result<NamespaceCut> cut_namespace(const NetNamespace& ns, std::string_view tag, const NetAllowList& allow,
                                   uint64_t ttl_ms);
/// The cut of the host whose namespace that is. The list (the addresses of the management) and the time to live are
/// mandatory: if Quell does not come back to extend it, the host does. Loopback, neighbour discovery and DHCP stay.
/// Errors: invalid_argument, limit, those of run_nft().
Result<NamespaceCut> isolate_host(const NetNamespace& ns, std::string_view tag, const NetAllowList& allow,
                                  uint64_t ttl_ms);
/// Starts the time to live of a cut anew. Errors: gone (it is over or undone: that it ended was somebody's or the
/// timer's decision, which this does not take back), those of run_nft().
Result<NamespaceCut> extend_namespace_cut(const NetNamespace& ns, std::string_view tag, uint64_t ttl_ms);
/// Asks the kernel. Errors: those of run_nft().
Result<NamespaceCut> look_namespace_cut(const NetNamespace& ns, std::string_view tag);
/// Removes the table of this tag, in effect or not. False if there was none.
Result<bool> undo_namespace_cut(const NetNamespace& ns, std::string_view tag);

inline constexpr uint64_t kMaxNetTtlMs = uint64_t{366} * 24 * 3600 * 1000;

}  // namespace quell::os
