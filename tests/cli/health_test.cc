#include "apps/quell/health.h"

#include <gtest/gtest.h>

namespace quell::cli {
namespace {

constexpr uint64_t kSecond = 1'000'000'000, kNow = 1'000 * kSecond;

LaneStatus running() {
  LaneStatus status;
  status.is_running = true;
  status.published_ns = kNow;
  status.started_ns = 900 * kSecond;
  return status;
}

TEST(SensorHealth, DegradesWithLossesAndRecovers) {
  LaneStatus status = running();
  EXPECT_TRUE(sensor_health(status, false, kNow).is_ready);
  EXPECT_FALSE(sensor_health(status, false, kNow).is_degraded);
  status.last_loss_ns = kNow - 10 * kSecond;
  status.source.lost_ring_full = 107;
  status.losses = std::make_shared<const std::vector<LossSecond>>(std::vector<LossSecond>{{910, 100}, {990, 7}});
  const api::HealthItem blind = sensor_health(status, false, kNow);
  EXPECT_TRUE(blind.is_ready);
  EXPECT_TRUE(blind.is_degraded);
  EXPECT_TRUE(blind.reason.starts_with("7 ")) << blind.reason;
  status.published_ns = kNow + 51 * kSecond;
  EXPECT_FALSE(sensor_health(status, false, kNow + 51 * kSecond).is_degraded) << "a minute without losses";
  const api::Coverage coverage = coverage_of(status);
  EXPECT_EQ(coverage.lost, 107u);
  EXPECT_EQ(coverage.since_ns, 900 * kSecond);
  ASSERT_EQ(coverage.seconds.size(), 2u);
  EXPECT_EQ(coverage.seconds[1], (std::pair<uint64_t, uint64_t>{990, 7}));
}

TEST(SensorHealth, AnEndedOrStandingSensorIsNotReady) {
  LaneStatus status = running();
  EXPECT_FALSE(sensor_health(status, true, kNow).is_ready);
  EXPECT_FALSE(sensor_health(status, false, kNow + kStallNs + 1).is_ready);
  status.is_running = false;
  EXPECT_FALSE(sensor_health(status, false, kNow).is_ready);
}

TEST(RuntimeHealth, OnlyWhatIsThereAndSilentIsNamed) {
  std::vector<os::RuntimeHealth> runtimes{{.name = "docker", .is_present = true},
                                          {.name = "containerd", .is_present = false, .error = "old"}};
  runtimes[1].is_answering = false;
  std::vector<api::HealthItem> items;
  add_runtime_health(runtimes, true, items);
  EXPECT_TRUE(items.empty()) << "a runtime that is not installed is none to complain about";
  runtimes[0].is_answering = false;
  runtimes[0].error = "silent";
  add_runtime_health(runtimes, true, items);
  ASSERT_EQ(items.size(), 1u);
  EXPECT_EQ(items[0].component, "runtime:docker");
  EXPECT_TRUE(items[0].is_degraded);
  items.clear();
  runtimes[0].is_present = false;
  add_runtime_health(runtimes, false, items);
  EXPECT_TRUE(items.empty()) << "a machine without containers misses nothing";
  add_runtime_health(runtimes, true, items);
  ASSERT_EQ(items.size(), 1u);
  EXPECT_TRUE(items[0].is_degraded);
}

}  // namespace
}  // namespace quell::cli
