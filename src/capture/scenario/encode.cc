#include "capture/scenario/encode.h"

#include <arpa/inet.h>

#include <string>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/text.h"

namespace quell::capture::scenario {
namespace {

constexpr uint8_t kFamilyUnix = 1, kFamilyInet = 2, kFamilyInet6 = 10;
constexpr int64_t kAtFdcwd = -100;
constexpr std::string_view kHexPrefix = "hex:";
constexpr int64_t kErrnoLimit = 134, kSignalLimit = 65;

void append_address(Bytes& out, const IpAddress& address) {
  out.insert(out.end(), address.bytes.begin(), address.bytes.begin() + (address.family == 6 ? 16 : 4));
}

template <typename T>
void append_number(Bytes& out, T value) {
  const auto* from = reinterpret_cast<const uint8_t*>(&value);
  out.insert(out.end(), from, from + sizeof value);
}

bool parse_unsigned(std::string_view text, ParamType type, uint64_t& out) {
  if (text.starts_with("0x")) return parse_u64(text.substr(2), out, 16);
  if (type == ParamType::mode && text.size() > 1 && text.front() == '0') return parse_u64(text.substr(1), out, 8);
  return parse_u64(text, out);
}

Result<uint64_t> flag_bits(const yaml::Node& node, const ParamSpec& spec) {
  uint64_t bits = 0;
  for (const std::string_view symbol : split(node.text(), '|')) {
    if (const auto value = flag_value(spec.flags, symbol)) {
      bits |= *value;
      continue;
    }
    std::vector<std::string_view> known;
    for (const FlagName& flag : spec.flags) known.push_back(flag.name);
    const std::string_view meant = nearest(symbol, known);
    std::string message = "'" + std::string(symbol) + "' is no value of " + std::string(spec.name);
    if (!meant.empty()) message += ": did you mean " + std::string(meant) + "?";
    return node.error(message);
  }
  return bits;
}

Result<uint64_t> number_of(const yaml::Node& node, const ParamSpec& spec) {
  const std::string& text = node.text();
  uint64_t value = 0;
  int64_t negative = 0;
  if (parse_unsigned(text, spec.type, value)) return value;
  if (parse_i64(text, negative)) return static_cast<uint64_t>(negative);
  if (!spec.flags.empty()) return flag_bits(node, spec);
  switch (spec.type) {
    case ParamType::errno_:
      if (const auto code = errno_value(text)) return static_cast<uint64_t>(*code);
      break;
    case ParamType::fd:
      if (text == "AT_FDCWD") return static_cast<uint64_t>(kAtFdcwd);
      break;
    case ParamType::sigtype:
      for (int64_t i = 1; i < kSignalLimit; ++i)
        if (signal_name(i) == text) return static_cast<uint64_t>(i);
      break;
    case ParamType::syscallid:
      if (const SyscallSpec* syscall = syscall_by_name(text)) return uint64_t{syscall->code};
      break;
    case ParamType::bool_:
      if (bool truth = false; yaml::parse_bool(text, truth)) return uint64_t{truth};
      break;
    default: break;
  }
  return node.error("'" + text + "' is no number that fits " + std::string(spec.name));
}

/// "cafebabe"
bool parse_hex(std::string_view text, Bytes& out) {
  if (text.size() % 2 != 0) return false;
  for (size_t at = 0; at < text.size(); at += 2) {
    uint64_t byte = 0;
    if (!parse_u64(text.substr(at, 2), byte, 16)) return false;
    out.push_back(static_cast<uint8_t>(byte));
  }
  return true;
}

/// "10.0.0.1:22" or "[::1]:22".
bool parse_endpoint(std::string_view text, IpAddress& address, uint16_t& port) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return false;
  std::string_view host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  const auto parsed = parse_ip(host);
  uint64_t number = 0;
  if (!parsed || !parse_u64(text.substr(colon + 1), number) || number > 65535) return false;
  address = *parsed;
  port = static_cast<uint16_t>(number);
  return true;
}

}  // namespace

std::optional<int64_t> errno_value(std::string_view name) {
  if (name == "SUCCESS") return 0;
  for (int64_t i = 1; i < kErrnoLimit; ++i)
    if (errno_name(i) == name) return -i;
  return std::nullopt;
}

std::optional<IpAddress> parse_ip(std::string_view text) {
  const std::string copy(text);
  uint8_t bytes[16];
  if (inet_pton(AF_INET, copy.c_str(), bytes) == 1) return IpAddress::v4(bytes);
  if (inet_pton(AF_INET6, copy.c_str(), bytes) == 1) return IpAddress::v6(bytes);
  return std::nullopt;
}

Bytes encode_number(ParamType type, uint64_t value) {
  const size_t width = fixed_width(type);
  QUELL_ASSERT(width > 0 && width <= sizeof value);
  Bytes out(width);
  std::memcpy(out.data(), &value, width);
  return out;
}

Bytes encode_text(std::string_view text) {
  Bytes out(text.begin(), text.end());
  out.push_back(0);
  return out;
}

Bytes encode_inet_tuple(const SocketTuple& tuple) {
  Bytes out{tuple.dest.family == 6 ? kFamilyInet6 : kFamilyInet};
  append_address(out, tuple.source);
  append_number(out, tuple.source_port);
  append_address(out, tuple.dest);
  append_number(out, tuple.dest_port);
  return out;
}

Bytes encode_unix_tuple(std::string_view path) {
  // Kernel addresses of the two ends: any two that differ.
  Bytes out{kFamilyUnix};
  append_number(out, uint64_t{0xffff888012345600});
  append_number(out, uint64_t{0xffff888012345680});
  const Bytes name = encode_text(path);
  out.insert(out.end(), name.begin(), name.end());
  return out;
}

Bytes encode_inet_address(const IpAddress& address, uint16_t port) {
  Bytes out{address.family == 6 ? kFamilyInet6 : kFamilyInet};
  append_address(out, address);
  append_number(out, port);
  return out;
}

Bytes encode_unix_address(std::string_view path) {
  Bytes out{kFamilyUnix};
  const Bytes name = encode_text(path);
  out.insert(out.end(), name.begin(), name.end());
  return out;
}

Result<Bytes> encode_param(const yaml::Node& value, const ParamSpec& spec) {
  QUELL_TRY(const std::string text, value.as_string());
  switch (spec.type) {
    case ParamType::charbuf:
    case ParamType::fspath:
    case ParamType::fsrelpath: return encode_text(text);
    case ParamType::bytebuf: {
      if (!text.starts_with(kHexPrefix)) return Bytes(text.begin(), text.end());
      Bytes out;
      if (!parse_hex(std::string_view(text).substr(kHexPrefix.size()), out))
        return value.error("'" + text + "' is no data: after hex: come pairs of hexadecimal digits");
      return out;
    }
    case ParamType::sockaddr: {
      IpAddress address;
      uint16_t port = 0;
      if (text.starts_with('/')) return encode_unix_address(text);
      if (parse_endpoint(text, address, port)) return encode_inet_address(address, port);
      return value.error("'" + text + "' is no address: write 10.0.0.1:22, [::1]:22 or the path of a socket");
    }
    case ParamType::socktuple: {
      if (text.starts_with('/')) return encode_unix_tuple(text);
      const size_t arrow = text.find("->");
      SocketTuple tuple;
      if (arrow != std::string::npos &&
          parse_endpoint(std::string_view(text).substr(0, arrow), tuple.source, tuple.source_port) &&
          parse_endpoint(std::string_view(text).substr(arrow + 2), tuple.dest, tuple.dest_port) &&
          tuple.source.family == tuple.dest.family)
        return encode_inet_tuple(tuple);
      return value.error("'" + text + "' is no connection: write 10.0.0.1:4000->10.0.0.2:22 or the path of a socket");
    }
    case ParamType::dyn: {
      // Variant 0 of the tables that matter here is a 64-bit number (ptrace, keyctl) or a descriptor (bpf).
      int64_t number = 0;
      uint64_t hex_number = 0;
      if (text.starts_with("0x") && parse_u64(std::string_view(text).substr(2), hex_number, 16))
        number = static_cast<int64_t>(hex_number);
      else if (!parse_i64(text, number))
        return value.error("'" + text + "' is no number that fits " + std::string(spec.name));
      Bytes out{0};
      append_number(out, number);
      return out;
    }
    default: break;
  }
  if (fixed_width(spec.type) == 0 || fixed_width(spec.type) > sizeof(uint64_t))
    return value.error("a scenario cannot give " + std::string(spec.name) + ": its type has no text form",
                       Code::unsupported);
  QUELL_TRY(const uint64_t number, number_of(value, spec));
  return encode_number(spec.type, number);
}

}  // namespace quell::capture::scenario
