#pragma once
// Notices that files or folders have changed: written, replaced by a rename, or reached through a link that now leads
// elsewhere. It says only that something happened; what it means is for the owner to look at.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"

namespace quell::os {

/// Used by one thread.
class FileWatch {
 public:
  /// Errors: unsupported (the kernel has no inotify), limit (the user's number of inotify instances is used up).
  static Result<FileWatch> create();
  FileWatch(FileWatch&& other) noexcept;
  FileWatch& operator=(FileWatch&&) = delete;
  ~FileWatch();

  /// From now on these files and folders are watched, and no others. One that does not exist is noticed when it
  /// appears. Files are watched through their folder, because editors and configuration mounts replace them. Folders
  /// count without those below them. Errors: limit (watches of the user are used up); what could be watched is.
  Result<void> watch(const std::vector<std::string>& paths);

  /// Whether anything has happened since the last call. Never blocks.
  bool poll();

 private:
  explicit FileWatch(int fd) : fd_(fd) {}
  struct Folder {
    bool all = false;             // every name in it counts
    std::set<std::string> names;  // else these
  };
  void add_path(const std::string& path, int hops, std::map<std::string, Folder>& folders) const;

  int fd_ = -1;
  std::map<std::string, Folder> folders_;
  std::map<int, std::string> watches_;  // by inotify's number
};

}  // namespace quell::os
