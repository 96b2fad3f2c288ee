#include "apps/quell/live_tables.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <optional>

#include "base/text.h"
#include "capture/proc/scan.h"
#include "os/proc_fs.h"
#include "os/runc_state.h"

namespace quell::cli {
namespace {

// What a container's own passwd may hold before we stop reading it.
constexpr size_t kMaxAccountLines = 65'536;

/// Calls visit(parts) for each line of a colon-separated file with at least `columns` parts.
bool for_each_account(const std::string& path, size_t columns,
                      const std::function<void(const std::vector<std::string_view>&)>& visit) {
  std::ifstream file(path);
  if (!file) return false;
  size_t lines = 0;
  for (std::string line; lines < kMaxAccountLines && std::getline(file, line); ++lines) {
    const auto parts = split(line, ':');
    if (parts.size() >= columns) visit(parts);
  }
  return true;
}

bool read_accounts(int64_t pid, std::vector<User>& users, std::vector<Group>& groups) {
  const std::string root = fmt::format("/proc/{}/root", pid);
  const bool has_users = for_each_account(root + "/etc/passwd", 7, [&](const std::vector<std::string_view>& parts) {
    uint64_t uid = 0, gid = 0;
    if (!parse_u64(parts[2], uid) || !parse_u64(parts[3], gid)) return;
    users.push_back({static_cast<uint32_t>(uid), static_cast<uint32_t>(gid), std::string(parts[0]),
                     std::string(parts[5]), std::string(parts[6])});
  });
  const bool has_groups = for_each_account(root + "/etc/group", 3, [&](const std::vector<std::string_view>& parts) {
    uint64_t gid = 0;
    if (parse_u64(parts[2], gid)) groups.push_back({static_cast<uint32_t>(gid), std::string(parts[0])});
  });
  return has_users || has_groups;
}

std::optional<uint64_t> mount_namespace(int64_t pid) {
  struct stat info {};
  if (stat(fmt::format("/proc/{}/ns/mnt", pid).c_str(), &info) != 0) return {};
  return info.st_ino;
}

/// The first line of its mounts. It begins with the mount's id, which no other namespace has.
std::string first_mount(int64_t pid) {
  std::ifstream file(fmt::format("/proc/{}/mountinfo", pid));
  std::string line;
  std::getline(file, line);
  return line;
}

/// Whose mounts are the host's. Pid 1 may have more capabilities than we, which closes its namespaces to us and leaves
/// its list of mounts open.
class HostMounts {
 public:
  HostMounts() : first_(first_mount(1)), namespace_(mount_namespace(1)) {
    if (!namespace_ && !first_.empty() && first_ == first_mount(getpid())) namespace_ = mount_namespace(getpid());
  }
  bool is_known() const { return namespace_ || !first_.empty(); }
  /// Nothing if the process is gone.
  std::optional<bool> differ_from(int64_t pid) const {
    if (const auto own = namespace_ ? mount_namespace(pid) : std::nullopt) return *own != *namespace_;
    const std::string first = first_mount(pid);
    if (first.empty() || first_.empty()) return {};
    return first != first_;
  }

 private:
  std::string first_;
  std::optional<uint64_t> namespace_;
};

}  // namespace

Result<Snapshot> scan_machine() { return capture::scan_proc({}); }

enrich::Options live_table_options(const std::vector<std::string>& runc_roots) {
  // Shared by the functions below; all of them are called by the engine thread.
  const auto scanner = std::make_shared<capture::ProcScanner>(capture::ScanOptions{});
  enrich::Options options;
  options.read_thread = [scanner](int64_t tid, Thread& out, std::vector<std::pair<int64_t, Fd>>& fds) {
    auto found = scanner->lookup(tid);
    if (!found) return false;
    for (Thread& thread : found->threads) {
      if (thread.tid != tid) continue;
      out = std::move(thread);
      if (out.is_main()) fds = std::move(found->fds.fds);
      return true;
    }
    return false;
  };
  options.read_fd = [scanner](int64_t pid, int64_t number, Fd& out) {
    auto found = scanner->lookup(pid);
    if (!found) return false;
    for (auto& [fd, entry] : found->fds.fds) {
      if (fd != number) continue;
      out = std::move(entry);
      return true;
    }
    return false;
  };
  // A tid that is somebody else's now has begun its life later. Its own clone event says so only inside of a scope.
  options.is_alive = [scanner](const Thread& thread) {
    constexpr uint64_t kClocksDifferNs = 5'000'000'000;
    if (access(fmt::format("/proc/{}/task/{}", thread.pid, thread.tid).c_str(), F_OK) != 0) return false;
    if (thread.clone_ns == 0) return true;
    const auto stat = os::read_proc_stat(thread.tid);
    return stat && scanner->start_ns(stat->start_ticks) <= thread.clone_ns + kClocksDifferNs;
  };
  options.read_users = read_accounts;
  // A scoped sensor learns of processes outside of its scope, the parents of those inside, and never of their end: they
  // are looked after often enough for a churn of containers to leave no more than half a minute's worth of them.
  options.purge_interval_ns = options.purge_idle_ns = 15'000'000'000;
  // Whoever cannot see what pid 1 has cannot tell, and believes the names.
  if (const auto host = std::make_shared<const HostMounts>(); host->is_known())
    options.is_isolated = [host](int64_t pid) { return host->differ_from(pid); };
  const auto runc = std::make_shared<os::RuncState>(runc_roots);
  options.container_of = [runc](std::string_view cgroups) { return runc->id_of_cgroups(cgroups); };
  return options;
}

}  // namespace quell::cli
