// Memory of the sensor at rest and under a storm of short processes.
#include <cstdio>

#include "loads.h"
#include "run.h"
#include "sensor.h"

int main(int argc, char** argv) {
  using namespace quell::bench;
  const bool quick = has_flag(argc, argv, "--quick");
  auto group = LoadGroup::create();
  if (!group) {
    std::fprintf(stderr, "bench: %s\n", group.error().str().c_str());
    return 1;
  }
  auto sensor = Sensor::start(**group, {std::string(QUELL_SOURCE_DIR) + "/content/rules"});
  if (!sensor) {
    std::fprintf(stderr, "bench: %s\n", sensor.error().str().c_str());
    return 1;
  }
  figure("memory.start.rss", static_cast<double>((*sensor)->rss_kb()) / 1024, "MiB");
  const int rounds = quick ? 3 : 10;
  for (int i = 1; i <= rounds; ++i) {
    (*group)->run([&] { return load_spawn(quick ? 200 : 2000); });
    while (!(*sensor)->read_line(200).empty()) {
    }
    if (i == 1 || i == rounds)
      figure("memory.after_" + std::to_string(i * (quick ? 200 : 2000)) + "_processes.rss",
             static_cast<double>((*sensor)->rss_kb()) / 1024, "MiB");
  }
  return 0;
}
