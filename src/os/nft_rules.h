#pragma once
// The words of nftables: rule sets as text for `nft -f`, tables as `nft -j` tells them. Pure functions.
//
// A cut is one table of its own, quell_cut_TAG: base chains at priority -300, before connection tracking and address
// translation, that first accept what is allowed and then drop the rest, packet by packet, whatever flow it belongs to.
// The drop asks whether the family of the packet is in the set "cut". Its elements may have a timeout: when the kernel
// takes them out, nothing is dropped any more, whoever is alive to see it.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "os/net_allow.h"

namespace quell::os {

inline constexpr const char* kBlockTable = "quell_block";
std::string cut_table_name(std::string_view tag);

/// What a host needs besides to stay one: loopback with DNS, neighbour discovery, the renewal of its addresses by DHCP.
enum class CutKind : uint8_t { container, host };
/// The table's content, to be created (an existing one is an error) or put in the place of one that is there. A time to
/// live of 0 has no end.
std::string cut_ruleset(std::string_view tag, const NetAllowList& allow, CutKind kind, uint64_t ttl_ms, bool replace);
/// Starts the time to live of a cut anew.
std::string extend_ruleset(std::string_view tag, uint64_t ttl_ms);

/// The table of blocked addresses, made if it is not there, its rules put back if somebody changed them; elements stay.
std::string block_table_ruleset();
/// `replace`: the same element is there and gives way.
std::string block_ruleset(const IpPrefix& prefix, std::string_view tag, uint64_t ttl_ms, bool replace);
std::string unblock_ruleset(const IpPrefix& prefix);

struct NftElement {
  std::string value;  // "ipv4", "10.0.0.1", "10.0.0.0/8"
  std::string comment;
  std::optional<uint64_t> timeout_s, remaining_s;  // absent: without end
};
struct NftChain {
  std::string hook;
  int64_t priority = 0;
  uint64_t rules = 0;
  std::vector<std::string> drops;  // the sets ("@cut") that a dropping rule asks
};
struct NftCounter {
  uint64_t packets = 0, bytes = 0;
};
struct NftTable {
  std::map<std::string, std::vector<NftElement>> sets;
  std::map<std::string, NftChain> chains;
  std::map<std::string, NftCounter> counters;
  /// SHA-256 of chains and rules without handles and numbers that change by themselves: the same until somebody alters
  /// them.
  std::string digest;
  /// Whether all three chains hang where they should and drop what is in each of these sets.
  bool drops(const std::vector<std::string>& names) const;
};
/// From `nft -j list table`. Errors: malformed.
Result<NftTable> parse_nft_table(std::string_view text);

}  // namespace quell::os
