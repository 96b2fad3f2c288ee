#include "base/moment.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "base/text.h"

namespace quell {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kDayS = 86'400;

std::optional<unsigned> digits(std::string_view text, size_t at, size_t count) {
  if (at + count > text.size()) return {};
  unsigned value = 0;
  for (const char c : text.substr(at, count)) {
    if (c < '0' || c > '9') return {};
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  return value;
}

/// Seconds since the epoch at the start of "YYYY-MM-DD"; nothing for a day that no calendar has.
std::optional<uint64_t> parse_day(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return {};
  const auto year = digits(text, 0, 4), month = digits(text, 5, 2), day = digits(text, 8, 2);
  if (!year || !month || !day || *year < 1970 || *year > 2500 || *month == 0 || *day == 0) return {};
  tm parts{};
  parts.tm_year = static_cast<int>(*year) - 1900;
  parts.tm_mon = static_cast<int>(*month) - 1;
  parts.tm_mday = static_cast<int>(*day);
  const time_t seconds = timegm(&parts);
  // timegm() takes the 31st of April for the 1st of May.
  if (seconds < 0 || parts.tm_mon != static_cast<int>(*month) - 1) return {};
  return static_cast<uint64_t>(seconds);
}

}  // namespace

std::optional<uint64_t> parse_iso8601_utc(std::string_view text) {
  if (text.size() < 20 || text[10] != 'T' || text[13] != ':' || text[16] != ':' || text.back() != 'Z') return {};
  const auto day = parse_day(text.substr(0, 10));
  const auto hour = digits(text, 11, 2), minute = digits(text, 14, 2), second = digits(text, 17, 2);
  if (!day || !hour || !minute || !second || *hour > 23 || *minute > 59 || *second > 59) return {};
  uint64_t fraction_ns = 0;
  if (text.size() > 20) {
    const size_t count = text.size() - 21;
    const auto fraction = digits(text, 20, count);
    if (text[19] != '.' || count == 0 || count > 9 || !fraction) return {};
    fraction_ns = *fraction;
    for (size_t i = count; i < 9; ++i) fraction_ns *= 10;
  }
  return (*day + *hour * 3600ull + *minute * 60ull + *second) * kSecond + fraction_ns;
}

std::optional<uint64_t> parse_deadline(std::string_view text) {
  if (const auto day = parse_day(text)) return (*day + kDayS) * kSecond;
  return parse_iso8601_utc(text);
}

tm local_time(time_t seconds) {
  struct Known {
    time_t seconds = -1;
    tm parts{};
  };
  thread_local Known last;
  if (last.seconds != seconds) {
    localtime_r(&seconds, &last.parts);
    last.seconds = seconds;
  }
  return last.parts;
}

std::string date_utc(uint64_t realtime_ns) { return iso8601_utc(realtime_ns).substr(0, 10); }

Result<uint64_t> parse_duration_ms(std::string_view text) {
  const Error error{Code::invalid_argument,
                    fmt::format("\"{}\" is no duration; write a number with ms, s, m or h, such as 10s or 5m", text),
                    {}};
  const size_t count = std::min(text.find_first_not_of("0123456789"), text.size());
  uint64_t number = 0;
  if (count == 0 || !parse_u64(text.substr(0, count), number)) return error;
  const std::string_view unit = text.substr(count);
  uint64_t factor = 0;
  if (unit.empty() || unit == "s") {
    factor = 1000;
  } else if (unit == "ms") {
    factor = 1;
  } else if (unit == "m") {
    factor = 60'000;
  } else if (unit == "h") {
    factor = 3'600'000;
  }
  if (factor == 0 || number > UINT32_MAX) return error;
  return number * factor;
}

}  // namespace quell
