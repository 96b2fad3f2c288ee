#pragma once
// The tree of a rule's condition, as the grammar of the Falco rules language gives it. Plain data; positions are kept
// for messages. Macros are identifier nodes until they are resolved.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace quell::detect {

/// Where a token starts in the text that was parsed. Line and column count from 1. The offset counts from the base that
/// the parser was given: a loader gives every text a base of its own, so an offset alone tells the text and the place
/// in it, also in a rule's tree that holds the trees of macros.
struct TextPos {
  uint32_t offset = 0, line = 1, column = 1;
};

enum class Op : uint8_t {
  exists,
  eq,
  ne,
  lt,
  le,
  gt,
  ge,
  contains,
  icontains,
  bcontains,
  startswith,
  bstartswith,
  endswith,
  glob,
  iglob,
  regex,
  in,
  intersects,
  pmatch
};
/// "=", "startswith": canonical spelling.
std::string_view to_string(Op op);

enum class Modifier : uint8_t { none, oneof, anyof, allof };
std::string_view to_string(Modifier modifier);

/// A field, a transformer call, or (only inside a transformer call) a literal or a list of operands.
struct Operand {
  enum class Kind : uint8_t { field, transformer, text, number, list };
  Kind kind = Kind::field;
  std::string name;                // field: "proc.aname"; transformer: "tolower"; text, number: the literal
  std::optional<std::string> arg;  // the [argument], unquoted
  std::vector<Operand> args;       // transformer, list
  TextPos pos;

  /// Canonical text: `proc.aname[2]`, `tolower(proc.name)`.
  std::string str() const;
};

/// `left op values` or `left op right`.
struct Check {
  Operand left;
  Op op = Op::exists;
  Modifier modifier = Modifier::none;
  std::vector<std::string>
      values;  // constants; one for scalar operators, any number for in, intersects, pmatch, modifiers
  bool value_is_identifier = false;  // `in name`: a bare word where a list is expected
  std::optional<Operand> right;      // val(field) or a transformer; `right_is_val` tells which was written
  bool right_is_val = false;
  TextPos value_pos;
};

/// The constant as it must be written so that the parser reads it back: bare where it can be, else in double quotes.
std::string quoted_if_needed(std::string_view value);

struct Expr;
using ExprPtr = std::shared_ptr<const Expr>;  // shared: a macro's tree hangs in every rule that uses it

struct Expr {
  enum class Kind : uint8_t { all, any, negation, check, macro };
  Kind kind = Kind::check;
  std::vector<ExprPtr> children;  // all, any: two or more; negation: one
  Check check;
  std::string macro;  // name, until resolved
  TextPos pos;

  /// Canonical text, such as `(evt.type = open and not proc.name in (a, b))`. parse(str()) gives an equal tree.
  std::string str() const;
};

/// Equality of meaning as written: everything but the positions.
bool same(const Operand& a, const Operand& b);
bool same(const Expr& a, const Expr& b);

}  // namespace quell::detect
