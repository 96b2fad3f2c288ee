#pragma once
// Makes one process stand still and lets it run again. By the freezer where the process is alone in its cgroup: nobody
// inside sees it and nobody else can undo it. Else by SIGSTOP, which is weak: its parent is told, and any process of
// the same user can continue it. The plan is recorded before the effect and is all that look and resume need after a
// crash.
#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"
#include "os/freezer.h"
#include "os/os.h"

namespace quell::os {

struct SuspendPlan {
  std::optional<Freezer> freezer;  // empty: SIGSTOP
  bool was_suspended = false;      // by somebody else, before us: resume leaves it so
};
void write_json(JsonWriter& out, const SuspendPlan& plan);
/// Errors: malformed.
Result<SuspendPlan> suspend_plan_from_json(const Json& json);

/// Changes nothing. Errors: gone; refused for this process, pid 1 and kernel threads.
Result<SuspendPlan> plan_suspend(const Os& os, const ProcessHandle& process);

/// What the machine says. `suspended` for SIGSTOP means that every thread is in state T (or t).
enum class Suspension : uint8_t { running, partly, suspended };
/// Errors: gone; stale if the recorded cgroup is another one now.
Result<Suspension> look_suspended(const Os& os, const ProcessHandle& process, const SuspendPlan& plan);

/// Returns when look_suspended says `suspended`. Doing it twice is doing it once. Errors: gone, permission_denied;
/// timeout (a thread waits in the kernel; what was asked for stays asked for with SIGSTOP and is taken back with the
/// freezer); conflict (others came into the cgroup since the plan: plan again).
Result<void> suspend(const Os& os, const ProcessHandle& process, const SuspendPlan& plan, uint64_t timeout_ns);

/// Takes back what suspend() did and nothing else; nothing at all if the plan says `was_suspended`. Errors: gone,
/// permission_denied; conflict if it runs already: somebody else has undone it (nothing is sent then).
Result<void> resume(const Os& os, const ProcessHandle& process, const SuspendPlan& plan, uint64_t timeout_ns);

}  // namespace quell::os
