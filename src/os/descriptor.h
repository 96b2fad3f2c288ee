#pragma once
// A file descriptor with an owner, and the few calls on descriptors that every door to the file system needs.
#include <unistd.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace quell::os {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Descriptor() { reset(); }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void reset() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

/// "/proc/self/fd/N": names what the descriptor holds for calls that take only paths, whatever became of its name.
std::string path_of(int fd);

/// openat(2), repeated when interrupted. Errors: by errno, `where` is `path`.
Result<Descriptor> open_at(int directory, const std::string& path, int flags, unsigned mode = 0);
Result<Descriptor> open_directory(const std::string& path);

/// Writes all of `bytes`. Errors: io with the system's word (a full disk, a limit).
Result<void> write_all(int fd, std::span<const uint8_t> bytes, const std::string& where);
Result<void> sync_file(int fd, const std::string& where);

/// A new file of mode 0600 that held nothing before, written, flushed, its directory flushed too; nothing is left of it
/// on failure. Errors: already_exists, io.
Result<void> write_new_file(int directory, const std::string& name, std::string_view content);

/// Up to `limit` bytes of a file; more is Code::limit.
Result<std::string> read_whole(int fd, size_t limit, const std::string& where);

/// A single path component: not empty, no '/', no NUL, not "." or "..".
bool is_file_name(std::string_view name);

}  // namespace quell::os
