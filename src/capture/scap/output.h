#pragma once
// A file that grows, compressed or not, behind one buffer.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace quell::capture::scap {

class Deflater;

/// Used by one thread. After a failure every call returns that failure.
class Output {
 public:
  static Result<std::unique_ptr<Output>> create(const std::string& path, bool gzip);
  ~Output();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  /// Bytes to append are put here; settle() takes them when there are enough.
  std::vector<uint8_t>& pending() { return pending_; }
  Result<void> settle() { return pending_.size() < kSettleBytes ? Result<void>{} : drain(); }
  /// Everything pending reaches the system, decompressible up to here.
  Result<void> flush();
  Result<void> close();
  uint64_t file_bytes() const { return file_bytes_; }

 private:
  static constexpr size_t kSettleBytes = 256 << 10;
  Output(int fd, std::string path, bool gzip);
  Result<void> drain();
  Result<void> deflate_pending(int mode);
  Result<void> write_all(const uint8_t* bytes, size_t count);

  int fd_;
  std::string path_;
  std::unique_ptr<Deflater> deflater_;
  std::vector<uint8_t> pending_, compressed_;
  std::optional<Error> failure_;
  uint64_t file_bytes_ = 0;
};

}  // namespace quell::capture::scap
