#include "apps/quell/rule_mutants.h"

#include "detect/falco/condition_parser.h"
#include "detect/falco/event_types.h"

namespace quell::cli {
namespace {

using detect::Expr;
using detect::ExprPtr;

struct Term {
  ExprPtr tree;      // resolved
  std::string text;  // as written
};

/// The terms of the resolved condition side by side with those of the text, whose macros are still names. Exceptions
/// stand around the condition as `(condition) and not (...)`: they are terms, too.
std::vector<Term> terms_of(const detect::Rule& rule) {
  std::vector<ExprPtr> trees;
  if (rule.condition->kind == Expr::Kind::all) trees = rule.condition->children;
  const auto written = detect::falco::parse_condition(rule.condition_text);
  std::vector<ExprPtr> texts;
  if (written && (*written)->kind == Expr::Kind::all) texts = (*written)->children;
  if (!trees.empty() && trees.size() != texts.size() && trees.front()->kind == Expr::Kind::all &&
      trees.front()->children.size() == texts.size()) {
    std::vector<ExprPtr> flat = trees.front()->children;
    flat.insert(flat.end(), trees.begin() + 1, trees.end());
    trees = std::move(flat);
  }
  std::vector<Term> terms;
  for (size_t i = 0; i < trees.size(); ++i)
    terms.push_back({trees[i], i < texts.size() && texts.size() <= trees.size() ? texts[i]->str() : trees[i]->str()});
  return terms;
}

/// `not X` where X can never be true, such as an empty place for exceptions: dropping it changes nothing.
bool is_empty_place(const Expr& term) {
  if (term.kind != Expr::Kind::negation) return false;
  std::vector<detect::falco::EventTypeError> ignored;
  return detect::falco::possible_events(*term.children.front(), ignored).none();
}

ExprPtr without(const std::vector<Term>& terms, size_t dropped) {
  auto all = std::make_shared<Expr>();
  all->kind = Expr::Kind::all;
  for (size_t i = 0; i < terms.size(); ++i)
    if (i != dropped) all->children.push_back(terms[i].tree);
  return all->children.size() == 1 ? all->children.front() : all;
}

}  // namespace

std::vector<Mutant> mutants_of(const detect::Rule& rule) {
  std::vector<Mutant> out;
  const std::vector<Term> terms = terms_of(rule);
  if (terms.size() < 2) return out;
  for (size_t i = 0; i < terms.size(); ++i) {
    if (is_empty_place(*terms[i].tree)) continue;
    Mutant& mutant = out.emplace_back(Mutant{rule, rule.name, terms[i].text, rule.file, rule.line});
    mutant.rule.name += " without #" + std::to_string(i);
    mutant.rule.condition = without(terms, i);
    std::vector<detect::falco::EventTypeError> ignored;
    detect::falco::EventSet events = detect::falco::possible_events(*mutant.rule.condition, ignored);
    events.set(ev::ASYNCEVENT_E);
    mutant.rule.event_codes.clear();
    for (size_t code = 0; code < events.size(); ++code)
      if (events.test(code)) mutant.rule.event_codes.push_back(static_cast<EventCode>(code));
  }
  return out;
}

}  // namespace quell::cli
