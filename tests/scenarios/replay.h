#pragma once
// A scenario through the front door: text, .scap bytes, reader, state tables, rules, detections.
#include <memory>
#include <string>
#include <vector>

#include "capture/scenario/scenario.h"
#include "detect/engine.h"
#include "detect/falco/loader.h"

namespace quell::test {

struct Fired {
  int32_t event;  // position in the scenario, -1 for what led up to it; in a capture the event's number
  Detection detection;
};

/// The rules of these files as a program in which every rule matches for itself. With `enable_all` the disabled ones
/// count, too. Fails the test and returns null if they do not load.
std::shared_ptr<const detect::Program> compile_rules(const std::vector<std::string>& paths, bool enable_all = false);

/// What fires, in order. Whatever goes wrong on the way fails the test.
std::vector<Fired> replay(const capture::Scenario& scenario, const std::shared_ptr<const detect::Program>& program);
/// The same of a capture.
std::vector<Fired> replay(const std::string& path, const std::shared_ptr<const detect::Program>& program);

}  // namespace quell::test
