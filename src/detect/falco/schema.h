#pragma once
// The shape a rule file should have: which keys an item may have and what kind of value each takes. Only informs; what
// cannot be loaded is found by the reader.
#include <string>
#include <vector>

#include "base/yaml.h"

namespace quell::detect::falco {

/// What does not fit, each with its place; empty if all does.
std::vector<std::string> check_schema(const yaml::File& file);

}  // namespace quell::detect::falco
