// Scenario files: an error with a place, or events that every reader takes.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "capture/scenario/scenario.h"
#include "model/event.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quell;
  const auto cases = capture::parse_scenarios("fuzz.yaml", std::string(reinterpret_cast<const char*>(data), size));
  if (!cases) {
    if (cases.error().message.empty()) std::abort();
    return 0;
  }
  if (cases->empty()) std::abort();
  for (const capture::Scenario& scenario : *cases) {
    for (const capture::ScenarioEvent& one : scenario.events) {
      Event event;
      if (!Event::parse(one.bytes, event)) std::abort();
      if (one.index >= static_cast<int32_t>(scenario.event_count)) std::abort();
    }
    for (const capture::Expectation& one : scenario.expect)
      if (one.event >= scenario.event_count) std::abort();
  }
  return 0;
}
