#pragma once
// One event as a block of a capture. Shared by whoever writes a file and by the flight recorder, whose rings hold blocks
// as they will stand in the file.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "capture/scap/format.h"

namespace quell::capture::scap {

inline size_t event_block_size(size_t event_size, bool state_only) {
  return padded4(sizeof(uint16_t) + (state_only ? sizeof(uint32_t) : 0) + event_size) + kBlockFrame;
}

/// Writes event_block_size() bytes to `out`.
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
  constexpr uint32_t kZeros = 0;
  put(&kZeros, padded4(body) - body);
  put(&total, sizeof total);
}

}  // namespace quell::capture::scap
