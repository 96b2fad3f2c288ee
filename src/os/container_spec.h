#pragma once
// The OCI runtime spec (JSON) that containerd keeps with each container.
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/container.h"

namespace quell::os {

struct ContainerSpec {
  std::map<std::string, std::string> annotations;
  std::vector<std::string> env;
  std::vector<Mount> mounts;  // bind mounts only: the others are the container's own proc, sysfs, tmpfs …
  std::string user;           // uid, or the name if the spec has one
  /// The spec has no such word: every capability including CAP_SYS_ADMIN, and no path of /proc hidden or read-only.
  bool privileged = false;
  bool host_pid = false, host_network = false, host_ipc = false;  // no namespace of its own
};

/// Errors: malformed.
Result<ContainerSpec> parse_container_spec(std::string_view json);

}  // namespace quell::os
