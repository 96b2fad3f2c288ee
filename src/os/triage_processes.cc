// What runs, and whom it talks to.
#include <fmt/format.h>
#include <sys/stat.h>

#include <map>

#include "base/json.h"
#include "base/text.h"
#include "os/proc_fs.h"
#include "os/triage_items.h"

namespace quell::os {
namespace {

/// Open descriptors; -1 if they may not be counted.
int64_t open_files_of(int64_t pid) {
  const auto numbers = numbered_entries(fmt::format("/proc/{}/fd", pid));
  return numbers ? static_cast<int64_t>(numbers->size()) : -1;
}

std::string process_line(const ProcessFacts& facts) {
  JsonWriter out;
  out.begin_object();
  out.integer("pid", facts.id.pid).integer("start_ticks", facts.id.start_ticks).integer("ppid", facts.ppid);
  out.integer("uid", facts.uid).text("state", {&facts.state, 1}).text("name", facts.comm).text("exe", facts.exepath);
  out.text("command_line", join_parts(facts.args));
  out.integer("exe_device", facts.exe_dev).integer("exe_inode", facts.exe_ino);
  out.integer("pid_namespace", facts.pid_namespace).integer("pid_in_namespace", facts.pid_in_namespace);
  out.flag("kernel_thread", facts.kernel_thread);
  if (const int64_t count = open_files_of(facts.id.pid); count >= 0) out.integer("open_files", count);
  out.key("cgroups").begin_array();
  for_each_part(facts.cgroups, [&](std::string_view cgroup) { out.string(cgroup); });
  out.end_array().end_object();
  return out.take();
}

}  // namespace

Result<void> collect_processes(const TriageContext& context, TriageFile& file) {
  QUELL_TRY(const std::vector<int64_t> pids, numbered_entries("/proc"));
  for (const int64_t pid : pids) {
    const auto facts = context.os.process_facts(pid);
    if (!facts) continue;  // ended meanwhile
    if (!file.add_line(process_line(*facts))) break;
  }
  return {};
}

Result<void> collect_sockets(const TriageContext&, TriageFile& file) {
  QUELL_TRY(const std::vector<int64_t> pids, numbered_entries("/proc"));
  std::map<uint64_t, int64_t> namespaces;  // inode → a process in it
  for (const int64_t pid : pids) {
    struct stat info {};
    if (::stat(fmt::format("/proc/{}/ns/net", pid).c_str(), &info) == 0) namespaces.try_emplace(info.st_ino, pid);
  }
  for (const auto& [inode, pid] : namespaces) {
    for (const char* table : {"tcp", "tcp6", "udp", "udp6", "raw", "raw6", "packet", "netlink", "unix"}) {
      const auto text = read_small_file(fmt::format("/proc/{}/net/{}", pid, table));
      if (!text) continue;  // a protocol that this kernel lacks, or a process that has ended
      if (!file.add(fmt::format("# network namespace {}, seen by process {}: {}\n{}", inode, pid, table, *text)))
        return {};
    }
  }
  return {};
}

}  // namespace quell::os
