#pragma once
// What a sensor may leave out without any rule noticing: derived from the conditions. Sound by construction: a test
// that is not understood counts as one that may hold.
#include "detect/ruleset.h"
#include "model/interest.h"

namespace quell::detect {

/// `codes`: what the compiled rules want (wanted_event_codes). Looks at every enabled rule.
Interest interest_of(const RuleSet& rules, std::vector<bool> codes);

/// When `condition` can be true for an event of that code.
Need need_of(const Expr& condition, EventCode code);

}  // namespace quell::detect
