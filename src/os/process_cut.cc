#include "os/process_cut.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "base/text.h"
#include "os/cgroup_tree.h"
#include "os/descriptor.h"
#include "os/proc_fs.h"

namespace quell::os {
namespace {

constexpr int kPasses = 50;  // over members that go on forking while they are moved
constexpr std::chrono::milliseconds kPause{2};

std::string child_directory(const CgroupRef& parent, std::string_view tag) {
  return fmt::format("{}/quell-{}", parent.directory, tag);
}

Result<void> check_same(const CgroupRef& cgroup) {
  QUELL_TRY(const CgroupRef now, cgroup_ref(cgroup.directory));
  if (now.inode == cgroup.inode) return {};
  return Error{Code::stale, fmt::format("this is another cgroup now: its inode is {}, not {}", now.inode, cgroup.inode),
               cgroup.directory};
}

bool is_alive(const ProcessHandle& process) {
  pollfd entry{.fd = process.pidfd(), .events = POLLIN, .revents = 0};
  return ::poll(&entry, 1, 0) == 0;
}

/// errno, or 0.
int move_into(const std::string& directory, int64_t pid) {
  const Descriptor procs(::open((directory + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
  if (!procs) return errno;
  const std::string text = std::to_string(pid);
  return ::write(procs.get(), text.data(), text.size()) < 0 ? errno : 0;
}

Error move_error(int number, int64_t pid, const std::string& directory) {
  switch (number) {
    case ESRCH: return {Code::gone, fmt::format("process {} does not exist any more", pid), {}};
    case ENOENT:
    case ENODEV: return {Code::gone, "this cgroup does not exist any more", directory};
    case EOPNOTSUPP:
      return {Code::unsupported,
              fmt::format("process {} cannot have a cgroup of its own: the one that it is in is threaded", pid),
              directory};
    case EBUSY:
      return {
          Code::conflict,
          fmt::format("process {} cannot be moved: controllers are switched on for the children of this cgroup", pid),
          directory};
    default: return errno_error(number, fmt::format("cannot move process {}", pid), directory);
  }
}

/// Who is in the directory itself; cgroups that somebody made below it are theirs.
Result<std::vector<int64_t>> residents(const std::string& directory) {
  QUELL_TRY(const std::string text, read_small_file(directory + "/cgroup.procs"));
  std::vector<int64_t> pids;
  for (const std::string_view line : split(text, '\n'))
    if (int64_t pid = 0; parse_i64(line, pid) && pid > 0) pids.push_back(pid);
  return pids;
}

Result<void> move_all(const std::string& from, const std::string& to) {
  for (int pass = 0;; ++pass) {
    QUELL_TRY(const std::vector<int64_t> pids, residents(from));
    if (pids.empty()) return {};
    if (pass == kPasses)
      return Error{Code::conflict, fmt::format("{} processes come faster than they can be moved", pids.size()), from};
    for (const int64_t pid : pids)
      if (const int number = move_into(to, pid); number != 0 && number != ESRCH) return move_error(number, pid, to);
  }
}

Result<void> remove_directory(const std::string& directory) {
  for (int pass = 0;; ++pass) {
    if (::rmdir(directory.c_str()) == 0 || errno == ENOENT) return {};
    if (errno != EBUSY && errno != ENOTEMPTY) return errno_error(errno, "cannot remove the cgroup", directory);
    // A process that is just exiting holds it a moment longer.
    if (pass == kPasses)
      return Error{Code::conflict, "this cgroup cannot be removed: there are processes or other cgroups in it",
                   directory};
    std::this_thread::sleep_for(kPause);
  }
}

Result<void> check_type(const std::string& directory) {
  const auto type = read_small_file(directory + "/cgroup.type");
  if (!type || type->starts_with("domain\n") || type->starts_with("domain threaded")) return {};  // the root has none
  return Error{Code::unsupported,
               fmt::format("a process in this cgroup cannot have one of its own: it is \"{}\"",
                           type->substr(0, type->find('\n'))),
               directory};
}

}  // namespace

Result<ProcessCut> look_process_cut(const CgroupRef& parent, std::string_view tag) {
  QUELL_CHECK(check_net_tag(tag));
  QUELL_CHECK(check_same(parent));
  ProcessCut out;
  auto child = cgroup_ref(child_directory(parent, tag));
  if (!child) {
    if (child.error().code == Code::gone) return out;
    return child.error();
  }
  out.exists = true;
  out.child = std::move(*child);
  QUELL_TRY(out.members, members_of(out.child.directory));
  QUELL_TRY(out.cut, look_cgroup_cut(out.child, tag));
  return out;
}

Result<ProcessCutDone> cut_process(const ProcessHandle& process, const CgroupRef& parent, std::string_view tag,
                                   const NetAllowList& allow) {
  QUELL_CHECK(check_net_tag(tag));
  QUELL_CHECK(check_same(parent));
  const int64_t pid = process.facts().id.pid;
  const std::string directory = child_directory(parent, tag);
  QUELL_TRY(const CgroupRef present, v2_cgroup_of(pid));
  if (present.directory != directory && present.inode != parent.inode)
    return Error{Code::stale,
                 fmt::format("process {} is in {} now, not in the cgroup that was recorded", pid, present.directory),
                 parent.directory};
  QUELL_CHECK(check_type(parent.directory));
  if (::mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST)
    return errno_error(errno, "cannot make a cgroup", directory);

  const auto steps = [&]() -> Result<Destroyed> {
    QUELL_TRY(const CgroupRef child, cgroup_ref(directory));
    // Cut before anybody is in it: there is no moment with new sockets and no cut.
    if (auto cut = cut_cgroup(child, tag, allow); !cut) return cut.error();
    if (const int number = move_into(directory, pid); number != 0) return move_error(number, pid, directory);
    // Alive after the write: so it was this process that the number meant.
    QUELL_TRY(const NetNamespace ns, NetNamespace::of_process(pid));
    if (!is_alive(process)) return Error{Code::gone, fmt::format("process {} does not exist any more", pid), {}};
    return destroy_process_sockets(ns, pid);
  };
  auto sockets = steps();
  if (!sockets) {
    (void)undo_process_cut(parent, tag);
    return sockets.error();
  }
  QUELL_TRY(ProcessCut now, look_process_cut(parent, tag));
  return ProcessCutDone{std::move(now), std::move(*sockets)};
}

Result<bool> undo_process_cut(const CgroupRef& parent, std::string_view tag) {
  auto before = look_process_cut(parent, tag);
  if (!before) {
    if (before.error().code == Code::gone || before.error().code == Code::stale) return false;
    return before.error();
  }
  if (!before->exists) return false;
  // First of all, because sockets made in the child stay under its programs even when its directory is gone.
  if (auto detached = undo_cgroup_cut(before->child, tag); !detached) return detached.error();
  QUELL_CHECK(move_all(before->child.directory, parent.directory));
  QUELL_CHECK(remove_directory(before->child.directory));
  return true;
}

}  // namespace quell::os
