// Time to the first useful moment: `quell version`, rules checked, sensor ready.
#include <algorithm>
#include <cstdio>

#include "run.h"
#include "sensor.h"

int main(int argc, char** argv) {
  using namespace quell::bench;
  const int rounds = has_flag(argc, argv, "--quick") ? 3 : 9;
  const std::string rules = std::string(QUELL_SOURCE_DIR) + "/content/rules";
  const auto median_of = [&](const std::string& name, auto&& once) {
    std::vector<double> values;
    for (int i = 0; i < rounds; ++i) values.push_back(once());
    std::sort(values.begin(), values.end());
    figure(name, values[values.size() / 2] * 1000, "ms");
  };
  median_of("startup.version", [] { return run({quell_binary(), "version"}).wall_s; });
  median_of("startup.rule_check", [&] { return run({quell_binary(), "rule", "check", rules}).wall_s; });
  auto group = LoadGroup::create();
  if (!group) {
    std::fprintf(stderr, "bench: %s\n", group.error().str().c_str());
    return 1;
  }
  median_of("startup.sensor_ready", [&] {
    auto sensor = Sensor::start(**group, {rules});
    if (!sensor) {
      std::fprintf(stderr, "bench: %s\n", sensor.error().str().c_str());
      std::exit(1);
    }
    return (*sensor)->start_s();
  });
  return 0;
}
