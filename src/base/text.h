#pragma once
// Small text helpers that several layers need.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace quell {

/// Content of a JSON string: quotes, backslash and control characters escaped, invalid UTF-8 replaced by U+FFFD.
std::string json_escape(std::string_view text);
/// The same into memory with room for kMaxJsonEscape bytes per byte of `text`. Returns the end of what it wrote.
char* write_json_escaped(std::string_view text, char* out);
inline constexpr size_t kMaxJsonEscape = 6;

/// `text` with every byte that is not part of valid UTF-8 replaced by U+FFFD.
std::string to_valid_utf8(std::string_view text);

/// "2024-05-01T10:20:30.123456789Z"
std::string iso8601_utc(uint64_t realtime_ns);
/// The same into kIso8601Length bytes of memory, without an end mark.
void write_iso8601_utc(uint64_t realtime_ns, char* out);
inline constexpr size_t kIso8601Length = 30;
/// `value` as `count` decimal digits with leading zeros; what does not fit is cut off in front.
void write_digits(uint32_t value, size_t count, char* out);

/// Splits at `separator`; empty parts are kept.
std::vector<std::string_view> split(std::string_view text, char separator);

/// The candidate nearest to `word` by edit distance, if near enough to be a likely typo; else empty.
std::string_view nearest(std::string_view word, const std::vector<std::string_view>& candidates);

bool parse_u64(std::string_view text, uint64_t& out, int base = 10);
bool parse_i64(std::string_view text, int64_t& out);

/// Every byte that is not printable ASCII becomes a dot.
std::string printable(std::string_view bytes);
/// RFC 4648, with padding.
std::string base64(std::string_view bytes);
/// Lower-case hex of bytes.
std::string hex(const void* bytes, size_t count);

}  // namespace quell
