#pragma once
// --scope: what the sensor watches and what responses may touch.
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "capture/ebpf/scope.h"
#include "os/os.h"
#include "os/runtime.h"

namespace quell::cli {

struct WatchScope {
  capture::Scope sensor;
  std::string text;  // as the user gave it; empty: the whole machine
  /// True if the process is inside. Null: everything is.
  std::function<bool(const os::ProcessFacts&)> contains;
};

/// "" (all), "cgroup:PATH", "container:ID|NAME", "pid:PID". Borrows `machine` for as long as `contains` is used.
/// Errors: invalid_argument (form, ambiguous name), not_found (no such group, container or process), unavailable (no
/// runtime).
Result<WatchScope> resolve_scope(std::string_view text, const os::Os& machine,
                                 const std::vector<std::unique_ptr<os::Runtime>>& runtimes);

}  // namespace quell::cli
