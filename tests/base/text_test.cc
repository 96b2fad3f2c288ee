#include "base/text.h"

#include <gtest/gtest.h>

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

TEST(Nearest, FindsTyposAndNothingElse) {
  EXPECT_EQ(nearest("proc.nmae", {"proc.name", "proc.pid"}), "proc.name");
  EXPECT_EQ(nearest("proc.nam", {"proc.name", "proc.pid"}), "proc.name");
  EXPECT_EQ(nearest("completely", {"proc.name", "proc.pid"}), "");
}

TEST(Iso8601, KeepsNanoseconds) { EXPECT_EQ(iso8601_utc(1714558830123456789), "2024-05-01T10:20:30.123456789Z"); }

TEST(ParseNumber, RefusesTrailingText) {
  uint64_t out = 0;
  EXPECT_TRUE(parse_u64("42", out));
  EXPECT_EQ(out, 42u);
  EXPECT_FALSE(parse_u64("42x", out));
  EXPECT_FALSE(parse_u64("", out));
  EXPECT_FALSE(parse_u64("99999999999999999999", out));
}

}  // namespace quell
