#pragma once
// Text to parameter bytes, by the type that the event schema gives the parameter.
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/yaml.h"
#include "model/event_schema.h"
#include "model/fd.h"

namespace quell::capture::scenario {

using Bytes = std::vector<uint8_t>;

/// "SUCCESS" is 0, "ENOENT" is -2; nullopt for anything else.
std::optional<int64_t> errno_value(std::string_view name);
std::optional<IpAddress> parse_ip(std::string_view text);

/// Little-endian number in the width of `type`. Requires a type of fixed size of at most 8 bytes.
Bytes encode_number(ParamType type, uint64_t value);
/// Width in bytes, 0 for types of any length.
size_t width_of(ParamType type);
/// With the final NUL that the layout wants.
Bytes encode_text(std::string_view text);
Bytes encode_inet_tuple(const SocketTuple& tuple);
Bytes encode_unix_tuple(std::string_view path);
Bytes encode_inet_address(const IpAddress& address, uint16_t port);
Bytes encode_unix_address(std::string_view path);

/// The value of `evt.arg.NAME`: numbers decimal, 0x hexadecimal or (modes) octal with a leading 0; names of flags
/// joined with
/// '|'; errno, signal and system call names; text for paths and buffers.
/// Errors: invalid_argument at the node, with the nearest name.
Result<Bytes> encode_param(const yaml::Node& value, const ParamSpec& spec);

}  // namespace quell::capture::scenario
