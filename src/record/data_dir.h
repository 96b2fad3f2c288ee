#pragma once
// The data directory and its lock: one process owns it. The kernel drops the lock with the process, however it ends.
#include <string>

#include "base/result.h"

namespace quell::record {

class DataDir {
 public:
  /// Makes the directory if it is missing and takes its lock.
  /// Errors: Code::conflict (owned by another process, named by pid), Code::permission_denied, Code::not_found,
  /// Code::io.
  static Result<DataDir> lock(const std::string& path);

  DataDir(DataDir&& other) noexcept;
  DataDir& operator=(DataDir&& other) noexcept;
  ~DataDir();

  const std::string& path() const { return path_; }
  std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  DataDir(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  std::string path_;
  int fd_ = -1;
};

}  // namespace quell::record
