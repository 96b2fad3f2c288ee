#pragma once
// From the options of a command to the rules that it means.
#include "apps/quell/cli.h"
#include "apps/quell/rules.h"

namespace quell::cli {

/// The data directory's own exceptions belong to the rules of this machine: they count where no other rules are named.
RuleSources rule_sources(const Globals& globals, const std::vector<std::string>& paths,
                         const std::vector<std::string>& exceptions);

}  // namespace quell::cli
