#pragma once
// The evaluator that cannot be wrong: walks the tree of each rule as it was written, extracts each field anew and
// compares by the letter of the language. Shares the fields with the engine, nothing else.
#include "detect/ast.h"
#include "model/state_view.h"

namespace quell::detect {

bool naive_holds(const Expr& expr, const EventContext& context);

}  // namespace quell::detect
