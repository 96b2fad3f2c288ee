#pragma once
// The conditions of all rules as one graph: equal sub-expressions are one node, negations stand at the leaves only, and
// every node knows which subject (the operand whose value it asks about) decides it.
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "detect/ast.h"
#include "detect/predicate.h"

namespace quell::detect {

using NodeId = uint32_t;
inline constexpr NodeId kNever = 0;   // constant false
inline constexpr NodeId kAlways = 1;  // constant true

using SubjectId = uint32_t;
inline constexpr SubjectId kMixed = UINT32_MAX;  // of nodes about more than one subject

/// What predicates ask about: an operand, such as proc.name or basename(proc.exepath). Those with a field on their
/// right and those whose answer can change by itself have a subject of their own.
struct Subject {
  enum class Kind : uint8_t {
    text,    // a text, or the texts of all ancestors: all constants are looked for in one pass
    path,    // fd.name and its parts, which follow from it and the kind of the descriptor
    value,   // any other value: the answers depend on it alone
    opaque,  // the answer needs more than the value
  };
  Kind kind = Kind::value;
  Scope scope = Scope::event;
  std::vector<CompiledOperand> operands;  // one, for opaque ones none; of a path: fd.name first
  uint32_t first_index = 0;               // texts, paths: in Program::indexes, one for each operand
  std::vector<uint32_t> leaves;           // its predicates; Predicate::leaf is the position in here
};

struct Node {
  enum class Kind : uint8_t { constant, predicate, negation, all, any };
  Kind kind = Kind::constant;
  Scope scope = Scope::process;
  bool asks_code = false;  // some event codes decide a part of it
  uint16_t cost = 0;       // rough instructions / 16
  uint32_t predicate = 0;
  SubjectId subject = kMixed;
  std::vector<NodeId> children;  // negation: one, a predicate; all, any: two or more, cheapest first
};

class Graph {
 public:
  explicit Graph(bool fd_net_in_first_only);

  /// The node of a condition whose macros are resolved. Errors: invalid_rules.
  Result<NodeId> lower(const Expr& expr);
  NodeId negation(NodeId id);
  NodeId all(std::vector<NodeId> parts) { return combine(Node::Kind::all, std::move(parts)); }
  NodeId any(std::vector<NodeId> parts) { return combine(Node::Kind::any, std::move(parts)); }
  /// What must hold about `subject` alone for the node to hold; kAlways if nothing.
  NodeId implied(NodeId id, SubjectId subject);
  std::set<SubjectId> subjects_of(NodeId id) const;
  const Node& operator[](NodeId id) const { return nodes[id]; }

  // What a program keeps.
  std::vector<Node> nodes;
  std::vector<Predicate> predicates;
  std::vector<Subject> subjects;
  uint32_t field_slots = 0;

 private:
  void collect_subjects(NodeId id, std::set<SubjectId>& out) const;
  Result<NodeId> lower_check(const Check& check);
  Result<NodeId> predicate(const Check& check);
  void assign_subject(Predicate& p);
  static Subject make_subject(const Predicate& p, bool is_opaque);
  void assign_slots(CompiledOperand& operand);
  NodeId combine(Node::Kind kind, std::vector<NodeId> parts);
  NodeId add(Node node);

  const bool fd_net_in_first_only_;
  std::unordered_map<std::string, NodeId> predicate_nodes_;  // by canonical text
  std::unordered_map<std::string, SubjectId> subject_ids_;
  std::unordered_map<std::string, uint32_t> slots_;
  std::map<std::pair<Node::Kind, std::vector<NodeId>>, NodeId> combined_;
  std::vector<NodeId> negations_;  // by node; kNever where not made yet
};

/// A node as a condition would be written.
std::string text_of(const std::vector<Node>& nodes, const std::vector<Predicate>& predicates, NodeId id);

}  // namespace quell::detect
