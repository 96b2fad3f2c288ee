#include "os/file_place.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>

#include "base/text.h"
#include "os/proc_fs.h"

namespace quell::os {
namespace {

Error gone(int64_t pid) { return {Code::gone, fmt::format("process {} does not exist any more", pid), {}}; }

Result<Descriptor> open_below(int root, const std::string& path, uint64_t flags) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  for (;;) {
    const int fd = static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how));
    if (fd >= 0) return Descriptor(fd);
    if (errno == EINTR || errno == EAGAIN) continue;  // EAGAIN: something was renamed while ".." was resolved
    if (errno == ENOSYS)
      return Error{Code::unsupported, "this kernel has no openat2: Linux 5.6 or newer is needed", path};
    if (errno == ENOENT || errno == ENOTDIR) return Error{Code::not_found, "there is no such file", path};
    return errno_error(errno, "cannot open", path);
  }
}

Result<Descriptor> open_root(const Os& os, const FilePlace& place) {
  if (!place.path.starts_with('/') || place.path.find('\0') != std::string::npos)
    return Error{Code::invalid_argument, "the path of a file must be absolute", place.path};
  if (place.process == nullptr) return open_at(AT_FDCWD, "/", O_PATH | O_DIRECTORY);
  const int64_t pid = place.process->facts().id.pid;
  auto root = open_at(AT_FDCWD, fmt::format("/proc/{}/root", pid), O_PATH | O_DIRECTORY);
  // Only if the held process lives still was that pid's root its root.
  if (os.wait_exit(*place.process, 0)) return gone(pid);
  return root;
}

Result<Descriptor> open_link_of(const Os& os, const ProcessHandle& process, const std::string& link) {
  const int64_t pid = process.facts().id.pid;
  auto opened = open_at(AT_FDCWD, fmt::format("/proc/{}/{}", pid, link), O_PATH);
  if (os.wait_exit(process, 0)) return gone(pid);
  return opened;
}

std::string octal_unescaped(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    uint64_t value = 0;
    if (text[at] == '\\' && at + 3 < text.size() && parse_u64(text.substr(at + 1, 3), value, 8) && value < 256)
      out.push_back(static_cast<char>(value)), at += 3;
    else
      out.push_back(text[at]);
  }
  return out;
}

}  // namespace

Result<Descriptor> open_place(const Os& os, const FilePlace& place) {
  QUELL_TRY(const Descriptor root, open_root(os, place));
  return open_below(root.get(), place.path, O_PATH);
}

Result<Descriptor> open_descriptor_of(const Os& os, const ProcessHandle& process, int number) {
  return open_link_of(os, process, fmt::format("fd/{}", number));
}

Result<Descriptor> open_program_of(const Os& os, const ProcessHandle& process) {
  return open_link_of(os, process, "exe");
}

Result<OpenEntry> open_folder(const Os& os, const FilePlace& place) {
  QUELL_TRY(const Descriptor root, open_root(os, place));
  const size_t slash = place.path.rfind('/');
  OpenEntry entry;
  entry.name = place.path.substr(slash + 1);
  if (!is_file_name(entry.name)) return Error{Code::invalid_argument, "the path names no file", place.path};
  QUELL_TRY(entry.folder, open_below(root.get(), slash == 0 ? "/" : place.path.substr(0, slash), O_PATH | O_DIRECTORY));
  return entry;
}

Result<OpenEntry> open_entry(const Os& os, const FilePlace& place) {
  QUELL_TRY(OpenEntry entry, open_folder(os, place));
  auto file = open_at(entry.folder.get(), entry.name, O_PATH | O_NOFOLLOW);
  if (!file) {
    if (file.error().code == Code::not_found) return Error{Code::not_found, "there is no such file", place.path};
    return file.error();
  }
  entry.file = std::move(*file);
  struct stat info {};
  if (::fstat(entry.file.get(), &info) != 0) return errno_error(errno, "cannot look at", place.path);
  if (S_ISLNK(info.st_mode)) {
    std::array<char, 4096> target;
    const ssize_t size = ::readlinkat(entry.file.get(), "", target.data(), target.size());
    return Error{Code::refused,
                 fmt::format("a symbolic link; name the file itself: {}",
                             std::string_view(target.data(), size > 0 ? static_cast<size_t>(size) : 0)),
                 place.path};
  }
  return entry;
}

Result<uint64_t> mount_id_of(int fd) {
  const std::string path = fmt::format("/proc/self/fdinfo/{}", fd);
  QUELL_TRY(const std::string text, read_small_file(path));
  for (std::string_view line : split(text, '\n')) {
    uint64_t id = 0;
    if (line.starts_with("mnt_id:\t") && parse_u64(line.substr(8), id)) return id;
  }
  return Error{Code::malformed, "has no mount id", path};
}

Result<MountFacts> mount_of(int fd, int64_t pid) {
  QUELL_TRY(const uint64_t id, mount_id_of(fd));
  const std::string path = pid == 0 ? "/proc/self/mountinfo" : fmt::format("/proc/{}/mountinfo", pid);
  QUELL_TRY(const std::string text, read_small_file(path));
  for (std::string_view line : split(text, '\n')) {
    uint64_t line_id = 0;
    const size_t dash = line.find(" - ");
    const auto left = split(line.substr(0, dash), ' ');
    if (dash == std::string_view::npos || left.size() < 6 || !parse_u64(left[0], line_id) || line_id != id) continue;
    const auto right = split(line.substr(dash + 3), ' ');
    MountFacts mount{.id = id,
                     .type = std::string(right[0]),
                     .mount_point = octal_unescaped(left[4]),
                     .upper_dir = {},
                     .root = octal_unescaped(left[3])};
    if (right.size() >= 3)
      for (std::string_view option : split(right[2], ','))
        if (option.starts_with("upperdir=")) mount.upper_dir = octal_unescaped(option.substr(9));
    return mount;
  }
  return Error{Code::not_found, fmt::format("mount {} is not among those of {}", id, path), {}};
}

std::string why_not_readable(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return "it cannot be looked at";
  switch (info.st_mode & S_IFMT) {
    case S_IFREG: break;
    case S_IFDIR: return "it is a directory";
    case S_IFIFO: return "it is a named pipe, which waits for a writer";
    case S_IFSOCK: return "it is a socket";
    case S_IFLNK: return "it is a symbolic link";
    default: return "it is a device";
  }
  struct statfs system {};
  if (::fstatfs(fd, &system) != 0) return "its file system cannot be asked";
  switch (static_cast<uint32_t>(system.f_type)) {
    case PROC_SUPER_MAGIC:
    case SYSFS_MAGIC:
    case DEBUGFS_MAGIC:
    case TRACEFS_MAGIC:
    case SECURITYFS_MAGIC:
    case SELINUX_MAGIC:
    case CGROUP_SUPER_MAGIC:
    case CGROUP2_SUPER_MAGIC:
    case BPF_FS_MAGIC:
    case DEVPTS_SUPER_MAGIC:
    case 0x62656570:  // configfs
      return "it is a window into the kernel, not a file on a disk";
    default: return {};
  }
}

std::string overlay_layer(int fd, const FilePlace& place) {
  const auto mount = mount_of(fd, place.process == nullptr ? 0 : place.process->facts().id.pid);
  if (!mount || mount->type != "overlay" || mount->upper_dir.empty()) return {};
  std::string relative = place.path;
  if (mount->mount_point != "/") {
    if (!relative.starts_with(mount->mount_point + "/")) return {};
    relative.erase(0, mount->mount_point.size());
  }
  // Paths with links are not looked up here: the answer would be about another file.
  const auto upper = open_at(AT_FDCWD, mount->upper_dir, O_PATH | O_DIRECTORY);
  if (!upper) return {};
  open_how how{};
  how.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  const Descriptor there(
      static_cast<int>(::syscall(SYS_openat2, upper->get(), relative.c_str() + 1, &how, sizeof how)));
  if (!there) return errno == ENOENT ? "lower" : "";
  struct stat info {};
  return ::fstat(there.get(), &info) == 0 && S_ISREG(info.st_mode) ? "upper" : "";
}

Result<Descriptor> reopen_for_reading(int fd) {
  auto file = open_at(AT_FDCWD, path_of(fd), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOATIME);
  if (file || file.error().code != Code::permission_denied) return file;
  return open_at(AT_FDCWD, path_of(fd), O_RDONLY | O_NONBLOCK | O_NOCTTY);
}

Result<bool> has_mapped(int64_t pid, uint64_t device, uint64_t inode) {
  struct stat info {};
  const auto is_it = [&](const std::string& path) {
    return ::stat(path.c_str(), &info) == 0 && info.st_dev == device && info.st_ino == inode;
  };
  if (is_it(fmt::format("/proc/{}/exe", pid))) return true;
  const std::string folder = fmt::format("/proc/{}/map_files", pid);
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (is_it(it->path().string())) return true;
  if (!error) return false;
  if (error == std::errc::no_such_file_or_directory || error == std::errc::no_such_process) return gone(pid);
  return errno_error(error.value(), "cannot see which files are mapped", folder);
}

}  // namespace quell::os
