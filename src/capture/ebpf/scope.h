#pragma once
// Which tasks the sensor watches, as users name them and as the kernel programs understand them.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace quell::capture {

/// `all`, `cgroup:PATH` (that group and everything below it) or `pid:N` (that process and every child it makes from now
/// on).
struct Scope {
  enum class Kind { all, cgroup, tree };
  Kind kind = Kind::all;
  std::string path;  // cgroup: relative to the mount of the hierarchy, or the absolute path of its directory
  int64_t pid = 0;   // tree

  static Result<Scope> parse(std::string_view text);
};

/// A control group as the kernel knows it.
struct CgroupRef {
  uint64_t id = 0;     // of its directory in cgroupfs
  uint32_t level = 0;  // depth below the root of the hierarchy
  bool v2 = true;      // false: in the v1 "pids" hierarchy
};

/// Where cgroupfs is mounted. A test gives its own directories.
struct CgroupMounts {
  std::string v2;    // empty if there is none
  std::string pids;  // v1
  /// From /proc/self/mounts.
  static Result<CgroupMounts> find();
  static CgroupMounts parse(std::string_view mounts);
};

/// Looks `path` up: in the v2 hierarchy, else in the v1 "pids" hierarchy.
/// Errors: not_found (with the directories that were tried), invalid_argument (leaves the hierarchy, not a directory).
Result<CgroupRef> resolve_cgroup(std::string_view path, const CgroupMounts& mounts);

}  // namespace quell::capture
