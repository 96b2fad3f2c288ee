#include "detect/lowered.h"

#include <algorithm>
#include <bit>
#include <set>

#include "detect/program.h"

namespace quell::detect {
namespace {

constexpr uint32_t kInstructionsPerCost = 16;

bool has_bit(const std::vector<Word>& words, Position at) { return (words[at / 64] >> (at % 64) & 1) != 0; }

size_t count_rules(const Plan& plan, const std::vector<Word>& words) {
  size_t count = 0;
  for (uint32_t i = 0; i < plan.rule_words; ++i) count += static_cast<size_t>(std::popcount(words[i]));
  return count;
}

/// What one bit needs of a step's subject; empty if nothing.
std::string need_of(const Program& program, const Step& step, Position bit) {
  if (!has_bit(step.needs, bit)) return {};
  if (step.kind == Step::Kind::test) return text_of(program.nodes, program.predicates, step.node);
  const Lookup& lookup = program.lookups[step.lookup];
  for (const Lookup::Formula& formula : lookup.formulas)
    for (uint32_t i = 0; i < formula.bit_count; ++i)
      if (lookup.bits[formula.first_bit + i] == bit) return text_of(program.nodes, program.predicates, formula.node);
  return {};
}

class Describer {
 public:
  Describer(const Program& program, const Plan& plan, Position bit) : program_(program), plan_(plan), bit_(bit) {}

  LoweredGroup describe() {
    group_.rules = plan_.rules.size();
    for (const Step& step : plan_.process_steps) add(step, Answered::with_process);
    add_mixed(0, plan_.process_mixed, Answered::with_process);
    for (const Step& step : plan_.event_steps)
      add(step, step.kind == Step::Kind::lookup ? Answered::by_value : Answered::by_event);
    add_mixed(plan_.process_mixed, plan_.mixed.size(), Answered::by_event);
    return std::move(group_);
  }

 private:
  void add(const Step& step, Answered answered) {
    if (std::string need = need_of(program_, step, bit_); !need.empty())
      add({std::move(need), answered, count_rules(plan_, step.needs) - 1, step.cost * kInstructionsPerCost});
  }
  void add_mixed(size_t first, size_t last, Answered answered) {
    for (size_t i = first; i < last; ++i) {
      const MixedTest& test = plan_.mixed[i];
      if (has_bit(test.rules, bit_))
        add({text_of(program_.nodes, program_.predicates, test.node), answered, count_rules(plan_, test.rules) - 1,
             program_.nodes[test.node].cost * kInstructionsPerCost});
    }
  }
  void add(LoweredTerm term) {
    if (term.answered == Answered::with_process) term.instructions = 0;
    group_.instructions += term.instructions / static_cast<uint32_t>(term.other_rules + 1);
    group_.terms.push_back(std::move(term));
  }

  const Program& program_;
  const Plan& plan_;
  const Position bit_;
  LoweredGroup group_;
};

}  // namespace

std::string_view to_string(Answered answered) {
  switch (answered) {
    case Answered::with_process: return "process";
    case Answered::by_value: return "value";
    case Answered::by_event: return "event";
  }
  return "";
}

std::vector<LoweredGroup> lowered_form(const Program& program, RuleIndex rule) {
  std::vector<LoweredGroup> out;
  for (size_t i = 0; i < program.plans.size(); ++i) {
    const Plan& plan = program.plans[i];
    const auto at = std::lower_bound(plan.rules.begin(), plan.rules.end(), rule);
    if (at == plan.rules.end() || *at != rule) continue;
    LoweredGroup group = Describer(program, plan, static_cast<Position>(at - plan.rules.begin())).describe();
    std::set<std::string> names;
    for (uint16_t code = 0; code < kEventCodeCount; ++code)
      if (program.plan_of[code] == i) names.insert(std::string(event_spec(static_cast<EventCode>(code)).name));
    group.events.assign(names.begin(), names.end());
    out.push_back(std::move(group));
  }
  return out;
}

}  // namespace quell::detect
