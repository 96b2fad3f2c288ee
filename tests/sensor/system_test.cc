// Identity, memory, limits, kernel features, and the promise that every call with an event of its own is covered.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <set>

#include "needs_sensor.h"

namespace quell::capture::test {
namespace {

TEST(SensorSystem, IdentityAndProcess) {
  NEEDS_SENSOR();
  Sandbox box({"unshare", "setns", "kill", "tgkill", "tkill", "ptrace", "setpgid", "seccomp", "setrlimit", "getrlimit",
               "prlimit64"});
  const Events events = box.run([] {
    syscall(SYS_setpgid, 0, 0);
    if (fork() == 0) {
      setsid();
      ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
      _exit(0);
    }
    wait(nullptr);
    syscall(SYS_kill, getpid(), 0);
    syscall(SYS_tgkill, getpid(), getpid(), 0);
    ptrace(PTRACE_CONT, 0x7ffffff, nullptr, SIGUSR1);
    prctl(PR_SET_NAME, "renamed", 0, 0, 0);
    unshare(CLONE_NEWUTS);
    syscall(SYS_setns, -1, CLONE_NEWNET);
    const rlimit limit{512, 1024};
    syscall(SYS_setrlimit, RLIMIT_NOFILE, &limit);
    rlimit old{};
    syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, nullptr, &old);
    syscall(SYS_setregid, 5, 5);
    syscall(SYS_setgid, 5);
    syscall(SYS_setreuid, 77, 77);
    syscall(SYS_setuid, 0);
    unsigned header[2] = {0x20080522, 0}, sets[6] = {};
    syscall(SYS_capset, header, sets);
  });
  EXPECT_EQ(one_of(events, ev::SYSCALL_SETPGID_X).num("pgid"), 0);
  EXPECT_GT(one_of(events, ev::SYSCALL_SETSID_X).num("res"), 0);
  const auto traces = all_of(events, ev::SYSCALL_PTRACE_X);
  ASSERT_EQ(traces.size(), 2u);
  EXPECT_EQ(traces[0]->num("request"), 1);
  EXPECT_EQ(traces[1]->num("request"), 8);
  EXPECT_EQ(traces[1]->num("pid"), 0x7ffffff);
  ASSERT_EQ((*traces[1])["data"].len, 2u);
  EXPECT_EQ((*traces[1])["data"].data[1], SIGUSR1);
  EXPECT_EQ(one_of(events, ev::SYSCALL_KILL_X).num("pid"), box.pid());
  EXPECT_EQ(one_of(events, ev::SYSCALL_TGKILL_X).num("tid"), box.pid());
  const Captured& named = one_of(events, ev::SYSCALL_PRCTL_X);
  EXPECT_EQ(named.num("option"), PR_SET_NAME);
  EXPECT_EQ(named.text("arg2_str"), "renamed");
  EXPECT_EQ(one_of(events, ev::SYSCALL_UNSHARE_X).u64("flags"), 0x80u);
  const Captured& setns_event = one_of(events, ev::SYSCALL_SETNS_X);
  EXPECT_EQ(setns_event.num("res"), -EBADF);
  EXPECT_EQ(setns_event.u64("nstype"), 0x10u);
  const Captured& set = one_of(events, ev::SYSCALL_SETRLIMIT_X);
  EXPECT_EQ(set.num("cur"), 512);
  EXPECT_EQ(set.num("max"), 1024);
  EXPECT_EQ(set.num("resource"), RLIMIT_NOFILE);
  const Captured& asked = one_of(events, ev::SYSCALL_PRLIMIT_X);
  EXPECT_EQ(asked.num("newcur"), -1);
  EXPECT_EQ(asked.num("oldcur"), 512);
  EXPECT_EQ(one_of(events, ev::SYSCALL_SETREUID_X).u64("euid"), 77u);
  EXPECT_EQ(one_of(events, ev::SYSCALL_SETREGID_X).u64("egid"), 5u);
  EXPECT_EQ(one_of(events, ev::SYSCALL_SETGID_X).num("res"), 0);
  EXPECT_EQ(one_of(events, ev::SYSCALL_SETUID_X).num("res"), -EPERM);
  const Captured& caps = one_of(events, ev::SYSCALL_CAPSET_X);
  EXPECT_EQ(caps.num("res"), 0);
  EXPECT_EQ(caps.u64("cap_permitted"), 0u);
}

TEST(SensorSystem, MemoryAndKernel) {
  NEEDS_SENSOR();
  EbpfOptions options;
  options.attach = Attach::together;  // sees also calls that this kernel was built without, such as those on modules
  Sandbox box({"mmap", "munmap", "mprotect", "brk", "mlock", "semget", "semctl", "semop", "bpf", "io_uring_setup",
               "finit_module", "init_module", "delete_module", "keyctl", "futex"},
              options);
  // In memory that is certainly there: a call that fails early has not touched it, and the sensor cannot bring pages
  // in.
  const std::string option = "option=1", module_name = "nothing_like_it", keyring = "quell";
  const Events events = box.run([&] {
    void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(page, 4096, PROT_READ | PROT_EXEC);
    munmap(page, 4096);
    const int set = semget(IPC_PRIVATE, 2, IPC_CREAT | 0600);
    semctl(set, 1, SETVAL, 9);
    sembuf operation{1, -2, SEM_UNDO | IPC_NOWAIT};
    syscall(SYS_semop, set, &operation, 1);
    semctl(set, 0, IPC_RMID);
    bpf_attr attributes{};
    syscall(SYS_bpf, BPF_MAP_GET_NEXT_ID, &attributes, sizeof attributes);
    io_uring_params params{};
    params.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    params.cq_entries = 16;
    syscall(SYS_io_uring_setup, 4, &params);
    syscall(SYS_finit_module, -1, option.c_str(), 1);
    syscall(SYS_delete_module, module_name.c_str(), O_NONBLOCK);
    syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, keyring.c_str(), 0, 0, 0);
  });
  bool found = false;
  for (const Captured* event : all_of(events, ev::SYSCALL_MMAP_X)) {
    if (event->u64("length") != 4096 || event->u64("flags") != 0xa) continue;
    found = true;
    EXPECT_EQ(event->u64("prot"), 3u);
    EXPECT_EQ(event->num("fd"), -1);
    EXPECT_GT(event->num("vm_size"), 0);
  }
  EXPECT_TRUE(found);
  EXPECT_EQ(one_of(events, ev::SYSCALL_MPROTECT_X).u64("prot"), 5u);
  EXPECT_EQ(one_of(events, ev::SYSCALL_SEMGET_X).u64("semflg"), 0x2000u);
  const auto controls = all_of(events, ev::SYSCALL_SEMCTL_X);
  ASSERT_EQ(controls.size(), 2u);
  EXPECT_EQ(controls[0]->u64("cmd"), 0x1000u);
  EXPECT_EQ(controls[0]->num("val"), 9);
  EXPECT_EQ(controls[1]->u64("cmd"), 4u);
  const Captured& operation = one_of(events, ev::SYSCALL_SEMOP_X);
  EXPECT_EQ(operation.num("sem_op_0"), -2);
  EXPECT_EQ(operation.u64("sem_flg_0"), 3u);
  EXPECT_EQ(one_of(events, ev::SYSCALL_BPF_2_X).num("cmd"), BPF_MAP_GET_NEXT_ID);
  const Captured& ring = one_of(events, ev::SYSCALL_IO_URING_SETUP_X);
  EXPECT_EQ(ring.num("entries"), 4);
  EXPECT_EQ(ring.u64("flags"), 0x30u);
  const Captured& module = one_of(events, ev::SYSCALL_FINIT_MODULE_X);
  EXPECT_EQ(module.num("fd"), -1);
  EXPECT_EQ(module.text("uargs"), "option=1");
  EXPECT_EQ(module.u64("flags"), 1u);
  const Captured& removed = one_of(events, ev::SYSCALL_DELETE_MODULE_X);
  EXPECT_EQ(removed.text("name"), "nothing_like_it");
  EXPECT_EQ(removed.u64("flags"), 2u);
  const Captured& key = one_of(events, ev::SYSCALL_KEYCTL_X);
  EXPECT_EQ(key.num("operation"), KEYCTL_JOIN_SESSION_KEYRING);
  ASSERT_EQ(key["arg2"].len, 7u);
  EXPECT_EQ(key["arg2"].data[0], 1);
}

// Calls every system call that has an event of its own with arguments that no call accepts, and expects its event,
// once, with every parameter of the right width (the sandbox checks that).
TEST(SensorSystem, EveryCallHasItsEvent) {
  NEEDS_SENSOR();
  const std::set<std::string> unsafe = {"fork",   "vfork",  "clone",
                                        "clone3", "execve", "execveat"};  // have tests of their own
  EbpfOptions options;
  options.attach = Attach::together;  // sees also calls that this kernel was built without
  Sandbox box({"*"}, options);
  std::vector<const SyscallSpec*> calls;
  for (const SyscallSpec& call : kSyscallTable) {
    const bool own = call.exit != ev::GENERIC_X && (call.flags & kScUsed) != 0;
    if (call.x86_64 >= 0 && own && unsafe.count(std::string(call.name)) == 0) calls.push_back(&call);
  }
  ASSERT_GT(calls.size(), 120u);
  const Events events = box.run([&] {
    for (const SyscallSpec* call : calls) syscall(call->x86_64, -1, -1, -1, -1, -1, -1);
  });
  std::map<EventCode, size_t> count;
  for (const auto& event : events) {
    if (event->event.tid() == box.pid()) ++count[event->code()];
  }
  for (const SyscallSpec* call : calls) EXPECT_GE(count[call->exit], 1u) << call->name;
  EXPECT_EQ(box.source().counters().lost(), 0u);
}

TEST(SensorSystem, CallsWithoutAnEventAreGeneric) {
  NEEDS_SENSOR();
  Sandbox box({"getppid"});
  const Events events = box.run([] { syscall(SYS_getppid); });
  const SyscallSpec* call = syscall_by_name("getppid");
  ASSERT_NE(call, nullptr);
  bool found = false;
  for (const Captured* event : all_of(events, ev::GENERIC_X)) {
    if (event->u64("nativeID") != static_cast<uint64_t>(SYS_getppid)) continue;
    found = true;
    EXPECT_EQ(event->u64("ID"), call->code);
  }
  EXPECT_TRUE(found);
}

TEST(SensorSystem, SignalsFaultsAndSwitches) {
  NEEDS_UNCHANGED_PROCESSES();
  static void* page = nullptr;
  page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  Sandbox box({"signaldeliver", "page_fault", "switch"});
  const Events events = box.run([] {
    signal(SIGUSR1, [](int) {});
    kill(getpid(), SIGUSR1);
    *static_cast<volatile char*>(page) = 1;
    usleep(1000);
  });
  const Captured& signal_event = one_of(events, ev::SIGNALDELIVER_E);
  EXPECT_EQ(signal_event.num("spid"), box.pid());
  EXPECT_EQ(signal_event.num("dpid"), box.pid());
  EXPECT_EQ(signal_event.u64("sig"), static_cast<uint64_t>(SIGUSR1));
  int faults = 0;
  for (const Captured* fault : all_of(events, ev::PAGE_FAULT_E)) {
    if (fault->u64("addr") != reinterpret_cast<uint64_t>(page)) continue;
    ++faults;
    EXPECT_EQ(fault->u64("error") & 0x1c, 0x14u) << "written by the program";
    EXPECT_NE(fault->u64("ip"), 0u);
  }
  EXPECT_GE(faults, 1);
  const auto switches = all_of(events, ev::SCHEDSWITCH_6_E);
  ASSERT_FALSE(switches.empty());
  EXPECT_EQ(switches.front()->event.tid(), box.pid());
  EXPECT_GT(switches.front()->u64("vm_size"), 0u);
  munmap(page, 4096);
}

}  // namespace
}  // namespace quell::capture::test
