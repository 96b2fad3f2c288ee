#pragma once
// Reading small files of /proc relative to an open directory: a directory of a process that ended stays that of this
// process, so a recycled pid is never mixed in.
#include <cstddef>
#include <functional>
#include <optional>
#include <string>

namespace quell::capture::proc {

/// An open directory. Movable, closes itself.
class OpenDir {
 public:
  static std::optional<OpenDir> open(const std::string& path);
  std::optional<OpenDir> open_below(const std::string& name) const;
  OpenDir(OpenDir&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  OpenDir& operator=(OpenDir&&) = delete;
  ~OpenDir();

  /// At most `limit` bytes; nothing if it cannot be opened or read. An empty file is an empty text.
  std::optional<std::string> read(const std::string& name, size_t limit = 64 << 10) const;
  std::optional<std::string> link(const std::string& name) const;
  /// Names that are numbers, in the directory's order. visit returns false to stop. False if the directory cannot be
  /// listed.
  bool for_each_number(const std::string& name, const std::function<bool(const std::string&)>& visit) const;
  int fd() const { return fd_; }

 private:
  explicit OpenDir(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace quell::capture::proc
