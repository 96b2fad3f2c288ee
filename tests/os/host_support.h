#pragma once
// Real processes, cgroups and folders for the tests of the doors to the host. Everything ends with its object; every
// child ends by itself after a minute, should the test die before that.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sched.h>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include "os/os.h"

namespace quell::os {

inline const Os& machine() {
  static const std::unique_ptr<Os> os = make_linux_os();
  return *os;
}

inline bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

/// A child that runs `body` and then sleeps until it is killed; reaped at the end. It has run `body` when it is built.
class TestChild {
 public:
  explicit TestChild(const std::function<void()>& body = [] {}) {
    int ready[2];
    EXPECT_EQ(::pipe(ready), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::alarm(60);
      body();
      (void)!::write(ready[1], "x", 1);
      for (;;) ::pause();
    }
    char byte;
    ::close(ready[1]);
    EXPECT_EQ(::read(ready[0], &byte, 1), 1) << "the child has ended before it was ready";
    ::close(ready[0]);
  }
  TestChild(const TestChild&) = delete;
  TestChild& operator=(const TestChild&) = delete;
  ~TestChild() { reap(); }
  void reap() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  pid_t pid() const { return pid_; }
  ProcessId id() const { return machine().process_facts(pid_)->id; }
  ProcessHandle handle() const {
    return std::move(*machine().open_process({.boot_id = "", .pid = pid_, .start_ticks = 0}));
  }

 private:
  pid_t pid_ = -1;
};

/// A new child with this very pid, which must be free; -1 where that is not allowed. Ends by itself after a minute.
inline pid_t fork_with_pid(pid_t pid) {
  const pid_t wanted[1] = {pid};
  struct {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
  } args{};
  args.exit_signal = SIGCHLD;
  args.set_tid = reinterpret_cast<uint64_t>(wanted);
  args.set_tid_size = 1;
  const auto child = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
  if (child == 0) {
    ::alarm(60);
    for (;;) ::pause();
  }
  return child;
}

/// A cgroup directory of a hierarchy ("unified", "freezer"), removed at the end with whoever is left in it.
class TestCgroup {
 public:
  explicit TestCgroup(const std::string& hierarchy, const std::string& suffix = "") {
    static int count = 0;
    const std::string base = "/sys/fs/cgroup/";
    const std::string root =
        hierarchy == "unified" && !std::filesystem::exists(base + "unified") ? base : base + hierarchy + "/";
    path_ = root + "quell_host_test_" + std::to_string(::getpid()) + "_" + std::to_string(++count) + suffix;
    made_ = ::mkdir(path_.c_str(), 0755) == 0;
  }
  TestCgroup(const TestCgroup&) = delete;
  TestCgroup& operator=(const TestCgroup&) = delete;
  ~TestCgroup() {
    if (!made_) return;
    write("freezer.state", "THAWED");
    write("cgroup.freeze", "0");
    for (int i = 0; i < 300 && ::rmdir(path_.c_str()) != 0; ++i) {
      for (const pid_t pid : pids()) ::kill(pid, SIGKILL);
      while (::waitpid(-1, nullptr, WNOHANG) > 0) {
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_FALSE(std::filesystem::exists(path_));
  }
  bool made() const { return made_; }
  const std::string& path() const { return path_; }
  bool write(const std::string& file, const std::string& text) const {
    if (!std::filesystem::exists(path_ + "/" + file)) return false;
    std::ofstream out(path_ + "/" + file);
    out << text;
    out.flush();
    return out.good();
  }
  bool add(pid_t pid) const { return write("cgroup.procs", std::to_string(pid)); }
  std::vector<pid_t> pids() const {
    std::vector<pid_t> out;
    std::ifstream in(path_ + "/cgroup.procs");
    for (pid_t pid; in >> pid;)
      if (pid > 0) out.push_back(pid);
    return out;
  }

 private:
  std::string path_;
  bool made_ = false;
};

/// A new empty folder below the temporary one, removed at the end.
class TestFolder {
 public:
  TestFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "quell_host_test_XXXXXX").string();
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
    fd_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  ~TestFolder() {
    ::close(fd_);
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  const std::string& path() const { return path_; }
  int fd() const { return fd_; }
  std::string write(const std::string& name, const std::string& content) const {
    std::ofstream(path_ + "/" + name, std::ios::binary) << content;
    return path_ + "/" + name;
  }
  std::string read(const std::string& name) const {
    std::ifstream in(path_ + "/" + name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

 private:
  std::string path_;
  int fd_ = -1;
};

/// Runs `body` in a child with a mount namespace of its own, into which `enter` mounts what it needs; what fails in
/// there fails the test. Answers false if this process may not make one.
inline bool in_mount_namespace(const std::function<void()>& body) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) ::_exit(77);
    body();
    std::fflush(nullptr);
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) return false;
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
  return true;
}

/// Runs `body` in a child that is user 65534 without any capability; not at all when this process may not make one.
inline void as_nobody(const std::function<void()>& body) {
  if (::geteuid() != 0) return;
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::setresgid(65534, 65534, 65534) != 0 || ::setresuid(65534, 65534, 65534) != 0) ::_exit(2);
    body();
    std::fflush(nullptr);
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
}

}  // namespace quell::os

/// Ends the test unless it runs as root.
#define QUELL_NEEDS_ROOT() \
  if (::geteuid() != 0) GTEST_SKIP() << "SKIPPED: only root may do this"
