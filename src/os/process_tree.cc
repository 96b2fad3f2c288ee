#include "os/process_tree.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.h"
#include "os/cgroup_tree.h"
#include "os/descriptor.h"
#include "os/proc_fs.h"

namespace quell::os {
namespace {

constexpr uint64_t kKernelThreadFlag = 0x00200000;  // PF_KTHREAD

uint64_t pid_namespace_of(int64_t pid) {
  struct stat info {};
  return ::stat(fmt::format("/proc/{}/ns/pid", pid).c_str(), &info) == 0 ? info.st_ino : 0;
}

/// "NSpid:" of /proc/PID/status ends with the pid in the innermost namespace.
bool is_first_of_namespace(int64_t pid) {
  const auto status = read_small_file(fmt::format("/proc/{}/status", pid));
  if (!status) return false;
  for (std::string_view line : split(*status, '\n'))
    if (line.starts_with("NSpid:")) return line.ends_with("\t1");
  return false;
}

/// Same order as Os::cgroup_members, so that the directory named is the one whose members are listed.
std::string own_cgroup_directory(int64_t pid) {
  const auto dirs = cgroup_dirs(pid);
  if (!dirs) return {};
  for (const char* subsystem : {"", "freezer", "pids"})
    for (const CgroupDir& dir : *dirs)
      if (dir.subsystem == subsystem) return dir.directory;
  return {};
}

/// Processes that left the cgroup (nsenter, systemd-run) but not the container: they share the pid namespace whose
/// first process lives in the cgroup, or descend from one that does. A namespace that several containers share is
/// led by a process outside, and says nothing.
void add_escaped(const ProcessTable& table, std::set<int64_t>& pids, std::vector<int64_t>& outside) {
  const uint64_t ours = pid_namespace_of(::getpid());
  std::set<uint64_t> namespaces;
  for (const int64_t pid : pids) {
    const uint64_t inode = pid_namespace_of(pid);
    if (inode == 0 || inode == ours || namespaces.contains(inode)) continue;
    if (is_first_of_namespace(pid)) namespaces.insert(inode);
  }
  if (namespaces.empty()) return;
  std::set<int64_t> inside;
  for (const auto& [pid, node] : table)
    if (!node.kernel_thread && namespaces.contains(pid_namespace_of(pid))) inside.insert(pid);
  for (const int64_t pid : descendants_in(table, inside))
    if (pids.insert(pid).second) outside.push_back(pid);
}

}  // namespace

std::string_view to_string(TreeScope scope) {
  switch (scope) {
    case TreeScope::descendants: return "descendants";
    case TreeScope::session: return "session";
    case TreeScope::cgroup: return "cgroup";
  }
  return "descendants";
}

Result<TreeScope> tree_scope_from(std::string_view word) {
  for (const TreeScope scope : {TreeScope::descendants, TreeScope::session, TreeScope::cgroup})
    if (word == to_string(scope)) return scope;
  return Error{Code::invalid_argument,
               fmt::format("\"{}\" is no kind of process tree: descendants, session or cgroup", word),
               {}};
}

Result<ProcessTable> read_process_table() {
  QUELL_TRY(const std::vector<int64_t> pids, numbered_entries("/proc"));
  ProcessTable table;
  for (const int64_t pid : pids) {
    const auto stat = read_proc_stat(pid);
    if (!stat) continue;
    table.emplace_hint(table.end(), pid,
                       ProcessNode{.pid = pid,
                                   .ppid = stat->ppid,
                                   .session = stat->session,
                                   .start_ticks = stat->start_ticks,
                                   .state = stat->state,
                                   .kernel_thread = (stat->flags & kKernelThreadFlag) != 0});
  }
  return table;
}

std::set<int64_t> descendants_in(const ProcessTable& table, const std::set<int64_t>& seeds) {
  // A session's number is the pid of its maker and stays taken while the session lives, so it cannot be another's.
  std::multimap<int64_t, int64_t> children, sessions;
  for (const auto& [pid, node] : table) {
    children.emplace(node.ppid, pid);
    if (node.session > 0) sessions.emplace(node.session, pid);
  }
  std::set<int64_t> found;
  std::vector<int64_t> open(seeds.begin(), seeds.end());
  std::set<int64_t> seen = seeds;
  while (!open.empty()) {
    const int64_t pid = open.back();
    open.pop_back();
    if (table.contains(pid)) found.insert(pid);
    for (const auto* relation : {&children, &sessions}) {
      const auto [first, last] = relation->equal_range(pid);
      for (auto it = first; it != last; ++it)
        if (seen.insert(it->second).second) open.push_back(it->second);
    }
  }
  return found;
}

std::set<int64_t> own_line(const ProcessTable& table) {
  std::set<int64_t> line{1, 2};
  for (int64_t pid = ::getpid(); pid > 0 && line.insert(pid).second;) {
    const auto found = table.find(pid);
    if (found == table.end()) break;
    pid = found->second.ppid;
  }
  return line;
}

Result<TreePids> find_tree_pids(const Os& os, const ProcessHandle& root, TreeScope scope, const ProcessTable& table) {
  TreePids tree;
  const int64_t pid = root.facts().id.pid;
  const Error gone{Code::gone, fmt::format("process {} and its tree do not exist any more", pid), {}};
  const auto own = table.find(pid);
  // Its pid may be another's by now, whose children are none of its.
  const bool is_recycled = own != table.end() && own->second.start_ticks != root.facts().id.start_ticks;
  switch (scope) {
    case TreeScope::descendants:
      if (!is_recycled) tree.pids = descendants_in(table, {pid});
      break;
    case TreeScope::session:
      if (own == table.end() || is_recycled) return gone;
      for (const auto& [member, node] : table)
        if (node.session == own->second.session) tree.pids.insert(member);
      break;
    case TreeScope::cgroup: {
      QUELL_TRY(const std::vector<int64_t> members, os.cgroup_members(pid));
      tree.cgroup = own_cgroup_directory(pid);
      if (os.wait_exit(root, 0)) return gone;  // the cgroup may have been another's
      tree.pids.insert(members.begin(), members.end());
      add_escaped(table, tree.pids, tree.outside_cgroup);
      break;
    }
  }
  const std::set<int64_t> ours = own_line(table);
  for (const int64_t member : tree.pids) {
    const auto node = table.find(member);
    if (ours.contains(member) || (node != table.end() && node->second.kernel_thread))
      return Error{Code::refused,
                   fmt::format("the tree of process {} ({}) contains process {}, {}", pid, to_string(scope), member,
                               ours.contains(member) ? "which Quell depends on" : "a part of the kernel"),
                   {}};
  }
  if (tree.pids.empty()) return gone;
  return tree;
}

Result<void> signal_verified(const ProcessId& id, int number) {
  const Descriptor pidfd(static_cast<int>(::syscall(SYS_pidfd_open, id.pid, 0)));
  const auto failed = [&](int error) -> Error {
    if (error == ESRCH) return {Code::gone, fmt::format("process {} does not exist any more", id.pid), {}};
    if (error == EPERM)
      return {Code::permission_denied, fmt::format("not allowed to signal process {}: CAP_KILL is needed", id.pid), {}};
    return errno_error(error, fmt::format("cannot send signal {}", number), fmt::format("process {}", id.pid));
  };
  if (!pidfd) return failed(errno);
  QUELL_TRY(const ProcStat stat, read_proc_stat(id.pid));
  // Only a descriptor that is alive after the reading vouches that the reading was of its process; signal 0 asks.
  if (::syscall(SYS_pidfd_send_signal, pidfd.get(), 0, nullptr, 0) != 0) return failed(errno);
  if (stat.start_ticks != id.start_ticks)
    return Error{Code::stale, fmt::format("process {} is another one now", id.pid), {}};
  if (::syscall(SYS_pidfd_send_signal, pidfd.get(), number, nullptr, 0) != 0) return failed(errno);
  return {};
}

Result<ProcessTree> find_tree(const Os& os, const ProcessHandle& root, TreeScope scope) {
  ProcessTree tree;
  tree.taken_ticks = now_ticks();
  QUELL_TRY(const ProcessTable table, read_process_table());
  QUELL_TRY(TreePids found, find_tree_pids(os, root, scope, table));
  tree.cgroup = std::move(found.cgroup);
  tree.outside_cgroup = std::move(found.outside_cgroup);
  for (const int64_t member : found.pids) {
    auto facts = os.process_facts(member);
    if (!facts || facts->state == 'Z' || facts->state == 'X') continue;
    // A pid that came to mean another process between the two readings belongs to no tree yet.
    const auto node = table.find(member);
    if (node != table.end() && node->second.start_ticks != facts->id.start_ticks) continue;
    tree.members.push_back(std::move(*facts));
  }
  if (tree.members.empty())
    return Error{Code::gone, fmt::format("process {} and its tree do not exist any more", root.facts().id.pid), {}};
  return tree;
}

}  // namespace quell::os
