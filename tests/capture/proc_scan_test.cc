// Scans this machine: this process and a child whose descriptors are known.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "capture/proc/scan.h"

namespace quell::capture {
namespace {

const Thread* find_thread(const std::vector<Thread>& threads, int64_t tid) {
  const auto found = std::find_if(threads.begin(), threads.end(), [&](const Thread& t) { return t.tid == tid; });
  return found == threads.end() ? nullptr : &*found;
}
const Fd* find_fd(const Snapshot::FdList& list, int64_t number) {
  const auto found = std::find_if(list.fds.begin(), list.fds.end(), [&](const auto& fd) { return fd.first == number; });
  return found == list.fds.end() ? nullptr : &found->second;
}

/// A socket listening on a port of loopback that the system picks, and a connection to it.
struct Loopback {
  int listener = -1, client = -1, server = -1;
  uint16_t port = 0, client_port = 0;
  bool open() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::bind(listener, generic, size) != 0 || ::listen(listener, 1) != 0 ||
        ::getsockname(listener, generic, &size) != 0)
      return false;
    port = ntohs(address.sin_port);
    client = ::socket(AF_INET, SOCK_STREAM, 0);
    if (::connect(client, generic, size) != 0 || ::getsockname(client, generic, &size) != 0) return false;
    client_port = ntohs(address.sin_port);
    server = ::accept(listener, nullptr, nullptr);
    return server >= 0;
  }
  ~Loopback() {
    for (const int fd : {listener, client, server}) ::close(fd);
  }
};

/// A child that stays until the test is over, with an odd name.
struct Child {
  pid_t pid = -1;
  int hold[2] = {-1, -1};
  bool start(const char* name) {
    int ready[2];
    if (::pipe(hold) != 0 || ::pipe(ready) != 0) return false;
    pid = ::fork();
    if (pid == 0) {
      ::close(hold[1]);
      ::prctl(PR_SET_NAME, name);
      char byte = 1;
      if (::write(ready[1], &byte, 1) == 1) static_cast<void>(::read(hold[0], &byte, 1));
      ::_exit(0);
    }
    char byte = 0;
    const bool up = pid > 0 && ::read(ready[0], &byte, 1) == 1;
    ::close(ready[0]);
    ::close(ready[1]);
    return up;
  }
  ~Child() {
    ::close(hold[1]);
    ::close(hold[0]);
    if (pid > 0) ::waitpid(pid, nullptr, 0);
  }
};

TEST(ProcScan, SeesTheMachine) {
  const auto snapshot = scan_proc({.wants = [](int64_t pid) { return pid == ::getpid(); }});
  ASSERT_TRUE(snapshot) << snapshot.error().str();
  const MachineInfo& machine = snapshot->machine;
  EXPECT_GT(machine.cpu_count, 0u);
  EXPECT_GT(machine.memory_bytes, 1u << 20);
  EXPECT_GT(machine.max_pid, 300u);
  EXPECT_FALSE(machine.hostname.empty());
  EXPECT_EQ(machine.boot_id.size(), 36u);
  const uint64_t now = system_clock().realtime_ns();
  EXPECT_GT(machine.boot_ns, 0u);
  EXPECT_LT(machine.boot_ns, now);
  EXPECT_TRUE(std::any_of(snapshot->users.begin(), snapshot->users.end(),
                          [](const User& user) { return user.uid == 0 && user.name == "root"; }));
  EXPECT_FALSE(snapshot->groups.empty());
  for (const Thread& thread : snapshot->threads) EXPECT_EQ(thread.pid, ::getpid()) << "the filter holds";
}

TEST(ProcScan, SeesItself) {
  std::atomic<pid_t> other_tid{0};
  std::atomic<bool> stop{false};
  std::thread other([&] {
    ::prctl(PR_SET_NAME, "second");
    other_tid = ::gettid();
    while (!stop) std::this_thread::yield();
  });
  while (other_tid == 0) std::this_thread::yield();
  const uint64_t before = system_clock().realtime_ns();
  const auto snapshot = scan_proc({.wants = [](int64_t pid) { return pid == ::getpid(); }});
  stop = true;
  other.join();
  ASSERT_TRUE(snapshot);

  const Thread* me = find_thread(snapshot->threads, ::getpid());
  ASSERT_NE(me, nullptr);
  EXPECT_TRUE(me->is_main());
  EXPECT_EQ(me->ptid, ::getppid());
  EXPECT_EQ(me->sid, ::getsid(0));
  EXPECT_EQ(me->pgid, ::getpgrp());
  EXPECT_EQ(me->uid, ::geteuid());
  EXPECT_EQ(me->gid, ::getegid());
  EXPECT_EQ(me->exepath, std::filesystem::read_symlink("/proc/self/exe"));
  EXPECT_EQ(me->cwd, std::filesystem::current_path().string() + "/");
  EXPECT_EQ(me->root, "/");
  EXPECT_EQ(me->flags, 0u);
  EXPECT_GT(me->exe_ino, 0u);
  EXPECT_GT(me->exe_ino_mtime_ns, 0u);
  EXPECT_GT(me->vm_size_kb, 0u);
  EXPECT_GE(me->scanned_ns, before);
  EXPECT_LE(me->clone_ns, before + 20'000'000) << "it started before it was scanned, to a tick";
  EXPECT_GT(me->clone_ns, snapshot->machine.boot_ns);
  EXPECT_FALSE(me->env.empty());
  EXPECT_FALSE(me->exe_from_memfd);
  EXPECT_NE(me->fdlimit, 0);

  const Thread* second = find_thread(snapshot->threads, other_tid);
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->pid, ::getpid());
  EXPECT_EQ(second->comm, "second");
  EXPECT_EQ(second->exepath, me->exepath);
  EXPECT_TRUE(second->env.empty());
  EXPECT_EQ(second->flags, 0x2001u) << "CLONE_THREAD and CLONE_FILES";
}

TEST(ProcScan, SeesDescriptors) {
  const std::string path = std::filesystem::temp_directory_path() / ("quell-scan-" + std::to_string(::getpid()));
  const int file = ::open(path.c_str(), O_CREAT | O_RDWR | O_APPEND | O_CLOEXEC, 0600);
  const int folder = ::open("/tmp", O_RDONLY | O_DIRECTORY);
  const int event = ::eventfd(0, 0);
  const int memory = ::memfd_create("payload", 0);
  int pipe[2], pair[2];
  ASSERT_EQ(::pipe(pipe), 0);
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  Loopback loopback;
  ASSERT_TRUE(loopback.open());

  ProcScanner scanner({.wants = [](int64_t pid) { return pid == ::getpid(); }});
  const auto snapshot = scanner.scan();
  ASSERT_TRUE(snapshot);
  ASSERT_EQ(snapshot->fd_lists.size(), 1u);
  const Snapshot::FdList& fds = snapshot->fd_lists[0];
  EXPECT_EQ(fds.tid, ::getpid());

  const Fd* fd = find_fd(fds, file);
  ASSERT_NE(fd, nullptr);
  EXPECT_EQ(fd->type, FdType::file);
  EXPECT_EQ(fd->name, path);
  EXPECT_EQ(fd->open_flags & 0xB, 3u | 8u) << "read, write, append";
  EXPECT_TRUE(fd->has(kFdCloexec));
  EXPECT_GT(fd->ino, 0u);
  EXPECT_EQ(find_fd(fds, folder)->type, FdType::directory);
  EXPECT_EQ(find_fd(fds, event)->type, FdType::event);
  EXPECT_EQ(find_fd(fds, memory)->type, FdType::memfd);
  EXPECT_EQ(find_fd(fds, memory)->name, "payload");
  EXPECT_EQ(find_fd(fds, pipe[0])->type, FdType::fifo);
  EXPECT_EQ(find_fd(fds, pipe[0])->ino, find_fd(fds, pipe[1])->ino);
  EXPECT_EQ(find_fd(fds, pair[0])->type, FdType::unix_socket);

  const Fd* listener = find_fd(fds, loopback.listener);
  ASSERT_NE(listener, nullptr);
  EXPECT_EQ(listener->type, FdType::ipv4_server);
  EXPECT_EQ(listener->l4, L4Proto::tcp);
  EXPECT_EQ(listener->tuple.source_port, loopback.port);
  EXPECT_TRUE(listener->has(kFdCloexec));
  const Fd* client = find_fd(fds, loopback.client);
  ASSERT_NE(client, nullptr);
  EXPECT_EQ(client->type, FdType::ipv4);
  EXPECT_EQ(client->tuple.source_port, loopback.client_port);
  EXPECT_EQ(client->tuple.dest_port, loopback.port);
  EXPECT_EQ(client->name,
            "127.0.0.1:" + std::to_string(loopback.client_port) + "->127.0.0.1:" + std::to_string(loopback.port));
  EXPECT_FALSE(client->has(kFdCloexec));
  EXPECT_EQ(find_fd(fds, loopback.server)->tuple.source_port, loopback.port);
  EXPECT_TRUE(std::binary_search(snapshot->listening_ports.begin(), snapshot->listening_ports.end(), loopback.port));

  for (const int open : {file, folder, event, memory, pipe[0], pipe[1], pair[0], pair[1]}) ::close(open);
  std::filesystem::remove(path);
}

TEST(ProcScan, LooksUpAChildWithAnOddName) {
  Child child;
  ASSERT_TRUE(child.start("a) (b c"));
  ProcScanner scanner({});
  const auto found = scanner.lookup(child.pid);
  ASSERT_TRUE(found) << found.error().str();
  ASSERT_EQ(found->threads.size(), 1u);
  EXPECT_EQ(found->threads[0].comm, "a) (b c");
  EXPECT_EQ(found->threads[0].ptid, ::getpid());
  EXPECT_EQ(found->fds.tid, child.pid);
  EXPECT_EQ(find_fd(found->fds, child.hold[0])->type, FdType::fifo);
  EXPECT_EQ(find_fd(found->fds, child.hold[1]), nullptr) << "the child closed it";
}

TEST(ProcScan, LooksUpAThreadWithItsProcess) {
  std::atomic<pid_t> tid{0};
  std::atomic<bool> stop{false};
  std::thread other([&] {
    tid = ::gettid();
    while (!stop) std::this_thread::yield();
  });
  while (tid == 0) std::this_thread::yield();
  const auto found = ProcScanner({}).lookup(tid);
  stop = true;
  other.join();
  ASSERT_TRUE(found) << found.error().str();
  ASSERT_EQ(found->threads.size(), 2u);
  EXPECT_EQ(found->threads[0].tid, ::getpid());
  EXPECT_EQ(found->threads[1].tid, tid);
}

TEST(ProcScan, AYoungSocketIsFoundAfterASecond) {
  ManualClock clock;
  ProcScanner scanner({.clock = &clock});
  ASSERT_TRUE(scanner.lookup(::getpid()));  // remembers this namespace, if this process has any socket
  Loopback loopback;
  ASSERT_TRUE(loopback.open());
  clock.advance_ns(2'000'000'000);
  const auto found = scanner.lookup(::getpid());
  ASSERT_TRUE(found);
  EXPECT_EQ(find_fd(found->fds, loopback.listener)->type, FdType::ipv4_server);
}

TEST(ProcScan, RefusesAndBounds) {
  Child child;
  ASSERT_TRUE(child.start("gone"));
  const pid_t pid = child.pid;
  EXPECT_EQ(ProcScanner({.wants = [](int64_t) { return false; }}).lookup(pid).error().code, Code::refused);
  ::close(child.hold[1]);
  child.hold[1] = -1;
  ::waitpid(pid, nullptr, 0);
  child.pid = -1;
  EXPECT_EQ(ProcScanner({}).lookup(pid).error().code, Code::gone);
  EXPECT_EQ(scan_proc({.proc_root = "/nonexistent"}).error().code, Code::not_found);

  ProcScanner few({.max_threads = 1, .max_fds_per_process = 1});
  const auto snapshot = few.scan();
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(snapshot->threads.size(), 1u);
  EXPECT_GT(few.counters().threads_left_out, 0u);
  for (const auto& list : snapshot->fd_lists) EXPECT_LE(list.fds.size(), 1u);
}

TEST(ProcScan, ReadsTheWholeMachine) {
  const auto snapshot = scan_proc({});
  ASSERT_TRUE(snapshot) << snapshot.error().str();
  EXPECT_NE(find_thread(snapshot->threads, 1), nullptr);
  for (const Thread& thread : snapshot->threads) {
    EXPECT_GT(thread.tid, 0);
    EXPECT_GT(thread.pid, 0);
    EXPECT_FALSE(thread.comm.empty());
  }
}

}  // namespace
}  // namespace quell::capture
