#include <algorithm>
#include <atomic>
#include <set>

#include "base/assert.h"
#include "detect/domains.h"
#include "detect/falco/condition_parser.h"
#include "detect/program.h"

namespace quell::detect {
namespace {

// A rule that can match more event types than this says nothing about which events to capture: it sees what others ask
// for.
constexpr size_t kUnrestricted = 100;

/// Parameter of the open family that carries its flags, so that evt.is_open_* can be something else than false.
bool has_open_flags(EventCode code) {
  return code == ev::SYSCALL_OPEN_X || code == ev::SYSCALL_OPENAT_2_X || code == ev::SYSCALL_OPENAT2_X ||
         code == ev::SYSCALL_OPEN_BY_HANDLE_AT_X || code == ev::SYSCALL_CREAT_X;
}

class Lowering {
 public:
  explicit Lowering(Program& program) : program_(program) {
    program_.nodes.resize(2);
    program_.nodes[kAlways].cost = program_.nodes[kNever].cost = 0;
  }

  Result<NodeId> lower(const Expr& expr, bool fd_net_first) {
    switch (expr.kind) {
      case Expr::Kind::check: return predicate(expr.check, fd_net_first);
      case Expr::Kind::macro: return Error{Code::invalid_rules, "macro '" + expr.macro + "' is not resolved", {}};
      case Expr::Kind::negation: {
        QUELL_TRY(const NodeId child, lower(*expr.children[0], fd_net_first));
        return negation(child);
      }
      case Expr::Kind::all:
      case Expr::Kind::any: {
        std::vector<NodeId> children;
        for (const ExprPtr& child : expr.children) {
          QUELL_TRY(const NodeId id, lower(*child, fd_net_first));
          children.push_back(id);
        }
        return combine(expr.kind == Expr::Kind::all ? Node::Kind::all : Node::Kind::any, std::move(children));
      }
    }
    return kNever;
  }

  /// The node with everything that `code` decides folded away.
  NodeId specialise(NodeId id, EventCode code) {
    if (id <= kAlways) return id;
    if (code != specialised_for_) {
      specialised_.clear();
      specialised_for_ = code;
    }
    if (const auto found = specialised_.find(id); found != specialised_.end()) return found->second;
    const Node node = program_.nodes[id];  // a copy: the graph grows below
    NodeId out = id;
    switch (node.kind) {
      case Node::Kind::constant: break;
      case Node::Kind::predicate:
        if (const auto known = decided(program_.predicates[node.predicate], code)) out = *known ? kAlways : kNever;
        break;
      case Node::Kind::negation: out = negation(specialise(node.children[0], code)); break;
      case Node::Kind::all:
      case Node::Kind::any: {
        std::vector<NodeId> children;
        for (const NodeId child : node.children) children.push_back(specialise(child, code));
        out = combine(node.kind, std::move(children));
        break;
      }
    }
    specialised_.emplace(id, out);
    return out;
  }

  const Node& node(NodeId id) const { return program_.nodes[id]; }

 private:
  Result<NodeId> predicate(const Check& check, bool fd_net_first) {
    PredicateCompilation compiled = compile_predicate(check, fd_net_first);
    if (!compiled.predicate)
      return Error{Code::invalid_rules,
                   compiled.findings.empty() ? "condition not understood" : compiled.findings[0].message,
                   {}};
    Predicate& p = *compiled.predicate;
    if (const auto found = predicate_nodes_.find(p.text); found != predicate_nodes_.end()) return found->second;
    assign_slots(p.left);
    if (p.right) assign_slots(*p.right);
    if (p.is_domain)
      for (const std::string& name : p.texts) program_.domains->add(name);
    Node node;
    node.kind = Node::Kind::predicate;
    node.predicate = static_cast<uint32_t>(program_.predicates.size());
    node.scope = p.scope;
    node.cost = p.cost;
    const std::string text = p.text;
    program_.predicates.push_back(std::move(p));
    const NodeId id = add(std::move(node));
    predicate_nodes_.emplace(text, id);
    return id;
  }

  void assign_slots(CompiledOperand& operand) {
    if (operand.kind == CompiledOperand::Kind::field)
      operand.slot = slots_.try_emplace(operand.text, static_cast<uint32_t>(slots_.size())).first->second;
    for (CompiledOperand& arg : operand.args) assign_slots(arg);
    program_.field_slots = static_cast<uint32_t>(slots_.size());
  }

  NodeId negation(NodeId child) {
    if (child == kNever) return kAlways;
    if (child == kAlways) return kNever;
    const Node& inner = program_.nodes[child];
    if (inner.kind == Node::Kind::negation) return inner.children[0];
    Node node;
    node.kind = Node::Kind::negation;
    node.children = {child};
    node.scope = inner.scope;
    node.cost = inner.cost;
    return intern(std::move(node));
  }

  // Flattens, drops neutral and repeated children, finds contradictions, and orders the rest cheapest first.
  NodeId combine(Node::Kind kind, std::vector<NodeId> parts) {
    const NodeId neutral = kind == Node::Kind::all ? kAlways : kNever;
    const NodeId absorbing = kind == Node::Kind::all ? kNever : kAlways;
    std::vector<NodeId> flat;
    for (const NodeId part : parts) {
      if (program_.nodes[part].kind == kind) {
        flat.insert(flat.end(), program_.nodes[part].children.begin(), program_.nodes[part].children.end());
      } else {
        flat.push_back(part);
      }
    }
    std::sort(flat.begin(), flat.end());
    flat.erase(std::unique(flat.begin(), flat.end()), flat.end());
    std::erase(flat, neutral);
    if (std::find(flat.begin(), flat.end(), absorbing) != flat.end()) return absorbing;
    for (const NodeId part : flat)  // a and not a
      if (program_.nodes[part].kind == Node::Kind::negation &&
          std::binary_search(flat.begin(), flat.end(), program_.nodes[part].children[0]))
        return absorbing;
    if (flat.empty()) return neutral;
    if (flat.size() == 1) return flat[0];
    Node node;
    node.kind = kind;
    node.scope = Scope::process;
    uint32_t cost = 0;
    for (const NodeId part : flat) {
      const Node& child = program_.nodes[part];
      cost += child.cost;
      if (child.scope == Scope::event || (child.scope == Scope::lineage && node.scope == Scope::process))
        node.scope = child.scope;
    }
    node.cost = static_cast<uint16_t>(std::min<uint32_t>(cost, 60'000));
    std::stable_sort(flat.begin(), flat.end(), [&](NodeId a, NodeId b) { return effort(a) < effort(b); });
    node.children = std::move(flat);
    return intern(std::move(node));
  }

  NodeId intern(Node node) {
    const auto key = std::make_pair(node.kind, node.children);
    if (const auto found = interned_.find(key); found != interned_.end()) return found->second;
    const NodeId id = add(std::move(node));
    interned_.emplace(key, id);
    return id;
  }

  NodeId add(Node node) {
    if (node.scope != Scope::event) node.cache_bit = static_cast<int32_t>(program_.cache_bits++);
    program_.nodes.push_back(std::move(node));
    return static_cast<NodeId>(program_.nodes.size() - 1);
  }

 public:
  // What a test costs in the long run: one remembered with the process is a bit test.
  uint32_t effort(NodeId id) const {
    const Node& n = program_.nodes[id];
    return n.scope == Scope::event ? 2u + n.cost : 1u;
  }

 private:
  // A generic event is a system call without an event of its own, an async event one of ours: true if no constant of
  // the comparison can be its name. Without this every rule would ask for every call that nobody decodes.
  static bool names_none_of(const Predicate& p, EventCode code) {
    return std::none_of(p.texts.begin(), p.texts.end(), [&](const std::string& name) {
      if (code == ev::ASYNCEVENT_E) return name == "container" || name == "container_removed";
      const auto codes = event_codes_named(name);
      return std::find(codes.begin(), codes.end(), code) != codes.end();
    });
  }

  // The value that events of this code always give, if they do.
  static std::optional<bool> decided(const Predicate& p, EventCode code) {
    if (p.left.kind != CompiledOperand::Kind::field || p.right) return {};
    const EventSpec& event = event_spec(code);
    const FieldSpec& field = *p.left.field.spec;
    const bool generic = code == ev::GENERIC_E || code == ev::GENERIC_X || code == ev::ASYNCEVENT_E;
    const auto constant = [&](const Value& value) -> std::optional<bool> {
      return p.op == Op::exists || value_satisfies(p, value);
    };
    if (field.name == "evt.type" && !generic) return constant(Value::text(event.name));
    if (field.name == "evt.type" && p.modifier == Modifier::none && names_none_of(p, code)) {
      if (p.op == Op::eq || p.op == Op::in || p.op == Op::intersects) return false;
      if (p.op == Op::ne) return true;
    }
    if (field.name == "syscall.type") {
      if (event.source != EventClass::syscall) return false;
      if (!generic) return constant(Value::text(event.name));
    }
    if (field.name == "evt.dir") return constant(Value::text(event.dir == EventDir::enter ? ">" : "<"));
    if (field.name.starts_with("evt.is_open_") && !has_open_flags(code)) return constant(Value::boolean(false));
    if ((field.name == "evt.arg" || field.name == "evt.rawarg") && p.left.field.arg.index < 0 &&
        p.left.field.arg.param_of[code] < 0)
      return false;
    if ((field.flags & kNeedsFdClass) != 0 && !event.has(kEvCreatesFd | kEvUsesFd | kEvDestroysFd)) return false;
    if ((field.name == "evt.rawres" || field.name == "evt.res" || field.name == "evt.failed") &&
        !event.has_return_value())
      return false;
    return {};
  }

  Program& program_;
  std::unordered_map<std::string, NodeId> predicate_nodes_;
  std::unordered_map<std::string, uint32_t> slots_;
  std::map<std::pair<Node::Kind, std::vector<NodeId>>, NodeId> interned_;
  EventCode specialised_for_ = ev::GENERIC_E;
  std::unordered_map<NodeId, NodeId> specialised_;
};

/// A rule's remaining terms, on the way into a decision tree.
struct Remaining {
  RuleIndex rule;
  std::vector<NodeId> terms;  // sorted
};

class TreeBuilder {
 public:
  TreeBuilder(const Lowering& lowering, std::vector<Step>& out) : lowering_(lowering), out_(out) {}

  void build(std::vector<Remaining> rules) {
    while (!rules.empty()) {
      std::vector<Remaining> rest;
      for (Remaining& rule : rules) {
        if (rule.terms.empty())
          out_.push_back({kAlways, static_cast<uint32_t>(out_.size() + 1), rule.rule, true});
        else
          rest.push_back(std::move(rule));
      }
      if (rest.empty()) return;

      // The term that most rules share; among equals the cheapest.
      std::map<NodeId, uint32_t> counts;
      for (const Remaining& rule : rest)
        for (const NodeId term : rule.terms) ++counts[term];
      NodeId best = 0;
      uint32_t best_count = 0;
      for (const auto& [term, count] : counts)
        if (count > best_count || (count == best_count && lowering_.effort(term) < lowering_.effort(best))) {
          best = term;
          best_count = count;
        }

      std::vector<Remaining> with;
      std::vector<Remaining> without;
      for (Remaining& rule : rest) {
        const auto at = std::lower_bound(rule.terms.begin(), rule.terms.end(), best);
        if (at != rule.terms.end() && *at == best) {
          rule.terms.erase(at);
          with.push_back(std::move(rule));
        } else {
          without.push_back(std::move(rule));
        }
      }
      RuleIndex least = UINT32_MAX;
      for (const Remaining& rule : with) least = std::min(least, rule.rule);
      const size_t step = out_.size();
      out_.push_back({best, 0, least, false});
      build(std::move(with));
      out_[step].skip = static_cast<uint32_t>(out_.size());
      rules = std::move(without);
    }
  }

 private:
  const Lowering& lowering_;
  std::vector<Step>& out_;
};

std::atomic<uint64_t> g_next_program{1};

}  // namespace

Result<std::shared_ptr<const Program>> compile(const RuleSet& rules, const EngineOptions& options) {
  auto program = std::make_shared<Program>();
  program->id = g_next_program++;
  program->match_all = options.match_all;
  program->domains = std::make_shared<DomainTable>();
  Lowering lowering(*program);

  std::vector<NodeId> roots(rules.rules.size(), kNever);
  for (size_t i = 0; i < rules.rules.size(); ++i) {
    const Rule& rule = rules.rules[i];
    Program::RuleOutput output{rule.name, rule.priority, rule.source, rule.tags, {}, {}};
    if (rule.condition != nullptr && rule.source == "syscall") {
      auto root = lowering.lower(*rule.condition, options.fd_net_in_first_only);
      if (!root) return Error{root.error().code, "rule '" + rule.name + "': " + root.error().message, rule.file};
      for (const Finding& finding : OutputTemplate::parse(rule.output, &output.output))
        if (finding.is_error)
          return Error{Code::invalid_rules, "rule '" + rule.name + "': " + finding.message, rule.file};
      for (const std::string& field : rule.fold.by) {
        const auto operand = falco::parse_operand(field);
        auto compiled = operand ? compile_operand(*operand) : OperandCompilation{};
        if (!compiled.operand) {
          return Error{Code::invalid_rules, "rule '" + rule.name + "': cannot fold by '" + field + "'", rule.file};
        }
        output.fold_by.push_back(*std::move(compiled.operand));
      }
      if (rule.enabled && rule.priority <= options.minimum_priority) {
        roots[i] = *root;
        ++program->enabled_rules;
      }
    }
    program->rules.push_back(std::move(output));
  }

  for (uint16_t number = 0; number < kEventCodeCount; ++number) {
    const auto code = static_cast<EventCode>(number);
    if (event_spec(code).has(kEvUnused)) continue;
    std::vector<Remaining> remaining;
    for (size_t i = 0; i < roots.size(); ++i) {
      const NodeId root = lowering.specialise(roots[i], code);
      if (root == kNever) continue;
      Remaining rule{static_cast<RuleIndex>(i), {}};
      if (root != kAlways) {
        const Node& node = lowering.node(root);
        if (node.kind == Node::Kind::all)
          rule.terms = node.children;
        else
          rule.terms = {root};
      }
      std::sort(rule.terms.begin(), rule.terms.end());
      remaining.push_back(std::move(rule));
      if (rules.rules[i].event_codes.size() <= kUnrestricted) program->wanted[number] = true;
    }
    TreeBuilder(lowering, program->trees[number]).build(std::move(remaining));
  }

  program->process_bits.assign((program->cache_bits + 63) / 64, 0);
  for (const Node& node : program->nodes)
    if (node.cache_bit >= 0 && node.scope == Scope::process)
      program->process_bits[static_cast<size_t>(node.cache_bit) / 64] |= uint64_t{1} << (node.cache_bit % 64);
  return std::shared_ptr<const Program>(std::move(program));
}

std::vector<bool> wanted_event_codes(const Program& program) { return program.wanted; }
size_t rule_count(const Program& program) { return program.enabled_rules; }

void start_resolving(const Program& program) {
  constexpr unsigned kIntervalS = 60;
  program.domains->start(kIntervalS);
}

void tell_address(const Program& program, const std::string& name, const IpAddress& address) {
  program.domains->tell(name, address);
}

}  // namespace quell::detect
