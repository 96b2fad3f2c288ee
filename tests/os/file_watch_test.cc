// What editors, package managers and configuration mounts do to files is noticed; what happens beside them is not.
#include "os/file_watch.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace quell::os {
namespace {

namespace fs = std::filesystem;

class Watch : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/quell-watch-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
    auto watch = FileWatch::create();
    ASSERT_TRUE(watch) << watch.error().str();
    watch_.emplace(*std::move(watch));
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path write(const fs::path& name, const std::string& text = "x") const {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }
  void watch(const std::vector<std::string>& names) {
    std::vector<std::string> paths;
    for (const std::string& name : names) paths.push_back((folder_ / name).string());
    const auto watched = watch_->watch(paths);
    ASSERT_TRUE(watched) << watched.error().str();
    EXPECT_FALSE(watch_->poll()) << "nothing has happened yet";
  }

  fs::path folder_;
  std::optional<FileWatch> watch_;
};

TEST_F(Watch, AFileThatIsWritten) {
  write("rules.yaml");
  write("other.yaml");
  watch({"rules.yaml"});
  write("other.yaml", "y");
  EXPECT_FALSE(watch_->poll()) << "the file beside it is none of ours";
  write("rules.yaml", "y");
  EXPECT_TRUE(watch_->poll());
  EXPECT_FALSE(watch_->poll()) << "told once";
}

TEST_F(Watch, AFileThatAnEditorReplaces) {
  write("rules.yaml");
  watch({"rules.yaml"});
  write("rules.yaml.tmp", "y");
  EXPECT_FALSE(watch_->poll());
  fs::rename(folder_ / "rules.yaml.tmp", folder_ / "rules.yaml");
  EXPECT_TRUE(watch_->poll());
  write("rules.yaml", "z");
  EXPECT_TRUE(watch_->poll()) << "the new file, too";
}

TEST_F(Watch, AFileThatGoesAndComes) {
  write("rules.yaml");
  watch({"rules.yaml"});
  fs::remove(folder_ / "rules.yaml");
  EXPECT_TRUE(watch_->poll());
  write("rules.yaml");
  EXPECT_TRUE(watch_->poll());
}

TEST_F(Watch, AnyFileOfAFolder) {
  write("rules.d/a.yaml");
  watch({"rules.d"});
  write("rules.d/b.yaml");
  EXPECT_TRUE(watch_->poll());
  fs::remove(folder_ / "rules.d/a.yaml");
  EXPECT_TRUE(watch_->poll());
  fs::rename(folder_ / "rules.d", folder_ / "old");
  EXPECT_TRUE(watch_->poll());
}

TEST_F(Watch, AFolderThatAppears) {
  watch({"not/there/yet"});
  fs::create_directories(folder_ / "elsewhere");
  EXPECT_FALSE(watch_->poll());
  fs::create_directories(folder_ / "not/there/yet");
  EXPECT_TRUE(watch_->poll()) << "the first part of its path has come";
}

// As a Kubernetes ConfigMap is mounted: files are links through one link, and an update swaps that one.
TEST_F(Watch, AMountThatSwapsItsLink) {
  write("mount/..1/rules.yaml", "one");
  write("mount/..2/rules.yaml", "two");
  fs::create_directory_symlink("..1", folder_ / "mount/..data");
  fs::create_symlink("..data/rules.yaml", folder_ / "mount/rules.yaml");
  for (const char* path : {"mount", "mount/rules.yaml"}) {
    watch({path});
    fs::create_directory_symlink("..2", folder_ / "mount/..data_tmp");
    fs::rename(folder_ / "mount/..data_tmp", folder_ / "mount/..data");
    EXPECT_TRUE(watch_->poll()) << path;
  }
}

TEST_F(Watch, TheFileBehindALink) {
  write("real/rules.yaml");
  write("here/x");
  fs::create_symlink(folder_ / "real/rules.yaml", folder_ / "here/rules.yaml");
  watch({"here/rules.yaml"});
  write("real/rules.yaml", "y");
  EXPECT_TRUE(watch_->poll());
}

TEST_F(Watch, LinksThatLeadInACircleEnd) {
  fs::create_symlink(folder_ / "b", folder_ / "a");
  fs::create_symlink(folder_ / "a", folder_ / "b");
  watch({"a"});
  fs::remove(folder_ / "b");
  EXPECT_TRUE(watch_->poll());
}

}  // namespace
}  // namespace quell::os
