#pragma once
// The part of `quell rule explain` that shows what became of a rule in the program of all rules.
#include <string>
#include <string_view>

#include "base/result.h"
#include "detect/ruleset.h"

namespace quell::cli {

/// For people: by group of events, what is asked in which order, how it is answered, who shares it, what it costs.
/// `rules` are all rules that are in force together. Errors: invalid_rules.
Result<std::string> lowered_text(const detect::RuleSet& rules, std::string_view name);

}  // namespace quell::cli
