#pragma once
// Cuts the network of one process that shares its cgroup with others: it is moved into a child cgroup of its own,
// quell-TAG, that is cut (os/cgroup_cut); the sockets it has belong to the old cgroup for ever, so they are destroyed
// (os/sock_diag). What it starts later is cut with it; children that it has already are not. Nothing is remembered
// here: parent cgroup and tag tell the rest. Thread-safe; two callers must not use the same tag at once.
//
// Needs what those two need, and the right to write into the cgroup tree.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "os/cgroup_cut.h"
#include "os/os.h"
#include "os/sock_diag.h"

namespace quell::os {

struct ProcessCut {
  bool exists = false;           // the child cgroup is there
  CgroupRef child;               // if so
  std::vector<int64_t> members;  // who is in it, ascending; empty once all have exited
  CgroupCut cut;
  bool in_effect() const { return exists && cut.whole() && !members.empty(); }
};
struct ProcessCutDone {
  ProcessCut now;
  Destroyed sockets;
};

/// `parent`: v2_cgroup_of() the process, as recorded before. Does what is missing of: child made, cut, process moved,
/// sockets destroyed; so it also completes what a crash left. After an error nothing of it remains, but for destroyed
/// sockets. Errors: gone (process or cgroup), stale (the cgroup is another one now, or the process is in a third one),
/// unsupported (a threaded cgroup), conflict (the kernel refuses the move), permission_denied, those of cut_cgroup().
Result<ProcessCutDone> cut_process(const ProcessHandle& process, const CgroupRef& parent, std::string_view tag,
                                   const NetAllowList& allow);
/// Asks the kernel. Errors: gone, stale (of the parent).
Result<ProcessCut> look_process_cut(const CgroupRef& parent, std::string_view tag);
/// Detaches the programs, moves everybody back to the parent, removes the child. False if there was nothing. Errors:
/// conflict (somebody made cgroups below the child, or the parent takes no processes any more; nobody is cut then, and
/// the message says who is still where).
Result<bool> undo_process_cut(const CgroupRef& parent, std::string_view tag);

}  // namespace quell::os
