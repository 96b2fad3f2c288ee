#pragma once
// Command-line options of the rule engine that `up` and `detect` share.
#include "apps/quell/cli.h"

namespace quell::cli {

/// --rule-matching all|first, into `match_all` (which keeps its default without the option).
void add_rule_matching(CLI::App& command, bool& match_all);

}  // namespace quell::cli
