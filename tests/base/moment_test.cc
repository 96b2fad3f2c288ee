#include "base/moment.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace quell {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

TEST(Moment, ReadsWhatIsWritten) {
  for (const uint64_t ns : {uint64_t{0}, 1'700'000'000 * kSecond + 123, 1'714'558'830 * kSecond})
    EXPECT_EQ(parse_iso8601_utc(iso8601_utc(ns)), ns);
  EXPECT_EQ(parse_iso8601_utc("2024-05-01T10:20:30Z"), 1'714'558'830 * kSecond);
  EXPECT_EQ(parse_iso8601_utc("2024-05-01T10:20:30.5Z"), 1'714'558'830 * kSecond + 500'000'000);
}

TEST(Moment, RefusesWhatNoClockShows) {
  for (const char* text : {"", "2024-05-01", "2024-05-01T10:20:30", "2024-05-01T24:00:00Z", "2024-02-30T00:00:00Z",
                           "2024-05-01T10:20:30.Z", "2024-05-01T10:20:30.1234567890Z", "2024-13-01T10:20:30Z",
                           "2024-05-01 10:20:30Z", "x024-05-01T10:20:30Z", "2024-05-01T10:60:30Z"})
    EXPECT_FALSE(parse_iso8601_utc(text).has_value()) << text;
}

TEST(Moment, ADayLastsToItsEnd) {
  EXPECT_EQ(parse_deadline("2024-05-01"), parse_iso8601_utc("2024-05-02T00:00:00Z"));
  EXPECT_EQ(parse_deadline("2024-12-31"), parse_iso8601_utc("2025-01-01T00:00:00Z"));
  EXPECT_EQ(parse_deadline("2024-05-01T12:00:00Z"), parse_iso8601_utc("2024-05-01T12:00:00Z"));
  for (const char* text : {"", "tomorrow", "2024-5-1", "2024-04-31", "2023-02-29", "1969-12-31"})
    EXPECT_FALSE(parse_deadline(text).has_value()) << text;
  EXPECT_TRUE(parse_deadline("2024-02-29").has_value());
  EXPECT_EQ(date_utc(*parse_iso8601_utc("2024-05-01T23:59:59Z")), "2024-05-01");
}

TEST(Moment, Durations) {
  EXPECT_EQ(parse_duration_ms("90").value(), 90'000u);
  EXPECT_EQ(parse_duration_ms("500ms").value(), 500u);
  EXPECT_EQ(parse_duration_ms("2h").value(), 7'200'000u);
  EXPECT_EQ(parse_duration_ms("0").value(), 0u);
  for (const char* text : {"", "s", "1d", "-1s", "1.5s", "99999999999"}) EXPECT_FALSE(parse_duration_ms(text)) << text;
}

}  // namespace
}  // namespace quell
