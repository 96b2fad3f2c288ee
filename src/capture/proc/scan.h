#pragma once
// The machine as it stands, read from /proc: what the live sensor knows before the first event, and what it asks when
// events name a thread that it has never seen.
//
//   ProcScanner scanner(options);
//   const Snapshot snapshot = scanner.scan();            // everything
//   if (auto found = scanner.lookup(tid)) ...            // one thread and its process
//
// Details of what the facts mean:
// - ids are those of the pid namespace that proc_root belongs to; cgroup paths are relative to the cgroup namespace of
// this
//   process, so a sensor in a container needs the host's (and its /proc as proc_root).
// - exe_writable is decided from mode bits, ids and capabilities (no ACLs, no security modules). upper and lower layer:
// whether the
//   executable's path exists in the upper directory of the overlay it is on, which must be reachable from here.
// - A scan is not a moment: each thread carries scanned_ns, taken just before its process was read.
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "capture/proc/files.h"
#include "capture/proc/socket_table.h"
#include "model/snapshot.h"

namespace quell::capture {

struct ScanOptions {
  std::string proc_root = "/proc";
  std::string etc_root = "/etc";
  /// Which processes to read; all if empty. Asked with the process id before anything else of the process is read.
  std::function<bool(int64_t pid)> wants = {};
  size_t max_threads = 262144;
  size_t max_fds_per_process = 4096;
  const Clock* clock = &system_clock();
};

struct ScanCounters {
  uint64_t vanished = 0;          // processes and threads that ended while they were read
  uint64_t threads_left_out = 0;  // above max_threads
  uint64_t fds_left_out = 0;      // above max_fds_per_process
  uint64_t sockets_unknown = 0;   // descriptors whose socket is in no table (other families, or too young)
};

/// A process and, if asked about another thread than its main one, that thread.
struct ProcessScan {
  std::vector<Thread> threads;  // the main thread first
  Snapshot::FdList fds;         // of the process
};

/// Reads /proc and remembers what several processes share (sockets of network namespaces, for up to a second). One
/// thread.
class ProcScanner {
 public:
  explicit ProcScanner(ScanOptions options);
  ~ProcScanner();

  /// The whole machine. Errors: Code::not_found, permission_denied, io (proc_root cannot be listed).
  Result<Snapshot> scan();

  /// The process that `tid` belongs to. Errors: Code::gone (no such thread, or it ended meanwhile), refused (not
  /// wanted).
  Result<ProcessScan> lookup(int64_t tid);

  const ScanCounters& counters() const { return counters_; }
  /// Ticks since the boot, as /proc gives the start of a thread, as nanoseconds since the epoch.
  uint64_t start_ns(uint64_t start_ticks) const;

 private:
  struct Namespace {
    proc::SocketTable sockets;
    uint64_t read_ns = 0;  // monotonic
  };
  struct Main;

  MachineInfo read_machine();
  std::optional<Main> read_process(int64_t pid);
  std::optional<Thread> read_thread(const proc::OpenDir& process, const Thread& main, int64_t tid);
  void read_executable(const proc::OpenDir& process, const std::vector<uint32_t>& groups, Thread& thread);
  void read_fds(const proc::OpenDir& process, Snapshot::FdList& out);
  std::optional<Fd> read_fd(const proc::OpenDir& process, const std::string& number, const proc::SocketTable*& sockets,
                            bool& reread);
  const proc::SocketTable* sockets_of(const proc::OpenDir& process, bool fresh);
  uint64_t pidns_init_start(int64_t pid, uint64_t pidns_ino);

  ScanOptions options_;
  ScanCounters counters_;
  uint64_t boot_ns_ = 0;
  uint64_t ticks_per_second_ = 100;
  std::vector<std::string> unified_controllers_;
  boost::unordered_flat_map<uint64_t, std::unique_ptr<Namespace>> namespaces_;
  boost::unordered_flat_map<uint64_t, uint64_t> pidns_starts_;  // during one scan
};

/// One scan with a scanner of its own.
Result<Snapshot> scan_proc(const ScanOptions& options);

}  // namespace quell::capture
