#include "apps/quell/health.h"

#include <fmt/format.h>

namespace quell::cli {
namespace {
constexpr uint64_t kSecond = 1'000'000'000;
}

api::HealthItem sensor_health(const LaneStatus& status, bool is_stopping, uint64_t now_ns) {
  api::HealthItem sensor{.component = "sensor"};
  if (is_stopping || !status.is_running) {
    sensor.is_ready = false;
    sensor.reason = is_stopping ? "stopping" : "the sensor has ended";
    return sensor;
  }
  if (status.published_ns + kStallNs < now_ns) {
    sensor.is_ready = false;
    sensor.reason = fmt::format("the engine has stood still for {} s", (now_ns - status.published_ns) / kSecond);
    return sensor;
  }
  if (status.last_loss_ns == 0 || status.last_loss_ns + kLossMemoryNs < now_ns) return sensor;
  uint64_t lost = 0;
  if (status.losses != nullptr)
    for (const LossSecond& one : *status.losses)
      if (one.second * kSecond + kLossMemoryNs >= now_ns) lost += one.lost;
  sensor.is_degraded = true;
  sensor.reason =
      fmt::format("{} events were lost in the last {} s: rules did not see them", lost, kLossMemoryNs / kSecond);
  return sensor;
}

api::Coverage coverage_of(const LaneStatus& status) {
  api::Coverage out{
      .since_ns = status.started_ns, .last_loss_ns = status.last_loss_ns, .lost = status.source.lost(), .seconds = {}};
  if (status.losses != nullptr)
    for (const LossSecond& one : *status.losses) out.seconds.emplace_back(one.second, one.lost);
  return out;
}

void add_runtime_health(const std::vector<os::RuntimeHealth>& runtimes, bool has_containers,
                        std::vector<api::HealthItem>& items) {
  bool is_any_present = false;
  for (const os::RuntimeHealth& runtime : runtimes) {
    is_any_present |= runtime.is_present;
    if (!runtime.is_present || runtime.is_answering) continue;
    items.push_back({.component = "runtime:" + runtime.name,
                     .is_degraded = true,
                     .reason = runtime.error + "; its containers come without name and image; see `quell doctor`"});
  }
  if (is_any_present || !has_containers) return;
  items.push_back({.component = "runtimes",
                   .is_degraded = true,
                   .reason = "there are containers and no runtime's socket: they come without name and image; see "
                             "`quell doctor`"});
}

}  // namespace quell::cli
