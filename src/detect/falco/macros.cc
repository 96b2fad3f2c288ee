#include "detect/falco/macros.h"

#include <algorithm>

#include "detect/falco/context.h"

namespace quell::detect::falco {
namespace {

// Only macros that are redefined with macros of later files resolve each other on the stack; others are done in order.
constexpr size_t kMaxOpenMacros = 200;

}  // namespace

ExprPtr MacroTable::resolve_macro(const std::string& name, std::vector<MacroError>& errors) {
  Macro& macro = parsed_.at(name);
  if (macro.state == State::done) return macro.resolved;
  macro.state = State::open;
  ++open_;
  if (macro.parsed) macro.resolved = replace(macro.parsed, macros_.find(name)->visibility, macro.size, errors);
  --open_;
  macro.state = State::done;
  return macro.resolved;
}

ExprPtr MacroTable::resolve(const ExprPtr& expr, size_t visibility, std::vector<MacroError>& errors) {
  Size size;
  return replace(expr, visibility, size, errors);
}

MacroTable::Macro* MacroTable::use(const Expr& use, size_t visibility, std::vector<MacroError>& errors) {
  const MacroDefinition* definition = macros_.find(use.macro);
  const auto found = parsed_.find(use.macro);
  if (!definition || definition->index >= visibility || found == parsed_.end()) {
    MacroError error{"Undefined macro '" + use.macro + "' used in filter.", "", use.pos};
    if (definition) {
      error.suggestion = "a macro must be defined before the macro that uses it; move '" + use.macro + "' up";
    } else if (macros_.all().size() <= 5000) {
      std::vector<std::string_view> known;
      for (const auto& macro : macros_.all())
        if (macro->index < visibility) known.push_back(macro->name);
      error.suggestion = did_you_mean(use.macro, known);
    }
    errors.push_back(std::move(error));
    return nullptr;
  }
  Macro& macro = found->second;
  macro.is_used = true;
  if (macro.state == State::open) {
    errors.push_back({"reference loop in macro '" + use.macro + "'", "", use.pos});
    return nullptr;
  }
  if (macro.state == State::fresh) {
    if (open_ >= kMaxOpenMacros) {
      errors.push_back(
          {"macros use each other more than " + std::to_string(kMaxOpenMacros) + " levels deep", "", use.pos});
      return nullptr;
    }
    resolve_macro(use.macro, errors);
  }
  if (!macro.resolved) {
    MacroError follow_up;
    follow_up.is_follow_up = true;
    errors.push_back(std::move(follow_up));
    return nullptr;
  }
  return &macro;
}

ExprPtr MacroTable::replace(const ExprPtr& expr, size_t visibility, Size& size, std::vector<MacroError>& errors) {
  size = {};
  if (expr->kind == Expr::Kind::check) return expr;
  if (expr->kind == Expr::Kind::macro) {
    const Macro* macro = use(*expr, visibility, errors);
    if (!macro) return nullptr;
    size = macro->size;
    return macro->resolved;
  }
  std::vector<ExprPtr> children;
  children.reserve(expr->children.size());
  bool is_sound = true;
  bool is_changed = false;
  for (const ExprPtr& child : expr->children) {
    Size child_size;
    ExprPtr replaced = replace(child, visibility, child_size, errors);
    is_sound = is_sound && replaced;
    is_changed = is_changed || replaced != child;
    size.nodes += child_size.nodes;
    size.depth = std::max(size.depth, child_size.depth + 1);
    children.push_back(std::move(replaced));
  }
  if (!is_sound) return nullptr;
  if (size.nodes > kMaxExprNodes || size.depth > kMaxExprDepth) {
    errors.push_back({"with its macros the condition has more than " + std::to_string(kMaxExprNodes) +
                          " parts or more than " + std::to_string(kMaxExprDepth) + " levels",
                      "", expr->pos});
    return nullptr;
  }
  if (!is_changed) return expr;
  auto copy = std::make_shared<Expr>();
  copy->kind = expr->kind;
  copy->pos = expr->pos;
  copy->children = std::move(children);
  // `not m` with m = `not x`: keep to the form that the parser gives.
  if (copy->kind == Expr::Kind::negation && copy->children.front()->kind == Expr::Kind::negation)
    return copy->children.front()->children.front();
  return copy;
}

void for_each_macro(const Expr& expr, const std::function<void(const Expr&)>& visit) {
  if (expr.kind == Expr::Kind::macro) visit(expr);
  for (const ExprPtr& child : expr.children) for_each_macro(*child, visit);
}

}  // namespace quell::detect::falco
