#pragma once
// What the network cuts have in common: address prefixes, the list of what stays allowed, and the tag by which a cut is
// found again. Plain values.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/fd.h"

namespace quell::os {

/// All addresses that begin with the first `length` bits of `address`; the other bits are zero.
struct IpPrefix {
  IpAddress address;
  uint8_t length = 0;  // of 32 or 128

  /// "10.0.0.0/8", "2001:db8::/32", or an address alone. An IPv4-mapped IPv6 address means the IPv4 one. Errors:
  /// invalid_argument, also for bits beyond the length (then it is unclear what was meant).
  static Result<IpPrefix> parse(std::string_view text);
  /// Just this address. An IPv4-mapped IPv6 address means the IPv4 one.
  static IpPrefix of(const IpAddress& address);
  bool is_v4() const { return address.family == 4; }
  bool is_single() const { return length == (is_v4() ? 32 : 128); }
  /// Never true across families.
  bool contains(const IpPrefix& other) const;
  bool overlaps(const IpPrefix& other) const { return contains(other) || other.contains(*this); }
  /// As parse() reads it; a single address without its length.
  std::string str() const;
  bool operator==(const IpPrefix&) const = default;
};

/// One kind of traffic that a cut leaves alone, in both directions: our local port to and from the remote's.
struct NetAllow {
  enum class Protocol : uint8_t { any, tcp, udp, icmp };
  IpPrefix remote;
  Protocol protocol = Protocol::any;
  uint16_t remote_port = 0, local_port = 0;  // 0: any; others with tcp and udp only
};

/// What a cut leaves alone; empty: nothing. Names are not resolved while cut unless the resolver is listed (port 53).
struct NetAllowList {
  std::vector<NetAllow> entries;  // at most kMaxNetAllow
  /// Traffic over the loopback device stays allowed, but for DNS: resolvers there (Docker's at 127.0.0.11) ask the
  /// world from elsewhere.
  bool loopback = false;
};
inline constexpr size_t kMaxNetAllow = 64;
/// Errors: invalid_argument (a port without tcp or udp, an empty prefix), limit.
Result<void> check_net_allow(const NetAllowList& allow);

/// 8 hex digits that stand for an action in the names of kernel objects: whoever knows the action id finds them.
std::string net_tag(std::string_view action_id);
/// Errors: invalid_argument. Every function that takes a tag calls this.
Result<void> check_net_tag(std::string_view tag);

}  // namespace quell::os
