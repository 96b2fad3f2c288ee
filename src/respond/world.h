#pragma once
// What actions see of the machine, and a target as they hold it.
#include <functional>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "model/action.h"
#include "os/net_namespace.h"
#include "os/os.h"
#include "os/runtime.h"

namespace quell::respond {

/// Borrowed; outlives the runner.
struct World {
  const os::Os& os;
  const std::vector<std::unique_ptr<os::Runtime>>& runtimes;
  const Clock& clock;
  /// How a proof waits between two looks. Tests let their clock run instead.
  std::function<void(uint64_t ns)> sleep;
  /// The network of the machine; null: that of its first process. Tests give one of their own.
  std::function<Result<os::NetNamespace>()> machine_network = {};
  Result<os::NetNamespace> network() const {
    return machine_network ? machine_network() : os::NetNamespace::of_process(1);
  }
};

/// A target after its identity was read, held while this lives.
struct Subject {
  Target target;
  /// The process; for a container its pid 1. Means something only while `alive`.
  os::ProcessHandle process;
  bool alive = false;
  /// The container, or the one that the process is in; null outside containers.
  const os::Runtime* runtime = nullptr;
  os::ContainerStatus container;
};

}  // namespace quell::respond
