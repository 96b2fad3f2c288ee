#include "capture/ebpf/scope.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <sstream>
#include <vector>

#include <fmt/format.h>

namespace quell::capture {
namespace {

bool starts_with_dir(std::string_view path, std::string_view dir) {
  return !dir.empty() && path.starts_with(dir) && (path.size() == dir.size() || path[dir.size()] == '/');
}

/// The parts of a path; nullopt-like empty result with `bad` set when one of them climbs.
std::vector<std::string_view> parts_of(std::string_view path, bool& climbs) {
  std::vector<std::string_view> parts;
  climbs = false;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part == "..") climbs = true;
    if (!part.empty() && part != ".") parts.push_back(part);
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  return parts;
}

}  // namespace

Result<Scope> Scope::parse(std::string_view text) {
  Scope scope;
  if (text.empty() || text == "all") return scope;
  if (text.starts_with("cgroup:")) {
    scope.kind = Kind::cgroup;
    scope.path = text.substr(7);
    if (scope.path.empty())
      return Error{Code::invalid_argument, "the scope cgroup: needs a path, as in cgroup:/docker", {}};
    return scope;
  }
  if (text.starts_with("pid:")) {
    scope.kind = Kind::tree;
    const std::string_view number = text.substr(4);
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), scope.pid);
    if (error != std::errc{} || end != number.data() + number.size() || scope.pid <= 0) {
      return Error{Code::invalid_argument, fmt::format("\"{}\" is no process id; write pid:1234", number), {}};
    }
    return scope;
  }
  return Error{
      Code::invalid_argument, fmt::format("unknown scope \"{}\"; write all, cgroup:PATH or pid:NUMBER", text), {}};
}

CgroupMounts CgroupMounts::parse(std::string_view mounts) {
  CgroupMounts out;
  std::istringstream lines{std::string(mounts)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string device, directory, type, options;
    if (!(words >> device >> directory >> type >> options)) continue;
    if (type == "cgroup2" && out.v2.empty()) out.v2 = directory;
    if (type == "cgroup" && out.pids.empty()) {
      std::istringstream names(options);
      for (std::string name; std::getline(names, name, ',');) {
        if (name == "pids") out.pids = directory;
      }
    }
  }
  return out;
}

Result<CgroupMounts> CgroupMounts::find() {
  std::ifstream file("/proc/self/mounts");
  if (!file) return errno_error(errno, "cannot read the list of mounts", "/proc/self/mounts");
  std::stringstream text;
  text << file.rdbuf();
  return parse(text.str());
}

Result<CgroupRef> resolve_cgroup(std::string_view path, const CgroupMounts& mounts) {
  std::vector<std::pair<std::string, bool>> roots;  // directory, is v2
  if (!mounts.v2.empty()) roots.emplace_back(mounts.v2, true);
  if (!mounts.pids.empty()) roots.emplace_back(mounts.pids, false);
  if (roots.empty()) {
    return Error{
        Code::unsupported,
        "no cgroup hierarchy is mounted; mount one (mount -t cgroup2 none /sys/fs/cgroup) or use another scope",
        {}};
  }
  // The longest root first: in a hybrid layout one mount lies below the other's parent.
  std::string tried;
  for (const auto& [root, v2] : roots) {
    const std::string_view relative = starts_with_dir(path, root) ? path.substr(root.size()) : path;
    bool climbs = false;
    const auto parts = parts_of(relative, climbs);
    if (climbs) return Error{Code::invalid_argument, "a cgroup path may not contain \"..\"", std::string(path)};
    std::string directory = root;
    for (const auto part : parts) directory.append("/").append(part);
    struct stat info {};
    if (stat(directory.c_str(), &info) != 0) {
      if (errno != ENOENT && errno != ENOTDIR) return errno_error(errno, "cannot look at the cgroup", directory);
      tried += (tried.empty() ? "" : ", ") + directory;
      continue;
    }
    if (!S_ISDIR(info.st_mode))
      return Error{Code::invalid_argument, "this is a file of a cgroup, not a cgroup", directory};
    return CgroupRef{info.st_ino, static_cast<uint32_t>(parts.size()), v2};
  }
  return Error{Code::not_found, fmt::format("there is no cgroup {} (tried {})", path, tried), std::string(path)};
}

}  // namespace quell::capture
