#include "os/net_allow.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "base/sha256.h"
#include "base/text.h"

namespace quell::os {
namespace {

bool bit(const IpAddress& address, unsigned index) { return (address.bytes[index / 8] >> (7 - index % 8)) & 1; }

Error bad_prefix(std::string_view text, std::string_view why) {
  return {Code::invalid_argument,
          fmt::format("\"{}\" {}: write an address or a prefix such as 10.0.0.0/8 or 2001:db8::/32",
                      to_valid_utf8(text.substr(0, 64)), why),
          {}};
}

IpAddress without_mapping(const IpAddress& address) {
  return address.is_v4_mapped() ? IpAddress::v4(address.bytes.data() + 12) : address;
}

}  // namespace

Result<IpPrefix> IpPrefix::parse(std::string_view text) {
  const size_t slash = text.find('/');
  const std::string host(text.substr(0, slash));
  uint8_t bytes[16];
  IpPrefix out;
  if (host.size() == std::strlen(host.c_str()) && ::inet_pton(AF_INET, host.c_str(), bytes) == 1)
    out.address = IpAddress::v4(bytes);
  else if (host.size() == std::strlen(host.c_str()) && ::inet_pton(AF_INET6, host.c_str(), bytes) == 1)
    out.address = IpAddress::v6(bytes);
  else
    return bad_prefix(text, "is not an IP address");
  const unsigned most = out.is_v4() ? 32 : 128;
  uint64_t length = most;
  if (slash != std::string_view::npos && (!parse_u64(text.substr(slash + 1), length) || length > most))
    return bad_prefix(text, fmt::format("has no length from 0 to {}", most));
  for (unsigned i = static_cast<unsigned>(length); i < most; ++i)
    if (bit(out.address, i)) return bad_prefix(text, "has bits set beyond its length");
  if (out.address.is_v4_mapped() && length >= 96) {
    out.address = without_mapping(out.address);
    length -= 96;
  }
  out.length = static_cast<uint8_t>(length);
  return out;
}

IpPrefix IpPrefix::of(const IpAddress& address) {
  IpPrefix out;
  out.address = without_mapping(address);
  out.length = out.is_v4() ? 32 : 128;
  return out;
}

bool IpPrefix::contains(const IpPrefix& other) const {
  if (address.family != other.address.family || length > other.length) return false;
  for (unsigned i = 0; i < length; ++i)
    if (bit(address, i) != bit(other.address, i)) return false;
  return true;
}

std::string IpPrefix::str() const {
  return is_single() ? address.str() : fmt::format("{}/{}", address.str(), unsigned{length});
}

Result<void> check_net_allow(const NetAllowList& allow) {
  if (allow.entries.size() > kMaxNetAllow)
    return Error{Code::limit,
                 fmt::format("{} entries in a list of allowed traffic; at most {} are possible: use wider prefixes",
                             allow.entries.size(), kMaxNetAllow),
                 {}};
  for (const NetAllow& entry : allow.entries) {
    if (entry.remote.address.family == 0)
      return Error{Code::invalid_argument, "an entry of the allowed traffic names no address", {}};
    const bool ports = entry.protocol == NetAllow::Protocol::tcp || entry.protocol == NetAllow::Protocol::udp;
    if (!ports && (entry.remote_port != 0 || entry.local_port != 0))
      return Error{Code::invalid_argument,
                   fmt::format("allowed traffic with {} names a port but neither tcp nor udp", entry.remote.str()),
                   {}};
  }
  return {};
}

std::string net_tag(std::string_view action_id) {
  Sha256 hash;
  hash.update({reinterpret_cast<const uint8_t*>(action_id.data()), action_id.size()});
  return hash.finish().substr(0, 8);
}

Result<void> check_net_tag(std::string_view tag) {
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (tag.size() == 8 && std::all_of(tag.begin(), tag.end(), is_digit)) return {};
  return Error{Code::invalid_argument,
               fmt::format("\"{}\" is not the tag of a network action: 8 lower-case hex digits",
                           to_valid_utf8(tag.substr(0, 64))),
               {}};
}

}  // namespace quell::os
