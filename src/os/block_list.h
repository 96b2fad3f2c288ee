#pragma once
// Addresses that a machine does not talk to: the nftables table quell_block. Packets from and to them are dropped one
// by one, so flows that exist end, too. The kernel takes an entry out when its time is over, whoever is alive to see
// it. Functions block for up to three runs of nft and are thread-safe, but two callers must not change the list at
// once.
//
// Needs CAP_SYS_ADMIN (to enter the namespace), CAP_NET_ADMIN and the program nft.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "os/net_allow.h"
#include "os/net_namespace.h"
#include "os/nft_rules.h"

namespace quell::os {

struct BlockedPrefix {
  IpPrefix prefix;
  std::string tag;
  std::optional<uint64_t> remaining_s;  // absent: without end
};
struct BlockList {
  std::vector<BlockedPrefix> entries;
  /// Whether what is listed is dropped. Not so when somebody took a part of the table away.
  bool in_effect = false;
  NftCounter dropped_in, dropped_out, dropped_forward;
  const BlockedPrefix* find(const IpPrefix& prefix) const;
};

/// Whether this may be blocked in that namespace at all. Errors: refused, with the reason (wider than /8 or /32;
/// loopback, unspecified, multicast; the machine's own address).
Result<void> check_blockable(const NetNamespace& ns, const IpPrefix& prefix);

/// `ttl_ms` 0: without end. The same again extends: the later end holds. Errors: refused; already_exists (another
/// action blocks exactly this; its tag is named); conflict (a network that overlaps a network that is blocked); limit;
/// those of run_nft().
Result<BlockedPrefix> block_prefix(const NetNamespace& ns, const IpPrefix& prefix, std::string_view tag,
                                   uint64_t ttl_ms);
/// The last entry takes the table with it. Errors: not_found (not blocked, or no more), conflict (another action's).
Result<void> unblock_prefix(const NetNamespace& ns, const IpPrefix& prefix, std::string_view tag);
/// Asks the kernel. Errors: those of run_nft().
Result<BlockList> list_blocked(const NetNamespace& ns);

}  // namespace quell::os
