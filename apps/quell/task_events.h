#pragma once
// A thread that /proc told of, as the events that captures have for this: what was looked up live is in the recording,
// too, and a replay knows as much as we did.
#include <cstdint>
#include <utility>
#include <vector>

#include "model/process.h"

namespace quell::cli {

/// One task event, then one event per descriptor that has such an event. `boot_ns` makes absolute what the event says
/// since boot.
std::vector<std::vector<uint8_t>> task_events(const Thread& thread, const std::vector<std::pair<int64_t, Fd>>& fds,
                                              uint64_t ts_ns, uint64_t boot_ns);

}  // namespace quell::cli
