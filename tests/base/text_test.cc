#include "base/text.h"

#include <gtest/gtest.h>

#include <ctime>

namespace quell {

TEST(JsonEscape, KeepsValidUtf8AndReplacesTheRest) {
  EXPECT_EQ(json_escape("a\"b\\\n\x01"), "a\\\"b\\\\\\n\\u0001");
  EXPECT_EQ(json_escape("\xC3\xA9"), "\xC3\xA9");
  EXPECT_EQ(json_escape("\xC3"), "\xEF\xBF\xBD");
  EXPECT_EQ(json_escape("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD") << "a surrogate is not UTF-8";
}

TEST(JsonEscape, FindsWhatIsSpecialAnywhereInALongText) {
  constexpr std::pair<char, const char*> kSpecial[] = {
      {'"', "\\\""}, {'\\', "\\\\"}, {'\n', "\\n"}, {'\x1f', "\\u001f"}, {'\x7f', "\\u007f"}, {'\x80', "\xEF\xBF\xBD"}};
  for (size_t at = 0; at < 40; ++at) {
    for (const auto& [special, escaped] : kSpecial) {
      std::string text(40, 'x');
      text[at] = special;
      EXPECT_EQ(json_escape(text), std::string(at, 'x') + escaped + std::string(39 - at, 'x')) << at;
    }
  }
}

TEST(JsonEscape, WritesNoMoreThanItSays) {
  // Every length around the widths that are copied at once, behind a guard.
  for (size_t length = 0; length <= 70; ++length) {
    for (const char fill : {'x', '\x01', '\xff', '"'}) {
      const std::string text(length, fill);
      std::string out(length * kMaxJsonEscape + 1, '#');
      const char* const end = write_json_escaped(text, out.data());
      EXPECT_EQ(std::string_view(out.data(), static_cast<size_t>(end - out.data())), json_escape(text)) << length;
      EXPECT_EQ(out.back(), '#') << length;
    }
    std::string mixed(length, 'x');
    if (length > 0) mixed.back() = '"';
    EXPECT_EQ(json_escape(mixed), length == 0 ? "" : std::string(length - 1, 'x') + "\\\"") << length;
  }
}

TEST(Base64, IsPadded) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64(std::string_view("\xff\x00\xfe", 3)), "/wD+");
}

TEST(Nearest, FindsTyposAndNothingElse) {
  EXPECT_EQ(nearest("proc.nmae", {"proc.name", "proc.pid"}), "proc.name");
  EXPECT_EQ(nearest("proc.nam", {"proc.name", "proc.pid"}), "proc.name");
  EXPECT_EQ(nearest("completely", {"proc.name", "proc.pid"}), "");
}

TEST(Iso8601, KeepsNanoseconds) { EXPECT_EQ(iso8601_utc(1714558830123456789), "2024-05-01T10:20:30.123456789Z"); }

TEST(Iso8601, KnowsTheCalendar) {
  constexpr uint64_t kSecond = 1'000'000'000;
  EXPECT_EQ(iso8601_utc(0), "1970-01-01T00:00:00.000000000Z");
  EXPECT_EQ(iso8601_utc(UINT64_MAX), "2554-07-21T23:34:33.709551615Z");
  for (uint64_t seconds = 86'399; seconds < 18'446'744'073; seconds += 86'400 * 5 + 3'601) {
    const auto time = static_cast<time_t>(seconds);
    tm parts{};
    gmtime_r(&time, &parts);
    char expected[32];
    std::strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S.000000007Z", &parts);
    ASSERT_EQ(iso8601_utc(seconds * kSecond + 7), expected);
  }
}

TEST(ParseNumber, RefusesTrailingText) {
  uint64_t out = 0;
  EXPECT_TRUE(parse_u64("42", out));
  EXPECT_EQ(out, 42u);
  EXPECT_FALSE(parse_u64("42x", out));
  EXPECT_FALSE(parse_u64("", out));
  EXPECT_FALSE(parse_u64("99999999999999999999", out));
}

}  // namespace quell
