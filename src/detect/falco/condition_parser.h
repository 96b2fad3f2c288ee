#pragma once
// Conditions of the Falco rules language. White space is blank, tab, \b, CR and LF.
//
//   expr      = and { "or"  (blank and | "(" expr ")") }
//   and       = not { "and" (blank not | "(" expr ")") }
//   not       = { "not" blank } ( "not(" expr ")" | check )
//   check     = "(" expr ")" | operand condition | identifier                          an identifier names a macro
//   operand   = field | transformer
//   field     = name "." name { "." name } [ "[" arg "]" ]                             name = [a-zA-Z]+[a-zA-Z0-9_]*
//   condition = "exists"
//             | ("<" | "<=" | ">" | ">=") (number | right)
//             | strop blank modifier (list | identifier)
//             | strop (string | right)
//             | ("in" | "intersects" | "pmatch") (list | right | identifier)
//   strop     = "==" | "=" | "!=" | (glob | iglob | contains | icontains | bcontains | startswith | bstartswith |
//   endswith | regex) blank modifier  = (oneof | anyof | allof) blank list      = "(" [ string { "," string } ] ")"
//   string    = quoted | bare                                                          bare: no ( ) " ' white space = ,
//   right     = "val(" field ")" | transformer
//   transformer = (tolower | toupper | b64 | basename | len | join | concat | getopt) "(" targ { "," targ } ")" [ "["
//   arg "]" ] targ      = number | quoted | "(" [ field | transformer | quoted | number {","...} ] ")" | transformer |
//   field
//
// A double negation is no negation: `not not a` and `not (not a)` both give `a`.
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "detect/ast.h"

namespace quell::detect::falco {

struct SyntaxError {
  std::string message;
  TextPos pos;
};

/// A tree, or what is wrong and where.
template <typename T>
using Parsed = tl::expected<T, SyntaxError>;

inline constexpr uint32_t kMaxDepth = 1000;

/// A whole condition. `base` is added to every offset (see TextPos).
Parsed<ExprPtr> parse_condition(std::string_view text, uint32_t base = 0);

/// One field or transformer and nothing else: `proc.aname[2]`, `tolower(proc.name)`.
Parsed<Operand> parse_operand(std::string_view text);

/// "=", "==", "startswith"...; nothing if the text is no operator.
std::optional<Op> parse_op(std::string_view text);
std::optional<Modifier> parse_modifier(std::string_view text);
/// True for the operators that take a modifier and a list: `=`, `!=`, `contains` and the other text operators.
bool takes_modifier(Op op);

}  // namespace quell::detect::falco
