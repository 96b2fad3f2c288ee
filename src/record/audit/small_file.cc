#include "record/audit/small_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace quell::record {
namespace {
constexpr size_t kMaxBytes = 64 << 10;
}  // namespace

Result<std::string> read_small_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return errno_error(errno, "cannot open the file", path);
  std::string out(kMaxBytes + 1, '\0');
  size_t used = 0;
  while (used < out.size()) {
    const ssize_t count = ::read(fd, out.data() + used, out.size() - used);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const int number = errno;
      ::close(fd);
      return errno_error(number, "cannot read the file", path);
    }
    if (count == 0) break;
    used += static_cast<size_t>(count);
  }
  ::close(fd);
  if (used > kMaxBytes) return Error{Code::limit, "the file is larger than 64 KiB; this is not one of ours", path};
  out.resize(used);
  return out;
}

Result<void> replace_file(const std::string& path, std::string_view content, mode_t mode) {
  const std::string part = path + ".part";
  ::unlink(part.c_str());
  const int fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0) return errno_error(errno, "cannot make the file", part);
  const auto given_up = [&](const char* what) {
    const int number = errno;
    ::close(fd);
    ::unlink(part.c_str());
    return errno_error(number, what, part);
  };
  for (size_t written = 0; written < content.size();) {
    const ssize_t count = ::write(fd, content.data() + written, content.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return given_up("cannot write the file; is the disk full?");
    written += static_cast<size_t>(count);
  }
  if (::fdatasync(fd) != 0) return given_up("cannot flush the file");
  ::close(fd);
  if (::rename(part.c_str(), path.c_str()) != 0) {
    const int number = errno;
    ::unlink(part.c_str());
    return errno_error(number, "cannot name the file", path);
  }
  return {};
}

Result<void> flush_folder(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errno_error(errno, "cannot open the folder", folder);
  const int result = ::fsync(fd);
  const int number = errno;
  ::close(fd);
  if (result != 0) return errno_error(number, "cannot flush the folder", folder);
  return {};
}

}  // namespace quell::record
