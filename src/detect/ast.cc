#include "detect/ast.h"

#include <algorithm>
#include <cstdio>

namespace quell::detect {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\b' || c == '\r' || c == '\n'; }

std::string in_double_quotes(std::string_view value) {
  std::string out = "\"";
  for (size_t i = 0; i < value.size(); ++i) {
    const char c = value[i];
    switch (c) {
      case '"': out += "\\\""; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\\':
        // A quote behind a backslash never ends a text, so a last backslash needs another spelling.
        out += i + 1 == value.size() ? "\\x5C" : "\\\\";
        break;
      default:
        if (static_cast<uint8_t>(c) < 0x20 || c == 0x7F) {
          char escape[8];
          std::snprintf(escape, sizeof escape, "\\x%02X", static_cast<unsigned>(c));
          out += escape;
        } else {
          out += c;
        }
    }
  }
  return out + '"';
}

std::string arg_text(const std::string& arg) {
  const bool bare = !arg.empty() && std::none_of(arg.begin(), arg.end(), [](char c) {
    return is_space(c) || c == '"' || c == '\'' || c == '[' || c == ']' || static_cast<uint8_t>(c) < 0x20;
  });
  return bare ? arg : in_double_quotes(arg);
}

void append_joined(std::string& out, const std::vector<Operand>& operands) {
  for (size_t i = 0; i < operands.size(); ++i) {
    if (i > 0) out += ", ";
    out += operands[i].str();
  }
}

bool takes_list(const Check& check) {
  return check.modifier != Modifier::none || check.op == Op::in || check.op == Op::intersects || check.op == Op::pmatch;
}

bool is_ordering(Op op) { return op == Op::lt || op == Op::le || op == Op::gt || op == Op::ge; }

void append(std::string& out, const Check& check) {
  out += check.left.str();
  out += ' ';
  out += to_string(check.op);
  if (check.modifier != Modifier::none) {
    out += ' ';
    out += to_string(check.modifier);
  }
  if (check.op == Op::exists) return;
  out += ' ';
  if (check.right) {
    out += check.right_is_val ? "val(" + check.right->str() + ')' : check.right->str();
  } else if (is_ordering(check.op) || check.value_is_identifier) {
    if (!check.values.empty()) out += check.values.front();
  } else if (takes_list(check)) {
    out += '(';
    for (size_t i = 0; i < check.values.size(); ++i) {
      if (i > 0) out += ", ";
      out += quoted_if_needed(check.values[i]);
    }
    out += ')';
  } else if (!check.values.empty()) {
    out += quoted_if_needed(check.values.front());
  }
}

void append(std::string& out, const Expr& expr) {
  switch (expr.kind) {
    case Expr::Kind::all:
    case Expr::Kind::any:
      out += '(';
      for (size_t i = 0; i < expr.children.size(); ++i) {
        if (i > 0) out += expr.kind == Expr::Kind::all ? " and " : " or ";
        append(out, *expr.children[i]);
      }
      out += ')';
      break;
    case Expr::Kind::negation:
      out += "not ";
      append(out, *expr.children.front());
      break;
    case Expr::Kind::check: append(out, expr.check); break;
    case Expr::Kind::macro: out += expr.macro; break;
  }
}

bool same(const Check& a, const Check& b) {
  return same(a.left, b.left) && a.op == b.op && a.modifier == b.modifier && a.values == b.values &&
         a.value_is_identifier == b.value_is_identifier && a.right.has_value() == b.right.has_value() &&
         (!a.right || same(*a.right, *b.right)) && a.right_is_val == b.right_is_val;
}

}  // namespace

std::string_view to_string(Op op) {
  switch (op) {
    case Op::exists: return "exists";
    case Op::eq: return "=";
    case Op::ne: return "!=";
    case Op::lt: return "<";
    case Op::le: return "<=";
    case Op::gt: return ">";
    case Op::ge: return ">=";
    case Op::contains: return "contains";
    case Op::icontains: return "icontains";
    case Op::bcontains: return "bcontains";
    case Op::startswith: return "startswith";
    case Op::bstartswith: return "bstartswith";
    case Op::endswith: return "endswith";
    case Op::glob: return "glob";
    case Op::iglob: return "iglob";
    case Op::regex: return "regex";
    case Op::in: return "in";
    case Op::intersects: return "intersects";
    case Op::pmatch: return "pmatch";
  }
  return "";
}

std::string_view to_string(Modifier modifier) {
  switch (modifier) {
    case Modifier::none: return "";
    case Modifier::oneof: return "oneof";
    case Modifier::anyof: return "anyof";
    case Modifier::allof: return "allof";
  }
  return "";
}

std::string quoted_if_needed(std::string_view value) {
  const bool bare = !value.empty() && std::none_of(value.begin(), value.end(), [](char c) {
    return is_space(c) || c == '(' || c == ')' || c == '"' || c == '\'' || c == '=' || c == ',' || c == '\f' ||
           c == '\v';
  });
  return bare ? std::string(value) : in_double_quotes(value);
}

std::string Operand::str() const {
  std::string out;
  switch (kind) {
    case Kind::text: return in_double_quotes(name);
    case Kind::number: return name;
    case Kind::list:
      out = "(";
      append_joined(out, args);
      return out + ')';
    case Kind::field: out = name; break;
    case Kind::transformer:
      out = name + '(';
      append_joined(out, args);
      out += ')';
      break;
  }
  if (arg) out += '[' + arg_text(*arg) + ']';
  return out;
}

std::string Expr::str() const {
  std::string out;
  append(out, *this);
  return out;
}

bool same(const Operand& a, const Operand& b) {
  return a.kind == b.kind && a.name == b.name && a.arg == b.arg &&
         std::equal(a.args.begin(), a.args.end(), b.args.begin(), b.args.end(),
                    [](const Operand& x, const Operand& y) { return same(x, y); });
}

bool same(const Expr& a, const Expr& b) {
  if (a.kind != b.kind || a.macro != b.macro) return false;
  if (a.kind == Expr::Kind::check) return same(a.check, b.check);
  return std::equal(a.children.begin(), a.children.end(), b.children.begin(), b.children.end(),
                    [](const ExprPtr& x, const ExprPtr& y) { return same(*x, *y); });
}

}  // namespace quell::detect
