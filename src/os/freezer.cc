#include "os/freezer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/clock.h"
#include "os/cgroup_tree.h"
#include "os/descriptor.h"
#include "os/proc_fs.h"

namespace quell::os {
namespace {

using Version = Freezer::Version;

const char* control_file(Version version) { return version == Version::v1 ? "freezer.state" : "cgroup.freeze"; }

/// The directory, held open, once it is known to be the one that was meant.
Result<Descriptor> open_freezer(const Freezer& freezer) {
  auto directory = open_at(AT_FDCWD, freezer.directory, O_RDONLY | O_DIRECTORY);
  if (!directory) {
    if (directory.error().code == Code::not_found)
      return Error{Code::gone, "the cgroup does not exist any more", freezer.directory};
    return directory.error();
  }
  struct stat info {};
  if (::fstat(directory->get(), &info) != 0) return errno_error(errno, "cannot look at", freezer.directory);
  if (info.st_ino != freezer.inode) return Error{Code::stale, "another cgroup has this name now", freezer.directory};
  return directory;
}

Result<void> request(const Freezer& freezer, bool frozen) {
  QUELL_TRY(const Descriptor directory, open_freezer(freezer));
  const char* name = control_file(freezer.version);
  QUELL_TRY(const Descriptor file, open_at(directory.get(), name, O_WRONLY));
  const std::string_view word = freezer.version == Version::v2 ? (frozen ? "1" : "0") : (frozen ? "FROZEN" : "THAWED");
  if (::write(file.get(), word.data(), word.size()) < 0)
    return errno_error(errno, frozen ? "cannot freeze" : "cannot thaw", freezer.directory + "/" + name);
  return {};
}

/// Waits in growing steps: freezing takes 0.2 ms on v2 and some ms on v1.
Result<bool> wait_until(const Freezer& freezer, Frozen wanted, uint64_t timeout_ns) {
  const uint64_t started = system_clock().monotonic_ns();
  for (uint64_t step_us = 50;; step_us = std::min<uint64_t>(step_us * 2, 10'000)) {
    QUELL_TRY(const Frozen now, state_of(freezer));
    if (now == wanted) return true;
    if (system_clock().monotonic_ns() - started >= timeout_ns) return false;
    // A v1 freezer that met a thread on its way into the kernel tries again only when it is asked again.
    if (wanted == Frozen::yes && freezer.version == Version::v1) QUELL_CHECK(request(freezer, true));
    ::usleep(static_cast<useconds_t>(step_us));
  }
}

Result<std::vector<int64_t>> members_without_us(const Freezer& freezer) {
  QUELL_TRY(std::vector<int64_t> members, members_of(freezer.directory));
  if (std::binary_search(members.begin(), members.end(), int64_t{::getpid()}))
    return Error{Code::refused, "Quell itself runs in this cgroup", freezer.directory};
  return members;
}

}  // namespace

void write_json(JsonWriter& out, const Freezer& freezer) {
  out.begin_object();
  out.text("version", freezer.version == Version::v1 ? "v1" : "v2");
  out.text("directory", freezer.directory).integer("inode", freezer.inode);
  out.end_object();
}

Result<Freezer> freezer_from_json(const Json& json) {
  const std::string version = json.at("version").str();
  Freezer freezer{version == "v1" ? Version::v1 : Version::v2, json.at("directory").str(), json.at("inode").u64()};
  if ((version != "v1" && version != "v2") || !freezer.directory.starts_with('/') || freezer.inode == 0)
    return Error{Code::malformed, "a recorded freezer needs version, directory and inode", {}};
  return freezer;
}

Result<std::vector<Freezer>> freezers_of(int64_t pid) {
  QUELL_TRY(const std::vector<CgroupDir> dirs, cgroup_dirs(pid));
  std::vector<Freezer> freezers;
  for (const auto& [subsystem, version] : {std::pair{"", Version::v2}, std::pair{"freezer", Version::v1}}) {
    for (const CgroupDir& dir : dirs) {
      if (dir.subsystem != subsystem) continue;
      struct stat info {};
      if (::stat((dir.directory + "/" + control_file(version)).c_str(), &info) != 0) continue;
      if (::stat(dir.directory.c_str(), &info) != 0) continue;
      freezers.push_back({version, dir.directory, info.st_ino});
      break;
    }
  }
  if (freezers.empty())
    return Error{
        Code::unsupported,
        fmt::format("process {} has no cgroup of its own with a freezer: it sits at the root of its hierarchies", pid),
        {}};
  return freezers;
}

Result<Frozen> state_of(const Freezer& freezer) {
  QUELL_TRY(const Descriptor directory, open_freezer(freezer));
  return freezer.version == Version::v1 ? v1_freezer_state(freezer.directory) : v2_freezer_state(freezer.directory);
}

Result<void> freeze(const Freezer& freezer, uint64_t timeout_ns) {
  QUELL_TRY(const Frozen before, state_of(freezer));
  QUELL_CHECK(members_without_us(freezer));
  QUELL_CHECK(request(freezer, true));
  QUELL_TRY(const bool frozen, wait_until(freezer, Frozen::yes, timeout_ns));
  if (frozen) return {};
  if (before == Frozen::no) QUELL_CHECK(request(freezer, false));
  return Error{
      Code::timeout,
      fmt::format("not everything in the cgroup could be frozen within {} ms: something in it waits in the kernel",
                  timeout_ns / 1'000'000),
      freezer.directory};
}

Result<void> thaw(const Freezer& freezer, uint64_t timeout_ns) {
  QUELL_CHECK(request(freezer, false));
  QUELL_TRY(const bool thawed, wait_until(freezer, Frozen::no, timeout_ns));
  if (thawed) return {};
  return Error{Code::conflict, "still frozen after it was thawed: a cgroup above it is frozen", freezer.directory};
}

Result<CgroupFreeze> plan_cgroup_freeze(int64_t pid) {
  QUELL_TRY(const std::vector<Freezer> freezers, freezers_of(pid));
  CgroupFreeze plan;
  plan.freezer = freezers.front();
  QUELL_TRY(plan.members, members_without_us(plan.freezer));
  QUELL_TRY(plan.before, state_of(plan.freezer));
  plan.note =
      "the container's runtime does not know of this: it goes on saying that the container runs, and its own "
      "unpause does not thaw it";
  if (freezers.size() == 2) plan.note += "; a pause by the runtime may use the v1 freezer and is not seen in this one";
  return plan;
}

std::string why_no_freezer() {
  const auto mountinfo = read_small_file("/proc/self/mountinfo");
  if (!mountinfo) return "the mounts of this machine cannot be read: " + mountinfo.error().str();
  std::string why = "no cgroup hierarchy with a freezer is mounted here";
  for (const CgroupMount& mount : parse_cgroup_mounts(*mountinfo)) {
    if (!mount.subsystem.empty() && mount.subsystem != "freezer") continue;
    if (::access(mount.mount_point.c_str(), W_OK) == 0) return {};
    why = fmt::format("{} cannot be written: {}", mount.mount_point,
                      errno == EROFS ? "it is mounted read-only" : "root rights are needed");
  }
  return why;
}

}  // namespace quell::os
