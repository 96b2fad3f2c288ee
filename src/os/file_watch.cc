#include "os/file_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace quell::os {
namespace {

namespace fs = std::filesystem;

// Every way in which the content behind a name changes. Writing counts when the writer is done.
constexpr uint32_t kMask = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB |
                           IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
constexpr int kMaxHops = 16;  // of links that lead to links
constexpr size_t kMaxFolders = 256;

}  // namespace

Result<FileWatch> FileWatch::create() {
  const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd >= 0) return FileWatch(fd);
  Error error = errno_error(errno, "files cannot be watched (see /proc/sys/fs/inotify/max_user_instances)");
  error.code = errno == ENOSYS ? Code::unsupported : Code::limit;
  return error;
}

FileWatch::FileWatch(FileWatch&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), folders_(std::move(other.folders_)), watches_(std::move(other.watches_)) {}

FileWatch::~FileWatch() {
  if (fd_ >= 0) close(fd_);
}

// A path changes when its last component does, when a link on the way to it does, or when the folder that holds it is
// replaced; the nearest folder that exists stands for one that does not.
void FileWatch::add_path(const std::string& path, int hops, std::map<std::string, Folder>& folders) const {
  std::error_code error;
  const fs::path absolute = fs::absolute(path, error).lexically_normal();
  fs::path at = absolute.has_filename() ? absolute : absolute.parent_path();
  while (at.has_relative_path() && !fs::is_directory(at.parent_path(), error)) at = at.parent_path();
  folders[at.parent_path().string()].names.insert(at.filename().string());
  if (fs::is_symlink(fs::symlink_status(at, error)) && hops < kMaxHops) {
    const fs::path target = fs::read_symlink(at, error);
    if (!error)
      add_path(target.is_absolute() ? target.string() : (at.parent_path() / target).string(), hops + 1, folders);
  }
  // The folder's own links: a mount of configuration swaps one of them to change all files at once.
  const fs::path real = fs::weakly_canonical(at.parent_path(), error);
  if (!error && real != at.parent_path() && hops < kMaxHops) add_path(at.parent_path().string(), hops + 1, folders);
}

Result<void> FileWatch::watch(const std::vector<std::string>& paths) {
  std::map<std::string, Folder> folders;
  std::error_code error;
  for (const std::string& path : paths) {
    add_path(path, 0, folders);
    if (fs::is_directory(path, error)) folders[fs::absolute(path, error).lexically_normal().string()].all = true;
  }
  for (const auto& [number, folder] : watches_) inotify_rm_watch(fd_, number);
  watches_.clear();
  folders_ = std::move(folders);
  Result<void> result;
  for (const auto& [folder, names] : folders_) {
    if (watches_.size() >= kMaxFolders) {
      result = Error{Code::limit, "rules lie in too many folders to watch them all; reload them by hand", folder};
      break;
    }
    const int number = inotify_add_watch(fd_, folder.c_str(), kMask);
    if (number >= 0) {
      // Two paths of one folder share a number; the second is then watched under the name of the first.
      const auto [known, is_new] = watches_.emplace(number, folder);
      if (!is_new) {
        Folder& first = folders_[known->second];
        first.all = first.all || names.all;
        first.names.insert(names.names.begin(), names.names.end());
      }
    } else if (errno == ENOSPC || errno == ENOMEM) {
      result = Error{Code::limit, "folders cannot be watched (see /proc/sys/fs/inotify/max_user_watches)", folder};
      break;
    }
  }
  return result;
}

bool FileWatch::poll() {
  alignas(inotify_event) char buffer[16 * 1024];
  bool has_changed = false;
  for (;;) {
    const ssize_t count = read(fd_, buffer, sizeof buffer);
    if (count <= 0) return has_changed;
    for (ssize_t at = 0; at + static_cast<ssize_t>(sizeof(inotify_event)) <= count;) {
      inotify_event event;
      std::memcpy(&event, buffer + at, sizeof event);
      const char* const name = buffer + at + sizeof event;
      at += static_cast<ssize_t>(sizeof event + event.len);
      if ((event.mask & IN_Q_OVERFLOW) != 0) has_changed = true;  // who knows
      const auto watch = watches_.find(event.wd);
      if (watch == watches_.end() || (event.mask & IN_IGNORED) != 0) continue;
      const Folder& folder = folders_.at(watch->second);
      const bool is_self = (event.mask & (IN_DELETE_SELF | IN_MOVE_SELF)) != 0;
      has_changed = has_changed || is_self || folder.all || folder.names.contains(event.len > 0 ? name : "");
    }
  }
}

}  // namespace quell::os
