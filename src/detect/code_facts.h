#pragma once
// What the code of an event says about a comparison before any event is there.
#include <optional>

#include "detect/predicate.h"

namespace quell::detect {

/// False if no code decides the comparison.
bool asks_code(const Predicate& p);
/// The result that the comparison has for every event of this code, if there is one.
std::optional<bool> decided_by_code(const Predicate& p, EventCode code);

}  // namespace quell::detect
