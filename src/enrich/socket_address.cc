#include "enrich/socket_address.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/bytes.h"

namespace quell::enrich {
namespace {

constexpr uint8_t kUnix = 1, kInet = 2, kInet6 = 10;

std::string_view text_from(std::span<const uint8_t> bytes, size_t at) {
  if (at >= bytes.size()) return {};
  const auto* from = reinterpret_cast<const char*>(bytes.data() + at);
  return {from, strnlen(from, bytes.size() - at)};
}

IpAddress unmapped(const IpAddress& ip) { return ip.is_v4_mapped() ? IpAddress::v4(ip.bytes.data() + 12) : ip; }

constexpr size_t kMaxEndpoint = IpAddress::kMaxText + 6;

char* write_endpoint(char* out, const IpAddress& ip, uint16_t port) {
  out = ip.write(out);
  *out++ = ':';
  return std::to_chars(out, out + 5, port).ptr;
}

}  // namespace

bool is_unset(const IpAddress& ip) {
  return ip.family == 0 || std::all_of(ip.bytes.begin(), ip.bytes.end(), [](uint8_t byte) { return byte == 0; });
}

std::optional<SocketAddress> parse_sockaddr(std::span<const uint8_t> bytes) {
  if (bytes.empty()) return std::nullopt;
  SocketAddress out;
  if (bytes[0] == kInet && bytes.size() >= 7) {
    out.type = FdType::ipv4;
    out.ip = IpAddress::v4(bytes.data() + 1);
    out.port = load<uint16_t>(bytes.data() + 5);
    return out;
  }
  if (bytes[0] == kInet6 && bytes.size() >= 19) {
    out.ip = unmapped(IpAddress::v6(bytes.data() + 1));
    out.type = out.ip.family == 4 ? FdType::ipv4 : FdType::ipv6;
    out.port = load<uint16_t>(bytes.data() + 17);
    return out;
  }
  if (bytes[0] == kUnix) {
    out.type = FdType::unix_socket;
    out.path = text_from(bytes, 1);
    return out;
  }
  return std::nullopt;
}

std::optional<TupleParam> parse_socktuple(std::span<const uint8_t> bytes) {
  if (bytes.empty()) return std::nullopt;
  TupleParam out;
  if (bytes[0] == kInet && bytes.size() >= 13) {
    out.type = FdType::ipv4;
    out.tuple.source = IpAddress::v4(bytes.data() + 1);
    out.tuple.source_port = load<uint16_t>(bytes.data() + 5);
    out.tuple.dest = IpAddress::v4(bytes.data() + 7);
    out.tuple.dest_port = load<uint16_t>(bytes.data() + 11);
    return out;
  }
  if (bytes[0] == kInet6 && bytes.size() >= 37) {
    const IpAddress source = IpAddress::v6(bytes.data() + 1), dest = IpAddress::v6(bytes.data() + 19);
    out.tuple.source_port = load<uint16_t>(bytes.data() + 17);
    out.tuple.dest_port = load<uint16_t>(bytes.data() + 35);
    // A dual-stack socket that talks IPv4; an end that is not known yet reads as "::".
    const auto fits_v4 = [](const IpAddress& ip) { return ip.is_v4_mapped() || is_unset(ip); };
    if ((source.is_v4_mapped() || dest.is_v4_mapped()) && fits_v4(source) && fits_v4(dest)) {
      static constexpr uint8_t kAny[4] = {};
      out.type = FdType::ipv4;
      out.tuple.source = source.is_v4_mapped() ? unmapped(source) : IpAddress::v4(kAny);
      out.tuple.dest = dest.is_v4_mapped() ? unmapped(dest) : IpAddress::v4(kAny);
    } else {
      out.type = FdType::ipv6;
      out.tuple.source = source;
      out.tuple.dest = dest;
    }
    return out;
  }
  if (bytes[0] == kUnix && bytes.size() >= 17) {
    out.type = FdType::unix_socket;
    out.unix_source = load<uint64_t>(bytes.data() + 1);
    out.unix_dest = load<uint64_t>(bytes.data() + 9);
    out.path = text_from(bytes, 17);
    return out;
  }
  return std::nullopt;
}

std::string endpoint_name(const IpAddress& ip, uint16_t port) {
  char text[kMaxEndpoint];
  return {text, write_endpoint(text, ip, port)};
}

std::string tuple_name(const SocketTuple& tuple) {
  char text[2 * kMaxEndpoint + 2];
  char* at = write_endpoint(text, tuple.source, tuple.source_port);
  *at++ = '-';
  *at++ = '>';
  return {text, write_endpoint(at, tuple.dest, tuple.dest_port)};
}

std::string unix_name(uint64_t source, uint64_t dest, std::string_view path) {
  return fmt::format("{:x}->{:x} {}", source, dest, path);
}

L4Proto l4_of_socket(uint32_t type, uint32_t protocol) {
  constexpr uint32_t kStream = 1, kDatagram = 2, kRaw = 3;
  type &= 0xF;  // the rest are SOCK_CLOEXEC and SOCK_NONBLOCK
  if (type == kRaw) return L4Proto::raw;
  switch (protocol) {
    case 0: return type == kStream ? L4Proto::tcp : type == kDatagram ? L4Proto::udp : L4Proto::unknown;
    case 1:
    case 58: return L4Proto::icmp;
    case 6: return L4Proto::tcp;
    case 17: return L4Proto::udp;
    case 255: return L4Proto::raw;
    default: return L4Proto::unknown;
  }
}

SocketTuple swapped(const SocketTuple& tuple) { return {tuple.dest, tuple.source, tuple.dest_port, tuple.source_port}; }

}  // namespace quell::enrich
