#pragma once
// The one door to the machine for responses: processes by verified pidfd, cgroups, the freezer. Tests replace it.
// Thread-safe unless said otherwise.
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "model/process.h"

namespace quell::os {

/// What /proc says about a process at one moment.
struct ProcessFacts {
  ProcessId id;
  int64_t ppid = -1;
  uint32_t uid = 0;
  char state = '?';  // 'R', 'S', 'T', 'Z' … of the main thread
  std::string comm, exepath;
  std::string args;  // argv, NUL-separated
  uint64_t exe_dev = 0, exe_ino = 0;
  uint64_t pid_namespace = 0;     // inode
  int64_t pid_in_namespace = -1;  // innermost
  bool kernel_thread = false;
  std::string cgroups;  // NUL-separated "subsystem=path", "" subsystem for v2
};

/// A process held by pidfd after its identity was compared. While held, its pid cannot come to mean another process to
/// us.
class ProcessHandle {
 public:
  ProcessHandle() = default;
  ProcessHandle(int pidfd, ProcessFacts facts) : pidfd_(pidfd), facts_(std::move(facts)) {}
  ProcessHandle(ProcessHandle&& other) noexcept;
  ProcessHandle& operator=(ProcessHandle&& other) noexcept;
  ~ProcessHandle();
  int pidfd() const { return pidfd_; }
  const ProcessFacts& facts() const { return facts_; }
  void set_facts(ProcessFacts facts) { facts_ = std::move(facts); }

 private:
  int pidfd_ = -1;
  ProcessFacts facts_;
};

enum class Frozen : uint8_t { no, freezing, yes };

class Os {
 public:
  virtual ~Os() = default;
  virtual std::string boot_id() const = 0;
  /// Of /etc/machine-id; empty where there is none.
  virtual std::string machine_id() const = 0;

  /// Errors: Code::gone if there is no such pid.
  virtual Result<ProcessFacts> process_facts(int64_t pid) const = 0;
  /// pidfd first, then the identity is read, then the pidfd is checked to be alive still; only then the two are
  /// compared. `id.start_ticks` 0 accepts any start. Errors: gone (exited), stale (that pid is another process now).
  virtual Result<ProcessHandle> open_process(const ProcessId& id) const = 0;
  /// Errors: gone, permission_denied.
  virtual Result<void> signal(const ProcessHandle& process, int number) const = 0;
  /// True once the process is dead (a zombie counts), false when `timeout_ns` passed first.
  virtual bool wait_exit(const ProcessHandle& process, uint64_t timeout_ns) const = 0;

  // A process that sits at the root of a hierarchy has no cgroup of its own there: the root is the whole machine, so
  // the next three look at the other hierarchies and answer Code::unsupported if it is so in all. All answer gone for a
  // dead `pid`.

  /// Pids in the cgroup that holds `pid` (v2 directory, or the v1 freezer's / pids' one), descendants included,
  /// ascending.
  virtual Result<std::vector<int64_t>> cgroup_members(int64_t pid) const = 0;
  /// State of the freezer that a runtime uses for the cgroup of `pid`: v1 freezer.state where that hierarchy is mounted
  /// and the process is in it, else v2 cgroup.events.
  virtual Result<Frozen> freezer_state(int64_t pid) const = 0;
  /// CPU time used so far by all members of the cgroup of `pid`, in ns (utime + stime of each member, in steps of 10
  /// ms). It falls when a member exits: compare only while the members stay the same.
  virtual Result<uint64_t> cgroup_cpu_ns(int64_t pid) const = 0;
};

/// The machine itself.
std::unique_ptr<Os> make_linux_os();

}  // namespace quell::os
