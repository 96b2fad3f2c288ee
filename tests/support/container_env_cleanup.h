#pragma once
// Takes a test environment of containers apart from its folder alone, so that a crashed run's is removed like a
// finished one's.
#include <string>

namespace quell::test {

/// Ends the daemons, shims and containers of the environment (by their recorded pids and its sockets' path), unmounts
/// what lies below, removes its cgroups, its network namespace and the folder.
void remove_environment(const std::string& dir);

}  // namespace quell::test
