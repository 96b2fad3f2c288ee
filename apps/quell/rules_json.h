#pragma once
// Rules and exceptions as JSON, for the command line and the API alike.
#include <string>

#include "apps/quell/rule_reload.h"
#include "detect/ruleset.h"

namespace quell::cli {

std::string rule_json(const detect::Rule& rule);
std::string exception_json(const detect::ExceptionRecord& exception);

/// What a running quell answers to GET /v1/rules.
std::string rules_json(const RuleReload::State& state);
/// And to POST /v1/rules/reload. `in_force` is the generation that events are shown to.
std::string reload_json(const LoadedRules& rules, bool has_changed, uint64_t in_force);

/// "active", "expired", "no such rule".
std::string_view state_of(const detect::ExceptionRecord& exception);

}  // namespace quell::cli
