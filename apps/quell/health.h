#pragma once
// What /healthz and /readyz say of the parts of a running quell. A part that is blind says so, and for how long it was.
#include <vector>

#include "api/routes.h"
#include "apps/quell/live_lane.h"
#include "os/container_lookup.h"

namespace quell::cli {

/// Losses keep the sensor degraded for so long after the last of them.
inline constexpr uint64_t kLossMemoryNs = 60'000'000'000;
/// An engine that has published nothing for so long stands still.
inline constexpr uint64_t kStallNs = 5'000'000'000;

api::HealthItem sensor_health(const LaneStatus& status, bool is_stopping, uint64_t now_ns);
api::Coverage coverage_of(const LaneStatus& status);
/// One item per runtime that is there and does not answer; one if there is none at all although `has_containers`.
void add_runtime_health(const std::vector<os::RuntimeHealth>& runtimes, bool has_containers,
                        std::vector<api::HealthItem>& items);

}  // namespace quell::cli
