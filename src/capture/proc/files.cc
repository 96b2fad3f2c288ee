#include "capture/proc/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace quell::capture::proc {

std::optional<OpenDir> OpenDir::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return {};
  return OpenDir(fd);
}

std::optional<OpenDir> OpenDir::open_below(const std::string& name) const {
  const int fd = ::openat(fd_, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return {};
  return OpenDir(fd);
}

OpenDir::~OpenDir() {
  if (fd_ >= 0) ::close(fd_);
}

std::optional<std::string> OpenDir::read(const std::string& name, size_t limit) const {
  const int fd = ::openat(fd_, name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return {};
  std::string out;
  bool good = true;
  while (out.size() < limit) {
    const size_t at = out.size(), room = std::min<size_t>(limit - at, at == 0 ? 4096 : 64 << 10);
    out.resize(at + room);
    const ssize_t got = ::read(fd, out.data() + at, room);
    out.resize(at + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) good = false;
    if (got <= 0) break;
  }
  ::close(fd);
  if (!good) return {};
  return out;
}

std::optional<std::string> OpenDir::link(const std::string& name) const {
  char target[4096];
  const ssize_t length = ::readlinkat(fd_, name.c_str(), target, sizeof target);
  if (length < 0) return {};
  return std::string(target, static_cast<size_t>(length));
}

bool OpenDir::for_each_number(const std::string& name, const std::function<bool(const std::string&)>& visit) const {
  const int fd = ::openat(fd_, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  DIR* list = ::fdopendir(fd);
  if (list == nullptr) {
    ::close(fd);
    return false;
  }
  while (const dirent* entry = ::readdir(list)) {
    const std::string item = entry->d_name;
    if (item.find_first_not_of("0123456789") == std::string::npos && !visit(item)) break;
  }
  ::closedir(list);
  return true;
}

}  // namespace quell::capture::proc
