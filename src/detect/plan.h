#pragma once
// What an event of some code has to go through: the rules that can match it as a set of bits, and steps that clear the
// bits of those that do not. A step asks one thing for all rules that need it.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "detect/engine.h"
#include "detect/graph.h"

namespace quell::detect {

/// The bits of a plan: one for each rule that is still possible, and from a word boundary on one for each of its mixed
/// tests (terms about several subjects) that no single subject has satisfied yet.
using Word = uint64_t;
using Position = uint32_t;

/// All that one plan asks about one subject, answered by its value at once: which bits its value clears. The answers
/// are remembered by value (see Answers); a new value is looked for among all constants in one pass.
struct Lookup {
  SubjectId subject = 0;
  // A formula is what some bits need of the subject. Which predicates occur in which formulas, and which bits need
  // which formula, stand as runs in one array each.
  struct Formula {
    NodeId node;
    uint32_t first_bit, bit_count;
  };
  std::vector<Formula> formulas;
  std::vector<Position> bits;
  std::vector<uint32_t> first_of_leaf;  // by Predicate::leaf, and one more: start of its run in formulas_of_leaf
  std::vector<uint32_t> formulas_of_leaf;
  std::vector<uint32_t> leaves;  // predicates that occur in a formula
  std::vector<Word> if_absent;   // the answer when the value is absent; of a path: for no predicate holding
  std::vector<Word> if_none;     // when it is there and no constant is found in it
};

/// Something asked about one subject, for all bits that need it.
struct Step {
  enum class Kind : uint8_t { test, lookup };
  Kind kind = Kind::test;
  Scope scope = Scope::event;
  uint16_t cost = 0;              // as Node::cost
  float effort = 0;               // cost for each rule that it usually strikes out: steps go by it
  NodeId node = kAlways;          // test
  uint32_t lookup = 0;            // lookup: index in Program::lookups
  std::vector<Word> needs;        // the bits that it can clear
  std::vector<Word> mixed_rules;  // of whose mixed tests those bits are; rule words alone
};

/// A term about several subjects, made after all steps if its bit is still there.
struct MixedTest {
  NodeId node = kAlways;
  Scope scope = Scope::event;
  bool is_settled = false;  // one of its subjects alone would have to satisfy it: what is open after the steps fails
  std::vector<Word> rules;  // that need it; rule words alone
};

struct Plan {
  std::vector<RuleIndex> rules;  // ascending; a rule's position here is its bit
  uint32_t rule_words = 0;
  uint32_t words = 0;  // of rules and mixed tests
  std::vector<Word> everything;
  std::vector<Step> process_steps;  // what they and the process' mixed tests leave is remembered with the process
  std::vector<Step> event_steps;    // least effort first
  std::vector<MixedTest> mixed;     // cheapest first; those that the process decides before the others
  uint32_t process_mixed = 0;       // how many those are
  uint32_t remembered_at = 0;       // first word of what is remembered, in PredicateCache::value
};

/// The specialised condition of a rule, for the codes that a plan is for.
struct PlannedRule {
  RuleIndex rule;
  NodeId root;
  bool operator==(const PlannedRule&) const = default;
  auto operator<=>(const PlannedRule&) const = default;
};

/// Makes the plan of rules that are in ascending order and not kNever; adds its lookups to `lookups`.
Plan make_plan(const std::vector<PlannedRule>& rules, Graph& graph, std::vector<Lookup>& lookups);

}  // namespace quell::detect
