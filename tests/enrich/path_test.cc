#include "enrich/path.h"

#include <gtest/gtest.h>

namespace quell::enrich {

TEST(Path, DirectoryFormAndDeletedMark) {
  EXPECT_EQ(as_directory("/a"), "/a/");
  EXPECT_EQ(as_directory("/"), "/");
  EXPECT_EQ(as_directory(""), "");
  EXPECT_EQ(without_deleted_mark("/bin/x (deleted)"), "/bin/x");
  EXPECT_EQ(without_deleted_mark(" (deleted)"), " (deleted)");
}

}  // namespace quell::enrich
