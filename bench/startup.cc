// Time to the first useful moment: `quell version`, rules checked, sensor ready.
#include <algorithm>
#include <cstdio>
#include <cstdlib>

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
  // The whole of it, with the most rules there are: from the start of the program until it watches.
  std::vector<std::string> all{rules};
  if (const char* data = std::getenv("QUELL_TEST_DATA"); data != nullptr) {
    const std::string folder = std::string(data) + "/falco-rules/";
    all = {folder + "falco_rules.yaml", folder + "falco-incubating_rules.yaml", folder + "falco-sandbox_rules.yaml"};
  }
  const auto ready = [&](const std::vector<std::string>& files) {
    auto sensor = Sensor::start(**group, files);
    if (!sensor) {
      std::fprintf(stderr, "bench: %s\n", sensor.error().str().c_str());
      std::exit(1);
    }
    return (*sensor)->start_s();
  };
  median_of("startup.sensor_ready", [&] { return ready({rules}); });
  std::vector<double> starts;
  for (int i = 0; i < rounds; ++i) starts.push_back(ready(all));
  std::sort(starts.begin(), starts.end());
  figure("startup.s", starts[starts.size() / 2], "s");
  return 0;
}
