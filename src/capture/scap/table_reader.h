#pragma once
// The metadata blocks of a capture: bodies to Snapshot rows. All versions ever written.
#include <cstdint>
#include <span>

#include "base/result.h"
#include "capture/scap/supplement.h"
#include "model/snapshot.h"

namespace quell::capture::scap {

/// Adds the rows of one metadata block to a snapshot. Unreadable rows, and rows above the limits of format.h, are left
/// out and counted: a block's own length bounds the damage, so the capture stays readable.
class TableReader {
 public:
  explicit TableReader(Snapshot& out) : out_(&out) {}

  static bool knows(uint32_t type);
  /// Requires knows(type).
  void read(uint32_t type, std::span<const uint8_t> body);
  /// Derives what the blocks imply together (listening ports). Call once, after the last block.
  void finish();

  uint64_t skipped_entries() const { return skipped_; }

 private:
  void read_machine(std::span<const uint8_t> body);
  void read_interfaces(std::span<const uint8_t> body, bool sized);
  void read_users(std::span<const uint8_t> body, bool sized);
  void read_threads(std::span<const uint8_t> body, int version);
  void read_fds(std::span<const uint8_t> body, bool sized);

  Snapshot* out_;
  SupplementReader supplement_;
  uint64_t skipped_ = 0;
  size_t fd_count_ = 0;
};

}  // namespace quell::capture::scap
