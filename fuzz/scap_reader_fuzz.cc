// Captures come from anywhere. Whatever the bytes: no crash, no endless loop, and what is delivered keeps the reader's
// promises.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "capture/scap/reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quell;
  auto source = capture::open_scap_bytes(std::span(data, size));
  if (!source) return 0;
  EventBatch batch;
  uint64_t number = 0;
  for (;;) {
    const auto pull = (*source)->fill(batch, 0);
    if (!pull || *pull == capture::Pull::ended) break;
    for (size_t i = 0; i < batch.size(); ++i) {
      number += batch.slot(i).skipped_before + uint64_t{1};
      Event event;
      if (!Event::parse(batch.event(i), event)) std::abort();
      if (event.spec().has(kEvUnused)) std::abort();
    }
  }
  if (number > (*source)->counters().events) std::abort();
  return 0;
}
