#pragma once
// Who belongs together with a process: its descendants, its session or its cgroup.
// What /proc shows is never one moment: whoever needs completeness looks again until nothing new comes (kill_tree.h).
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "os/os.h"

namespace quell::os {

enum class TreeScope : uint8_t {
  descendants,  // by parent, and by session: who is in a session that a member made descends from it, orphaned or not
  session,      // the whole session of the process
  cgroup,       // its cgroup and those below, and who left it but not the pid namespace that lives there
};
/// "descendants", "session", "cgroup".
std::string_view to_string(TreeScope scope);
Result<TreeScope> tree_scope_from(std::string_view word);

/// One line per process, cheap enough to read for all of them (8 µs each).
struct ProcessNode {
  int64_t pid = -1, ppid = -1, session = -1;
  uint64_t start_ticks = 0;
  char state = '?';
  bool kernel_thread = false;
};
using ProcessTable = std::map<int64_t, ProcessNode>;
/// All processes of this moment; what vanishes while it is read is left out.
Result<ProcessTable> read_process_table();

/// Pids in `table` that descend from `seeds` by parent or session, the living seeds included. Seeds may be dead: their
/// sessions still count.
std::set<int64_t> descendants_in(const ProcessTable& table, const std::set<int64_t>& seeds);

/// This process and all its ancestors, kernel threads' parent included: what no tree may ever contain.
std::set<int64_t> own_line(const ProcessTable& table);

/// The pids of a tree at one moment.
struct TreePids {
  std::set<int64_t> pids;
  std::string cgroup;                   // scope cgroup: the directory, v2 if there is one
  std::vector<int64_t> outside_cgroup;  // scope cgroup: members that left it, found by their pid namespace
};
/// Reads nothing that a process can delay (its command line is behind a lock that a forking process holds).
/// Errors: gone (it is dead and nothing is left), refused if this process, one of its ancestors or a kernel thread is
/// inside, unsupported (scope cgroup of a process without a cgroup of its own).
Result<TreePids> find_tree_pids(const Os& os, const ProcessHandle& root, TreeScope scope, const ProcessTable& table);

/// Sends a signal to whom `id` names and to nobody else: as Os::open_process and Os::signal, but only the start time is
/// read. Errors: gone, stale, permission_denied.
Result<void> signal_verified(const ProcessId& id, int number);

/// A tree at one moment, for preview.
struct ProcessTree {
  std::vector<ProcessFacts> members;  // ascending pid; zombies left out
  uint64_t taken_ticks = 0;           // before it was read, in the unit of ProcessId::start_ticks
  std::string cgroup;                 // as in TreePids
  std::vector<int64_t> outside_cgroup;
};
/// `root` is alive or was when it was opened. Errors: as find_tree_pids.
Result<ProcessTree> find_tree(const Os& os, const ProcessHandle& root, TreeScope scope);

}  // namespace quell::os
