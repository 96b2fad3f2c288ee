#include "apps/quell/rule_lowered.h"

#include <fmt/format.h>

#include <algorithm>

#include "apps/quell/rule_kernel.h"
#include "detect/interest.h"
#include "detect/lowered.h"

namespace quell::cli {
namespace {

constexpr size_t kMaxNames = 12;
constexpr size_t kMaxText = 300;

std::string event_names(const std::vector<std::string>& events) {
  const size_t shown = std::min(events.size(), kMaxNames);
  std::string out = fmt::format("{}", fmt::join(events.begin(), events.begin() + static_cast<ptrdiff_t>(shown), ", "));
  if (events.size() > shown) out += fmt::format(" and {} more", events.size() - shown);
  return out;
}

std::string term_line(const detect::LoweredTerm& term) {
  const std::string cost = term.instructions == 0 ? std::string("kept") : fmt::format("{}", term.instructions);
  const std::string text = term.text.size() <= kMaxText ? term.text : term.text.substr(0, kMaxText) + " ... (cut)";
  return fmt::format("    {:<8}  {:>5}  {:>6}  {}\n", to_string(term.answered), cost, term.other_rules, text);
}

}  // namespace

Result<std::string> lowered_text(const detect::RuleSet& rules, std::string_view name) {
  QUELL_TRY(const auto program, detect::compile(rules, {}));
  const auto found =
      std::find_if(rules.rules.begin(), rules.rules.end(), [&](const detect::Rule& rule) { return rule.name == name; });
  const auto groups = found == rules.rules.end()
                          ? std::vector<detect::LoweredGroup>()
                          : detect::lowered_form(*program, static_cast<detect::RuleIndex>(found - rules.rules.begin()));
  std::string out = "lowered form, by events for which it is the same; what the event type decides has fallen away:\n";
  if (groups.empty()) return out + "  no event can match it, or it is switched off\n";
  for (const detect::LoweredGroup& group : groups) {
    out += fmt::format(
        "\n  {}  ({} rules look at these; this one adds about {} instructions to an event that gets "
        "through all of it)\n",
        event_names(group.events), group.rules, group.instructions);
    if (group.terms.empty()) {
      out += "    nothing is left to ask: every such event matches\n";
      continue;
    }
    out += fmt::format("    {:<8}  {:>5}  {:>6}  {}\n", "answered", "cost", "shared", "what this rule needs");
    for (const detect::LoweredTerm& term : group.terms) out += term_line(term);
  }
  out +=
      "\n  answered: process = once for each process and kind of event, kept until the process or an ancestor changes; "
      "value = by one look at a table of values seen before;\n  event = computed for each event that gets this far.  "
      "cost: instructions of the step, estimated from the operators and constants in it, not measured\n  "
      "(`quell detect --profile` measures).  shared: other rules that the same step answers.\n";
  return out + kernel_text(detect::interest_of(rules, detect::wanted_event_codes(*program)), *found);
}

}  // namespace quell::cli
