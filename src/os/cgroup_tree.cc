#include "os/cgroup_tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/text.h"
#include "os/proc_fs.h"

namespace quell::os {
namespace fs = std::filesystem;

namespace {
/// Where `path` of a hierarchy is in the file system; empty if that part is not mounted.
std::string directory_of(const CgroupMount& mount, std::string_view path) {
  if (mount.root == "/") return mount.mount_point + std::string(path);
  if (path == mount.root) return mount.mount_point;
  if (path.starts_with(mount.root) && path[mount.root.size()] == '/')
    return mount.mount_point + std::string(path.substr(mount.root.size()));
  return {};
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  return text;
}
}  // namespace

Result<std::vector<CgroupDir>> cgroup_dirs(int64_t pid) {
  auto text = read_small_file(fmt::format("/proc/{}/cgroup", pid));
  if (!text) {
    if (text.error().code != Code::gone) return text.error();
    return Error{Code::gone, fmt::format("process {} does not exist any more", pid), {}};
  }
  // Read each time: hierarchies may be mounted after we started, and this is 60 µs.
  QUELL_TRY(std::string mountinfo, read_small_file("/proc/self/mountinfo"));
  const auto mounts = parse_cgroup_mounts(mountinfo);
  std::vector<CgroupDir> dirs;
  for (const CgroupEntry& entry : parse_proc_cgroup(*text)) {
    // "/../x" is outside our cgroup namespace: we could not name it truthfully.
    if (entry.path.empty() || entry.path == "/" || entry.path.starts_with("/..")) continue;
    for (const CgroupMount& mount : mounts) {
      if (mount.subsystem != entry.subsystem) continue;
      if (std::string directory = directory_of(mount, entry.path); !directory.empty())
        dirs.push_back({entry.subsystem, entry.path, std::move(directory)});
    }
  }
  return dirs;
}

bool cgroup_exists(const std::string& path) {
  const auto mountinfo = read_small_file("/proc/self/mountinfo");
  if (!mountinfo) return true;
  for (const CgroupMount& mount : parse_cgroup_mounts(*mountinfo)) {
    const std::string directory = directory_of(mount, path);
    std::error_code error;
    // A hierarchy of which we see only a part may have it in the other part.
    if (directory.empty() || fs::is_directory(directory, error) ||
        (error && error != std::errc::no_such_file_or_directory))
      return true;
  }
  return false;
}

Result<std::vector<int64_t>> members_of(const std::string& directory) {
  std::vector<int64_t> pids;
  const auto add = [&](const std::string& folder) -> Result<void> {
    QUELL_TRY(std::string text, read_small_file(folder + "/cgroup.procs"));
    for (std::string_view line : split(text, '\n')) {
      int64_t pid = 0;
      // 0 stands for a process that our pid namespace cannot see.
      if (parse_i64(trim(line), pid) && pid > 0) pids.push_back(pid);
    }
    return {};
  };
  QUELL_CHECK(add(directory));
  std::error_code error;
  for (fs::recursive_directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    std::error_code gone;
    // A child cgroup that vanishes under us has no members left.
    if (it->is_directory(gone) && !gone) (void)add(it->path().string());
  }
  std::sort(pids.begin(), pids.end());
  pids.erase(std::unique(pids.begin(), pids.end()), pids.end());
  return pids;
}

Result<Frozen> v1_freezer_state(const std::string& directory) {
  QUELL_TRY(std::string text, read_small_file(directory + "/freezer.state"));
  const std::string_view state = trim(text);
  if (state == "FROZEN") return Frozen::yes;
  if (state == "FREEZING") return Frozen::freezing;
  if (state == "THAWED") return Frozen::no;
  return Error{Code::malformed, fmt::format("unknown freezer state \"{}\"", state), directory + "/freezer.state"};
}

Result<Frozen> v2_freezer_state(const std::string& directory) {
  QUELL_TRY(std::string events, read_small_file(directory + "/cgroup.events"));
  for (std::string_view line : split(events, '\n'))
    if (line == "frozen 1") return Frozen::yes;
  QUELL_TRY(std::string wanted, read_small_file(directory + "/cgroup.freeze"));
  return trim(wanted) == "1" ? Frozen::freezing : Frozen::no;
}

}  // namespace quell::os
