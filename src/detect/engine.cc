#include "detect/engine.h"

#include <algorithm>
#include <bit>

#include "detect/engine_impl.h"
#include "detect/probe.h"

namespace quell::detect {
namespace {

/// The bytes that decide what a lookup of this value answers; a view of `buffer`, or of the value itself if it is text.
/// Nothing if they do not fit: such an answer is not remembered.
class Key {
 public:
  explicit Key(const Value& value) {
    if (value.kind == Value::Kind::text || value.kind == Value::Kind::bytes) {
      view_ = value.str();
      is_text_ = true;
      return;
    }
    is_whole_ = add(value);
    view_ = {buffer_, size_};
  }
  bool is_whole() const { return is_whole_; }
  bool is_text() const { return is_text_; }  // else an encoding, which could look like a text
  std::string_view view() const { return view_; }

 private:
  bool add(const Value& value) {
    if (!put(&value.kind, sizeof value.kind)) return false;
    switch (value.kind) {
      case Value::Kind::absent: return true;
      case Value::Kind::text:
      case Value::Kind::bytes: return put(&value.size, sizeof value.size) && put(value.chars, value.size);
      case Value::Kind::boolean: return put(&value.b, sizeof value.b);
      case Value::Kind::integer:
      case Value::Kind::unsigned_:
      case Value::Kind::real: return put(&value.u, sizeof value.u);
      case Value::Kind::ip:
        return put(&value.address->family, sizeof value.address->family) &&
               put(value.address->bytes.data(), value.address->bytes.size());
      case Value::Kind::list:
        for (uint32_t i = 0; i < value.size; ++i)
          if (!add(value.items[i])) return false;
        return true;
    }
    return false;
  }
  bool put(const void* from, size_t count) {
    if (count > sizeof buffer_ - size_) return false;
    std::memcpy(buffer_ + size_, from, count);
    size_ += count;
    return true;
  }

  char buffer_[Answers::kMaxValue];
  size_t size_ = 0;
  bool is_whole_ = true;
  bool is_text_ = false;
  std::string_view view_;
};

/// What fd.directory and fd.filename depend on besides fd.name; below 4.
uint32_t kind_of_path(const Extract& x) {
  const Fd* fd = x.context.fd;
  if (fd == nullptr) return 0;
  return fd->type == FdType::directory ? 1 : fd->is_file() ? 2 : 3;
}

/// Who the ancestors are, and in which version: equal as long as no field of theirs has changed.
uint64_t ancestry_of(const Thread& thread, const StateView& state) {
  constexpr int kMaxAncestors = 64;  // as many as fields look at
  uint64_t out = 1;
  const auto add = [&](const Thread* one) {
    if (one == nullptr) return;
    out = (out ^ static_cast<uint64_t>(one->tid)) * 0x9e3779b97f4a7c15;
    out = (out ^ one->version) * 0xd6e8feb86659fd93;
    out ^= out >> 32;
  };
  add(&thread.group());
  add(state.thread(thread.ptid));
  const Thread* at = state.parent(thread);
  for (int i = 0; at != nullptr && i < kMaxAncestors; ++i, at = state.parent(*at)) add(at);
  return out;
}

}  // namespace

void Engine::Impl::use(std::shared_ptr<const Program> next) {
  program = std::move(next);
  memo.resize(program->field_slots);
  answers.reset(program->widest_plan);
  size_t most_leaves = 0;
  size_t most_formulas = 0;
  for (const Subject& subject : program->subjects) most_leaves = std::max(most_leaves, subject.leaves.size());
  for (const Lookup& lookup : program->lookups) most_formulas = std::max(most_formulas, lookup.formulas.size());
  leaves = {};
  leaves.resize(most_leaves);
  formula_stamps.assign(most_formulas, 0);
  formula_epoch = 0;
  possible.assign(program->widest_plan, 0);
  answer = possible;
  matches.reserve(program->rules.size());
  in_conditions = {};
  in_outputs.clear();
  if (profile != nullptr) profile->use(*program);
}

/// Whether a formula holds for the value whose leaves were found.
bool Engine::Impl::formula_holds(NodeId id) const {
  const Node& node = program->nodes[id];
  switch (node.kind) {
    case Node::Kind::constant: return id == kAlways;
    case Node::Kind::predicate: return leaves.has(program->predicates[node.predicate].leaf);
    case Node::Kind::negation: return !leaves.has(program->predicates[node.predicate].leaf);
    case Node::Kind::all:
      for (const NodeId child : node.children)
        if (!formula_holds(child)) return false;
      return true;
    case Node::Kind::any:
      for (const NodeId child : node.children)
        if (formula_holds(child)) return true;
      return false;
  }
  return false;
}

/// Which of the subject's predicates hold; into `leaves`.
void Engine::Impl::find_leaves(const Lookup& lookup, const Value& value, const Extract& x) {
  const Program& p = *program;
  const Subject& subject = p.subjects[lookup.subject];
  const auto is_text = [](const Value& one) { return one.kind == Value::Kind::text || one.kind == Value::Kind::bytes; };
  leaves.clear();
  if (subject.kind == Subject::Kind::path) {
    for (size_t i = 0; i < subject.operands.size(); ++i)
      if (const Value part = i == 0 ? value : detect::evaluate(subject.operands[i], x, &memo); is_text(part))
        p.indexes[subject.first_index + i].match(part.str(), leaves);
  } else if (subject.kind == Subject::Kind::text && is_text(value)) {
    p.indexes[subject.first_index].match(value.str(), leaves);
  } else if (subject.kind == Subject::Kind::text && value.kind == Value::Kind::list &&
             subject.operands[0].several == Several::any_ancestor) {
    for (uint32_t i = 0; i < value.size; ++i)
      if (is_text(value.items[i])) p.indexes[subject.first_index].match(value.items[i].str(), leaves);
    for (const uint32_t leaf : lookup.leaves)
      if (p.predicates[leaf].op == Op::exists) leaves.add(p.predicates[leaf].leaf);
  } else {
    for (const uint32_t leaf : lookup.leaves)
      if (present_value_holds(p.predicates[leaf], value, nullptr)) leaves.add(p.predicates[leaf].leaf);
  }
}

// The constants that the value holds are few: only the formulas that they occur in differ from the answer for a value
// that holds none.
const Word* Engine::Impl::find_answer(const Lookup& lookup, const Value& value, const Extract& x) {
  find_leaves(lookup, value, x);
  // Of a path some parts can be absent while others are there.
  const bool is_path = program->subjects[lookup.subject].kind == Subject::Kind::path;
  const std::vector<Word>& start = is_path ? lookup.if_absent : lookup.if_none;
  std::copy(start.begin(), start.end(), answer.begin());
  if (++formula_epoch == 0) {
    std::fill(formula_stamps.begin(), formula_stamps.end(), 0);
    formula_epoch = 1;
  }
  for (const uint32_t leaf : leaves.list()) {
    for (uint32_t i = lookup.first_of_leaf[leaf]; i < lookup.first_of_leaf[leaf + 1]; ++i) {
      const uint32_t index = lookup.formulas_of_leaf[i];
      if (formula_stamps[index] == formula_epoch) continue;
      formula_stamps[index] = formula_epoch;
      const Lookup::Formula& formula = lookup.formulas[index];
      const bool fits = formula_holds(formula.node);
      for (uint32_t b = formula.first_bit; b < formula.first_bit + formula.bit_count; ++b) {
        const Position at = lookup.bits[b];
        const Word bit = Word{1} << (at % 64);
        answer[at / 64] = fits ? answer[at / 64] | bit : answer[at / 64] & ~bit;
      }
    }
  }
  return answer.data();
}

const Word* Engine::Impl::look_up(uint32_t index, const Extract& x) {
  const Lookup& lookup = program->lookups[index];
  const Subject& subject = program->subjects[lookup.subject];
  const Value value = detect::evaluate(subject.operands[0], x, &memo);
  if (value.is_absent()) return lookup.if_absent.data();
  const Key key(value);
  if (!key.is_whole()) return find_answer(lookup, value, x);
  const uint32_t variety = subject.kind == Subject::Kind::path ? kind_of_path(x) : key.is_text() ? 0 : 1;
  const uint32_t asked = index * 4 + variety;
  if (const Word* known = answers.find(asked, key.view())) return known;
  const Word* found = find_answer(lookup, value, x);
  answers.put(asked, key.view(), found, static_cast<uint32_t>(lookup.if_none.size()));
  return found;
}

bool Engine::Impl::holds(NodeId id, const Extract& x) {
  const Node& node = program->nodes[id];
  switch (node.kind) {
    case Node::Kind::constant: return id == kAlways;
    case Node::Kind::predicate:
      return detect::holds(program->predicates[node.predicate], x, &memo, program->domains.get());
    case Node::Kind::negation:
      return !detect::holds(program->predicates[node.predicate], x, &memo, program->domains.get());
    case Node::Kind::all:
      for (const NodeId child : node.children)
        if (!holds(child, x)) return false;
      return true;
    case Node::Kind::any:
      for (const NodeId child : node.children)
        if (holds(child, x)) return true;
      return false;
  }
  return false;
}

/// Whether a rule is left.
bool Engine::Impl::any_rule(const Plan& plan) const {
  Word left = 0;
  for (uint32_t i = 0; i < plan.rule_words; ++i) left |= possible[i];
  return left != 0;
}

/// Whether the step can clear the bit of a rule that is left, or of an open test of such a rule.
inline bool Engine::Impl::is_needed(const Plan& plan, const Step& step) const {
  const Word* const left = possible.data();
  const Word* const needs = step.needs.data();
  for (uint32_t i = 0; i < plan.rule_words; ++i)
    if ((left[i] & needs[i]) != 0) return true;
  Word rules = 0;
  for (uint32_t i = 0; i < plan.rule_words; ++i) rules |= left[i] & step.mixed_rules[i];
  if (rules == 0) return false;
  Word tests = 0;
  for (uint32_t i = plan.rule_words; i < plan.words; ++i) tests |= left[i] & needs[i];
  return tests != 0;
}

/// Clears the bits that fail the step. False if no rule is left.
template <typename Probe>
inline bool Engine::Impl::take(const Plan& plan, const Step& step, const Extract& x, Probe& probe) {
  if (!is_needed(plan, step)) return true;
  probe.begin(possible, step.needs);
  Word* const left = possible.data();
  const auto clear = [&](auto&& kept) {
    Word rules = 0;
    for (uint32_t i = 0; i < plan.rule_words; ++i) rules |= left[i] &= kept(i);
    for (uint32_t i = plan.rule_words; i < plan.words; ++i) left[i] &= kept(i);
    return rules != 0;
  };
  bool is_any_left = true;
  if (step.kind == Step::Kind::lookup) {
    const Word* const answered = look_up(step.lookup, x);
    is_any_left = clear([answered](uint32_t i) { return answered[i]; });
  } else if (!holds(step.node, x)) {
    const Word* const needs = step.needs.data();
    is_any_left = clear([needs](uint32_t i) { return ~needs[i]; });
  }
  probe.end();
  return is_any_left;
}

/// Makes the mixed tests from `first` to before `last` that are still open and needed.
template <typename Probe>
void Engine::Impl::take_mixed(const Plan& plan, size_t first, size_t last, const Extract& x, Probe& probe) {
  for (size_t word = first / 64; word * 64 < last; ++word) {
    Word open = possible[plan.rule_words + word];
    if (word == first / 64) open &= ~Word{0} << (first % 64);
    for (; open != 0; open &= open - 1) {
      const size_t index = word * 64 + static_cast<size_t>(std::countr_zero(open));
      if (index >= last) return;
      const MixedTest& test = plan.mixed[index];
      Word asking = 0;
      for (uint32_t i = 0; i < plan.rule_words; ++i) asking |= possible[i] & test.rules[i];
      if (asking == 0) continue;
      probe.begin(possible, test.rules);
      if (test.is_settled || !holds(test.node, x)) {
        for (uint32_t i = 0; i < plan.rule_words; ++i) possible[i] &= ~test.rules[i];
      }
      probe.end();
    }
  }
}

/// What the process alone decides.
template <typename Probe>
void Engine::Impl::decide_process(const Plan& plan, const Extract& x, Probe& probe) {
  std::copy(plan.everything.begin(), plan.everything.end(), possible.begin());
  for (const Step& step : plan.process_steps)
    if (!take(plan, step, x, probe)) return;
  take_mixed(plan, 0, plan.process_mixed, x, probe);
}

/// What is remembered with the process; nothing of it is known if the process or an ancestor has changed.
PredicateCache& Engine::Impl::remembered(const Thread& thread, const StateView& state) const {
  PredicateCache& cache = thread.predicates;
  const uint32_t lineage = state.lineage_epoch();
  const bool is_same = cache.program == program->id && cache.version == thread.version;
  if (is_same && cache.lineage == lineage) return cache;
  // The epoch tells that somebody's ancestors have changed, mostly those of others.
  const uint64_t ancestry = ancestry_of(thread, state);
  cache.lineage = lineage;
  if (is_same && cache.ancestry == ancestry) return cache;
  cache.program = program->id;
  cache.version = thread.version;
  cache.ancestry = ancestry;
  cache.known.assign((program->plans.size() + 63) / 64, 0);
  cache.value.resize(program->remembered_words);
  return cache;
}

template <typename Probe>
void Engine::Impl::recall_process(const Plan& plan, const Extract& x, Probe& probe) {
  if (x.thread() == nullptr) return decide_process(plan, x, probe);
  PredicateCache& cache = remembered(*x.thread(), *x.context.state);
  const auto at = static_cast<size_t>(&plan - program->plans.data());
  Word& known = cache.known[at / 64];
  const Word bit = Word{1} << (at % 64);
  Word* kept = cache.value.data() + plan.remembered_at;
  if ((known & bit) != 0) {
    std::copy_n(kept, plan.words, possible.begin());
    return;
  }
  decide_process(plan, x, probe);
  std::copy_n(possible.begin(), plan.words, kept);
  known |= bit;
}

/// Leaves the rules that match in `possible`. False if there are none.
template <typename Probe>
bool Engine::Impl::run(const Plan& plan, const EventContext& context, Probe& probe) {
  arena.reset();
  memo.next_event();
  const Extract x{context, arena, &in_conditions};
  recall_process(plan, x, probe);
  if (!any_rule(plan)) return false;
  probe.process_decided(possible);
  for (const Step& step : plan.event_steps)
    if (!take(plan, step, x, probe)) return false;
  take_mixed(plan, plan.process_mixed, plan.mixed.size(), x, probe);
  return any_rule(plan);
}

Engine::Engine(std::shared_ptr<const Program> program) : impl_(std::make_unique<Impl>()) {
  impl_->use(std::move(program));
}
Engine::~Engine() = default;
void Engine::swap(std::shared_ptr<const Program> program) { impl_->use(std::move(program)); }

void Engine::profile_into(RuleProfile* profile) {
  impl_->profile = profile;
  if (profile != nullptr) profile->use(*impl_->program);
}

bool Engine::looks_at(EventCode code) const { return impl_->program->plan(code) != nullptr; }

std::span<const RuleIndex> Engine::evaluate(const EventContext& context) {
  Impl& self = *impl_;
  const Plan* plan = self.program->plan(context.event->code());
  if (plan == nullptr) return {};
  bool any_left = false;
  if (self.profile != nullptr && self.profile->next_is_sampled()) {
    ProfilingProbe probe(*self.profile, *plan);
    any_left = self.run(*plan, context, probe);
  } else {
    SilentProbe probe;
    any_left = self.run(*plan, context, probe);
  }
  if (!any_left) return {};
  self.matches.clear();
  for (uint32_t i = 0; i < plan->rule_words; ++i) {
    for (Word word = self.possible[i]; word != 0; word &= word - 1) {
      self.matches.push_back(plan->rules[i * 64 + static_cast<size_t>(std::countr_zero(word))]);
      if (self.profile != nullptr) self.profile->matched(self.matches.back());
      if (!self.program->match_all) return self.matches;
    }
  }
  return self.matches;
}

}  // namespace quell::detect
