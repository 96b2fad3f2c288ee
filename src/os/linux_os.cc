// The machine itself. The order that makes acting by pid safe: descriptor first, identity second, "is the descriptor's
// process alive still?" third. Only then did /proc/PID describe the process that the descriptor holds.
#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/clock.h"
#include "os/cgroup_tree.h"
#include "os/os.h"
#include "os/proc_fs.h"

namespace quell::os {

ProcessHandle::ProcessHandle(ProcessHandle&& other) noexcept
    : pidfd_(std::exchange(other.pidfd_, -1)), facts_(std::move(other.facts_)) {}
ProcessHandle& ProcessHandle::operator=(ProcessHandle&& other) noexcept {
  if (this != &other) {
    if (pidfd_ >= 0) ::close(pidfd_);
    pidfd_ = std::exchange(other.pidfd_, -1);
    facts_ = std::move(other.facts_);
  }
  return *this;
}
ProcessHandle::~ProcessHandle() {
  if (pidfd_ >= 0) ::close(pidfd_);
}

namespace {

Error gone(int64_t pid) { return {Code::gone, fmt::format("process {} does not exist any more", pid), {}}; }

/// A pidfd is readable from the moment its process is dead, a zombie included.
bool is_dead(int pidfd) {
  pollfd entry{.fd = pidfd, .events = POLLIN, .revents = 0};
  int ready = 0;
  do ready = ::poll(&entry, 1, 0);
  while (ready < 0 && errno == EINTR);
  return ready > 0;
}

class LinuxOs final : public Os {
 public:
  LinuxOs() {
    if (auto text = read_small_file("/proc/sys/kernel/random/boot_id")) boot_id_ = text->substr(0, text->find('\n'));
  }

  std::string boot_id() const override { return boot_id_; }
  std::string machine_id() const override {
    const auto text = read_small_file("/etc/machine-id");
    return text ? text->substr(0, text->find(static_cast<char>(10))) : std::string();
  }

  Result<ProcessFacts> process_facts(int64_t pid) const override { return read_process_facts(pid, boot_id_); }

  Result<ProcessHandle> open_process(const ProcessId& id) const override {
    if (id.pid <= 0) return Error{Code::invalid_argument, fmt::format("{} is not a process id", id.pid), {}};
    if (!id.boot_id.empty() && id.boot_id != boot_id_)
      return Error{Code::stale, fmt::format("process {} was seen before the machine was last booted", id.pid), {}};
    const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, id.pid, 0));
    if (pidfd < 0) {
      const int number = errno;
      if (number == ESRCH) return gone(id.pid);
      // Newer kernels say ENOENT, older ones EINVAL for a thread that does not lead its group.
      if (number == EINVAL || number == ENOENT)
        return Error{Code::invalid_argument, fmt::format("{} is a thread, not a process", id.pid), {}};
      if (number == ENOSYS)
        return Error{Code::unsupported, "this kernel has no pidfd_open: Linux 5.3 or newer is needed", {}};
      return errno_error(number, "pidfd_open", fmt::format("process {}", id.pid));
    }
    ProcessHandle holder(pidfd, {});  // closes the descriptor on every way out
    QUELL_TRY(ProcessFacts facts, read_process_facts(id.pid, boot_id_));
    if (is_dead(pidfd)) return gone(id.pid);
    if (id.start_ticks != 0 && facts.id.start_ticks != id.start_ticks)
      return Error{Code::stale,
                   fmt::format("process {} is another one now: it started at tick {}, the one meant at {}", id.pid,
                               facts.id.start_ticks, id.start_ticks),
                   {}};
    holder.set_facts(std::move(facts));
    return holder;
  }

  Result<void> signal(const ProcessHandle& process, int number) const override {
    if (::syscall(SYS_pidfd_send_signal, process.pidfd(), number, nullptr, 0) == 0) return {};
    const int error = errno;
    const int64_t pid = process.facts().id.pid;
    if (error == ESRCH) return gone(pid);
    if (error == EPERM)
      return Error{
          Code::permission_denied,
          fmt::format("not allowed to signal process {} of uid {}: CAP_KILL is needed", pid, process.facts().uid),
          {}};
    return errno_error(error, fmt::format("cannot send signal {}", number), fmt::format("process {}", pid));
  }

  bool wait_exit(const ProcessHandle& process, uint64_t timeout_ns) const override {
    const uint64_t deadline = system_clock().monotonic_ns() + timeout_ns;
    for (;;) {
      const uint64_t now = system_clock().monotonic_ns();
      const uint64_t left = now < deadline ? deadline - now : 0;
      const timespec wait{.tv_sec = static_cast<time_t>(left / 1'000'000'000),
                          .tv_nsec = static_cast<long>(left % 1'000'000'000)};
      pollfd entry{.fd = process.pidfd(), .events = POLLIN, .revents = 0};
      const int ready = ::ppoll(&entry, 1, &wait, nullptr);
      if (ready > 0) return true;
      if (ready == 0) return false;
      if (errno != EINTR) return false;
    }
  }

  Result<std::vector<int64_t>> cgroup_members(int64_t pid) const override {
    QUELL_TRY(const CgroupDir dir, own_cgroup(pid));
    return members_of(dir.directory);
  }

  Result<Frozen> freezer_state(int64_t pid) const override {
    QUELL_TRY(const std::vector<CgroupDir> dirs, cgroup_dirs(pid));
    for (const CgroupDir& dir : dirs)
      if (dir.subsystem == "freezer") return v1_freezer_state(dir.directory);
    for (const CgroupDir& dir : dirs)
      if (dir.subsystem.empty()) return v2_freezer_state(dir.directory);
    return no_own_cgroup(pid);
  }

  Result<uint64_t> cgroup_cpu_ns(int64_t pid) const override {
    QUELL_TRY(const std::vector<int64_t> pids, cgroup_members(pid));
    static const uint64_t tick_ns = 1'000'000'000 / static_cast<uint64_t>(::sysconf(_SC_CLK_TCK));
    uint64_t total = 0;
    for (const int64_t member : pids)
      if (auto stat = read_proc_stat(member)) total += (stat->utime_ticks + stat->stime_ticks) * tick_ns;
    return total;
  }

 private:
  static Error no_own_cgroup(int64_t pid) {
    return {Code::unsupported,
            fmt::format("process {} is in no cgroup of its own: it sits at the root of every hierarchy", pid),
            {}};
  }

  /// v2 names the members of a container everywhere it is mounted; on machines that keep containers in v1 only, the
  /// freezer's or the pids' hierarchy does.
  static Result<CgroupDir> own_cgroup(int64_t pid) {
    QUELL_TRY(std::vector<CgroupDir> dirs, cgroup_dirs(pid));
    for (const char* subsystem : {"", "freezer", "pids"})
      for (CgroupDir& dir : dirs)
        if (dir.subsystem == subsystem) return std::move(dir);
    return no_own_cgroup(pid);
  }

  std::string boot_id_;
};

}  // namespace

std::unique_ptr<Os> make_linux_os() { return std::make_unique<LinuxOs>(); }

}  // namespace quell::os
