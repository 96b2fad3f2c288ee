#include "base/path.h"

#include <gtest/gtest.h>

namespace quell {

TEST(AbsolutePath, Table) {
  struct Case {
    std::string_view dir, name, expected;
  };
  static constexpr Case kCases[] = {
      {"/home/ann/", "notes", "/home/ann/notes"},
      {"/home/ann", "notes", "/home/ann/notes"},
      {"/home/ann/", "/etc/shadow", "/etc/shadow"},
      {"", "/etc/shadow", "/etc/shadow"},
      {"/", "etc", "/etc"},
      {"/home/", "../etc/./passwd", "/etc/passwd"},
      {"/", "../../etc", "/etc"},
      {"/", "..", "/"},
      {"/a/b", "../../..", "/"},
      {"/a", "b//c///d", "/a/b/c/d"},
      {"/a", "b/c/", "/a/b/c"},
      {"/a", "b/c/.", "/a/b/c"},
      {"/a", "...", "/a/..."},
      {"/a", ".hidden", "/a/.hidden"},
      {"", "/", "/"},
      {"", "//", "/"},
      {"/", "", "/"},
      {"/x/", "", "/x"},
      {"", "", ""},
      {"", "x/../y", "y"},
      {"", "../x", "../x"},
      {"", "../../x", "../../x"},
      {"", "a/../../x", "../x"},
      {"<UNKNOWN>", "x", "<UNKNOWN>/x"},
      {"<UNKNOWN>", "../x", "<UNKNOWN>/x"},
      {"<UNKNOWN>", "a/../../x", "<UNKNOWN>/x"},
      {"<UNKNOWN>", "/x", "/x"},
      {"/root/", "../\xE8\xAF\xB6", "/\xE8\xAF\xB6"},
  };
  for (const Case& c : kCases) EXPECT_EQ(absolute_path(c.dir, c.name), c.expected) << c.dir << " + " << c.name;
}

TEST(AbsolutePath, TooLongIsReplaced) {
  EXPECT_EQ(absolute_path("/" + std::string(1100, 'a'), "b"), kPathTooLong);
  EXPECT_EQ(absolute_path("", "/" + std::string(1024, 'a')), kPathTooLong);
  EXPECT_EQ(absolute_path("", "/" + std::string(1000, 'a')).size(), 1001u);
}

}  // namespace quell
