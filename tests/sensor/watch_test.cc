// What is watched, what is not, what is lost, and what is refused.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <set>
#include <thread>

#include <fmt/format.h>

#include "base/clock.h"
#include "capture/ebpf/call_tracepoints.h"
#include "needs_sensor.h"

namespace quell::capture::test {
namespace {

int do_nothing_program() {
  const bpf_insn code[] = {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0}, {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
  bpf_attr attributes{};
  attributes.prog_type = BPF_PROG_TYPE_TRACEPOINT;
  attributes.insns = reinterpret_cast<uint64_t>(code);
  attributes.insn_cnt = std::size(code);
  attributes.license = reinterpret_cast<uint64_t>("GPL");
  return static_cast<int>(syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes));
}

void touch_root() { close(open("/", O_RDONLY | O_DIRECTORY)); }

TEST(SensorWatch, OnlyTheGroupAndWhatIsBelow) {
  NEEDS_SENSOR();
  Sandbox box;
  const std::string below = box.group() + "/below";
  ASSERT_EQ(mkdir(below.c_str(), 0755), 0);
  int gate[2];
  ASSERT_EQ(pipe(gate), 0);
  const auto start = [&] {
    const pid_t pid = fork();
    if (pid == 0) {
      char byte = 0;
      while (read(gate[0], &byte, 1) != 1) {
      }
      touch_root();
      _exit(0);
    }
    return pid;
  };
  const pid_t inside = start(), deep = start(), outside = start();
  box.enter(inside);
  std::ofstream(below + "/cgroup.procs") << deep << std::flush;
  ASSERT_EQ(write(gate[1], "xxx", 3), 3);
  for (const pid_t pid : {inside, deep, outside}) waitpid(pid, nullptr, 0);
  touch_root();
  const Events events = box.collect();
  rmdir(below.c_str());
  close(gate[0]);
  close(gate[1]);
  EXPECT_EQ(all_of(events, ev::SYSCALL_OPENAT_2_X, inside).size(), 1u);
  EXPECT_EQ(all_of(events, ev::SYSCALL_OPENAT_2_X, deep).size(), 1u);
  for (const auto& event : events) {
    EXPECT_NE(event->event.tid(), outside);
    EXPECT_NE(event->event.tid(), getpid());
  }
}

TEST(SensorWatch, VersionOneGroup) {
  NEEDS_SENSOR();
  const auto mounts = CgroupMounts::find();
  if (mounts->pids.empty()) {
    GTEST_SKIP() << "no v1 pids hierarchy";
  }
  const std::string group = fmt::format("{}/quell-test-{}", mounts->pids, getpid());
  ASSERT_EQ(mkdir(group.c_str(), 0755), 0);
  {
    EbpfOptions options;
    options.scope = {Scope::Kind::cgroup, group, 0};
    Sandbox box({}, options);
    const Events events = box.run([&] {
      touch_root();
      std::ofstream(group + "/cgroup.procs") << getpid() << std::flush;
      touch_root();
    });
    EXPECT_EQ(all_of(events, ev::SYSCALL_OPENAT_2_X, box.pid()).size(), 1u);
  }
  EXPECT_EQ(rmdir(group.c_str()), 0);
}

TEST(SensorWatch, ATreeOfProcesses) {
  NEEDS_SENSOR();
  int gate[2], pids[2];
  ASSERT_EQ(pipe(gate), 0);
  ASSERT_EQ(pipe(pids), 0);
  const auto tell = [&] {
    const pid_t own = getpid();
    if (write(pids[1], &own, sizeof own) != sizeof own) _exit(1);
  };
  const pid_t root = fork();
  if (root == 0) {
    char byte = 0;
    while (read(gate[0], &byte, 1) != 1) {
    }
    tell();
    if (fork() == 0) {
      tell();
      if (fork() == 0) {
        tell();
        touch_root();
        _exit(0);
      }
      wait(nullptr);
      _exit(0);
    }
    wait(nullptr);
    _exit(0);
  }
  EbpfOptions options;
  options.scope = {Scope::Kind::tree, {}, root};
  Sandbox box({}, options);
  touch_root();
  ASSERT_EQ(write(gate[1], "x", 1), 1);
  waitpid(root, nullptr, 0);
  const Events events = box.collect();
  close(gate[0]);
  close(gate[1]);
  std::multiset<int64_t> tree, ended;
  for (pid_t pid = 0; tree.size() < 3 && read(pids[0], &pid, sizeof pid) == sizeof pid;) tree.insert(pid);
  close(pids[0]);
  close(pids[1]);
  for (const Captured* exit : all_of(events, ev::PROCEXIT_1_E)) {
    if (tree.count(exit->event.tid()) > 0) ended.insert(exit->event.tid());  // a sanitizer adds threads of its own
  }
  EXPECT_EQ(ended, tree);
  const auto opens = all_of(events, ev::SYSCALL_OPENAT_2_X);
  ASSERT_EQ(opens.size(), 1u);
  EXPECT_NE(opens[0]->event.tid(), root);
}

TEST(SensorWatch, OnlyWhatIsWanted) {
  NEEDS_SENSOR();
  Sandbox box;
  const auto body = [] {
    syscall(SYS_mkdir, "/nowhere/x", 0755);
    syscall(SYS_getppid);
  };
  EXPECT_TRUE(all_of(box.run(body), ev::SYSCALL_MKDIR_2_X).empty());
  std::vector<bool> interest(kEventCodeCount);
  interest[ev::SYSCALL_MKDIR_2_X] = true;
  ASSERT_TRUE(box.source().set_interest(interest));
  const Events events = box.run(body);
  EXPECT_EQ(all_of(events, ev::SYSCALL_MKDIR_2_X).size(), 1u);
  EXPECT_TRUE(all_of(events, ev::GENERIC_X).empty());
}

#if defined(__x86_64__)
TEST(SensorWatch, ForeignCallsAreCountedAndNotDecoded) {
  NEEDS_SENSOR();
  EbpfOptions options;
  options.attach = Attach::together;
  Sandbox box({"*"}, options);
  const Events events = box.run([] {
    long result = 0;
    // 5 is open() for 32-bit programs and fstat() for 64-bit ones. A kernel without 32-bit support kills the child
    // here.
    asm volatile("int $0x80" : "=a"(result) : "a"(5), "b"(0), "c"(0), "d"(0) : "memory", "r8", "r9", "r10", "r11");
    syscall(0x40000000 | SYS_mkdir, 0, 0);
  });
  if (WIFSIGNALED(box.status())) {
    GTEST_SKIP() << "this kernel has no 32-bit calls";
  }
  EXPECT_EQ(box.source().counters().foreign_abi, 2u);
  EXPECT_TRUE(all_of(events, ev::SYSCALL_FSTAT_X).empty());
  EXPECT_TRUE(all_of(events, ev::SYSCALL_MKDIR_2_X).empty());
}
#endif

TEST(SensorWatch, BothFormsSeeTheSame) {
  NEEDS_SENSOR();
  EbpfOptions options;
  options.attach = Attach::singly;
  if (const auto there = CallTracepoints::open(); !there) GTEST_SKIP() << there.error().str();
  Sandbox singly({"read", "mkdir", "getppid", "execve"}, options);
  options.attach = Attach::together;
  options.scope = {Scope::Kind::cgroup, singly.group(), 0};
  Sandbox together({"read", "mkdir", "getppid", "execve"}, options);
  const Events first = singly.run([] {
    char byte = 0;
    touch_root();
    mkdir("/nowhere/x", 0755);
    syscall(SYS_getppid);
    const int fd = open("/dev/null", O_RDONLY);
    if (read(fd, &byte, 1) < 0) _exit(1);
    close(fd);
    const pid_t pid = fork();
    if (pid == 0) {
      execl("/no/such/program", "x", nullptr);
      execl("/bin/true", "true", nullptr);
    }
    waitpid(pid, nullptr, 0);
  });
  const Events second = together.collect();
  const auto story = [](const Events& events) {
    std::vector<std::string> out;
    for (const auto& event : events) {
      out.push_back(fmt::format("{} {} {}", event->event.spec().id, event->event.tid(), event->event.param(0).i64()));
    }
    return out;
  };
  EXPECT_GT(first.size(), 20u);
  EXPECT_EQ(story(first), story(second));
}

TEST(SensorWatch, LossesAreCountedPerEvent) {
  NEEDS_SENSOR();
  EbpfOptions options;
  options.ring_bytes = 4096;
  Sandbox box({}, options);
  EXPECT_EQ(box.source().counters().last_loss_ns, 0u);
  const uint64_t started_ns = system_clock().realtime_ns() - 5'000'000;
  const Events events = box.run([] {
    for (int i = 0; i < 1000; ++i) close(-1);
  });
  const SourceCounters counters = box.source().counters();
  EXPECT_GT(counters.lost_ring_full, 0u);
  EXPECT_GE(counters.first_loss_ns, started_ns);
  EXPECT_GE(counters.last_loss_ns, counters.first_loss_ns);
  EXPECT_LE(counters.last_loss_ns, system_clock().realtime_ns() + 5'000'000) << "the boot clock may lag by its step";
  size_t closes = all_of(events, ev::SYSCALL_CLOSE_X).size();
  for (const auto& [code, count] : box.source().losses()) {
    if (code == ev::SYSCALL_CLOSE_X) closes += count;
  }
  EXPECT_EQ(closes, 1000u);
  uint64_t by_code = 0;
  for (const auto& [code, count] : box.source().losses()) by_code += count;
  EXPECT_EQ(counters.lost(), by_code);
}

TEST(SensorWatch, FillWaitsAndWakes) {
  NEEDS_SENSOR();
  Sandbox box;
  EventBatch batch;
  const auto started = std::chrono::steady_clock::now();
  ASSERT_TRUE(box.source().fill(batch, 50'000'000));
  EXPECT_TRUE(batch.empty());
  EXPECT_GE(std::chrono::steady_clock::now() - started, std::chrono::milliseconds(50));
  const pid_t pid = fork();
  if (pid == 0) {
    usleep(100'000);
    touch_root();
    _exit(0);
  }
  box.enter(pid);
  const auto waiting = std::chrono::steady_clock::now();
  ASSERT_TRUE(box.source().fill(batch, 20'000'000'000));
  EXPECT_FALSE(batch.empty());
  EXPECT_LT(std::chrono::steady_clock::now() - waiting, std::chrono::seconds(15))
      << "woken by the event, not by the deadline";
  waitpid(pid, nullptr, 0);
}

TEST(SensorWatch, TheScanSeesAttachedPrograms) {
  NEEDS_SENSOR();
  EbpfOptions options;
  bool called = false;
  options.scan = [&]() -> Result<Snapshot> {
    called = true;
    Snapshot snapshot;
    snapshot.machine.hostname = "here";
    return snapshot;
  };
  Sandbox box({}, options);
  EXPECT_TRUE(called);
  EXPECT_EQ(box.source().snapshot().machine.hostname, "here");
}

TEST(SensorWatch, Refusals) {
  NEEDS_SENSOR();
  EbpfOptions options;
  options.scope = {Scope::Kind::cgroup, "/no/such/group", 0};
  EXPECT_EQ(open_ebpf(options).error().code, Code::not_found);
  options.scope = {Scope::Kind::tree, {}, 0x7ffffff};
  EXPECT_EQ(open_ebpf(options).error().code, Code::not_found);
  options.scope = {};
  options.snaplen = 4096;
  EXPECT_EQ(open_ebpf(options).error().code, Code::invalid_argument);
  options = {};
  options.scope = {Scope::Kind::cgroup, "/", 0};
  options.scan = []() -> Result<Snapshot> { return Error{Code::io, "the scan failed", {}}; };
  EXPECT_EQ(open_ebpf(options).error().code, Code::io);
}

// The kernel takes 64 programs on a tracepoint; where a sensor finds no room it sees calls the other way. On a
// tracepoint that no other sensor is likely to want.
TEST(SensorWatch, CrowdedTracepoints) {
  NEEDS_SENSOR();
  if (const auto there = CallTracepoints::open(); !there) GTEST_SKIP() << there.error().str();
  const Sandbox group;
  EbpfOptions options;
  options.scope = {Scope::Kind::cgroup, group.group(), 0};
  options.interest.codes.resize(kEventCodeCount);
  options.interest.codes[ev::SYSCALL_QUOTACTL_X] = true;
  std::vector<CallTracepoints> crowd;
  for (int i = 0; i < 65; ++i) {
    auto tracepoints = CallTracepoints::open();
    ASSERT_TRUE(tracepoints);
    const int program = do_nothing_program();  // one of its own each time: none may be there twice
    ASSERT_GE(program, 0);
    const bool attached = static_cast<bool>(tracepoints->attach({{"quotactl", program}}));
    close(program);
    if (!attached) break;
    crowd.push_back(std::move(*tracepoints));
  }
  EXPECT_LT(crowd.size(), 65u);
  options.attach = Attach::singly;
  EXPECT_FALSE(open_ebpf(options));
  options.attach = Attach::automatic;
  EXPECT_TRUE(open_ebpf(options));
}

TEST(SensorWatch, WithoutPrivilege) {
  NEEDS_SENSOR();
  const pid_t pid = fork();
  if (pid == 0) {
    if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0) _exit(2);
    const auto source = open_ebpf({});
    _exit(!source && source.error().code == Code::permission_denied ? 0 : 1);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace quell::capture::test
