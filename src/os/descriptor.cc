#include "os/descriptor.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>

namespace quell::os {

std::string path_of(int fd) { return fmt::format("/proc/self/fd/{}", fd); }

Result<Descriptor> open_at(int directory, const std::string& path, int flags, unsigned mode) {
  for (;;) {
    const int fd = ::openat(directory, path.c_str(), flags | O_CLOEXEC, mode);
    if (fd >= 0) return Descriptor(fd);
    if (errno != EINTR) return errno_error(errno, "cannot open", path);
  }
}

Result<Descriptor> open_directory(const std::string& path) { return open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY); }

Result<void> write_all(int fd, std::span<const uint8_t> bytes, const std::string& where) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno_error(errno, "cannot write", where);
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return {};
}

Result<void> sync_file(int fd, const std::string& where) {
  // Some file systems have nothing to flush a directory to.
  if (::fsync(fd) == 0 || errno == EINVAL || errno == EROFS) return {};
  return errno_error(errno, "cannot flush", where);
}

Result<void> write_new_file(int directory, const std::string& name, std::string_view content) {
  QUELL_TRY(const Descriptor file, open_at(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  const auto written = [&]() -> Result<void> {
    QUELL_CHECK(write_all(file.get(), {reinterpret_cast<const uint8_t*>(content.data()), content.size()}, name));
    QUELL_CHECK(sync_file(file.get(), name));
    return sync_file(directory, name);
  }();
  if (!written) ::unlinkat(directory, name.c_str(), 0);
  return written;
}

Result<std::string> read_whole(int fd, size_t limit, const std::string& where) {
  std::string content;
  char buffer[16384];
  for (;;) {
    const ssize_t count = ::read(fd, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno_error(errno, "cannot read", where);
    if (count == 0) return content;
    content.append(buffer, static_cast<size_t>(count));
    if (content.size() > limit) return Error{Code::limit, fmt::format("larger than {} bytes", limit), where};
  }
}

bool is_file_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.size() <= 255 &&
         name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

}  // namespace quell::os
