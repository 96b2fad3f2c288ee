#pragma once
// The machine itself: what does not belong to a process.
#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "model/snapshot.h"

namespace quell::capture::proc {

/// What cannot be read stays 0 or empty.
MachineInfo read_machine(const std::string& proc_root, const Clock& clock);
/// IPv4 and IPv6 addresses of every interface of this network namespace.
std::vector<NetworkInterface> read_interfaces();
/// Controllers of the unified cgroup hierarchy, wherever it is mounted; empty if there is none.
std::vector<std::string> read_unified_controllers(const std::string& proc_root);

}  // namespace quell::capture::proc
