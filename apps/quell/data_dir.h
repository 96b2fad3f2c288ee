#pragma once
// The data directory: the store, the control socket, and a lock that gives it one owner.
#include <string>
#include <string_view>

#include "base/result.h"

namespace quell::cli {

inline constexpr std::string_view kDefaultDataDir = "/var/lib/quell";
inline constexpr std::string_view kControlSocketName = "quell.sock";

/// Held for as long as the object lives; the kernel lets go of it when the process dies in whatever way.
class DataDir {
 public:
  /// Creates the directory (mode 0700) if it is missing and becomes its owner.
  /// Errors: conflict (another quell owns it; the message says which pid), permission_denied, io.
  static Result<DataDir> own(const std::string& path);
  DataDir(DataDir&& other) noexcept;
  DataDir& operator=(DataDir&& other) = delete;
  ~DataDir();

  const std::string& path() const { return path_; }
  std::string socket_path() const { return path_ + "/" + std::string(kControlSocketName); }

 private:
  DataDir(std::string path, int lock_fd) : path_(std::move(path)), lock_fd_(lock_fd) {}
  std::string path_;
  int lock_fd_;
};

}  // namespace quell::cli
