// Copies of files as processes see them, and what is not copied.
#include "os/file_acquire.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/xattr.h>

#include "base/sha256.h"
#include "host_support.h"

namespace quell::os {
namespace {

std::string sha256_of(const std::string& bytes) {
  Sha256 sum;
  sum.update({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  return sum.finish();
}

TEST(FileAcquire, ContentAndEverythingElse) {
  TestFolder folder, evidence;
  const std::string content = std::string(3'000'000, 'x') + "end";
  const std::string path = folder.write("sample", content);
  ::chmod(path.c_str(), 04711);
  const bool has_xattrs = ::setxattr(path.c_str(), "user.note", "hello", 5, 0) == 0;
  const auto file = acquire_file(machine(), {nullptr, path}, evidence.fd(), "copy", {});
  ASSERT_TRUE(file) << file.error().str();
  EXPECT_EQ(evidence.read("copy"), content);
  EXPECT_EQ(file->sha256, sha256_of(content));
  EXPECT_EQ(file->bytes, content.size());
  EXPECT_FALSE(file->changed_while_read);
  EXPECT_FALSE(file->is_unlinked);
  EXPECT_EQ(file->attributes.mode & 07777, 04711u);
  EXPECT_EQ(file->attributes.links, 1u);
  if (has_xattrs) {
    ASSERT_FALSE(file->attributes.xattrs.empty());
    EXPECT_EQ(file->attributes.xattrs.back(), std::pair(std::string("user.note"), std::string("hello")));
  }
  struct stat info {};
  ASSERT_EQ(::stat((evidence.path() + "/copy").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  JsonWriter out;
  write_json(out, file->attributes);
  EXPECT_EQ(file_attributes_from_json(*Json::parse(out.take())).value(), file->attributes);
  EXPECT_EQ(acquire_file(machine(), {nullptr, path}, evidence.fd(), "copy", {}).error().code, Code::already_exists);
  EXPECT_EQ(file_attributes_from_json(*Json::parse("{}")).error().code, Code::malformed);
}

TEST(FileAcquire, WhatIsNoRegularFileIsRefusedWithoutWaiting) {
  TestFolder folder, evidence;
  const std::string fifo = folder.path() + "/fifo", link = folder.path() + "/link";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  ASSERT_EQ(::symlink("/proc/self/root/etc/passwd", link.c_str()), 0);
  for (const std::string& path : {fifo, folder.path(), std::string("/dev/zero"), std::string("/proc/kmsg")})
    EXPECT_EQ(acquire_file(machine(), {nullptr, path}, evidence.fd(), "copy", {}).error().code, Code::refused) << path;
  EXPECT_FALSE(acquire_file(machine(), {nullptr, link}, evidence.fd(), "copy", {}));
  EXPECT_EQ(acquire_file(machine(), {nullptr, folder.path() + "/none"}, evidence.fd(), "copy", {}).error().code,
            Code::not_found);
  EXPECT_EQ(acquire_file(machine(), {nullptr, "etc/passwd"}, evidence.fd(), "copy", {}).error().code,
            Code::invalid_argument);
  EXPECT_EQ(acquire_file(machine(), {nullptr, "/etc/passwd"}, evidence.fd(), "a/b", {}).error().code,
            Code::invalid_argument);
  EXPECT_TRUE(std::filesystem::is_empty(evidence.path()));
}

TEST(FileAcquire, BoundsLeaveNothing) {
  TestFolder folder, evidence;
  const std::string path = folder.write("big", std::string(3 << 20, 'x'));
  AcquireLimits limits;
  limits.max_bytes = (3 << 20) - 1;
  EXPECT_EQ(acquire_file(machine(), {nullptr, path}, evidence.fd(), "copy", limits).error().code, Code::limit);
  limits = {};
  limits.max_ns = 0;
  EXPECT_EQ(acquire_file(machine(), {nullptr, path}, evidence.fd(), "copy", limits).error().code, Code::timeout);
  limits = {};
  limits.is_cancelled = [] { return true; };
  EXPECT_EQ(acquire_file(machine(), {nullptr, path}, evidence.fd(), "copy", limits).error().code, Code::cancelled);
  EXPECT_TRUE(std::filesystem::is_empty(evidence.path()));
}

TEST(FileAcquire, AChangeMeanwhileIsSaid) {
  TestFolder folder, evidence;
  const std::string path = folder.write("log", std::string(3 << 20, 'x'));
  AcquireLimits limits;
  limits.is_cancelled = [&] {
    std::ofstream(path, std::ios::app) << "more";
    return false;
  };
  const auto file = acquire_file(machine(), {nullptr, path}, evidence.fd(), "copy", limits);
  ASSERT_TRUE(file) << file.error().str();
  EXPECT_TRUE(file->changed_while_read);
}

TEST(FileAcquire, UnlinkedFilesAndPrograms) {
  TestFolder folder, evidence;
  const std::string path = folder.write("victim", "still here");
  int number = -1;
  std::filesystem::copy_file("/bin/sleep", folder.path() + "/implant");
  int started[2];
  ASSERT_EQ(::pipe2(started, O_CLOEXEC), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::dup2(::open(path.c_str(), O_RDONLY), 77) != 77) ::_exit(1);
    ::execl((folder.path() + "/implant").c_str(), "implant", "60", nullptr);
    ::_exit(1);
  }
  ::close(started[1]);
  char byte;
  EXPECT_EQ(::read(started[0], &byte, 1), 0);  // closed by exec
  ::close(started[0]);
  number = 77;
  ::unlink(path.c_str());
  ::unlink((folder.path() + "/implant").c_str());
  const auto handle = machine().open_process({.boot_id = "", .pid = pid, .start_ticks = 0});
  ASSERT_TRUE(handle);
  const auto open = open_descriptor_of(machine(), *handle, number);
  ASSERT_TRUE(open) << open.error().str();
  const auto file = acquire_file(open->get(), evidence.fd(), "victim", {});
  ASSERT_TRUE(file) << file.error().str();
  EXPECT_TRUE(file->is_unlinked);
  EXPECT_EQ(evidence.read("victim"), "still here");
  const auto program = open_program_of(machine(), *handle);
  ASSERT_TRUE(program) << program.error().str();
  const auto copy = acquire_file(program->get(), evidence.fd(), "implant", {});
  ASSERT_TRUE(copy) << copy.error().str();
  EXPECT_EQ(copy->bytes, std::filesystem::file_size("/bin/sleep"));
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  EXPECT_EQ(open_program_of(machine(), *handle).error().code, Code::gone);
  EXPECT_EQ(open_place(machine(), {&*handle, "/etc/passwd"}).error().code, Code::gone);
}

TEST(FileAcquire, LinksStayWithinTheRootOfTheProcess) {
  QUELL_NEEDS_ROOT();
  TestFolder jail, evidence;
  std::filesystem::create_directory(jail.path() + "/etc");
  jail.write("etc/secret", "of the jail");
  ASSERT_EQ(::symlink("/etc/secret", (jail.path() + "/absolute").c_str()), 0);
  ASSERT_EQ(::symlink("../../../../../etc/secret", (jail.path() + "/climbing").c_str()), 0);
  ASSERT_EQ(::symlink("/etc/shadow", (jail.path() + "/outside").c_str()), 0);
  TestChild child([&] {
    if (::chroot(jail.path().c_str()) != 0) ::_exit(1);
  });
  const ProcessHandle handle = child.handle();
  for (const char* path : {"/absolute", "/climbing", "/../../etc/secret"}) {
    const auto file = acquire_file(machine(), {&handle, path}, evidence.fd(), "copy", {});
    ASSERT_TRUE(file) << file.error().str();
    EXPECT_EQ(evidence.read("copy"), "of the jail");
    ::unlinkat(evidence.fd(), "copy", 0);
  }
  EXPECT_EQ(acquire_file(machine(), {&handle, "/outside"}, evidence.fd(), "copy", {}).error().code, Code::not_found);
}

TEST(FileAcquire, TheLayerOfAnOverlay) {
  TestFolder base, evidence;
  const bool ran = in_mount_namespace([&] {
    ASSERT_EQ(::mount("tmpfs", base.path().c_str(), "tmpfs", 0, nullptr), 0);
    for (const char* name : {"/lower", "/upper", "/work", "/merged"}) ::mkdir((base.path() + name).c_str(), 0755);
    std::ofstream(base.path() + "/lower/image") << "from the image";
    const std::string options =
        "lowerdir=" + base.path() + "/lower,upperdir=" + base.path() + "/upper,workdir=" + base.path() + "/work";
    ASSERT_EQ(::mount("overlay", (base.path() + "/merged").c_str(), "overlay", 0, options.c_str()), 0);
    std::ofstream(base.path() + "/merged/dropped") << "by the attacker";
    const auto lower = acquire_file(machine(), {nullptr, base.path() + "/merged/image"}, evidence.fd(), "a", {});
    ASSERT_TRUE(lower) << lower.error().str();
    EXPECT_EQ(lower->layer, "lower");
    const auto upper = acquire_file(machine(), {nullptr, base.path() + "/merged/dropped"}, evidence.fd(), "b", {});
    ASSERT_TRUE(upper) << upper.error().str();
    EXPECT_EQ(upper->layer, "upper");
    const auto none = acquire_file(machine(), {nullptr, base.path() + "/lower/image"}, evidence.fd(), "c", {});
    ASSERT_TRUE(none) << none.error().str();
    EXPECT_EQ(none->layer, "");
  });
  if (!ran) GTEST_SKIP() << "SKIPPED: no right to make mounts";
}

TEST(FileAcquire, AFullDiskAndMissingRights) {
  QUELL_NEEDS_ROOT();
  TestFolder folder, evidence;
  const std::string path = folder.write("big", std::string(1 << 20, 'x'));
  ::chmod(path.c_str(), 0600);
  ::chmod(folder.path().c_str(), 0755);
  ::chmod(evidence.path().c_str(), 0777);
  as_nobody([&] {
    EXPECT_EQ(acquire_file(machine(), {nullptr, path}, evidence.fd(), "copy", {}).error().code,
              Code::permission_denied);
    EXPECT_NE(why_no_acquire(), "");
  });
  EXPECT_EQ(why_no_acquire(), "");
  EXPECT_TRUE(in_mount_namespace([&] {
    ASSERT_EQ(::mount("tmpfs", evidence.path().c_str(), "tmpfs", 0, "size=64k"), 0);
    const int small = ::open(evidence.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    EXPECT_EQ(acquire_file(machine(), {nullptr, path}, small, "copy", {}).error().code, Code::io);
    EXPECT_TRUE(std::filesystem::is_empty(evidence.path()));
    ::close(small);
  }));
}

}  // namespace
}  // namespace quell::os
