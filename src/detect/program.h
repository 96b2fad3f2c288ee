#pragma once
// All rules lowered into one program.
//
// Conditions become a graph in which equal sub-expressions are one node. For each event code the graph is specialised:
// what that code decides (evt.type, descriptor fields of events without one, parameters that it does not carry) becomes
// a constant and falls away. What remains of each rule is a conjunction; the conjunctions of a code's rules are merged
// into a decision tree by their common terms, so a test shared by twenty rules is made once and, when false, skips all
// twenty.
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "detect/engine.h"
#include "detect/output.h"
#include "detect/predicate.h"

namespace quell::detect {

using NodeId = uint32_t;
inline constexpr NodeId kNever = 0;   // constant false
inline constexpr NodeId kAlways = 1;  // constant true

struct Node {
  enum class Kind : uint8_t { constant, predicate, all, any, negation };
  Kind kind = Kind::constant;
  uint32_t predicate = 0;
  std::vector<NodeId> children;
  Scope scope = Scope::process;
  uint16_t cost = 0;
  int32_t cache_bit = -1;  // position in PredicateCache for nodes that depend on the process alone
};

/// One step of a decision tree, in preorder: a test whose failure skips its subtree, or a rule that has matched.
struct Step {
  NodeId node;     // the test; kAlways for a match
  uint32_t skip;   // where to go on when the test fails
  RuleIndex rule;  // match: the rule; test: the least rule in the subtree (nothing better is inside)
  bool is_match;
};

class Program {
 public:
  uint64_t id = 0;  // unique per compilation in this process: marks what PredicateCache holds
  std::vector<Node> nodes;
  std::vector<Predicate> predicates;
  uint32_t field_slots = 0;
  std::array<std::vector<Step>, kEventCodeCount> trees;
  std::vector<bool> wanted = std::vector<bool>(kEventCodeCount, false);
  uint32_t cache_bits = 0;
  std::vector<uint64_t> process_bits;  // mask of the cache bits that do not depend on the lineage
  bool match_all = true;
  size_t enabled_rules = 0;
  std::shared_ptr<DomainTable> domains;

  // By RuleIndex.
  struct RuleOutput {
    std::string name;
    Priority priority;
    std::string source;
    std::vector<std::string> tags;
    OutputTemplate output;
    std::vector<CompiledOperand> fold_by;  // whose values make two detections the same; empty: not told
  };
  std::vector<RuleOutput> rules;
};

}  // namespace quell::detect
