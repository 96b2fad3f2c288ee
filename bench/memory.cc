// Memory of the sensor: at rest, with many processes, under a storm of forks and while processes come and go.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "base/clock.h"
#include "loads.h"
#include "run.h"
#include "sensor.h"

namespace quell::bench {
namespace {

double rss_mb(const Sensor& sensor) { return static_cast<double>(sensor.rss_kb()) / 1024; }

/// Until it has nothing more to say.
void settle(Sensor& sensor, int quiet_ms = 500) {
  while (!sensor.read_line(quiet_ms).empty()) {
  }
}

/// `count` processes that each run a program and sleep until they are killed with their group.
class Sleepers {
 public:
  Sleepers(const LoadGroup& group, int count) {
    leader_ = group.start([count] {
      setpgid(0, 0);
      for (int i = 0; i < count; ++i)
        if (fork() == 0) {
          execl("/bin/sleep", "sleep", "3600", nullptr);
          _exit(127);
        }
      for (;;) pause();
    });
    usleep(1'000'000 + static_cast<useconds_t>(count) * 1'000);
  }
  ~Sleepers() {
    if (leader_ <= 0) return;
    kill(-leader_, SIGKILL);
    waitpid(leader_, nullptr, 0);
  }
  Sleepers(const Sleepers&) = delete;
  Sleepers& operator=(const Sleepers&) = delete;

 private:
  pid_t leader_ = -1;
};

double fork_storm(uint64_t count) {
  constexpr uint64_t kAtOnce = 200;
  for (uint64_t done = 0; done < count; done += kAtOnce) {
    for (uint64_t i = 0; i < kAtOnce; ++i)
      if (fork() == 0) _exit(0);
    while (wait(nullptr) > 0) {
    }
  }
  return 1;
}

// Spawns until the time is over.
double spawn_for(uint64_t duration_ns) {
  const uint64_t end_ns = system_clock().monotonic_ns() + duration_ns;
  while (system_clock().monotonic_ns() < end_ns) load_spawn(100);
  return 1;
}

int run_all(bool quick, bool is_long) {
  auto group = LoadGroup::create();
  if (!group) {
    std::fprintf(stderr, "bench: %s\n", group.error().str().c_str());
    return 1;
  }
  std::vector<std::string> rules{std::string(QUELL_SOURCE_DIR) + "/content/rules"};
  if (const char* data = std::getenv("QUELL_TEST_DATA")) {
    const std::string folder = std::string(data) + "/falco-rules/falco";
    rules = {folder + "_rules.yaml", folder + "-incubating_rules.yaml", folder + "-sandbox_rules.yaml"};
  }
  auto started = Sensor::start(**group, rules);
  if (!started) {
    std::fprintf(stderr, "bench: %s\n", started.error().str().c_str());
    return 1;
  }
  Sensor& sensor = **started;
  settle(sensor);
  figure("memory.start_rss_mb", rss_mb(sensor), "MiB");
  {
    const Sleepers sleepers(**group, quick ? 200 : 2000);
    settle(sensor);
    figure("memory.rss_mb", rss_mb(sensor), "MiB");
  }
  settle(sensor);
  (*group)->run([&] { return fork_storm(quick ? 5'000 : 100'000); });
  settle(sensor);
  figure("memory.fork_storm_rss_mb", rss_mb(sensor), "MiB");

  // Ten rounds stand for ten minutes: what grows by the round grows by the minute. With --long they are minutes.
  std::vector<double> by_round;
  for (int i = 0; i < 10; ++i) {
    (*group)->run([&] { return is_long ? spawn_for(60'000'000'000) : load_spawn(quick ? 100 : 2000); });
    settle(sensor, 200);
    by_round.push_back(rss_mb(sensor));
    if (is_long) figure("memory.churn_minute_" + std::to_string(i + 1) + "_mb", by_round.back(), "MiB");
  }
  figure("memory.churn_rss_mb", by_round.back(), "MiB");
  figure("memory.churn_drift", (by_round.back() - by_round[1]) / by_round[1] * 100, "%");
  return 0;
}

}  // namespace
}  // namespace quell::bench

int main(int argc, char** argv) {
  using namespace quell::bench;
  return run_all(has_flag(argc, argv, "--quick"), has_flag(argc, argv, "--long"));
}
