#pragma once
// A policy in plain sentences, for whoever must answer for it.
#include <string>

#include "respond/policy/policy.h"

namespace quell::respond::policy {

/// Paragraphs: what it is, when it acts, on whom, what it does, how far, who must agree. Ends with a line break.
std::string explain(const Policy& policy);

/// "the rule is one of …, and …".
std::string describe(const Condition& condition);

}  // namespace quell::respond::policy
