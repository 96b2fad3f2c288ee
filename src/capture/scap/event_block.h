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

inline size_t event_block_size(size_t event_size, bool state_only) {
  return padded4(sizeof(uint16_t) + (state_only ? sizeof(uint32_t) : 0) + event_size) + kBlockFrame;
}

/// Writes event_block_size() bytes to `out`. `event` begins with a whole EventHeader.
inline void put_event_block(std::span<const uint8_t> event, uint16_t cpu, bool state_only, uint8_t* out) {
  const size_t body = sizeof cpu + (state_only ? sizeof(uint32_t) : 0) + event.size();
  const auto total = static_cast<uint32_t>(padded4(body) + kBlockFrame);
  const bool large = body > kSmallBody;
  const uint32_t type = state_only ? (large ? kEventFlagsV2Large : kEventFlagsV2) : (large ? kEventV2Large : kEventV2);
  const auto put = [&out](const void* from, size_t count) {
    std::memcpy(out, from, count);
    out += count;
  };
  put(&type, sizeof type);
  put(&total, sizeof total);
  put(&cpu, sizeof cpu);
  if (state_only) put(&kEventFlagStateOnly, sizeof kEventFlagStateOnly);
  put(event.data(), event.size());
  if (load<uint16_t>(event.data() + offsetof(EventHeader, type)) == ev::GENERIC_X &&
      event.size() >= kGenericCallCode + 2 * sizeof(uint16_t) &&
      load<uint16_t>(event.data() + sizeof(EventHeader)) == sizeof(uint16_t) &&
      load<uint16_t>(event.data() + kGenericCallCode) >= kCallCodesKnownToAll)
    std::memset(out - event.size() + kGenericCallCode, 0, sizeof(uint16_t));
  // Zeros up to a multiple of four; what they are too many, the length overwrites.
  constexpr uint32_t kZeros = 0;
  std::memcpy(out, &kZeros, sizeof kZeros);
  std::memcpy(out + padded4(body) - body, &total, sizeof total);
}

}  // namespace quell::capture::scap
