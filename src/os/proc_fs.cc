#include "os/proc_fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "base/text.h"

namespace quell::os {
namespace {
constexpr uint64_t kKernelThreadFlag = 0x00200000;  // PF_KTHREAD

Error no_such_process(int64_t pid) { return {Code::gone, fmt::format("process {} does not exist any more", pid), {}}; }

/// mountinfo writes space, tab, newline and backslash as three octal digits.
std::string unescape_octal(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    uint64_t value = 0;
    if (text[at] == '\\' && at + 3 < text.size() && parse_u64(text.substr(at + 1, 3), value, 8) && value < 256) {
      out.push_back(static_cast<char>(value));
      at += 3;
    } else {
      out.push_back(text[at]);
    }
  }
  return out;
}

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> out;
  for (std::string_view word : split(text, ' '))
    if (!word.empty()) out.push_back(word);
  return out;
}

/// The values behind "Name:" in /proc/PID/status.
std::vector<std::string_view> status_values(std::string_view status, std::string_view name) {
  std::vector<std::string_view> values;
  for (std::string_view line : split(status, '\n')) {
    if (!line.starts_with(name) || line.size() <= name.size() || line[name.size()] != ':') continue;
    for (std::string_view value : split(line.substr(name.size() + 1), '\t'))
      if (!value.empty()) values.push_back(value);
    break;
  }
  return values;
}

std::string read_link(const std::string& path) {
  char buffer[4096];
  const ssize_t size = ::readlink(path.c_str(), buffer, sizeof buffer);
  return size > 0 ? std::string(buffer, static_cast<size_t>(size)) : std::string();
}
}  // namespace

Result<ProcStat> parse_proc_stat(std::string_view text) {
  const Error malformed{Code::malformed, "a line of /proc/PID/stat does not follow its format", {}};
  const size_t open = text.find('(');
  const size_t close = text.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open || open == 0) return malformed;
  ProcStat stat;
  stat.comm = text.substr(open + 1, close - open - 1);
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  const auto fields = words(text.substr(close + 1));
  const auto before = words(text.substr(0, open));
  // fields[0] is field 3 of the manual page (state).
  constexpr size_t kFirst = 3;
  if (fields.size() < 22 - kFirst + 1 || fields[0].size() != 1 || before.empty()) return malformed;
  stat.state = fields[0][0];
  const auto number = [&](size_t field, uint64_t& out) { return parse_u64(fields[field - kFirst], out); };
  if (!parse_i64(before.front(), stat.pid) || !parse_i64(fields[4 - kFirst], stat.ppid) ||
      !parse_i64(fields[6 - kFirst], stat.session) || !number(9, stat.flags) || !number(14, stat.utime_ticks) ||
      !number(15, stat.stime_ticks) || !number(22, stat.start_ticks))
    return malformed;
  return stat;
}

std::vector<CgroupEntry> parse_proc_cgroup(std::string_view text) {
  std::vector<CgroupEntry> entries;
  for (std::string_view line : split(text, '\n')) {
    const size_t first = line.find(':');
    if (first == std::string_view::npos) continue;
    const size_t second = line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string path(line.substr(second + 1));
    for (std::string_view subsystem : split(line.substr(first + 1, second - first - 1), ','))
      entries.push_back({std::string(subsystem), path});
  }
  return entries;
}

std::vector<CgroupMount> parse_cgroup_mounts(std::string_view mountinfo) {
  std::vector<CgroupMount> mounts;
  const auto add = [&](std::string_view subsystem, std::string root, std::string point) {
    for (const CgroupMount& known : mounts)
      if (known.subsystem == subsystem) return;
    mounts.push_back({std::string(subsystem), std::move(root), std::move(point)});
  };
  for (std::string_view line : split(mountinfo, '\n')) {
    const size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    const auto left = words(line.substr(0, dash));
    const auto right = words(line.substr(dash + 3));
    if (left.size() < 5 || right.size() < 2) continue;
    std::string root = unescape_octal(left[3]), point = unescape_octal(left[4]);
    if (right[0] == "cgroup2") {
      add("", std::move(root), std::move(point));
    } else if (right[0] == "cgroup" && right.size() >= 3) {
      for (std::string_view option : split(right[2], ','))
        if (option != "rw" && option != "ro") add(option, root, point);
    }
  }
  return mounts;
}

Result<std::string> read_small_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    if (errno == ENOENT || errno == ESRCH || errno == ENODEV) return Error{Code::gone, "does not exist any more", path};
    return errno_error(errno, "cannot open", path);
  }
  std::string content;
  char buffer[16384];
  for (;;) {
    const ssize_t size = ::read(fd, buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) {
      const int number = errno;
      ::close(fd);
      // The process or cgroup died between open and read.
      if (number == ESRCH || number == ENODEV) return Error{Code::gone, "does not exist any more", path};
      return errno_error(number, "cannot read", path);
    }
    if (size == 0) break;
    content.append(buffer, static_cast<size_t>(size));
  }
  ::close(fd);
  return content;
}

Result<ProcStat> read_proc_stat(int64_t pid) {
  auto text = read_small_file(fmt::format("/proc/{}/stat", pid));
  if (!text) return text.error().code == Code::gone ? no_such_process(pid) : text.error();
  return parse_proc_stat(*text);
}

Result<std::vector<int64_t>> numbered_entries(const std::string& folder) {
  DIR* directory = ::opendir(folder.c_str());
  if (directory == nullptr) {
    if (errno == ENOENT || errno == ESRCH) return Error{Code::gone, "does not exist any more", folder};
    return errno_error(errno, "cannot list", folder);
  }
  std::vector<int64_t> numbers;
  while (const dirent* entry = ::readdir(directory)) {
    int64_t number = 0;
    if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9' && parse_i64(entry->d_name, number))
      numbers.push_back(number);
  }
  ::closedir(directory);
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

Result<std::string> thread_states(int64_t pid) {
  const std::string folder = fmt::format("/proc/{}/task", pid);
  QUELL_TRY(const std::vector<int64_t> threads, numbered_entries(folder));
  std::string states;
  for (const int64_t thread : threads) {
    const auto text = read_small_file(fmt::format("{}/{}/stat", folder, thread));
    if (!text) continue;  // the thread has ended meanwhile
    QUELL_TRY(const ProcStat stat, parse_proc_stat(*text));
    if (stat.state != 'Z' && stat.state != 'X') states.push_back(stat.state);
  }
  return states;
}

uint64_t now_ticks() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  static const uint64_t per_second = static_cast<uint64_t>(::sysconf(_SC_CLK_TCK));
  return static_cast<uint64_t>(now.tv_sec) * per_second +
         static_cast<uint64_t>(now.tv_nsec) * per_second / 1'000'000'000;
}

Result<ProcessFacts> read_process_facts(int64_t pid, const std::string& boot_id) {
  if (pid <= 0) return Error{Code::invalid_argument, fmt::format("{} is not a process id", pid), {}};
  QUELL_TRY(ProcStat stat, read_proc_stat(pid));
  const std::string folder = fmt::format("/proc/{}/", pid);
  auto status = read_small_file(folder + "status");
  if (!status) return status.error().code == Code::gone ? no_such_process(pid) : status.error();

  ProcessFacts facts;
  facts.id = {.boot_id = boot_id, .pid = pid, .start_ticks = stat.start_ticks};
  facts.ppid = stat.ppid;
  facts.state = stat.state;
  facts.comm = stat.comm;
  facts.kernel_thread = (stat.flags & kKernelThreadFlag) != 0;
  uint64_t uid = 0;
  // "Uid:" is real, effective, saved, file system: the effective one decides what the process may do.
  if (const auto uids = status_values(*status, "Uid"); uids.size() >= 2 && parse_u64(uids[1], uid))
    facts.uid = static_cast<uint32_t>(uid);
  const auto ns_pids = status_values(*status, "NSpid");
  if (ns_pids.empty() || !parse_i64(ns_pids.back(), facts.pid_in_namespace)) facts.pid_in_namespace = pid;

  // The following need ptrace rights on others' processes and do not exist for kernel threads and zombies: absent then.
  facts.exepath = read_link(folder + "exe");
  struct stat info {};
  if (::stat((folder + "exe").c_str(), &info) == 0) facts.exe_dev = info.st_dev, facts.exe_ino = info.st_ino;
  if (::stat((folder + "ns/pid").c_str(), &info) == 0) facts.pid_namespace = info.st_ino;
  if (auto args = read_small_file(folder + "cmdline")) facts.args = std::move(*args);
  if (auto cgroups = read_small_file(folder + "cgroup")) {
    for (const CgroupEntry& entry : parse_proc_cgroup(*cgroups)) {
      facts.cgroups += entry.subsystem + "=" + entry.path;
      facts.cgroups.push_back('\0');
    }
  }
  return facts;
}

}  // namespace quell::os
