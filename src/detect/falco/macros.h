#pragma once
// Macros are put into conditions as trees: a macro behaves as if it stood in parentheses.
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "detect/ast.h"
#include "detect/falco/definitions.h"

namespace quell::detect::falco {

/// Bounds on a resolved tree. Macros that use macros twice grow without one.
inline constexpr size_t kMaxExprNodes = 1'000'000;
inline constexpr size_t kMaxExprDepth = 4000;

struct MacroError {
  std::string message;
  std::string suggestion;
  TextPos pos;                // of the use
  bool is_follow_up = false;  // the used macro itself is broken, which is reported elsewhere
};

class MacroTable {
 public:
  /// Borrows the definitions.
  explicit MacroTable(const Definitions<MacroDefinition>& macros) : macros_(macros) {}

  /// The parsed condition of a macro; null if it did not parse.
  void add(const std::string& name, ExprPtr parsed) { parsed_[name].parsed = std::move(parsed); }

  /// The tree with every macro of lower index than `visibility` in its place, sharing the macros' trees; null after an
  /// error.
  ExprPtr resolve(const ExprPtr& expr, size_t visibility, std::vector<MacroError>& errors);
  /// The resolved tree of a macro; null if it is broken. Its errors are given once, to whoever asks first.
  ExprPtr resolve_macro(const std::string& name, std::vector<MacroError>& errors);

  bool is_used(const std::string& name) const { return parsed_.at(name).is_used; }

 private:
  enum class State : uint8_t { fresh, open, done };
  struct Size {
    size_t nodes = 1;
    size_t depth = 1;
  };
  struct Macro {
    ExprPtr parsed;
    ExprPtr resolved;
    Size size;
    State state = State::fresh;
    bool is_used = false;
  };

  ExprPtr replace(const ExprPtr& expr, size_t visibility, Size& size, std::vector<MacroError>& errors);
  Macro* use(const Expr& use, size_t visibility, std::vector<MacroError>& errors);

  const Definitions<MacroDefinition>& macros_;
  std::unordered_map<std::string, Macro> parsed_;
  size_t open_ = 0;
};

/// Calls `visit` for every macro that an unresolved tree names.
void for_each_macro(const Expr& expr, const std::function<void(const Expr&)>& visit);

}  // namespace quell::detect::falco
