#pragma once
// The life of an action (response contract): which state may follow which, in one table.
#include "base/clock.h"
#include "model/action.h"

namespace quell::respond {

bool may_follow(ActionState from, ActionState to);

/// Moves the record on and stamps its history. A move that the table does not know is our own bug and asserts.
void advance(ActionRecord& record, ActionState to, const Clock& clock, std::string reason = {});

}  // namespace quell::respond
