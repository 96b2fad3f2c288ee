#pragma once
// The part of `quell rule explain` that shows what the sensor leaves out before a rule could look at it.
#include <string>

#include "detect/ruleset.h"
#include "model/interest.h"

namespace quell::cli {

/// For people: by group of the rule's events, which of them the kernel tells at all. `interest` is that of all rules
/// that are in force together; the sensor writes no event that none of them can match and that keeps no table true.
std::string kernel_text(const Interest& interest, const detect::Rule& rule);

}  // namespace quell::cli
