#pragma once
// Reads a source to its end.
#include <optional>
#include <string>
#include <vector>

#include "capture/source.h"

namespace quell::capture::testing {

struct Read {
  uint64_t number = 0;  // position in the capture, from 1
  std::vector<uint8_t> bytes;
  uint16_t cpu = 0;
  bool state_only = false;
  Event event;  // points into bytes
};

struct Drained {
  std::vector<Read> events;
  std::vector<size_t> restarts;  // index of the first event after each
  std::optional<Error> error;
  SourceCounters counters;
  bool all_parse = true;
};

inline Drained drain(EventSource& source) {
  Drained out;
  uint64_t number = 0;
  EventBatch batch;
  for (;;) {
    auto pull = source.fill(batch, 0);
    if (!pull) {
      out.error = pull.error();
      break;
    }
    if (*pull == Pull::restarted) out.restarts.push_back(out.events.size());
    for (size_t i = 0; i < batch.size(); ++i) {
      const auto& slot = batch.slot(i);
      number += slot.skipped_before + 1;
      Read& read = out.events.emplace_back();
      read.number = number;
      const auto bytes = batch.event(i);
      read.bytes.assign(bytes.begin(), bytes.end());
      read.cpu = slot.cpu;
      read.state_only = slot.state_only;
      if (!Event::parse(read.bytes, read.event)) out.all_parse = false;
    }
    if (*pull == Pull::ended) break;
  }
  out.counters = source.counters();
  return out;
}

}  // namespace quell::capture::testing
