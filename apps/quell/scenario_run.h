#pragma once
// Scenarios through the state tables and the rules, and what came compared with what was expected.
#include <string>
#include <vector>

#include "capture/scenario/scenario.h"
#include "detect/engine.h"
#include "detect/ruleset.h"

namespace quell::cli {

/// A rule that matched an event of a scenario.
struct Firing {
  int32_t event = -1;  // position in the scenario; -1: what led up to it
  detect::RuleIndex rule = 0;
  Detection detection;
  std::vector<std::string> field_values;  // of the fields that its expectation asks for, in that order
};

/// Every match, in order. `program` must match all rules, and be compiled from `rules`.
/// Errors: malformed (an event of the scenario), invalid_argument (an expectation asks for a field that does not
/// exist).
Result<std::vector<Firing>> run_scenario(const capture::Scenario& scenario, const detect::RuleSet& rules,
                                         std::shared_ptr<const detect::Program> program);

struct Difference {
  enum class Kind : uint8_t {
    missing,     // expected, and did not come
    unexpected,  // came, and nobody expected it
    forbidden,   // came, although the scenario says that it must not
    field,       // came with another value
    technique,   // came without a tag of the technique
  };
  Kind kind;
  int32_t event = -1;
  std::string rule;
  std::string subject;           // field: its name; technique: its id; forbidden: the reason
  std::string expected, actual;  // field: the values; otherwise `actual` is the message that came
  std::string where;             // of the expectation; empty for what nobody expected
};
std::string_view to_string(Difference::Kind kind);

/// What is not as it should be; empty: the test holds.
std::vector<Difference> judge(const capture::Scenario& scenario, const std::vector<Firing>& firings);

/// Whether one more firing of `rule` on `event` would break the test.
bool would_notice(const capture::Scenario& scenario, const std::string& rule, int32_t event);

}  // namespace quell::cli
