#include "detect/graph.h"

#include <algorithm>

#include "detect/code_facts.h"

namespace quell::detect {

Graph::Graph(bool fd_net_in_first_only) : fd_net_in_first_only_(fd_net_in_first_only) {
  nodes.resize(2);
  negations_ = {kAlways, kNever};
}

Result<NodeId> Graph::lower(const Expr& expr) {
  switch (expr.kind) {
    case Expr::Kind::check: return lower_check(expr.check);
    case Expr::Kind::macro: return Error{Code::invalid_rules, "macro '" + expr.macro + "' is not resolved", {}};
    case Expr::Kind::negation: {
      QUELL_TRY(const NodeId child, lower(*expr.children[0]));
      return negation(child);
    }
    case Expr::Kind::all:
    case Expr::Kind::any: {
      std::vector<NodeId> parts;
      for (const ExprPtr& child : expr.children) {
        QUELL_TRY(const NodeId part, lower(*child));
        parts.push_back(part);
      }
      return combine(expr.kind == Expr::Kind::all ? Node::Kind::all : Node::Kind::any, std::move(parts));
    }
  }
  return kNever;
}

Result<NodeId> Graph::lower_check(const Check& check) {
  QUELL_TRY(const NodeId whole, predicate(check));
  const Predicate& p = predicates[nodes[whole].predicate];
  // An inequality holds for almost every text, and what is looked up by text should hold for few: it is there, and it
  // is not equal.
  if (p.op != Op::ne || p.right || p.modifier != Modifier::none || p.left.several != Several::no ||
      (subjects[p.subject].kind != Subject::Kind::text && subjects[p.subject].kind != Subject::Kind::path))
    return whole;
  Check part = check;
  part.op = Op::exists;
  part.values.clear();
  QUELL_TRY(const NodeId exists, predicate(part));
  part = check;
  part.op = Op::eq;
  QUELL_TRY(const NodeId equal, predicate(part));
  return all({exists, negation(equal)});
}

Result<NodeId> Graph::predicate(const Check& check) {
  PredicateCompilation compiled = compile_predicate(check, fd_net_in_first_only_);
  if (!compiled.predicate)
    return Error{
        Code::invalid_rules, compiled.findings.empty() ? "condition not understood" : compiled.findings[0].message, {}};
  Predicate& p = *compiled.predicate;
  if (const auto found = predicate_nodes_.find(p.text); found != predicate_nodes_.end()) return found->second;
  assign_slots(p.left);
  if (p.right) assign_slots(*p.right);
  Node node;
  node.kind = Node::Kind::predicate;
  node.scope = p.scope;
  node.asks_code = asks_code(p);
  node.cost = p.cost;
  node.predicate = static_cast<uint32_t>(predicates.size());
  assign_subject(p);
  node.subject = p.subject;
  predicate_nodes_.emplace(p.text, static_cast<NodeId>(nodes.size()));
  predicates.push_back(std::move(p));
  return add(std::move(node));
}

namespace {

/// fd.name, fd.directory, fd.filename, basename(fd.name).
bool is_path_part(const CompiledOperand& operand) {
  if (operand.kind == CompiledOperand::Kind::transformer)
    return operand.transformer == Transformer::basename && operand.args[0].text == "fd.name";
  return operand.text == "fd.name" || operand.text == "fd.directory" || operand.text == "fd.filename";
}

}  // namespace

Subject Graph::make_subject(const Predicate& p, bool is_opaque) {
  Subject subject;
  subject.scope = p.scope;
  if (is_opaque) {
    subject.kind = Subject::Kind::opaque;
    return subject;
  }
  if (is_path_part(p.left)) {
    subject.kind = Subject::Kind::path;
    Operand name;
    name.name = "fd.name";
    subject.operands.push_back(*compile_operand(name).operand);
    return subject;
  }
  subject.operands.push_back(p.left);
  const bool is_one = p.left.several == Several::no && !p.left.is_list;
  // The same parameter is a text in one event and a number in another.
  const bool is_raw = p.left.kind == CompiledOperand::Kind::field && p.left.field.spec->name == "evt.rawarg";
  if (!is_raw && (is_text(p.left.type) || p.left.type == Type::bytes) &&
      (is_one || p.left.several == Several::any_ancestor))
    subject.kind = Subject::Kind::text;
  return subject;
}

void Graph::assign_subject(Predicate& p) {
  const bool is_opaque = p.right.has_value() || p.is_domain;
  const std::string& key = is_opaque ? p.text : is_path_part(p.left) ? std::string("fd.name") : p.left.text;
  const auto [found, is_new] = subject_ids_.try_emplace(key, static_cast<SubjectId>(subjects.size()));
  p.subject = found->second;
  if (is_new) {
    subjects.push_back(make_subject(p, is_opaque));
    for (CompiledOperand& operand : subjects.back().operands) assign_slots(operand);
  }
  Subject& subject = subjects[p.subject];
  if (subject.kind == Subject::Kind::path) {
    const auto same = [&](const CompiledOperand& operand) { return operand.text == p.left.text; };
    auto at = std::find_if(subject.operands.begin(), subject.operands.end(), same);
    if (at == subject.operands.end()) at = subject.operands.insert(at, p.left);
    p.operand = static_cast<uint32_t>(at - subject.operands.begin());
  }
  p.leaf = static_cast<uint32_t>(subject.leaves.size());
  subject.leaves.push_back(static_cast<uint32_t>(predicates.size()));
}

void Graph::assign_slots(CompiledOperand& operand) {
  if (operand.kind == CompiledOperand::Kind::field)
    operand.slot = slots_.try_emplace(operand.text, static_cast<uint32_t>(slots_.size())).first->second;
  for (CompiledOperand& arg : operand.args) assign_slots(arg);
  field_slots = static_cast<uint32_t>(slots_.size());
}

NodeId Graph::negation(NodeId id) {
  if (id <= kAlways) return negations_[id];
  if (negations_[id] != kNever) return negations_[id];
  NodeId out = kNever;
  const Node inner = nodes[id];  // a copy: the graph grows below
  if (inner.kind == Node::Kind::predicate) {
    Node node = inner;
    node.kind = Node::Kind::negation;
    node.children = {id};
    out = add(std::move(node));
  } else {
    std::vector<NodeId> parts;
    for (const NodeId child : inner.children) parts.push_back(negation(child));
    out = combine(inner.kind == Node::Kind::all ? Node::Kind::any : Node::Kind::all, std::move(parts));
  }
  negations_[id] = out;
  if (out > kAlways) negations_[out] = id;
  return out;
}

// Flattens, drops neutral and repeated parts, finds contradictions, and orders the rest cheapest first.
NodeId Graph::combine(Node::Kind kind, std::vector<NodeId> parts) {
  const NodeId neutral = kind == Node::Kind::all ? kAlways : kNever;
  const NodeId absorbing = kind == Node::Kind::all ? kNever : kAlways;
  std::vector<NodeId> flat;
  for (const NodeId part : parts) {
    if (nodes[part].kind == kind) {
      flat.insert(flat.end(), nodes[part].children.begin(), nodes[part].children.end());
    } else if (part != neutral) {
      flat.push_back(part);
    }
  }
  std::sort(flat.begin(), flat.end());
  flat.erase(std::unique(flat.begin(), flat.end()), flat.end());
  for (const NodeId part : flat) {
    if (part == absorbing) return absorbing;
    // a and not a
    if (nodes[part].kind == Node::Kind::negation &&
        std::binary_search(flat.begin(), flat.end(), nodes[part].children[0]))
      return absorbing;
  }
  if (flat.empty()) return neutral;
  if (flat.size() == 1) return flat[0];
  std::stable_sort(flat.begin(), flat.end(), [&](NodeId a, NodeId b) { return nodes[a].cost < nodes[b].cost; });
  auto key = std::make_pair(kind, std::move(flat));
  if (const auto found = combined_.find(key); found != combined_.end()) return found->second;

  Node node;
  node.kind = kind;
  node.subject = nodes[key.second[0]].subject;
  uint32_t cost = 0;
  for (const NodeId part : key.second) {
    const Node& child = nodes[part];
    cost += child.cost;
    node.asks_code |= child.asks_code;
    if (child.subject != node.subject) node.subject = kMixed;
    if (child.scope == Scope::event || (child.scope == Scope::lineage && node.scope == Scope::process))
      node.scope = child.scope;
  }
  node.cost = static_cast<uint16_t>(std::min<uint32_t>(cost, 60'000));
  node.children = key.second;
  const NodeId id = add(std::move(node));
  combined_.emplace(std::move(key), id);
  return id;
}

NodeId Graph::implied(NodeId id, SubjectId subject) {
  const Node& node = nodes[id];
  if (node.subject == subject) return id;
  if (node.subject != kMixed || node.kind == Node::Kind::constant) return kAlways;
  std::vector<NodeId> parts;
  const Node::Kind kind = node.kind;
  const std::vector<NodeId> children = node.children;  // a copy: the graph grows below
  for (const NodeId child : children) {
    parts.push_back(implied(child, subject));
    if (kind == Node::Kind::any && parts.back() == kAlways) return kAlways;
  }
  return combine(kind, std::move(parts));
}

std::set<SubjectId> Graph::subjects_of(NodeId id) const {
  std::set<SubjectId> out;
  collect_subjects(id, out);
  return out;
}

void Graph::collect_subjects(NodeId id, std::set<SubjectId>& out) const {
  const Node& node = nodes[id];
  if (node.kind == Node::Kind::constant) return;
  if (node.subject != kMixed) {
    out.insert(node.subject);
    return;
  }
  for (const NodeId child : node.children) collect_subjects(child, out);
}

NodeId Graph::add(Node node) {
  nodes.push_back(std::move(node));
  negations_.push_back(kNever);
  return static_cast<NodeId>(nodes.size() - 1);
}

std::string text_of(const std::vector<Node>& nodes, const std::vector<Predicate>& predicates, NodeId id) {
  const Node& node = nodes[id];
  switch (node.kind) {
    case Node::Kind::constant: return id == kAlways ? "always" : "never";
    case Node::Kind::predicate: return predicates[node.predicate].text;
    case Node::Kind::negation: return "not " + predicates[node.predicate].text;
    case Node::Kind::all:
    case Node::Kind::any: break;
  }
  std::string out = "(";
  for (size_t i = 0; i < node.children.size(); ++i) {
    if (i > 0) out += node.kind == Node::Kind::all ? " and " : " or ";
    out += text_of(nodes, predicates, node.children[i]);
  }
  return out + ")";
}

}  // namespace quell::detect
