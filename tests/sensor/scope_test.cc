#include "capture/ebpf/scope.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace quell::capture {
namespace {

namespace fs = std::filesystem;

TEST(ScopeTest, Parses) {
  EXPECT_EQ(Scope::parse("all")->kind, Scope::Kind::all);
  EXPECT_EQ(Scope::parse("")->kind, Scope::Kind::all);
  const auto group = Scope::parse("cgroup:/docker/abc");
  ASSERT_TRUE(group);
  EXPECT_EQ(group->kind, Scope::Kind::cgroup);
  EXPECT_EQ(group->path, "/docker/abc");
  const auto tree = Scope::parse("pid:42");
  ASSERT_TRUE(tree);
  EXPECT_EQ(tree->kind, Scope::Kind::tree);
  EXPECT_EQ(tree->pid, 42);
}

TEST(ScopeTest, RefusesWhatItCannotMean) {
  for (const char* text : {"cgroup:", "pid:", "pid:x", "pid:0", "pid:-3", "pid:1x", "container:abc", "everything"}) {
    const auto scope = Scope::parse(text);
    ASSERT_FALSE(scope) << text;
    EXPECT_EQ(scope.error().code, Code::invalid_argument) << text;
  }
}

TEST(ScopeTest, FindsMountsOfEveryLayout) {
  const auto hybrid = CgroupMounts::parse(
      "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n"
      "cgroup /sys/fs/cgroup/pids cgroup rw,relatime,pids 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n");
  EXPECT_EQ(hybrid.v2, "/sys/fs/cgroup/unified");
  EXPECT_EQ(hybrid.pids, "/sys/fs/cgroup/pids");
  const auto unified = CgroupMounts::parse("cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n");
  EXPECT_EQ(unified.v2, "/sys/fs/cgroup");
  EXPECT_TRUE(unified.pids.empty());
  const auto none = CgroupMounts::parse("garbage\n\nproc /proc proc rw 0 0\n");
  EXPECT_TRUE(none.v2.empty() && none.pids.empty());
}

class ResolveTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(testing::TempDir()) / ("quell-scope-" + std::to_string(getpid()));
    fs::create_directories(root_ / "unified/system/a");
    fs::create_directories(root_ / "pids/docker/b");
    std::ofstream(root_ / "unified/cgroup.procs") << "";
    mounts_ = {(root_ / "unified").string(), (root_ / "pids").string()};
  }
  void TearDown() override { fs::remove_all(root_); }
  static uint64_t inode(const fs::path& path) {
    struct stat info {};
    EXPECT_EQ(stat(path.c_str(), &info), 0);
    return info.st_ino;
  }
  fs::path root_;
  CgroupMounts mounts_;
};

TEST_F(ResolveTest, InTheSecondVersion) {
  for (const std::string& path : {std::string("/system/a"), std::string("system//./a/"), mounts_.v2 + "/system/a"}) {
    const auto group = resolve_cgroup(path, mounts_);
    ASSERT_TRUE(group) << path << ": " << group.error().str();
    EXPECT_TRUE(group->v2);
    EXPECT_EQ(group->level, 2u);
    EXPECT_EQ(group->id, inode(root_ / "unified/system/a"));
  }
  EXPECT_EQ(resolve_cgroup("/", mounts_)->level, 0u);
}

TEST_F(ResolveTest, FallsBackToPids) {
  const auto group = resolve_cgroup("/docker/b", mounts_);
  ASSERT_TRUE(group) << group.error().str();
  EXPECT_FALSE(group->v2);
  EXPECT_EQ(group->id, inode(root_ / "pids/docker/b"));
}

TEST_F(ResolveTest, Refuses) {
  EXPECT_EQ(resolve_cgroup("/nowhere", mounts_).error().code, Code::not_found);
  EXPECT_EQ(resolve_cgroup("/system/../..", mounts_).error().code, Code::invalid_argument);
  EXPECT_EQ(resolve_cgroup("/cgroup.procs", mounts_).error().code, Code::invalid_argument);
  EXPECT_EQ(resolve_cgroup("/cgroup.procs/x", mounts_).error().code, Code::not_found);
  EXPECT_EQ(resolve_cgroup("/a", {}).error().code, Code::unsupported);
}

}  // namespace
}  // namespace quell::capture
