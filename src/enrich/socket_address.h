#pragma once
// Socket addresses and tuples as events carry them, and the names that descriptors get from them.
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "model/fd.h"

namespace quell::enrich {

/// One end. IPv4 written as v4-mapped IPv6 is IPv4.
struct SocketAddress {
  FdType type = FdType::unknown;  // ipv4, ipv6 or unix_socket
  IpAddress ip;
  uint16_t port = 0;
  std::string_view path;  // unix; a view into the event
};
/// Empty for an unknown family or too few bytes.
std::optional<SocketAddress> parse_sockaddr(std::span<const uint8_t> bytes);

/// Both ends, as the kernel saw them.
struct TupleParam {
  FdType type = FdType::unknown;  // ipv4, ipv6 or unix_socket
  SocketTuple tuple;
  uint64_t unix_source = 0, unix_dest = 0;
  std::string_view path;
};
std::optional<TupleParam> parse_socktuple(std::span<const uint8_t> bytes);

/// "10.0.0.1:4000->10.0.0.2:80"
std::string tuple_name(const SocketTuple& tuple);
/// "10.0.0.1:80"
std::string endpoint_name(const IpAddress& ip, uint16_t port);
/// "ffff8800->ffff8801 /run/x.sock"
std::string unix_name(uint64_t source, uint64_t dest, std::string_view path);

/// tcp, udp, icmp or raw, from the arguments of socket(2).
L4Proto l4_of_socket(uint32_t type, uint32_t protocol);

/// Exchanges the ends.
SocketTuple swapped(const SocketTuple& tuple);
/// True if the address is absent or all zeros.
bool is_unset(const IpAddress& ip);

}  // namespace quell::enrich
