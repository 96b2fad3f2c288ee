#pragma once
// The cgroup freezer, v1 and v2, by directory. Which container it belongs to, and whether its runtime knows, is not its
// business: a runtime that did not freeze the cgroup itself goes on saying "running".
// Plain functions, safe from any thread.
#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "os/os.h"

namespace quell::os {

/// A directory with a freezer. The inode names it: a cgroup of the same path that is made later is another one.
struct Freezer {
  enum class Version : uint8_t { v1, v2 };
  Version version = Version::v2;
  std::string directory;
  uint64_t inode = 0;
  bool operator==(const Freezer&) const = default;
};
void write_json(JsonWriter& out, const Freezer& freezer);
/// Errors: malformed.
Result<Freezer> freezer_from_json(const Json& json);

/// The freezers of the cgroups in which `pid` sits below the root, v2 first: it freezes faster and lets SIGKILL
/// through. Errors: gone; unsupported if there are none (the sentence says why).
Result<std::vector<Freezer>> freezers_of(int64_t pid);

/// Errors: gone if the directory is no more, stale if another cgroup has its name.
Result<Frozen> state_of(const Freezer& freezer);

/// Freezes and waits until everything inside stands still. Already frozen is success. When `timeout_ns` passes the
/// request is taken back first (unless it was frozen or freezing before) and Code::timeout is returned: a thread that
/// waits in the kernel cannot be frozen. Errors also: refused if this very process is inside; gone, stale,
/// permission_denied.
Result<void> freeze(const Freezer& freezer, uint64_t timeout_ns);

/// Thaws and waits. Errors: conflict if a cgroup above it is frozen, which keeps it frozen; gone, stale, timeout.
Result<void> thaw(const Freezer& freezer, uint64_t timeout_ns);

/// The plan of freezing the cgroup of a container's process when its runtime does not answer.
struct CgroupFreeze {
  Freezer freezer;
  Frozen before = Frozen::no;  // what undo goes back to
  std::vector<int64_t> members;
  std::string note;  // what follows for the runtime, a sentence for people
};
/// Errors: as freezers_of; refused if this very process is inside.
Result<CgroupFreeze> plan_cgroup_freeze(int64_t pid);

/// Empty if this machine has a freezer that we may write; else why not, in one sentence.
std::string why_no_freezer();

}  // namespace quell::os
