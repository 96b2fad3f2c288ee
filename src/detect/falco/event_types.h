#pragma once
// Which events a condition can be true for, so that nobody evaluates it, or captures events, in vain.
#include <bitset>
#include <string>
#include <vector>

#include "base/result.h"
#include "detect/ast.h"
#include "model/event_schema.h"

namespace quell::detect::falco {

using EventSet = std::bitset<kEventCodeCount>;

/// Names that `evt.type` has for asynchronous events of the built-in sources.
bool is_async_event_name(std::string_view name);

struct EventTypeError {
  std::string message;
  TextPos pos;
};

/// The events for which `condition` (macros resolved) can be true. Negation is pushed to the checks: evt.type and
/// syscall.type against constants select events, evt.num is known to be at least 1, and everything else can be true for
/// any event, negated or not. `errors` gets uses of evt.type that cannot be decided from the text: compared with a
/// field, or in a transformer.
EventSet possible_events(const Expr& condition, std::vector<EventTypeError>& errors);

}  // namespace quell::detect::falco
