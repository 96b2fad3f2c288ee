#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#include <fmt/format.h>

#include "needs_sensor.h"

namespace quell::capture::test {
namespace {

char touched;

std::vector<std::string> list_of(Param param) {
  std::vector<std::string> out;
  for_each_part({reinterpret_cast<const char*>(param.data), param.len},
                [&](std::string_view part) { out.emplace_back(part); });
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
  EXPECT_EQ(exec.u64("exe_ino_mtime"),
            static_cast<uint64_t>(info.st_mtim.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(info.st_mtim.tv_nsec));
  EXPECT_EQ(exec.u64("exe_ino_ctime"),
            static_cast<uint64_t>(info.st_ctim.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(info.st_ctim.tv_nsec));
  EXPECT_EQ(exec.u64("uid"), 0u);
  EXPECT_EQ(exec.u64("gid"), 0u);
  EXPECT_EQ(exec.num("pgid"), getpgrp());
  EXPECT_EQ(exec.num("vpgid"), getpgrp());
  EXPECT_NE(exec.u64("cap_effective"), 0u);
  const auto cgroups = list_of(exec["cgroups"]);
  const std::string name = std::filesystem::path(box.group()).filename();
  EXPECT_NE(std::find(cgroups.begin(), cgroups.end(), "unified=/" + name), cgroups.end())
      << fmt::format("{}", fmt::join(cgroups, " "));
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  const auto now_ns = static_cast<int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
  EXPECT_LT(std::llabs(now_ns - static_cast<int64_t>(exec.event.ts_ns())), 60'000'000'000);

  const Captured& exit = one_of(events, ev::PROCEXIT_1_E);
  EXPECT_EQ(exit.event.tid(), box.pid());
  EXPECT_EQ(exit.num("status"), 0);
}

TEST(SensorProcess, ExecOfAScriptNamesScriptAndInterpreter) {
  NEEDS_SENSOR();
  const std::string script = fmt::format("/tmp/quell-script-{}.sh", getpid());
  std::ofstream(script) << "#!/bin/sh\nexit 7\n";
  chmod(script.c_str(), 0755);
  Sandbox box;
  const Events events = box.run([&] { execl(script.c_str(), "name", "arg", nullptr); });
  std::filesystem::remove(script);
  EXPECT_EQ(WEXITSTATUS(box.status()), 7);
  const Captured& exec = one_of(events, ev::SYSCALL_EXECVE_19_X);
  EXPECT_EQ(exec.text("filename"), script);
  EXPECT_EQ(exec.text("exe"), "/bin/sh");
  EXPECT_EQ(list_of(exec["args"]), (std::vector<std::string>{script, "arg"}));
  EXPECT_EQ(exec.text("comm"), std::filesystem::path(script).filename().string().substr(0, 15));
  EXPECT_EQ(exec.text("trusted_exepath"), std::filesystem::canonical("/bin/sh"));
  const Captured& exit = one_of(events, ev::PROCEXIT_1_E);
  EXPECT_EQ(exit.num("status"), 7 << 8);
  EXPECT_EQ(exit.num("ret"), 7);
  EXPECT_EQ(exit.num("sig"), 0);
}

TEST(SensorProcess, FailedExecTellsWhatWasAsked) {
  NEEDS_SENSOR();
  Sandbox box;
  const Events events = box.run([] {
    const char* argv[] = {"ghost", "-x", "y", nullptr};
    const char* env[] = {"E=1", nullptr};
    // The kernel gives up before it reads these, and the sensor cannot bring pages in: touch them.
    for (const char* text : {argv[0], argv[1], argv[2], env[0]}) *const_cast<volatile char*>(&touched) = text[0];
    execve("/nowhere/at/all", const_cast<char**>(argv), const_cast<char**>(env));
    syscall(SYS_execveat, AT_FDCWD, "/nowhere/either", argv, env, 0);
    syscall(SYS_execve, nullptr, nullptr, nullptr);
  });
  const auto execs = all_of(events, ev::SYSCALL_EXECVE_19_X);
  ASSERT_EQ(execs.size(), 2u);
  EXPECT_EQ(execs[0]->num("res"), -ENOENT);
  EXPECT_EQ(execs[0]->text("filename"), "/nowhere/at/all");
  EXPECT_EQ(execs[0]->text("exe"), "ghost");
  EXPECT_EQ(list_of((*execs[0])["args"]), (std::vector<std::string>{"-x", "y"}));
  EXPECT_EQ(list_of((*execs[0])["env"]), (std::vector<std::string>{"E=1"}));
  EXPECT_EQ(execs[0]->text("trusted_exepath"), std::filesystem::canonical("/proc/self/exe"));
  EXPECT_EQ(execs[1]->num("res"), -EFAULT);
  EXPECT_TRUE((*execs[1])["filename"].empty());
  const Captured& at = one_of(events, ev::SYSCALL_EXECVEAT_X);
  EXPECT_EQ(at.num("res"), -ENOENT);
  EXPECT_EQ(at.text("exe"), "ghost");
}

TEST(SensorProcess, ExecveatAndMemfd) {
  NEEDS_SENSOR();
  Sandbox box;
  const Events events = box.run([] {
    const int from = open("/bin/true", O_RDONLY), to = memfd_create("payload", MFD_CLOEXEC);
    char buffer[65536];
    for (ssize_t n = 0; (n = read(from, buffer, sizeof buffer)) > 0;) {
      if (write(to, buffer, static_cast<size_t>(n)) != n) _exit(1);
    }
    const char* argv[] = {"hidden", nullptr};
    syscall(SYS_execveat, to, "", argv, environ, AT_EMPTY_PATH);
  });
  const Captured& made = one_of(events, ev::SYSCALL_MEMFD_CREATE_X);
  EXPECT_EQ(made.text("name"), "payload");
  EXPECT_EQ(made.u64("flags"), 1u);
  const Captured& exec = one_of(events, ev::SYSCALL_EXECVEAT_X);
  EXPECT_EQ(exec.num("res"), 0);
  EXPECT_EQ(exec.text("exe"), "hidden");
  EXPECT_EQ(exec.text("trusted_exepath"), "memfd:payload");
  EXPECT_TRUE(exec.u64("flags") & 0x4) << exec.u64("flags");
  EXPECT_TRUE(exec.u64("flags") & 0x1) << "root may write it";
}

TEST(SensorProcess, LongArgumentsAreCutAtTheirLimit) {
  NEEDS_SENSOR();
  Sandbox box;
  const std::string argument(3000, 'a');
  const Events events =
      box.run([&] { execl("/bin/true", "true", argument.c_str(), argument.c_str(), "end", nullptr); });
  const Captured& exec = one_of(events, ev::SYSCALL_EXECVE_19_X);
  EXPECT_EQ(exec["args"].len, 4096u);
  EXPECT_EQ(exec["args"].data[4095], 0);
  EXPECT_EQ(list_of(exec["args"])[0], argument);
}

TEST(SensorProcess, UnprivilegedIdentity) {
  NEEDS_SENSOR();
  Sandbox box;
  const Events events = box.run([] {
    if (setresgid(1001, 1002, 1001) != 0 || setresuid(2001, 2002, 2001) != 0) _exit(3);
    execl("/bin/true", "true", nullptr);
  });
  const Captured& gids = one_of(events, ev::SYSCALL_SETRESGID_X);
  EXPECT_EQ(gids.u64("egid"), 1002u);
  const Captured& uids = one_of(events, ev::SYSCALL_SETRESUID_X);
  EXPECT_EQ(uids.u64("ruid"), 2001u);
  EXPECT_EQ(uids.u64("euid"), 2002u);
  const Captured& exec = one_of(events, ev::SYSCALL_EXECVE_19_X);
  EXPECT_EQ(exec.u64("uid"), 2002u);
  EXPECT_EQ(exec.u64("gid"), 1002u);
  EXPECT_EQ(exec.u64("cap_effective"), 0u);
  EXPECT_EQ(exec.u64("flags") & 1, 0u) << "not writable";
}

TEST(SensorProcess, ForkTreeInOrder) {
  NEEDS_UNCHANGED_PROCESSES();
  Sandbox box;
  const Events events = box.run([] {
    const pid_t child = fork();
    if (child == 0) {
      if (fork() == 0) _exit(3);
      wait(nullptr);
      _exit(2);
    }
    waitpid(child, nullptr, 0);
    std::thread([] { (void)getppid(); }).join();
    if (vfork() == 0) _exit(5);
    wait(nullptr);
  });
  // Parent side and child side of each; the child's comes first and before anything else of the child.
  std::vector<int64_t> seen;
  std::map<int64_t, int64_t> parent_of;
  size_t threads = 0;
  for (const auto& event : events) {
    const bool birth = event->code() == ev::SYSCALL_CLONE_20_X && event->num("res") == 0;
    if (birth) {
      EXPECT_EQ(std::count(seen.begin(), seen.end(), event->event.tid()), 0)
          << "an event before the birth of its thread";
      seen.push_back(event->event.tid());
      parent_of[event->num("tid")] = event->num("ptid");
      EXPECT_EQ(event->num("vtid"), event->num("tid"));
      if (event->u64("flags") & 0x2000) {
        ++threads;
        EXPECT_EQ(event->num("pid"), box.pid());
      }
    } else if (event->event.tid() != box.pid()) {
      EXPECT_EQ(std::count(seen.begin(), seen.end(), event->event.tid()), 1) << event->event.spec().id;
    }
  }
  EXPECT_EQ(threads, 1u);
  EXPECT_EQ(seen.size(), 4u);
  const auto parents = [&](EventCode code) {
    size_t count = 0;
    for (const Captured* event : all_of(events, code)) count += event->num("res") > 0;
    return count;
  };
  EXPECT_EQ(parents(ev::SYSCALL_CLONE_20_X) + parents(ev::SYSCALL_CLONE3_X) + parents(ev::SYSCALL_FORK_20_X), 3u);
  const Captured& vforked = one_of(events, ev::SYSCALL_VFORK_20_X);
  EXPECT_EQ(vforked.u64("flags"), 0x8008000u);
  std::multiset<int64_t> codes;
  for (const Captured* exit : all_of(events, ev::PROCEXIT_1_E)) codes.insert(exit->num("ret"));
  EXPECT_EQ(codes, (std::multiset<int64_t>{0, 0, 2, 3, 5}));
}

TEST(SensorProcess, DeathsAndReapers) {
  NEEDS_UNCHANGED_PROCESSES();
  Sandbox box;
  const Events events = box.run([] {
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    const pid_t middle = fork();
    if (middle == 0) {
      if (fork() == 0) {
        usleep(50'000);
        _exit(0);
      }
      signal(SIGSEGV, SIG_DFL);  // sanitizers have a handler
      raise(SIGSEGV);
    }
    while (wait(nullptr) > 0) {
    }
  });
  const Captured& prctl_event = one_of(events, ev::SYSCALL_PRCTL_X);
  EXPECT_EQ(prctl_event.num("option"), 36);
  EXPECT_EQ(prctl_event.num("arg2_int"), 1);
  const Captured* killed = nullptr;
  for (const Captured* exit : all_of(events, ev::PROCEXIT_1_E)) {
    if (exit->num("sig") == SIGSEGV) killed = exit;
  }
  ASSERT_NE(killed, nullptr);
  EXPECT_EQ(killed->num("reaper_tid"), box.pid());
  EXPECT_EQ(killed->num("status") & 0x7f, SIGSEGV);
}

TEST(SensorProcess, PidNamespace) {
  NEEDS_SENSOR();
  Sandbox box;
  const Events events = box.run([] {
    const long child = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, nullptr, nullptr, nullptr, 0);
    if (child == 0) {
      execl("/bin/true", "true", nullptr);
      _exit(1);
    }
    waitpid(static_cast<pid_t>(child), nullptr, 0);
  });
  const Captured* birth = nullptr;
  for (const Captured* event : all_of(events, ev::SYSCALL_CLONE_20_X)) {
    if (event->num("res") == 0) birth = event;
  }
  ASSERT_NE(birth, nullptr);
  EXPECT_EQ(birth->num("vtid"), 1);
  EXPECT_EQ(birth->num("vpid"), 1);
  EXPECT_GT(birth->num("tid"), 1);
  EXPECT_EQ(birth->u64("flags"), 0x20000040u);
  EXPECT_GT(birth->u64("pidns_init_start_ts"), 0u);
  const Captured& exec = one_of(events, ev::SYSCALL_EXECVE_19_X);
  EXPECT_EQ(exec.event.tid(), birth->num("tid"));
}

}  // namespace
}  // namespace quell::capture::test
