#pragma once
// What an engine keeps from event to event.
#include <unordered_map>

#include "detect/answers.h"
#include "detect/fields/memory.h"
#include "detect/program.h"
#include "detect/rule_profile.h"

namespace quell::detect {

struct Engine::Impl {
  std::shared_ptr<const Program> program;
  RuleProfile* profile = nullptr;
  Arena arena;
  FieldMemory in_conditions;
  std::unordered_map<RuleIndex, FieldMemory> in_outputs;
  FieldMemo memo;
  Answers answers;
  LeafSet leaves;
  std::vector<uint32_t> formula_stamps;
  uint32_t formula_epoch = 0;
  std::vector<Word> possible;  // the event's bits that nothing has cleared yet
  std::vector<Word> answer;    // of the lookup in progress, when it is not remembered
  std::vector<RuleIndex> matches;

  void use(std::shared_ptr<const Program> next);

  template <typename Probe>
  bool run(const Plan& plan, const EventContext& context, Probe& probe);
  template <typename Probe>
  void recall_process(const Plan& plan, const Extract& x, Probe& probe);
  template <typename Probe>
  void decide_process(const Plan& plan, const Extract& x, Probe& probe);
  template <typename Probe>
  bool take(const Plan& plan, const Step& step, const Extract& x, Probe& probe);
  template <typename Probe>
  void take_mixed(const Plan& plan, size_t first, size_t last, const Extract& x, Probe& probe);
  bool any_rule(const Plan& plan) const;
  bool is_needed(const Plan& plan, const Step& step) const;
  PredicateCache& remembered(const Thread& thread, const StateView& state) const;
  const Word* look_up(uint32_t index, const Extract& x);
  const Word* find_answer(const Lookup& lookup, const Value& value, const Extract& x);
  void find_leaves(const Lookup& lookup, const Value& value, const Extract& x);
  bool formula_holds(NodeId id) const;
  bool holds(NodeId id, const Extract& x);
};

}  // namespace quell::detect
