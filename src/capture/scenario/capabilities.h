#pragma once
// What a process of a scenario may do, by the names of capabilities(7).
#include "base/result.h"
#include "base/yaml.h"
#include "model/process.h"

namespace quell::capture::scenario {

/// From thread.cap_permitted and thread.cap_effective of `map`: names joined with '|', ALL or NONE. One of them says
/// the other, too; without either root has all and everybody else none. Requires the thread's uid. Errors:
/// invalid_argument at the node, with the nearest name.
Result<void> set_capabilities(Thread& thread, const yaml::Node& map);

}  // namespace quell::capture::scenario
