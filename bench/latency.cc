// From just before the system call to the alert line in the reader's hands: open of a file that a rule names, quiet and
// while another process loops over open, read and close.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <fstream>
#include <thread>

#include "base/clock.h"
#include "loads.h"
#include "run.h"
#include "sensor.h"

namespace quell::bench {
namespace {

std::vector<double> measure(const LoadGroup& group, Sensor& sensor, const std::string& path, int samples) {
  // Times go through memory shared with the child that makes the calls.
  auto* shared = static_cast<std::atomic<uint64_t>*>(
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  std::vector<double> out;
  for (int i = 0; i < samples; ++i) {
    shared[0] = 0;
    const pid_t child = group.start([&] {
      usleep(20'000);
      shared[0] = system_clock().monotonic_ns();
      const int fd = open(path.c_str(), O_RDONLY);
      if (fd >= 0) close(fd);
    });
    const std::string line = sensor.read_line(5'000);
    const uint64_t now = system_clock().monotonic_ns();
    waitpid(child, nullptr, 0);
    if (!line.empty() && shared[0] != 0) out.push_back(static_cast<double>(now - shared[0]) / 1e6);
  }
  munmap(shared, 4096);
  return out;
}

void report(const std::string& name, std::vector<double> values, int samples) {
  std::sort(values.begin(), values.end());
  figure(name + "seen", static_cast<double>(values.size()) / samples, "of all");
  if (values.empty()) return;
  const auto at = [&](double share) {
    return values[std::min(values.size() - 1, static_cast<size_t>(share * static_cast<double>(values.size())))];
  };
  figure(name + "p50_ms", at(0.50), "ms");
  figure(name + "p90_ms", at(0.90), "ms");
  figure(name + "p99_ms", at(0.99), "ms");
  figure(name + "max_ms", values.back(), "ms");
}

}  // namespace
}  // namespace quell::bench

int main(int argc, char** argv) {
  using namespace quell::bench;
  const int samples = has_flag(argc, argv, "--quick") ? 40 : 300;
  const std::string target = scratch() + "/target";
  std::ofstream(target) << "x";
  const std::string rules = scratch() + "/latency.yaml";
  std::ofstream(rules) << "- rule: target\n  desc: the file of this measurement is opened\n  condition: evt.type in "
                          "(open, openat) and fd.name = "
                       << target << "\n  output: \"%fd.name\"\n  priority: WARNING\n";
  auto group = LoadGroup::create();
  if (!group) {
    std::fprintf(stderr, "bench: %s\n", group.error().str().c_str());
    return 1;
  }
  auto sensor = Sensor::start(**group, {rules, std::string(QUELL_SOURCE_DIR) + "/content/rules"});
  if (!sensor) {
    std::fprintf(stderr, "bench: %s\n", sensor.error().str().c_str());
    return 1;
  }
  report("latency.", measure(**group, **sensor, target, samples), samples);
  const pid_t load = (*group)->start([] {
    for (;;) load_open_read_close(1000);
  });
  report("latency.loaded_", measure(**group, **sensor, target, samples), samples);
  kill(load, SIGKILL);
  waitpid(load, nullptr, 0);
  figure("latency.lost", (*sensor)->metric("quell_capture_lost_events_total"), "events");
  return 0;
}
