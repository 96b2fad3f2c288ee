#include "capture/ebpf/opened_name.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>

#include <fmt/format.h>

#include "base/path.h"

namespace quell::capture {
namespace {

constexpr int64_t kCurrentDirectory = -100;

/// Number of a kernel device as stat() shows it, in 32 bits.
uint32_t device_of(const struct statx& info) {
  const uint32_t minor = info.stx_dev_minor;
  return (minor & 0xff) | (info.stx_dev_major << 8) | ((minor & ~0xffu) << 12);
}

/// The directory that names of that process begin at; -1 if it is gone. `link`: "root", "cwd", "fd/5".
int directory_of(int64_t tid, const std::string& link) {
  return open(fmt::format("/proc/{}/{}", tid, link).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
}

std::string start_of_relative(const Event& event) {
  const int dir = event.spec().param_index("dirfd");
  const int64_t base = dir < 0 ? kCurrentDirectory : event.param(static_cast<size_t>(dir)).i64();
  return base == kCurrentDirectory ? "cwd" : fmt::format("fd/{}", base);
}

/// Is the file of that name, below the open directory `base` (closed here), the one of the event? Only what is cached
/// counts. `as_root`: the directory is the root of whoever wrote the name.
bool is_file_of(const Event& event, int base, std::string_view name, bool as_root) {
  if (base < 0) return false;
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_CACHED | (as_root ? RESOLVE_IN_ROOT : 0);
  const auto fd = static_cast<int>(syscall(SYS_openat2, base, std::string(name).c_str(), &how, sizeof how));
  close(base);
  if (fd < 0) return false;
  struct statx info {};
  const bool known = statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &info) == 0;
  close(fd);
  const EventSpec& spec = event.spec();
  const uint64_t ino = event.param(static_cast<size_t>(spec.param_index("ino"))).u64();
  const auto dev = static_cast<uint32_t>(event.param(static_cast<size_t>(spec.param_index("dev"))).u64());
  if (!known || info.stx_ino != ino) return false;
  // Some file systems (overlay, btrfs) show devices of their own making in stat(): unnamed ones on both sides.
  return device_of(info) == dev || (info.stx_dev_major == 0 && (dev >> 8 & 0xfff) == 0);
}

/// Is `pid` what the process is called in one of its pid namespaces?
bool is_process(int64_t tid, std::string_view pid) {
  std::ifstream file(fmt::format("/proc/{}/status", tid));
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("NStgid:")) continue;
    std::istringstream numbers(line.substr(7));
    for (std::string number; numbers >> number;) {
      if (number == pid) return true;
    }
    return false;
  }
  return false;
}

/// "/proc/self/maps" against "/proc/1234/maps".
bool is_own_proc_file(int64_t tid, std::string_view name, std::string_view path) {
  constexpr std::string_view kProc = "/proc/";
  if (!path.starts_with(kProc)) return false;
  path.remove_prefix(kProc.size());
  const size_t slash = path.find('/');
  return slash != std::string_view::npos && path.substr(slash) == name && is_process(tid, path.substr(0, slash));
}

}  // namespace

bool leads_to_opened_file(const Event& event, std::string_view path) {
  const int index = event.spec().param_index("name");
  if (index < 0 || event.spec().param_index("dev") < 0 || event.spec().param_index("ino") < 0) return false;
  const std::string_view name = event.param(static_cast<size_t>(index)).text();
  if (name.empty()) return false;
  // Dots and doubled slashes alone: the same path, whatever has become of the process since.
  const std::string folded = absolute_path("", name);
  if (folded == path) return true;
  if (!folded.starts_with('/') && !folded.starts_with("..") && path.ends_with("/" + folded)) return true;
  constexpr std::string_view kSelf = "/proc/self";
  if (name.starts_with("/proc/self/")) return is_own_proc_file(event.tid(), name.substr(kSelf.size()), path);
  if (!name.starts_with('/'))
    return is_file_of(event, directory_of(event.tid(), start_of_relative(event)), name, false);
  // A process that is gone was most likely in our root; were it in another, the file would be another, too.
  return is_file_of(event, directory_of(event.tid(), "root"), name, true) ||
         is_file_of(event, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), name, true);
}

std::vector<uint8_t> with_name(const Event& event, std::string_view name) {
  EventBuilder builder(event.code(), event.ts_ns(), event.tid());
  const int index = event.spec().param_index("name");
  for (size_t i = 0; i < event.nparams(); ++i) {
    if (static_cast<int>(i) == index) {
      builder.text(name);
    } else {
      builder.bytes(event.param(i).bytes());
    }
  }
  return builder.build();
}

}  // namespace quell::capture
