// What the sensor costs the machine: the loads without it, with it, and its own CPU. Figures with and without come from
// the same run, alternating; the ratio is what to look at.
#include <algorithm>
#include <cstdio>

#include "loads.h"
#include "run.h"
#include "sensor.h"

namespace quell::bench {
namespace {

struct Load {
  const char* name;
  double (*work)(uint64_t);
  uint64_t count, quick_count;
  const char* unit;
};
constexpr Load kLoads[] = {
    {"getpid", load_getpid, 5'000'000, 500'000, "ns/call"},
    {"read_write", load_read_write, 2'000'000, 200'000, "ns/call"},
    {"open_read_close", load_open_read_close, 300'000, 60'000, "ns/call"},
    {"connect", load_connect, 20'000, 3'000, "ns/round"},
    {"spawn", load_spawn, 800, 150, "ns/spawn"},
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int measure(bool quick, const std::string& rules_name, const std::vector<std::string>& rules) {
  auto group = LoadGroup::create();
  if (!group) {
    std::fprintf(stderr, "bench: %s\n", group.error().str().c_str());
    return 1;
  }
  const int rounds = quick ? 1 : 3;
  std::vector<std::vector<double>> without(std::size(kLoads)), with(std::size(kLoads));
  double sensor_cpu = 0, events = 0, lost = 0;
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < std::size(kLoads); ++i) {
      const uint64_t count = quick ? kLoads[i].quick_count : kLoads[i].count;
      without[i].push_back((*group)->run([&] { return kLoads[i].work(count); }));
    }
    auto sensor = Sensor::start(**group, rules);
    if (!sensor) {
      std::fprintf(stderr, "bench: %s\n", sensor.error().str().c_str());
      return 1;
    }
    for (size_t i = 0; i < std::size(kLoads); ++i) {
      const uint64_t count = quick ? kLoads[i].quick_count : kLoads[i].count;
      const double events_before = (*sensor)->metric("quell_capture_events_total");
      const double cpu_before = (*sensor)->cpu_s();
      with[i].push_back((*group)->run([&] { return kLoads[i].work(count); }));
      while (!(*sensor)->read_line(300).empty()) {
      }
      if (kLoads[i].work == load_open_read_close) {
        sensor_cpu += (*sensor)->cpu_s() - cpu_before;
        events += (*sensor)->metric("quell_capture_events_total") - events_before;
      }
    }
    lost += (*sensor)->metric("quell_capture_lost_events_total");
    if (round == 0) figure("live." + rules_name + ".rss", static_cast<double>((*sensor)->rss_kb()) / 1024, "MiB");
  }
  for (size_t i = 0; i < std::size(kLoads); ++i) {
    const std::string name = "live." + rules_name + "." + kLoads[i].name;
    figure(name + ".without", median(without[i]), kLoads[i].unit);
    figure(name + ".with", median(with[i]), kLoads[i].unit);
    figure(name + ".ratio", median(with[i]) / median(without[i]), "x");
  }
  figure("live." + rules_name + ".open_read_close.sensor_cpu", events == 0 ? 0 : sensor_cpu * 1e6 / events, "us/event");
  figure("live." + rules_name + ".lost", lost, "events");
  return 0;
}

}  // namespace
}  // namespace quell::bench

int main(int argc, char** argv) {
  using namespace quell::bench;
  const bool quick = has_flag(argc, argv, "--quick");
  int status = measure(quick, "shipped", {std::string(QUELL_SOURCE_DIR) + "/content/rules"});
  if (const char* data = std::getenv("QUELL_TEST_DATA"); data != nullptr && !quick) {
    const std::string folder = std::string(data) + "/falco-rules/";
    status |= measure(quick, "stable", {folder + "falco_rules.yaml"});
    status |= measure(
        quick, "all-three",
        {folder + "falco_rules.yaml", folder + "falco-incubating_rules.yaml", folder + "falco-sandbox_rules.yaml"});
  }
  return status;
}
