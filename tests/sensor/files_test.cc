// Files, directories, descriptors and mounts, as the sensor reports them.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "needs_sensor.h"

namespace quell::capture::test {
namespace {

/// A directory that goes away with the test.
class Files : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = fmt::format("/tmp/quell-files-{}", getpid());
    std::filesystem::create_directories(dir_);
  }
  void TearDown() override {
    std::error_code ignored;
    std::filesystem::remove_all(dir_, ignored);
  }
  std::string path(const char* name) const { return dir_ + "/" + name; }
  std::string dir_;
};
using SensorFiles = Files;

TEST_F(SensorFiles, EveryWayToOpen) {
  NEEDS_SENSOR();
  Sandbox box;
  const std::string file = path("made"), old = path("old");
  std::ofstream(old) << "x";
  const Events events = box.run([&] {
    close(openat(AT_FDCWD, file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
    syscall(SYS_open, old.c_str(), O_WRONLY | O_APPEND | O_NONBLOCK);
    syscall(SYS_open, "relative/none", O_RDONLY | O_DIRECTORY);
    open_how how{};
    how.flags = O_RDONLY;
    how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_IN_ROOT;
    syscall(SYS_openat2, AT_FDCWD, old.c_str(), &how, sizeof how);
    syscall(SYS_creat, path("created").c_str(), 0600);
    const int dirfd = static_cast<int>(syscall(SYS_open, dir_.c_str(), O_RDONLY | O_DIRECTORY));
    openat(dirfd, "old", O_RDONLY);
    syscall(SYS_openat, AT_FDCWD, nullptr, O_RDONLY);
  });
  struct stat info {};
  ASSERT_EQ(stat(file.c_str(), &info), 0);
  const auto openats = all_of(events, ev::SYSCALL_OPENAT_2_X);
  ASSERT_EQ(openats.size(), 3u);
  const Captured& made = *openats[0];
  EXPECT_GE(made.num("fd"), 0);
  EXPECT_EQ(made.text("name"), file);
  EXPECT_EQ(made.num("dirfd"), -100);
  EXPECT_EQ(made.u64("flags"), 0x3u | 0x4 | 0x1000 | 0x4000);
  EXPECT_EQ(made.u64("mode"), 0640u);
  EXPECT_EQ(made.u64("dev"), info.st_dev);
  EXPECT_EQ(made.u64("ino"), info.st_ino);
  const auto opens = all_of(events, ev::SYSCALL_OPEN_X);
  ASSERT_EQ(opens.size(), 3u);
  EXPECT_EQ(opens[0]->u64("flags"), 0x2u | 0x8 | 0x40);
  EXPECT_EQ(opens[0]->u64("mode"), 0u);
  EXPECT_EQ(opens[1]->num("fd"), -ENOENT);
  EXPECT_EQ(opens[1]->text("name"), "relative/none");
  EXPECT_EQ(opens[1]->u64("flags"), 0x1u | 0x400);
  EXPECT_EQ(opens[1]->u64("ino"), 0u);
  EXPECT_EQ(openats[1]->num("dirfd"), opens[2]->num("fd"));
  EXPECT_EQ(openats[1]->text("name"), "old");
  EXPECT_EQ(openats[2]->num("fd"), -EFAULT);
  EXPECT_TRUE((*openats[2])["name"].empty());
  const Captured& second = one_of(events, ev::SYSCALL_OPENAT2_X);
  EXPECT_EQ(second.text("name"), old);
  EXPECT_EQ(second.u64("flags"), 1u);
  EXPECT_EQ(second.u64("resolve"), 0x8u | 0x2);
  const Captured& created = one_of(events, ev::SYSCALL_CREAT_X);
  EXPECT_EQ(created.text("name"), path("created"));
  EXPECT_EQ(created.u64("mode"), 0600u);
  EXPECT_GT(created.u64("ino"), 0u);
  EXPECT_EQ(box.source().counters().lost(), 0u);
}

TEST_F(SensorFiles, Descriptors) {
  NEEDS_SENSOR();
  Sandbox box({"epoll_wait"});
  const Events events = box.run([&] {
    int pair[2];
    if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) != 0) _exit(1);
    dup(pair[0]);
    dup2(pair[0], 50);
    dup3(pair[1], 51, O_CLOEXEC);
    fcntl(pair[0], F_SETFD, FD_CLOEXEC);
    fcntl(pair[0], F_DUPFD_CLOEXEC, 60);
    close(pair[1]);
    close(999);
    syscall(SYS_close_range, 50, 51, 0);
    eventfd(7, EFD_NONBLOCK);
    epoll_create1(EPOLL_CLOEXEC);
    inotify_init1(IN_CLOEXEC);
    timerfd_create(CLOCK_MONOTONIC, 0);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    signalfd(-1, &set, SFD_CLOEXEC);
    const auto self = syscall(SYS_pidfd_open, getpid(), 0);
    syscall(SYS_pidfd_getfd, self, pair[0], 0);
    syscall(SYS_userfaultfd, O_CLOEXEC);
    syscall(SYS_pipe, nullptr);
  });
  const Captured& pipe = one_of(events, ev::SYSCALL_PIPE2_X);
  EXPECT_EQ(pipe.num("res"), 0);
  EXPECT_EQ(pipe.num("fd2"), pipe.num("fd1") + 1);
  EXPECT_GT(pipe.u64("ino"), 0u);
  EXPECT_EQ(pipe.u64("flags"), 0x1040u);
  const int64_t first = pipe.num("fd1");
  EXPECT_EQ(one_of(events, ev::SYSCALL_PIPE_X).num("res"), -EFAULT);
  EXPECT_EQ(one_of(events, ev::SYSCALL_DUP_1_X).num("oldfd"), first);
  const Captured& dup2_event = one_of(events, ev::SYSCALL_DUP2_X);
  EXPECT_EQ(dup2_event.num("res"), 50);
  EXPECT_EQ(dup2_event.num("newfd"), 50);
  EXPECT_EQ(one_of(events, ev::SYSCALL_DUP3_X).u64("flags"), 0x1000u);
  const auto fcntls = all_of(events, ev::SYSCALL_FCNTL_X);
  ASSERT_EQ(fcntls.size(), 2u);
  EXPECT_EQ(fcntls[0]->num("cmd"), 3);
  EXPECT_EQ(fcntls[0]->u64("arg"), 1u);
  EXPECT_EQ(fcntls[1]->num("cmd"), 0x1a);
  EXPECT_GE(fcntls[1]->num("res"), 60);
  const auto closes = all_of(events, ev::SYSCALL_CLOSE_X);
  ASSERT_EQ(closes.size(), 2u);
  EXPECT_EQ(closes[1]->num("res"), -EBADF);
  EXPECT_EQ(closes[1]->num("fd"), 999);
  const Captured& range = one_of(events, ev::SYSCALL_CLOSE_RANGE_X);
  EXPECT_EQ(range.num("first"), 50);
  EXPECT_EQ(range.num("last"), 51);
  EXPECT_EQ(one_of(events, ev::SYSCALL_EVENTFD2_X).u64("initval"), 7u);
  EXPECT_EQ(one_of(events, ev::SYSCALL_EVENTFD2_X).u64("flags"), 0x40u);
  EXPECT_EQ(one_of(events, ev::SYSCALL_EPOLL_CREATE1_X).u64("flags"), 1u);
  EXPECT_EQ(one_of(events, ev::SYSCALL_INOTIFY_INIT1_X).u64("flags"), 0x1000u);
  EXPECT_EQ(one_of(events, ev::SYSCALL_TIMERFD_CREATE_X).num("clockid"), 1);
  const Captured& signals = one_of(events, ev::SYSCALL_SIGNALFD4_X);
  EXPECT_EQ(signals.num("fd"), -1);
  EXPECT_EQ(signals.u64("mask"), 1u << (SIGUSR1 - 1));
  EXPECT_EQ(one_of(events, ev::SYSCALL_PIDFD_OPEN_X).num("pid"), box.pid());
  EXPECT_EQ(one_of(events, ev::SYSCALL_PIDFD_GETFD_X).num("target_fd"), first);
  EXPECT_EQ(one_of(events, ev::SYSCALL_USERFAULTFD_X).u64("flags"), 0x1000u);
}

TEST_F(SensorFiles, NamesAndAttributes) {
  NEEDS_SENSOR();
  Sandbox box({"link",       "linkat",    "unlink",   "unlinkat", "rename", "renameat", "renameat2",
               "symlink",    "symlinkat", "mkdir",    "mkdirat",  "rmdir",  "mknod",    "mknodat",
               "chmod",      "fchmod",    "fchmodat", "chown",    "lchown", "fchown",   "fchownat",
               "newfstatat", "access",    "flock",    "lseek",    "stat",   "lstat",    "fstat"});
  const Events events = box.run([&] {
    if (chdir(dir_.c_str()) != 0) _exit(1);
    const int dir = openat(AT_FDCWD, ".", O_RDONLY | O_DIRECTORY);
    syscall(SYS_mkdir, "d", 0750);
    syscall(SYS_mkdirat, dir, "e", 0711);
    const int fd = openat(dir, "f", O_CREAT | O_RDWR, 0600);
    syscall(SYS_link, "f", "g");
    syscall(SYS_linkat, dir, "f", dir, "h", AT_SYMLINK_FOLLOW);
    syscall(SYS_symlink, "to", "s");
    syscall(SYS_symlinkat, "to2", dir, "s2");
    syscall(SYS_rename, "g", "g2");
    syscall(SYS_renameat, dir, "g2", AT_FDCWD, "g3");
    syscall(SYS_renameat2, dir, "g3", dir, "g4", 1);
    syscall(SYS_chmod, "f", 04755);
    syscall(SYS_fchmod, fd, 0644);
    syscall(SYS_fchmodat, dir, "f", 0600);
    syscall(SYS_chown, "f", 12, 13);
    syscall(SYS_lchown, "s", 14, -1);
    syscall(SYS_fchown, fd, 0, 0);
    syscall(SYS_fchownat, dir, "s", 1, 2, AT_SYMLINK_NOFOLLOW);
    syscall(SYS_mknod, "fifo", S_IFIFO | 0600, 0);
    syscall(SYS_mknodat, dir, "fifo2", S_IFIFO | 0644, 0);
    struct stat info {};
    syscall(SYS_newfstatat, dir, "f", &info, AT_SYMLINK_NOFOLLOW);
    syscall(SYS_stat, "f", &info);
    syscall(SYS_lstat, "s", &info);
    syscall(SYS_fstat, fd, &info);
    syscall(SYS_access, "f", W_OK | R_OK);
    syscall(SYS_flock, fd, LOCK_EX | LOCK_NB);
    syscall(SYS_lseek, fd, 100, SEEK_SET);
    syscall(SYS_unlink, "h");
    syscall(SYS_unlinkat, dir, "e", AT_REMOVEDIR);
    syscall(SYS_rmdir, "none");
    syscall(SYS_fchdir, dir);
  });
  EXPECT_EQ(one_of(events, ev::SYSCALL_CHDIR_X).text("path"), dir_);
  const int64_t dir = one_of(events, ev::SYSCALL_FCHDIR_X).num("fd");
  EXPECT_GT(dir, 2);
  const Captured& mkdir_event = one_of(events, ev::SYSCALL_MKDIR_2_X);
  EXPECT_EQ(mkdir_event.text("path"), "d");
  EXPECT_EQ(mkdir_event.u64("mode"), 0750u);
  const Captured& mkdirat_event = one_of(events, ev::SYSCALL_MKDIRAT_X);
  EXPECT_EQ(mkdirat_event.num("dirfd"), dir);
  EXPECT_EQ(mkdirat_event.text("path"), "e");
  const Captured& link_event = one_of(events, ev::SYSCALL_LINK_2_X);
  EXPECT_EQ(link_event.text("oldpath"), "f");
  EXPECT_EQ(link_event.text("newpath"), "g");
  const Captured& linkat_event = one_of(events, ev::SYSCALL_LINKAT_2_X);
  EXPECT_EQ(linkat_event.num("newdir"), dir);
  EXPECT_EQ(linkat_event.text("newpath"), "h");
  EXPECT_EQ(linkat_event.u64("flags"), 0x400u);
  const Captured& symlink_event = one_of(events, ev::SYSCALL_SYMLINK_X);
  EXPECT_EQ(symlink_event.text("target"), "to");
  EXPECT_EQ(symlink_event.text("linkpath"), "s");
  EXPECT_EQ(one_of(events, ev::SYSCALL_SYMLINKAT_X).num("linkdirfd"), dir);
  EXPECT_EQ(one_of(events, ev::SYSCALL_RENAME_X).text("newpath"), "g2");
  EXPECT_EQ(one_of(events, ev::SYSCALL_RENAMEAT_X).num("newdirfd"), -100);
  const Captured& renameat2_event = one_of(events, ev::SYSCALL_RENAMEAT2_X);
  EXPECT_EQ(renameat2_event.text("newpath"), "g4");
  EXPECT_EQ(renameat2_event.u64("flags"), 1u);
  EXPECT_EQ(one_of(events, ev::SYSCALL_CHMOD_X).u64("mode"), 04755u);
  EXPECT_EQ(one_of(events, ev::SYSCALL_FCHMOD_X).u64("mode"), 0644u);
  EXPECT_EQ(one_of(events, ev::SYSCALL_FCHMODAT_X).text("filename"), "f");
  EXPECT_EQ(one_of(events, ev::SYSCALL_CHOWN_X).u64("uid"), 12u);
  EXPECT_EQ(one_of(events, ev::SYSCALL_LCHOWN_X)["gid"].u64(), 0xffffffffu);
  EXPECT_EQ(one_of(events, ev::SYSCALL_FCHOWN_X).num("res"), 0);
  EXPECT_EQ(one_of(events, ev::SYSCALL_FCHOWNAT_X).u64("flags"), 0x400u);
  EXPECT_EQ(one_of(events, ev::SYSCALL_MKNOD_X).u64("mode"), 0010600u);
  EXPECT_EQ(one_of(events, ev::SYSCALL_MKNODAT_X).text("path"), "fifo2");
  EXPECT_EQ(one_of(events, ev::SYSCALL_NEWFSTATAT_X).u64("flags"), 0x100u);
  EXPECT_EQ(one_of(events, ev::SYSCALL_STAT_X).text("path"), "f");
  EXPECT_EQ(one_of(events, ev::SYSCALL_LSTAT_X).text("path"), "s");
  EXPECT_GT(one_of(events, ev::SYSCALL_FSTAT_X).num("fd"), dir);
  EXPECT_EQ(one_of(events, ev::SYSCALL_ACCESS_X).u64("mode"), 6u);
  EXPECT_EQ(one_of(events, ev::SYSCALL_FLOCK_X).u64("operation"), 6u);
  EXPECT_EQ(one_of(events, ev::SYSCALL_LSEEK_X).num("res"), 100);
  EXPECT_EQ(one_of(events, ev::SYSCALL_UNLINK_2_X).text("path"), "h");
  const Captured& unlinkat_event = one_of(events, ev::SYSCALL_UNLINKAT_2_X);
  EXPECT_EQ(unlinkat_event.num("res"), 0);
  EXPECT_EQ(unlinkat_event.u64("flags"), 0x200u);
  EXPECT_EQ(one_of(events, ev::SYSCALL_RMDIR_2_X).num("res"), -ENOENT);
}

TEST_F(SensorFiles, MountsOverlayLayersAndRealPaths) {
  NEEDS_SENSOR();
  Sandbox box({"unshare"});
  const Events events = box.run([&] {
    // Everything in a mount namespace of its own: it ends with the child.
    if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) _exit(1);
    if (mount("none", dir_.c_str(), "tmpfs", MS_NOSUID, nullptr) != 0) _exit(2);
    for (const char* name : {"lower", "upper", "work", "merged"}) mkdir(path(name).c_str(), 0755);
    std::filesystem::copy_file("/bin/true", path("lower/prog"));
    const std::string options = fmt::format("lowerdir={0}/lower,upperdir={0}/upper,workdir={0}/work", dir_);
    if (mount("overlay", path("merged").c_str(), "overlay", 0, options.c_str()) != 0) _exit(3);
    syscall(SYS_open, path("merged/prog").c_str(), O_RDONLY);
    syscall(SYS_open, path("merged/new").c_str(), O_WRONLY | O_CREAT, 0700);
    syscall(SYS_creat, path("merged/newer").c_str(), 0700);
    if (fork() == 0) execl(path("merged/prog").c_str(), "prog", nullptr);
    wait(nullptr);
    umount2(path("merged").c_str(), MNT_DETACH);
    if (chroot(dir_.c_str()) != 0) _exit(4);
  });
  ASSERT_EQ(WEXITSTATUS(box.status()), 0);
  EXPECT_EQ(one_of(events, ev::SYSCALL_UNSHARE_X, box.pid()).num("res"), 0);
  const auto mounts = all_of(events, ev::SYSCALL_MOUNT_X);
  ASSERT_EQ(mounts.size(), 3u);
  EXPECT_EQ(mounts[1]->text("dir"), dir_);
  EXPECT_EQ(mounts[1]->text("type"), "tmpfs");
  EXPECT_EQ(mounts[1]->u64("flags"), 2u);
  EXPECT_TRUE((*mounts[0])["dev"].empty());
  const auto opens = all_of(events, ev::SYSCALL_OPEN_X);
  ASSERT_EQ(opens.size(), 2u);
  EXPECT_EQ(opens[0]->u64("flags"), 0x1u | 0x10000);
  EXPECT_EQ(opens[1]->u64("flags"), 0x2u | 0x4 | 0x4000 | 0x8000);
  EXPECT_EQ(one_of(events, ev::SYSCALL_CREAT_X).u64("creat_flags"), 1u);
  const Captured& exec = one_of(events, ev::SYSCALL_EXECVE_19_X);
  EXPECT_EQ(exec.text("trusted_exepath"), path("merged/prog"));
  EXPECT_EQ(exec.u64("flags") & 0xa, 0x8u);
  const Captured& umount_event = one_of(events, ev::SYSCALL_UMOUNT2_X);
  EXPECT_EQ(umount_event.text("name"), path("merged"));
  EXPECT_EQ(umount_event.u64("flags"), 2u);
  EXPECT_EQ(one_of(events, ev::SYSCALL_CHROOT_X).text("path"), dir_);
}

}  // namespace
}  // namespace quell::capture::test
