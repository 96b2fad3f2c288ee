#pragma once
// The cgroups of a process on v1, v2 and hybrid machines.
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "os/os.h"

namespace quell::os {

/// The directory of one of the process's own cgroups. A process at the root of a hierarchy has none there.
struct CgroupDir {
  std::string subsystem;  // "" for v2
  std::string path;       // in the hierarchy, as /proc/PID/cgroup says
  std::string directory;  // in the file system
};

/// Every hierarchy in which the process sits below the root and that is mounted here. Errors: gone.
Result<std::vector<CgroupDir>> cgroup_dirs(int64_t pid);

/// Whether any mounted hierarchy has a control group at this path ("/docker/ID"). True when that cannot be told.
bool cgroup_exists(const std::string& path);

/// Pids of `directory` and everything below it, ascending, each once. Errors: gone.
Result<std::vector<int64_t>> members_of(const std::string& directory);

/// v1 freezer.state of a directory.
Result<Frozen> v1_freezer_state(const std::string& directory);
/// v2 cgroup.events and cgroup.freeze of a directory.
Result<Frozen> v2_freezer_state(const std::string& directory);

}  // namespace quell::os
