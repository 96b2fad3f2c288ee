#include "apps/quell/scope.h"

#include <fmt/format.h>

#include "base/text.h"

namespace quell::cli {
namespace {

/// `path` as the kernel lists it in /proc/PID/cgroup: below the mount, with a leading and without a trailing slash.
std::string below_mount(std::string path) {
  if (const auto mounts = capture::CgroupMounts::find()) {
    for (const std::string& mount : {mounts->v2, mounts->pids}) {
      if (!mount.empty() && path.starts_with(mount + "/")) {
        path.erase(0, mount.size());
        break;
      }
    }
  }
  while (!path.empty() && path.back() == '/') path.pop_back();
  return path.starts_with('/') ? path : "/" + path;
}

bool is_in_group(const os::ProcessFacts& facts, const std::string& group) {
  bool inside = false;
  for_each_part(facts.cgroups, [&](std::string_view part) {
    const size_t equals = part.find('=');
    if (equals == std::string_view::npos) return;
    const std::string_view path = part.substr(equals + 1);
    if (path == group || (path.starts_with(group) && path.size() > group.size() && path[group.size()] == '/'))
      inside = true;
  });
  return inside;
}

/// By ancestry as it is now: a descendant whose parent has died belongs to init and is not found any more.
bool is_descendant(const os::Os& machine, os::ProcessFacts facts, int64_t root) {
  for (int steps = 0; steps < 4096; ++steps) {
    if (facts.id.pid == root) return true;
    if (facts.ppid <= 0) return false;
    auto parent = machine.process_facts(facts.ppid);
    if (!parent) return false;
    facts = *std::move(parent);
  }
  return false;
}

/// The group that a container's processes live in: the v2 path, or the one of the v1 pids hierarchy.
Result<std::string> group_of(const os::Os& machine, int64_t pid) {
  QUELL_TRY(const os::ProcessFacts facts, machine.process_facts(pid));
  std::string v2, pids;
  for_each_part(facts.cgroups, [&](std::string_view part) {
    if (part.starts_with('=')) v2 = part.substr(1);
    if (part.starts_with("pids=")) pids = part.substr(5);
  });
  if (v2.size() > 1) return v2;
  if (pids.size() > 1) return pids;
  return Error{Code::unsupported, fmt::format("process {} is in no control group of its own", pid), {}};
}

}  // namespace

Result<WatchScope> resolve_scope(std::string_view text, const os::Os& machine,
                                 const std::vector<std::unique_ptr<os::Runtime>>& runtimes) {
  WatchScope scope;
  scope.text = text;
  if (text.empty() || text == "all") {
    scope.text.clear();
    return scope;
  }
  std::string sensor_scope(text);
  if (text.starts_with("container:")) {
    const std::string_view id = text.substr(10);
    if (id.empty()) return Error{Code::invalid_argument, "name the container, such as --scope container:web", {}};
    QUELL_TRY(const os::FoundContainer found, os::find_container(runtimes, id));
    if (found.status.pid <= 0) {
      return Error{Code::not_found, fmt::format("container {} is not running; start it first", id), "--scope"};
    }
    QUELL_TRY(const std::string group, group_of(machine, found.status.pid));
    sensor_scope = "cgroup:" + group;
  }
  QUELL_TRY(scope.sensor, capture::Scope::parse(sensor_scope));
  if (scope.sensor.kind == capture::Scope::Kind::cgroup) {
    QUELL_TRY(const capture::CgroupMounts mounts, capture::CgroupMounts::find());
    QUELL_CHECK(capture::resolve_cgroup(scope.sensor.path, mounts));
    scope.contains = [group = below_mount(scope.sensor.path)](const os::ProcessFacts& facts) {
      return is_in_group(facts, group);
    };
  } else if (scope.sensor.kind == capture::Scope::Kind::tree) {
    QUELL_CHECK(machine.process_facts(scope.sensor.pid));
    scope.contains = [&machine, root = scope.sensor.pid](const os::ProcessFacts& facts) {
      return is_descendant(machine, facts, root);
    };
  }
  return scope;
}

}  // namespace quell::cli
