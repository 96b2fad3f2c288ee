#include "apps/quell/data_dir.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

namespace quell::cli {

Result<DataDir> DataDir::own(const std::string& path) {
  std::error_code error;
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  if (!parent.empty()) std::filesystem::create_directories(parent, error);
  if (error) return errno_error(error.value(), "cannot create the folder above the data directory; choose another --data-dir", path);
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return errno_error(errno, "cannot create the data directory; choose another with --data-dir", path);
  }
  const std::string lock_path = path + "/quell.lock";
  const int fd = open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return errno_error(errno, "cannot write in the data directory; choose another with --data-dir", path);
  DataDir owned(path, fd);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    char pid[32] = {};
    const ssize_t count = pread(fd, pid, sizeof pid - 1, 0);
    std::string owner = count > 0 ? std::string(pid, static_cast<size_t>(count)) : "unknown";
    while (!owner.empty() && owner.back() == '\n') owner.pop_back();
    return Error{Code::conflict,
                 fmt::format("another quell (pid {}) owns this data directory; stop it or choose another --data-dir", owner), path};
  }
  const std::string pid = fmt::format("{}\n", getpid());
  if (ftruncate(fd, 0) != 0 || pwrite(fd, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return errno_error(errno, "cannot write in the data directory; free some space or choose another with --data-dir", path);
  }
  return owned;
}

DataDir::DataDir(DataDir&& other) noexcept
    : path_(std::move(other.path_)), lock_fd_(std::exchange(other.lock_fd_, -1)) {}

DataDir::~DataDir() {
  if (lock_fd_ >= 0) close(lock_fd_);
}

}  // namespace quell::cli
