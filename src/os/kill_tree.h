#pragma once
// Ends a whole process tree, also one that forks faster than anybody can list it: by cgroup.kill where a whole cgroup
// is meant (the kernel handles concurrent forks), else with the tree standing still first (freezer, or SIGSTOP to each
// until nothing new comes), so that nobody inside runs between the first death and the last.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "os/process_tree.h"

namespace quell::os {

enum class KillMethod : uint8_t {
  cgroup_kill,   // v2, Linux 5.14+: atomic
  frozen_sweep,  // v1 or v2 freezer, SIGKILL to each by pidfd, thaw
  stopped_sweep  // SIGSTOP to each by pidfd until two passes find nobody new, then SIGKILL
};
/// "cgroup_kill", "frozen_sweep", "stopped_sweep".
std::string_view to_string(KillMethod method);

struct KillTreeRequest {
  ProcessId root;
  TreeScope scope = TreeScope::descendants;
  /// Who was shown to die (the identities of ProcessTree::members), recorded before the effect. With scope cgroup the
  /// call is refused if others are inside that neither descend from these nor were born since the preview.
  std::vector<ProcessId> expected;
  uint64_t previewed_ticks = 0;  // ProcessTree::taken_ticks; 0: nobody was born since
  uint64_t budget_ns = 5'000'000'000;
  std::optional<KillMethod> method;  // empty: the best that the machine can do
};

struct Survivor {
  ProcessFacts facts;
  std::string reason;  // a sentence for people
};

struct KillTreeResult {
  KillMethod method = KillMethod::stopped_sweep;
  std::vector<ProcessId> killed;  // seen dead; cgroup_kill also ends newborns that nobody saw
  std::vector<Survivor> survivors;
  size_t passes = 0;
  uint64_t duration_ns = 0;  // until the last was seen dead, or the budget was used up
  bool settled = true;       // false: the budget ended while new members still came
};
void write_json(JsonWriter& out, const KillTreeResult& result);

/// The root may be dead: then the living of `expected` are the tree. Survivors are no error.
/// Errors: gone (nobody of it lives), refused (a shared slice; this process, its ancestors or kernel threads inside),
/// conflict (others are inside that were not expected: preview again), unsupported (scope cgroup without a cgroup of
/// its own, or a method that this machine does not have).
Result<KillTreeResult> kill_tree(const Os& os, const KillTreeRequest& request);

/// Who of `ids` still lives (zombies are dead): the question after a crash. Nothing is needed but the identities.
std::vector<ProcessFacts> alive_among(const Os& os, const std::vector<ProcessId>& ids);

/// Empty if this machine can end trees by `method`, else why not in one sentence.
std::string why_no_kill(KillMethod method);

}  // namespace quell::os
