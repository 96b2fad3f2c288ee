#pragma once
// Threads and processes. A process is its main thread (tid == pid); that entry owns descriptors, cwd and environment.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/container.h"
#include "model/fd.h"

namespace quell {

/// Whose life this is: a pid alone names whoever lives there now.
struct ProcessId {
  std::string boot_id;  // /proc/sys/kernel/random/boot_id; empty in captures
  int64_t pid = -1;
  uint64_t start_ticks = 0;  // field 22 of /proc/PID/stat (USER_HZ since boot); 0 if unknown
  bool operator==(const ProcessId&) const = default;
};

/// Visits the parts of a NUL-separated list ("a\0b\0"); the final NUL is optional.
template <typename Visit>
void for_each_part(std::string_view list, Visit&& visit) {
  while (!list.empty()) {
    const size_t end = list.find('\0');
    visit(list.substr(0, end));
    if (end == std::string_view::npos) return;
    list.remove_prefix(end + 1);
  }
}
size_t count_parts(std::string_view list);
/// The index-th part; empty view (data() == nullptr) if there is none.
std::string_view part_at(std::string_view list, size_t index);
/// Parts joined with one space.
std::string join_parts(std::string_view list);

/// What the process alone decides about the rules, kept until it or its ancestors change. Filled and read by the rule
/// program.
struct PredicateCache {
  uint64_t program = 0;   // which compiled program wrote it
  uint32_t version = 0;   // Thread::version it holds for
  uint32_t lineage = 0;   // StateView::lineage_epoch at which the ancestors were last looked at
  uint64_t ancestry = 0;  // who they were, and in which version
  std::vector<uint64_t> known, value;
};

struct Thread {
  int64_t tid = -1, pid = -1, ptid = -1;
  int64_t vtid = -1, vpid = -1;
  int64_t sid = -1, pgid = -1, vpgid = -1;

  std::string comm, exe, exepath;
  std::string args;  // argv[1..], NUL-separated
  std::string env;   // NUL-separated; main thread
  std::string cwd;   // with trailing '/'; main thread
  std::string root;
  std::string cgroups;  // NUL-separated "subsystem=path"

  uint32_t uid = UINT32_MAX, gid = UINT32_MAX, loginuid = UINT32_MAX;
  uint32_t tty = 0;
  uint32_t flags = 0;  // clone_flags table
  uint64_t cap_inheritable = 0, cap_permitted = 0, cap_effective = 0;
  int64_t fdlimit = -1;
  uint64_t exe_ino = 0, exe_ino_ctime_ns = 0, exe_ino_mtime_ns = 0;
  uint64_t exe_ino_ctime_duration_clone_ns = 0, exe_ino_ctime_duration_pidns_ns = 0;
  uint64_t clone_ns = 0;  // start, since the epoch; 0 unknown
  uint64_t lastexec_ns = 0;
  uint64_t pidns_init_start_ns = 0;
  uint64_t scanned_ns = 0;  // when /proc was read for this entry: older events take nothing away; 0 if made by events
  uint32_t vm_size_kb = 0, vm_rss_kb = 0, vm_swap_kb = 0;
  uint64_t page_faults_major = 0, page_faults_minor = 0;
  bool exe_writable = false, exe_upper_layer = false, exe_lower_layer = false, exe_from_memfd = false;
  bool dead = false;                 // exited, kept while other threads of the group live
  bool inverted = false;             // made by its own child-side clone event
  bool placeholder = false;          // an unknown tid: comm and exe are "<NA>"
  bool container_lookalike = false;  // its cgroup is named like a container's, and it is the host's all the same
  bool reaper = false;               // adopts orphans of its descendants (subreaper or init of a pid namespace)
  uint32_t live_threads = 1;         // of the group; main thread

  Thread* main = nullptr;  // of the same group; itself for the main thread; may be null when it was never seen
  ContainerSlot* container = nullptr;  // never null once in a table: the host's slot if not contained
  FdTablePtr fds;                      // main thread

  bool is_main() const { return tid == pid; }
  /// The entry that owns cwd, env and descriptors.
  const Thread& group() const { return main != nullptr ? *main : *this; }
  Thread& group() { return main != nullptr ? *main : *this; }

  // Bumped by the writer whenever a field that rules can see changes, except descriptors. A change of live_threads
  // bumps the main thread alone, one of cwd every thread of the group. Drops what was derived.
  uint32_t version = 0;
  void changed() {
    ++version;
    cmdline_.clear();
  }
  /// comm and args joined with spaces, built once per change.
  std::string_view cmdline() const;
  mutable PredicateCache predicates;
  mutable uint64_t noted_in = 0;  // the flight recorder's: the segment in which this state was noted last

 private:
  mutable std::string cmdline_;
};

}  // namespace quell
