#pragma once
// The bytes of a capture, decompressed, through one sliding window that block decoders look into without copying.
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace quell::capture::scap {

/// Where the raw (perhaps compressed) bytes come from.
class RawBytes {
 public:
  virtual ~RawBytes() = default;
  /// Up to `room` bytes; 0 at the end.
  virtual Result<size_t> read(uint8_t* into, size_t room) = 0;
};

Result<std::unique_ptr<RawBytes>> open_raw_file(const std::string& path);
/// Borrows `bytes`.
std::unique_ptr<RawBytes> raw_memory(std::span<const uint8_t> bytes);

class Inflater;

/// A window over the decompressed bytes. gzip (any number of members) is recognised by its first two bytes.
class Input {
 public:
  explicit Input(std::unique_ptr<RawBytes> raw);
  ~Input();

  /// True if `count` bytes can be read at here(). Pointers from here() are void after a call.
  bool ensure(size_t count) { return end_ - at_ >= count || refill(count); }
  const uint8_t* here() const { return window_.data() + at_; }
  size_t left() const { return end_ - at_; }
  /// Requires count <= left().
  void advance(size_t count) { at_ += count; }
  /// Of here(), counted in decompressed bytes since the start.
  uint64_t offset() const { return base_ + at_; }
  /// Why the bytes ended early (a read error, broken compression), or nothing if they just ended.
  const std::optional<Error>& failure() const { return failure_; }

 private:
  bool refill(size_t count);
  size_t pull(uint8_t* into, size_t room);
  size_t pull_gzip(uint8_t* into, size_t room);
  bool more_raw();
  bool next_member();

  enum class Mode { undecided, plain, gzip, ended };
  std::unique_ptr<RawBytes> raw_;
  std::unique_ptr<Inflater> inflater_;
  Mode mode_ = Mode::undecided;
  std::vector<uint8_t> raw_buffer_;
  size_t raw_at_ = 0, raw_end_ = 0;
  std::vector<uint8_t> window_;
  size_t at_ = 0, end_ = 0;
  uint64_t base_ = 0;
  std::optional<Error> failure_;
};

}  // namespace quell::capture::scap
