#pragma once
// Dates, times and durations as people write them.
#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace quell {

/// "2024-05-01T10:20:30.123456789Z", the fraction optional: nanoseconds since the epoch. Nothing if it is anything
/// else.
std::optional<uint64_t> parse_iso8601_utc(std::string_view text);

/// Until when something holds, exclusive: a whole day ("2027-01-31": to its end, UTC) or a moment as above.
std::optional<uint64_t> parse_deadline(std::string_view text);

/// localtime_r(), which takes about a thousand instructions; a thread that asks for the second it asked for last is
/// answered at once.
tm local_time(time_t seconds);

/// "2027-01-31", in UTC.
std::string date_utc(uint64_t realtime_ns);

/// "90", "90s", "10m", "2h", "500ms", in milliseconds; a bare number means seconds. Errors: invalid_argument.
Result<uint64_t> parse_duration_ms(std::string_view text);

}  // namespace quell
