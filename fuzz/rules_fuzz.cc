// Rule files come from anywhere. Whatever the bytes: no crash, no growth without end, and what loads keeps the loader's
// promises.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "detect/engine.h"
#include "detect/falco/condition_parser.h"
#include "detect/falco/loader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quell::detect;
  falco::Loader loader(semantics());
  // Twice, so that redefinition, append and override meet earlier definitions.
  for (int round = 0; round < 2; ++round) {
    const size_t rules_before = loader.rules().rules.size();
    const auto result = loader.load("fuzz.yaml", std::string(reinterpret_cast<const char*>(data), size));
    if (!result.successful() && loader.rules().rules.size() != rules_before) std::abort();
    for (const auto* problems : {&result.errors, &result.warnings}) {
      for (const falco::Problem& problem : *problems)
        if (problem.message.empty() || problem.locations.empty() || problem.excerpt.size() > 160) std::abort();
    }
    if (falco::json(result).empty() || falco::summary(result).empty() || falco::verbose(result).empty()) std::abort();
    if (falco::readable(result).empty() != (result.errors.empty() && result.warnings.empty())) std::abort();
  }
  const size_t rules_before = loader.rules().rules.size();
  (void)loader.load("exceptions.yaml", std::string(reinterpret_cast<const char*>(data), size),
                    falco::FileKind::exceptions);
  if (loader.rules().rules.size() != rules_before) std::abort();  // it can only add to what is there
  for (const Rule& rule : loader.rules().rules) {
    if (!rule.condition || rule.event_codes.empty()) std::abort();
    const auto again = falco::parse_condition(rule.condition->str());
    if (!again || !same(**again, *rule.condition)) std::abort();
  }
  if (loader.describe().empty()) std::abort();
  return 0;
}
