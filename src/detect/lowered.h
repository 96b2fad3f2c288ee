#pragma once
// A rule as the program sees it, for people: what is asked, in which order, and how it is answered.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "detect/engine.h"

namespace quell::detect {

/// How the answer to a term comes about.
enum class Answered : uint8_t {
  with_process,  // once for each process and kind of event; kept until the process or an ancestor changes
  by_value,      // by one look at a table of values seen before, for all rules that ask about the same field
  by_event,      // computed for each event that gets this far
};
std::string_view to_string(Answered answered);

struct LoweredTerm {
  std::string text;  // what this rule needs
  Answered answered = Answered::by_event;
  size_t other_rules = 0;     // that the same step answers for these events
  uint32_t instructions = 0;  // of the step, about; 0 for what is kept with the process
};

/// The events for which the rule is the same.
struct LoweredGroup {
  std::vector<std::string> events;  // names, sorted, each once
  size_t rules = 0;                 // that look at these events, this one included
  std::vector<LoweredTerm> terms;   // in the order in which they are asked
  /// What the rule adds to such an event when no term fails: its share of the steps.
  uint32_t instructions = 0;
};

/// Empty if no event can match the rule.
std::vector<LoweredGroup> lowered_form(const Program& program, RuleIndex rule);

}  // namespace quell::detect
