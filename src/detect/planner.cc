#include <algorithm>
#include <bit>
#include <map>

#include "base/assert.h"
#include "detect/plan.h"
#include "detect/text_index.h"

namespace quell::detect {
namespace {

// Rough instructions / 16 of a remembered answer: a hash of the value and one comparison with it.
constexpr uint32_t kLookupCost = 6;

using Positions = std::vector<Position>;

void set_bits(std::vector<Word>& words, const Positions& positions) {
  for (const Position at : positions) words[at / 64] |= Word{1} << (at % 64);
}

void collect_leaves(const Graph& graph, NodeId id, std::vector<uint32_t>& out) {
  const Node& node = graph[id];
  if (node.kind == Node::Kind::predicate || node.kind == Node::Kind::negation)
    out.push_back(node.predicate);
  else
    for (const NodeId child : node.children) collect_leaves(graph, child, out);
}

/// Whether a formula of one subject holds when just the predicates in `truth` do.
bool formula_holds(const Graph& graph, NodeId id, const LeafSet& truth) {
  const Node& node = graph[id];
  switch (node.kind) {
    case Node::Kind::constant: return id == kAlways;
    case Node::Kind::predicate: return truth.has(graph.predicates[node.predicate].leaf);
    case Node::Kind::negation: return !truth.has(graph.predicates[node.predicate].leaf);
    case Node::Kind::all:
      return std::all_of(node.children.begin(), node.children.end(),
                         [&](NodeId child) { return formula_holds(graph, child, truth); });
    case Node::Kind::any:
      return std::any_of(node.children.begin(), node.children.end(),
                         [&](NodeId child) { return formula_holds(graph, child, truth); });
  }
  return false;
}

class Planner {
 public:
  Planner(const std::vector<PlannedRule>& rules, Graph& graph, std::vector<Lookup>& lookups)
      : rules_(rules), graph_(graph), lookups_(lookups) {}

  Plan make() {
    plan_.rule_words = static_cast<uint32_t>((rules_.size() + 63) / 64);
    for (Position at = 0; at < rules_.size(); ++at) {
      plan_.rules.push_back(rules_[at].rule);
      take_apart(at);
    }
    plan_.words = plan_.rule_words + static_cast<uint32_t>((mixed_.size() + 63) / 64);
    add_mixed_tests();
    plan_.everything.assign(plan_.words, 0);
    for (Position at = 0; at < rules_.size(); ++at) set_bits(plan_.everything, {at});
    for (Position at = 0; at < mixed_.size(); ++at) set_bits(plan_.everything, {bit_of_mixed(at)});

    for (const auto& [subject, formulas] : by_subject_) ask_about(subject, formulas);
    for (std::vector<Step>* steps : {&plan_.process_steps, &plan_.event_steps})
      std::stable_sort(steps->begin(), steps->end(), [](const Step& a, const Step& b) { return a.effort < b.effort; });
    return std::move(plan_);
  }

 private:
  using Formulas = std::map<NodeId, Positions>;  // what is asked, and by which bits

  Position bit_of_mixed(size_t index) const { return plan_.rule_words * 64 + static_cast<Position>(index); }

  // What each subject alone can say against the rule; and the conjuncts that one subject alone cannot decide.
  void take_apart(Position at) {
    const NodeId root = rules_[at].root;
    for (const SubjectId subject : graph_.subjects_of(root))
      if (const NodeId formula = graph_.implied(root, subject); formula != kAlways)
        by_subject_[subject][formula].push_back(at);
    const Node& node = graph_[root];
    if (node.kind == Node::Kind::all) {
      for (const NodeId conjunct : node.children)
        if (graph_[conjunct].subject == kMixed) mixed_[conjunct].push_back(at);
    } else if (root != kAlways && node.subject == kMixed) {
      mixed_[root].push_back(at);
    }
  }

  // A mixed test is open until one of its subjects satisfies it: as long as its negation is possible for each of them.
  void add_mixed_tests() {
    std::vector<NodeId> order;
    for (const auto& [node, positions] : mixed_) order.push_back(node);
    std::stable_sort(order.begin(), order.end(), [&](NodeId a, NodeId b) {
      const bool a_later = graph_[a].scope == Scope::event;
      const bool b_later = graph_[b].scope == Scope::event;
      return a_later != b_later ? b_later : graph_[a].cost < graph_[b].cost;
    });
    for (size_t i = 0; i < order.size(); ++i) {
      MixedTest test{order[i], graph_[order[i]].scope, is_settled_by_subjects(order[i]),
                     std::vector<Word>(plan_.rule_words, 0)};
      set_bits(test.rules, mixed_[order[i]]);
      if (test.scope != Scope::event) ++plan_.process_mixed;
      plan_.mixed.push_back(std::move(test));
      const NodeId opposite = graph_.negation(order[i]);
      for (const SubjectId subject : graph_.subjects_of(opposite))
        if (const NodeId formula = graph_.implied(opposite, subject); formula != kAlways)
          if (graph_.subjects[subject].kind != Subject::Kind::opaque)
            by_subject_[subject][formula].push_back(bit_of_mixed(i));
    }
  }

  /// a or b or c, each about one subject that has a step of its own.
  bool is_settled_by_subjects(NodeId id) const {
    const Node& node = graph_[id];
    return node.kind == Node::Kind::any && std::all_of(node.children.begin(), node.children.end(), [&](NodeId child) {
             const SubjectId subject = graph_[child].subject;
             return subject != kMixed && graph_.subjects[subject].kind != Subject::Kind::opaque;
           });
  }

  void ask_about(SubjectId id, const Formulas& formulas) {
    std::vector<uint32_t> leaves;
    for (const auto& [node, positions] : formulas) collect_leaves(graph_, node, leaves);
    std::sort(leaves.begin(), leaves.end());
    leaves.erase(std::unique(leaves.begin(), leaves.end()), leaves.end());
    uint32_t cost = 0;
    for (const uint32_t leaf : leaves) cost += graph_.predicates[leaf].cost;
    if (graph_.subjects[id].kind == Subject::Kind::opaque || cost <= kLookupCost) {
      for (const auto& [node, positions] : formulas) test(node, positions);
      return;
    }
    Step step;
    step.kind = Step::Kind::lookup;
    step.scope = graph_.subjects[id].scope;
    step.cost = static_cast<uint16_t>(kLookupCost + extraction_cost(graph_.subjects[id].operands[0]));
    step.lookup = static_cast<uint32_t>(lookups_.size());
    step.needs.assign(plan_.words, 0);
    for (const auto& [node, positions] : formulas) set_bits(step.needs, positions);
    lookups_.push_back(make_lookup(id, formulas, std::move(leaves), step.needs));
    // Most values hold none of the constants.
    const std::vector<Word>& usual = lookups_.back().if_none;
    double strikes = 0;
    for (uint32_t word = 0; word < plan_.rule_words; ++word) strikes += std::popcount(step.needs[word] & ~usual[word]);
    step.effort = effort(step.cost, strikes);
    add(std::move(step));
  }

  static uint32_t extraction_cost(const CompiledOperand& operand) {
    if (operand.kind != CompiledOperand::Kind::field) return 20;
    const std::string_view name = operand.field.spec->name;
    return name.starts_with("evt.arg") || name.starts_with("evt.info") || name.starts_with("fs.path") ? 25 : 4;
  }
  static float effort(uint32_t cost, double strikes) { return static_cast<float>(cost / (strikes + 0.1)); }

  Lookup make_lookup(SubjectId id, const Formulas& formulas, std::vector<uint32_t> leaves,
                     const std::vector<Word>& needs) {
    const Subject& subject = graph_.subjects[id];
    Lookup out;
    out.subject = id;
    std::vector<std::vector<uint32_t>> of_leaf(subject.leaves.size());
    LeafSet none;
    none.resize(subject.leaves.size());
    LeafSet there = none;
    for (const uint32_t leaf : leaves)
      if (graph_.predicates[leaf].op == Op::exists) there.add(graph_.predicates[leaf].leaf);
    out.if_absent = plan_.everything;
    for (uint32_t word = 0; word < plan_.words; ++word) out.if_absent[word] &= ~needs[word];
    out.if_none = out.if_absent;
    for (const auto& [node, positions] : formulas) {
      const auto index = static_cast<uint32_t>(out.formulas.size());
      out.formulas.push_back({node, static_cast<uint32_t>(out.bits.size()), static_cast<uint32_t>(positions.size())});
      out.bits.insert(out.bits.end(), positions.begin(), positions.end());
      if (formula_holds(graph_, node, none)) set_bits(out.if_absent, positions);
      if (formula_holds(graph_, node, there)) set_bits(out.if_none, positions);
      std::vector<uint32_t> own;
      collect_leaves(graph_, node, own);
      std::sort(own.begin(), own.end());
      own.erase(std::unique(own.begin(), own.end()), own.end());
      for (const uint32_t leaf : own) of_leaf[graph_.predicates[leaf].leaf].push_back(index);
    }
    for (const std::vector<uint32_t>& indexes : of_leaf) {
      out.first_of_leaf.push_back(static_cast<uint32_t>(out.formulas_of_leaf.size()));
      out.formulas_of_leaf.insert(out.formulas_of_leaf.end(), indexes.begin(), indexes.end());
    }
    out.first_of_leaf.push_back(static_cast<uint32_t>(out.formulas_of_leaf.size()));
    out.leaves = std::move(leaves);
    return out;
  }

  void test(NodeId node, const Positions& positions) {
    Step step;
    step.scope = graph_[node].scope;
    step.cost = graph_[node].cost;
    step.node = node;
    step.needs.assign(plan_.words, 0);
    set_bits(step.needs, positions);
    // How often it fails is not known; the constants of lookups are rarer than flags and kinds of descriptors.
    step.effort = effort(step.cost, static_cast<double>(positions.size()) * 0.125);
    add(std::move(step));
  }

  void add(Step step) {
    step.mixed_rules.assign(plan_.rule_words, 0);
    for (size_t i = 0; i < plan_.mixed.size(); ++i) {
      const Position bit = bit_of_mixed(i);
      if ((step.needs[bit / 64] >> (bit % 64) & 1) == 0) continue;
      for (uint32_t word = 0; word < plan_.rule_words; ++word) step.mixed_rules[word] |= plan_.mixed[i].rules[word];
    }
    (step.scope == Scope::event ? plan_.event_steps : plan_.process_steps).push_back(std::move(step));
  }

  const std::vector<PlannedRule>& rules_;
  Graph& graph_;
  std::vector<Lookup>& lookups_;
  Plan plan_;
  std::map<SubjectId, Formulas> by_subject_;
  std::map<NodeId, Positions> mixed_;
};

}  // namespace

Plan make_plan(const std::vector<PlannedRule>& rules, Graph& graph, std::vector<Lookup>& lookups) {
  return Planner(rules, graph, lookups).make();
}

}  // namespace quell::detect
