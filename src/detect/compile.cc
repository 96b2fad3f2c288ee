// Rules to a program: one graph of conditions, specialised for each kind of event, and a plan for each specialisation.
#include <atomic>
#include <map>

#include "detect/code_facts.h"
#include "detect/falco/condition_parser.h"
#include "detect/program.h"

namespace quell::detect {
namespace {

// A rule that can match more event types than this says nothing about which events to capture: it sees what others ask
// for.
constexpr size_t kUnrestricted = 100;

/// What event codes say about the comparisons that they decide: codes that say the same share their plan.
class CodeClasses {
 public:
  explicit CodeClasses(const Graph& graph) {
    for (uint32_t i = 0; i < graph.predicates.size(); ++i)
      if (asks_code(graph.predicates[i])) asked_.push_back(i);
    for (uint16_t number = 0; number < kEventCodeCount; ++number) {
      const auto code = static_cast<EventCode>(number);
      if (event_spec(code).has(kEvUnused)) continue;
      std::string answers;
      for (const uint32_t predicate : asked_) {
        const auto known = decided_by_code(graph.predicates[predicate], code);
        answers += !known ? '?' : *known ? '1' : '0';
      }
      codes_[std::move(answers)].push_back(code);
    }
  }

  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (const auto& [answers, codes] : codes_) visit(answers, codes);
  }
  const std::vector<uint32_t>& asked() const { return asked_; }

 private:
  std::vector<uint32_t> asked_;
  std::map<std::string, std::vector<EventCode>> codes_;
};

/// Conditions with everything folded away that a class of codes decides.
class Specialiser {
 public:
  Specialiser(Graph& graph, const std::vector<uint32_t>& asked, const std::string& answers) : graph_(graph) {
    for (size_t i = 0; i < asked.size(); ++i)
      if (answers[i] != '?') answers_.emplace(asked[i], answers[i] == '1');
  }

  NodeId operator()(NodeId id) {
    if (!graph_[id].asks_code) return id;
    if (const auto found = done_.find(id); found != done_.end()) return found->second;
    const Node node = graph_[id];  // a copy: the graph grows below
    NodeId out = id;
    if (node.kind == Node::Kind::predicate || node.kind == Node::Kind::negation) {
      if (const auto known = answers_.find(node.predicate); known != answers_.end())
        out = known->second == (node.kind == Node::Kind::predicate) ? kAlways : kNever;
    } else {
      const NodeId absorbing = node.kind == Node::Kind::all ? kNever : kAlways;
      std::vector<NodeId> parts;
      for (const NodeId child : node.children) {
        parts.push_back((*this)(child));
        if (parts.back() == absorbing) break;
      }
      out = node.kind == Node::Kind::all ? graph_.all(std::move(parts)) : graph_.any(std::move(parts));
    }
    done_.emplace(id, out);
    return out;
  }

 private:
  Graph& graph_;
  std::unordered_map<uint32_t, bool> answers_;
  std::unordered_map<NodeId, NodeId> done_;
};

/// Lowers the conditions: by rule, kNever for rules that cannot fire.
Result<std::vector<NodeId>> lower_rules(const RuleSet& rules, const EngineOptions& options, Graph& graph,
                                        Program& program) {
  std::vector<NodeId> roots(rules.rules.size(), kNever);
  for (size_t i = 0; i < rules.rules.size(); ++i) {
    const Rule& rule = rules.rules[i];
    Program::RuleOutput output{rule.name, rule.priority, rule.source, rule.tags, {}, {}, {}};
    if (rule.condition != nullptr && rule.source == "syscall") {
      const auto root = graph.lower(*rule.condition);
      if (!root) return Error{root.error().code, "rule '" + rule.name + "': " + root.error().message, rule.file};
      for (const Finding& finding : OutputTemplate::parse(rule.output, &output.output))
        if (finding.is_error)
          return Error{Code::invalid_rules, "rule '" + rule.name + "': " + finding.message, rule.file};
      for (const std::string& field : rule.fold.by) {
        const auto operand = falco::parse_operand(field);
        auto compiled = operand ? compile_operand(*operand) : OperandCompilation{};
        if (!compiled.operand)
          return Error{Code::invalid_rules, "rule '" + rule.name + "': cannot fold by '" + field + "'", rule.file};
        output.fold_by.push_back(*std::move(compiled.operand));
      }
      for (const ExtraField& field : rule.extra_fields) {
        auto& [name, text] = output.extra_fields.emplace_back(field.name, OutputTemplate());
        OutputTemplate::parse(field.text, &text);
      }
      if (rule.enabled && rule.priority <= options.minimum_priority) {
        roots[i] = *root;
        ++program.enabled_rules;
      }
    }
    program.rules.push_back(std::move(output));
  }
  return roots;
}

void make_plans(const RuleSet& rules, const std::vector<NodeId>& roots, Graph& graph, Program& program) {
  program.plan_of.fill(Program::kNoPlan);
  std::map<std::vector<PlannedRule>, uint16_t> known;
  const CodeClasses classes(graph);
  classes.for_each([&](const std::string& answers, const std::vector<EventCode>& codes) {
    Specialiser specialise(graph, classes.asked(), answers);
    std::vector<PlannedRule> planned;
    bool is_wanted = false;
    for (size_t i = 0; i < roots.size(); ++i) {
      const NodeId root = specialise(roots[i]);
      if (root == kNever) continue;
      planned.push_back({static_cast<RuleIndex>(i), root});
      is_wanted |= rules.rules[i].event_codes.size() <= kUnrestricted;
    }
    if (planned.empty()) return;
    const auto [found, is_new] = known.try_emplace(planned, static_cast<uint16_t>(program.plans.size()));
    if (is_new) {
      Plan plan = make_plan(planned, graph, program.lookups);
      plan.remembered_at = program.remembered_words;
      program.remembered_words += plan.words;
      program.widest_plan = std::max(program.widest_plan, plan.words);
      program.plans.push_back(std::move(plan));
    }
    for (const EventCode code : codes) {
      program.plan_of[code] = found->second;
      program.wanted[code] = is_wanted;
    }
  });
}

void index_texts(Program& program) {
  std::vector<bool> is_looked_up(program.predicates.size(), false);
  for (const Lookup& lookup : program.lookups)
    for (const uint32_t leaf : lookup.leaves) is_looked_up[leaf] = true;
  for (Subject& subject : program.subjects) {
    if (subject.kind != Subject::Kind::text && subject.kind != Subject::Kind::path) continue;
    subject.first_index = static_cast<uint32_t>(program.indexes.size());
    program.indexes.resize(program.indexes.size() + subject.operands.size());
    for (const uint32_t leaf : subject.leaves)
      if (is_looked_up[leaf])
        program.indexes[subject.first_index + program.predicates[leaf].operand].add(program.predicates[leaf]);
  }
  for (TextIndex& index : program.indexes) index.freeze();
}

std::atomic<uint64_t> g_next_program{1};

}  // namespace

Result<std::shared_ptr<const Program>> compile(const RuleSet& rules, const EngineOptions& options) {
  if (rules.rules.size() > kMaxRules)
    return Error{Code::invalid_rules,
                 "there are " + std::to_string(rules.rules.size()) + " rules; at most " + std::to_string(kMaxRules) +
                     " can be in force at once",
                 {}};
  auto program = std::make_shared<Program>();
  program->id = g_next_program++;
  program->match_all = options.match_all;
  program->buffers_as_base64 = options.buffers_as_base64;
  Graph graph(options.fd_net_in_first_only);
  QUELL_TRY(const std::vector<NodeId> roots, lower_rules(rules, options, graph, *program));
  make_plans(rules, roots, graph, *program);
  program->nodes = std::move(graph.nodes);
  program->predicates = std::move(graph.predicates);
  program->subjects = std::move(graph.subjects);
  program->field_slots = graph.field_slots;
  index_texts(*program);
  program->domains = std::make_shared<DomainTable>();
  for (const Predicate& p : program->predicates)
    if (p.is_domain)
      for (const std::string& name : p.texts) program->domains->add(name);
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
