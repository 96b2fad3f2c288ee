#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fmt/format.h>

#include "sandbox.h"

#define NEEDS_SENSOR()                                         \
  if (const std::string why = why_not(); !why.empty()) {       \
    printf("SKIPPED: %s\n", why.c_str());                      \
    GTEST_SKIP() << why;                                       \
  }

namespace quell::capture::test {
namespace {

std::vector<std::string> list_of(Param param) {
  std::vector<std::string> out;
  for_each_part({reinterpret_cast<const char*>(param.data), param.len}, [&](std::string_view part) { out.emplace_back(part); });
  return out;
}

TEST(SensorProcess, ExecCarriesTheWholeProgram) {
  NEEDS_SENSOR();
  Sandbox box;
  const Events events = box.run([] {
    if (chdir("/usr") != 0) _exit(9);
    const char* argv[] = {"my true", "one", "", "three words here", nullptr};
    const char* env[] = {"A=1", "LONGER=some value", nullptr};
    execve("/bin/true", const_cast<char**>(argv), const_cast<char**>(env));
  });
  ASSERT_TRUE(WIFEXITED(box.status()) && WEXITSTATUS(box.status()) == 0);
  const Captured& exec = one_of(events, ev::SYSCALL_EXECVE_19_X);
  EXPECT_EQ(exec.event.tid(), box.pid());
  EXPECT_EQ(exec.num("res"), 0);
  EXPECT_EQ(exec.text("exe"), "my true");
  EXPECT_EQ(list_of(exec["args"]), (std::vector<std::string>{"one", "", "three words here"}));
  EXPECT_EQ(list_of(exec["env"]), (std::vector<std::string>{"A=1", "LONGER=some value"}));
  EXPECT_EQ(exec.num("tid"), box.pid());
  EXPECT_EQ(exec.num("pid"), box.pid());
  EXPECT_EQ(exec.num("ptid"), getpid());
  EXPECT_EQ(exec.text("cwd"), "/usr");
  EXPECT_EQ(exec.text("comm"), "true");
  EXPECT_EQ(exec.text("filename"), "/bin/true");
  EXPECT_EQ(exec.text("trusted_exepath"), std::filesystem::canonical("/bin/true"));
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  EXPECT_EQ(exec.u64("fdlimit"), limit.rlim_cur);
  EXPECT_GT(exec.u64("vm_size"), 100u);
  struct stat info {};
  stat("/bin/true", &info);
  EXPECT_EQ(exec.u64("exe_ino"), info.st_ino);
  EXPECT_EQ(exec.u64("exe_ino_mtime"), static_cast<uint64_t>(info.st_mtim.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(info.st_mtim.tv_nsec));
  EXPECT_EQ(exec.u64("exe_ino_ctime"), static_cast<uint64_t>(info.st_ctim.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(info.st_ctim.tv_nsec));
  EXPECT_EQ(exec.u64("uid"), 0u);
  EXPECT_EQ(exec.u64("gid"), 0u);
  EXPECT_EQ(exec.num("pgid"), getpgrp());
  EXPECT_EQ(exec.num("vpgid"), getpgrp());
  EXPECT_NE(exec.u64("cap_effective"), 0u);
  const auto cgroups = list_of(exec["cgroups"]);
  const std::string name = std::filesystem::path(box.group()).filename();
  EXPECT_NE(std::find(cgroups.begin(), cgroups.end(), "unified=/" + name), cgroups.end()) << fmt::format("{}", fmt::join(cgroups, " "));
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  const auto now_ns = static_cast<int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
  EXPECT_LT(std::llabs(now_ns - static_cast<int64_t>(exec.event.ts_ns())), 60'000'000'000);

  const Captured& exit = one_of(events, ev::PROCEXIT_1_E);
  EXPECT_EQ(exit.event.tid(), box.pid());
  EXPECT_EQ(exit.num("status"), 0);
}

TEST(SensorProcess, OpensAndCloses) {
  NEEDS_SENSOR();
  Sandbox box;
  const std::string file = fmt::format("/tmp/quell-open-{}", getpid());
  const Events events = box.run([&] {
    const int fd = openat(AT_FDCWD, file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    close(fd);
    syscall(SYS_open, file.c_str(), O_RDONLY);
  });
  struct stat info {};
  ASSERT_EQ(stat(file.c_str(), &info), 0);
  unlink(file.c_str());
  const Captured& made = one_of(events, ev::SYSCALL_OPENAT_2_X);
  EXPECT_EQ(made.text("name"), file);
  EXPECT_EQ(made.num("dirfd"), -100);
  EXPECT_EQ(made.u64("flags"), 0x3u | 0x4 | 0x1000 | 0x4000);
  EXPECT_EQ(made.u64("mode"), 0640u);
  EXPECT_EQ(made.u64("dev"), info.st_dev);
  EXPECT_EQ(made.u64("ino"), info.st_ino);
  const Captured& closed = one_of(events, ev::SYSCALL_CLOSE_X);
  EXPECT_EQ(closed.num("res"), 0);
  EXPECT_EQ(closed.num("fd"), made.num("fd"));
  const Captured& opened = one_of(events, ev::SYSCALL_OPEN_X);
  EXPECT_EQ(opened.u64("flags"), 1u);
  EXPECT_EQ(opened.u64("mode"), 0u);
}

}  // namespace
}  // namespace quell::capture::test
