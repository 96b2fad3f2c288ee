#include "capture/ebpf/call_tracepoints.h"

#include <fcntl.h>
#include <linux/perf_event.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <fmt/format.h>

namespace quell::capture {
namespace {

// Tracepoints carry the name of the kernel's function, which is not always that of the call.
constexpr std::pair<std::string_view, std::string_view> kKernelNames[] = {
    {"stat", "newstat"},   {"fstat", "newfstat"},      {"lstat", "newlstat"},
    {"uname", "newuname"}, {"sendfile", "sendfile64"}, {"umount2", "umount"},
};

std::string_view kernel_name(std::string_view call) {
  for (const auto& [name, function] : kKernelNames) {
    if (name == call) return function;
  }
  return call;
}

int open_list() {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  for (const char* path : {"/sys/kernel/tracing/events/syscalls", "/sys/kernel/debug/tracing/events/syscalls"}) {
    if (const int fd = ::open(path, kFlags); fd >= 0) return fd;
  }
  // Mounted nowhere: a mount of our own that no path leads to.
  const int context = fsopen("tracefs", FSOPEN_CLOEXEC);
  if (context < 0) return -1;
  int list = -1;
  if (fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0) {
    if (const int mount = fsmount(context, FSMOUNT_CLOEXEC, 0); mount >= 0) {
      list = openat(mount, "events/syscalls", kFlags);
      const int number = errno;
      close(mount);
      errno = number;
    }
  }
  const int number = errno;
  close(context);
  errno = number;
  return list;
}

// A sensor that comes must not wait for all that go: whoever attaches or takes off one program holds kStep, and of
// those that go only one at a time steps, by kGoing. The files are any that every sensor can open.
constexpr const char *kStep = "/sys/kernel/btf/vmlinux", *kGoing = "/sys/kernel/btf";
class Lock {
 public:
  explicit Lock(const char* path) : fd_(::open(path, O_RDONLY | O_CLOEXEC)) { flock(fd_, LOCK_EX); }
  ~Lock() { close(fd_); }
  Lock(const Lock&) = delete;

 private:
  int fd_;
};

// In a forked child, maybe of a process with threads: system calls only.
[[noreturn]] void detach_and_end(const int* events, size_t count) {
  // Nothing else of ours may live longer because of us: sockets, pipes, locks. `events` ascend. We wait for this child,
  // so all of that is gone before we are.
  unsigned next = 0;
  for (size_t i = 0; i < count; ++i) {
    const auto fd = static_cast<unsigned>(events[i]);
    if (fd > next) close_range(next, fd - 1, 0);
    next = fd + 1;
  }
  close_range(next, ~0u, 0);
  setsid();
  if (fork() != 0) _exit(0);  // its child belongs to init
  prctl(PR_SET_NAME, "quell-detach");
  const Lock going(kGoing);
  for (size_t i = 0; i < count; ++i) {
    {
      const Lock step(kStep);
      close(events[i]);
    }
    usleep(2'000);  // whoever waits comes first
  }
  _exit(0);
}

}  // namespace

Result<CallTracepoints> CallTracepoints::open() {
  const int fd = open_list();
  if (fd < 0) {
    return Error{Code::unsupported,
                 fmt::format("the kernel's list of tracepoints (tracefs) cannot be read: {}", strerror(errno)),
                 "/sys/kernel/tracing/events/syscalls"};
  }
  return CallTracepoints(fd);
}

CallTracepoints::CallTracepoints(CallTracepoints&& other) noexcept
    : directory_fd_(std::exchange(other.directory_fd_, -1)), events_(std::exchange(other.events_, {})) {}

CallTracepoints::~CallTracepoints() {
  if (directory_fd_ >= 0) close(directory_fd_);
  if (events_.empty()) return;
  std::sort(events_.begin(), events_.end());
  const pid_t child = fork();
  if (child == 0) detach_and_end(events_.data(), events_.size());
  for (const int fd : events_) close(fd);
  if (child > 0) waitpid(child, nullptr, 0);
}

int CallTracepoints::id_of(std::string_view call) const {
  const int fd = openat(directory_fd_, fmt::format("sys_exit_{}/id", kernel_name(call)).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  char text[16] = {};
  const ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  return length > 0 ? std::atoi(text) : -1;
}

bool CallTracepoints::has(std::string_view call) const {
  return faccessat(directory_fd_, fmt::format("sys_exit_{}", kernel_name(call)).c_str(), F_OK, 0) == 0;
}

Result<void> CallTracepoints::attach(const std::vector<Attachment>& attachments) {
  if (attachments.empty()) return {};
  const Lock step(kStep);
  const size_t before = events_.size();
  for (const Attachment& wanted : attachments) {
    perf_event_attr attributes{};
    attributes.size = sizeof attributes;
    attributes.type = PERF_TYPE_TRACEPOINT;
    attributes.config = static_cast<uint64_t>(id_of(wanted.call));
    // The event names a CPU because it must; the program runs on all of them, and runs although the event itself, which
    // nobody reads, counts nothing.
    attributes.disabled = 1;
    const auto fd = static_cast<int>(
        syscall(SYS_perf_event_open, &attributes, -1, 0, -1, static_cast<unsigned long>(PERF_FLAG_FD_CLOEXEC)));
    if (fd >= 0) events_.push_back(fd);
    if (fd >= 0 && ioctl(fd, PERF_EVENT_IOC_SET_BPF, wanted.program_fd) == 0) continue;
    const int number = errno;
    for (size_t i = before; i < events_.size(); ++i) close(events_[i]);
    events_.resize(before);
    return errno_error(number, fmt::format("cannot attach to the tracepoint of {}", wanted.call));
  }
  return {};
}

}  // namespace quell::capture
