#pragma once
// What /proc says about a process, as plain functions over its texts.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "os/os.h"

namespace quell::os {

/// The fields of /proc/PID/stat that we use. Times are in USER_HZ ticks.
struct ProcStat {
  int64_t pid = -1, ppid = -1;
  int64_t session = -1;  // pid of the process that made the session, dead or alive; 0 for kernel threads
  std::string comm;
  char state = '?';
  uint64_t flags = 0;
  uint64_t utime_ticks = 0, stime_ticks = 0;
  uint64_t start_ticks = 0;
};
/// comm may hold anything, also spaces and ')': it ends at the last ')' of the line. Errors: malformed.
Result<ProcStat> parse_proc_stat(std::string_view text);

/// One line of /proc/PID/cgroup per hierarchy of the subsystem; "" names v2, "name=systemd" is left as it is.
struct CgroupEntry {
  std::string subsystem;
  std::string path;  // "/" is the root of the hierarchy
};
/// A line "4:cpu,cpuacct:/a" gives two entries. Lines that do not follow the form are skipped.
std::vector<CgroupEntry> parse_proc_cgroup(std::string_view text);

/// Where a cgroup hierarchy can be reached in the file system.
struct CgroupMount {
  std::string subsystem;  // "" for v2
  std::string root;       // which cgroup is at the mount point: "/" unless only a part is mounted
  std::string mount_point;
};
/// From /proc/self/mountinfo: the first mount of each hierarchy.
std::vector<CgroupMount> parse_cgroup_mounts(std::string_view mountinfo);

/// A whole (small) file of /proc or of a cgroup. Errors: gone for ENOENT and ESRCH, else by errno.
Result<std::string> read_small_file(const std::string& path);

Result<ProcStat> read_proc_stat(int64_t pid);
/// Numbers in the names of a folder, ascending: the pids of "/proc", the threads of "/proc/PID/task". Errors: gone.
Result<std::vector<int64_t>> numbered_entries(const std::string& folder);
/// The states of all threads ("STT"), zombies and dead ones left out: empty for a zombie. Errors: gone.
Result<std::string> thread_states(int64_t pid);
/// Now, as field 22 of /proc/PID/stat counts: a process that starts later has this or more.
uint64_t now_ticks();
Result<ProcessFacts> read_process_facts(int64_t pid, const std::string& boot_id);

}  // namespace quell::os
