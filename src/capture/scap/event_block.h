#pragma once
// One event as a block of a capture. Shared by whoever writes a file and by the flight recorder, whose rings hold
// blocks as they will stand in the file.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/bytes.h"
#include "capture/scap/format.h"
#include "model/event.h"

namespace quell::capture::scap {

/// A generic event names its system call twice: by a code of the format's own and by the kernel's number. Readers index
/// a table with the code, and older ones do it without looking: a code that came after them is written as 0, unknown,
/// upon which readers take the number.
inline constexpr uint16_t kCallCodesKnownToAll = 330;
inline constexpr size_t kGenericCallCode = sizeof(EventHeader) + 2 * sizeof(uint16_t);

/// Bytes of a block before its event, if it has no flags.
inline constexpr size_t kBeforeEvent = kBlockHead + sizeof(uint16_t);

inline size_t event_block_size(size_t event_size, bool state_only) {
  return padded4(sizeof(uint16_t) + (state_only ? sizeof(uint32_t) : 0) + event_size) + kBlockFrame;
}

/// memcpy() for what is mostly about a hundred bytes: there a call costs as much as the copy.
inline void copy_event(uint8_t* to, const uint8_t* from, size_t size) {
  constexpr size_t kStep = 32;
  if (size < kStep || size > 8 * kStep) {
    std::memcpy(to, from, size);
    return;
  }
  const size_t last = size - kStep;
  for (size_t at = 0; at < last; at += kStep) std::memcpy(to + at, from + at, kStep);
  std::memcpy(to + last, from + last, kStep);
}

/// Writes event_block_size() bytes to `out`. `event` begins with a whole EventHeader.
inline void put_event_block(std::span<const uint8_t> event, uint16_t cpu, bool state_only, uint8_t* out) {
  const size_t before_event = kBeforeEvent + (state_only ? sizeof kEventFlagStateOnly : 0);
  const size_t body = before_event - kBlockHead + event.size();
  const auto total = static_cast<uint32_t>(padded4(body) + kBlockFrame);
  const bool large = body > kSmallBody;
  const uint32_t type = state_only ? (large ? kEventFlagsV2Large : kEventFlagsV2) : (large ? kEventV2Large : kEventV2);
  std::memcpy(out, &type, sizeof type);
  std::memcpy(out + sizeof type, &total, sizeof total);
  std::memcpy(out + kBlockHead, &cpu, sizeof cpu);
  if (state_only) std::memcpy(out + kBeforeEvent, &kEventFlagStateOnly, sizeof kEventFlagStateOnly);
  copy_event(out + before_event, event.data(), event.size());
  if (load<uint16_t>(event.data() + offsetof(EventHeader, type)) == ev::GENERIC_X &&
      event.size() >= kGenericCallCode + 2 * sizeof(uint16_t) &&
      load<uint16_t>(event.data() + sizeof(EventHeader)) == sizeof(uint16_t) &&
      load<uint16_t>(event.data() + kGenericCallCode) >= kCallCodesKnownToAll)
    std::memset(out + before_event + kGenericCallCode, 0, sizeof(uint16_t));
  // Zeros up to a multiple of four; what they are too many, the length overwrites.
  constexpr uint32_t kZeros = 0;
  std::memcpy(out + kBlockHead + body, &kZeros, sizeof kZeros);
  std::memcpy(out + total - kBlockTail, &total, sizeof total);
}

/// The time of the event in a block that put_event_block() wrote.
inline uint64_t event_block_ns(const uint8_t* block) {
  const auto type = load<uint32_t>(block);
  const bool state_only = type == kEventFlagsV2 || type == kEventFlagsV2Large;
  return load<uint64_t>(block + kBeforeEvent + (state_only ? sizeof kEventFlagStateOnly : 0) +
                        offsetof(EventHeader, ts_ns));
}

}  // namespace quell::capture::scap
