#pragma once
// Command-line options of the rule engine that `up` and `detect` share, and what --profile prints.
#include <cstdint>
#include <memory>
#include <string>

#include "apps/quell/cli.h"
#include "detect/rule_profile.h"

namespace quell::cli {

/// --rule-matching all|first, into `match_all` (which keeps its default without the option).
void add_rule_matching(CLI::App& command, bool& match_all);

struct ProfileFlags {
  bool enabled = false;
  uint32_t every = 64;
  /// Null unless --profile was given.
  std::unique_ptr<detect::RuleProfile> make() const;
};
/// --profile and --profile-every.
void add_profile(CLI::App& command, ProfileFlags& flags);

/// A table for people: dearest rule first, rules that cost nothing left out.
std::string profile_table(const detect::RuleProfile::Report& report);
/// One JSON object with every rule.
std::string profile_json(const detect::RuleProfile::Report& report);

}  // namespace quell::cli
