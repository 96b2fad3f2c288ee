#include "detect/falco/condition_parser.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace quell::detect::falco {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\b' || c == '\r' || c == '\n'; }
bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool is_name(char c) { return is_alpha(c) || is_digit(c) || c == '_'; }

struct OpName {
  std::string_view text;
  Op op;
};
// Longer spellings before their beginnings.
constexpr std::array kSymbolOps{OpName{"==", Op::eq}, OpName{"=", Op::eq}, OpName{"!=", Op::ne}};
constexpr std::array kOrderOps{OpName{"<=", Op::le}, OpName{"<", Op::lt}, OpName{">=", Op::ge}, OpName{">", Op::gt}};
constexpr std::array kWordOps{OpName{"glob", Op::glob},           OpName{"iglob", Op::iglob},
                              OpName{"contains", Op::contains},   OpName{"icontains", Op::icontains},
                              OpName{"bcontains", Op::bcontains}, OpName{"startswith", Op::startswith},
                              OpName{"endswith", Op::endswith},   OpName{"bstartswith", Op::bstartswith},
                              OpName{"regex", Op::regex}};
constexpr std::array kListOps{OpName{"intersects", Op::intersects}, OpName{"in", Op::in}, OpName{"pmatch", Op::pmatch}};

struct ModifierName {
  std::string_view text;
  Modifier modifier;
};
constexpr std::array kModifiers{ModifierName{"oneof", Modifier::oneof}, ModifierName{"anyof", Modifier::anyof},
                                ModifierName{"allof", Modifier::allof}};
constexpr std::array<std::string_view, 8> kTransformers{"tolower", "toupper", "b64",    "basename",
                                                        "len",     "join",    "concat", "getopt"};

// Thrown inside this file only; parse_condition() and parse_operand() turn it into their result.
struct Failure {
  SyntaxError error;
};

class Parser {
 public:
  Parser(std::string_view text, uint32_t base) : text_(text), base_(base) {}

  ExprPtr condition() {
    skip_blanks();
    if (at_end()) fail("filter input string is empty");
    ExprPtr expr = parse_or();
    skip_blanks();
    if (!at_end()) fail_behind_last("expecting 'or', 'and'");
    return expr;
  }

  Operand lone_operand() {
    skip_blanks();
    Operand operand;
    if (!lex_field(operand) && !lex_transformer(operand)) fail("expected a field or a transformer");
    skip_blanks();
    if (!at_end()) fail_behind_last("expecting the end of the text");
    return operand;
  }

 private:
  struct Place {
    size_t at;
    uint32_t line, column;
  };

  // --- positions
  // -------------------------------------------------------------------------------------------------------
  bool at_end() const { return here_.at >= text_.size(); }
  std::string_view rest() const { return text_.substr(here_.at); }
  TextPos pos() const { return {base_ + static_cast<uint32_t>(here_.at), here_.line, here_.column}; }
  void advance(size_t count) {
    for (; count > 0 && !at_end(); --count, ++here_.at) {
      if (text_[here_.at] == '\n') {
        ++here_.line;
        here_.column = 1;
      } else {
        ++here_.column;
      }
    }
  }
  bool skip_blanks() {
    const size_t before = here_.at;
    while (!at_end() && is_space(text_[here_.at])) advance(1);
    return here_.at != before;
  }

  [[noreturn]] void fail(std::string message) const { throw Failure{{std::move(message), pos()}}; }
  [[noreturn]] void fail_behind_last(const std::string& expecting) const {
    fail("unexpected token after '" + last_ + "', " + expecting);
  }

  // Holds the depth of one nested construct while it is parsed.
  class Nested {
   public:
    explicit Nested(Parser& parser) : parser_(parser) {
      if (++parser_.depth_ > kMaxDepth) parser_.fail("exceeded max depth limit of " + std::to_string(kMaxDepth));
    }
    ~Nested() { --parser_.depth_; }
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;

   private:
    Parser& parser_;
  };

  // --- expressions
  // -----------------------------------------------------------------------------------------------------
  ExprPtr parse_or() {
    return parse_series("or", Expr::Kind::any, [this] { return parse_and(); });
  }
  ExprPtr parse_and() {
    return parse_series("and", Expr::Kind::all, [this] { return parse_not(); });
  }

  template <typename Part>
  ExprPtr parse_series(std::string_view keyword, Expr::Kind kind, Part part) {
    const TextPos start = pos();
    std::vector<ExprPtr> children{part()};
    while (true) {
      const Place before = here_;
      skip_blanks();
      if (!lex_keyword(keyword)) {
        here_ = before;
        break;
      }
      if (skip_blanks()) {
        children.push_back(part());
      } else {
        children.push_back(parse_embedded());
      }
    }
    if (children.size() == 1) return children.front();
    auto expr = std::make_shared<Expr>();
    expr->kind = kind;
    expr->children = std::move(children);
    expr->pos = start;
    return expr;
  }

  // `and`, `or`, `not` count as such only before white space or a parenthesis.
  bool lex_keyword(std::string_view keyword) {
    if (!rest().starts_with(keyword)) return false;
    const std::string_view behind = rest().substr(keyword.size());
    if (behind.empty() || (!is_space(behind.front()) && behind.front() != '(')) return false;
    advance(keyword.size());
    last_ = keyword;
    return true;
  }

  ExprPtr parse_not() {
    const TextPos start = pos();
    bool negated = false;
    ExprPtr inner;
    while (!inner && lex_keyword("not")) {
      negated = !negated;
      if (!skip_blanks()) inner = parse_embedded();
    }
    if (!inner) inner = parse_check();
    if (!negated) return inner;
    if (inner->kind == Expr::Kind::negation) return inner->children.front();
    auto expr = std::make_shared<Expr>();
    expr->kind = Expr::Kind::negation;
    expr->children.push_back(std::move(inner));
    expr->pos = start;
    return expr;
  }

  ExprPtr parse_embedded() {
    const Nested nested(*this);
    take('(');
    skip_blanks();
    ExprPtr expr = parse_or();
    skip_blanks();
    expect(')', "expected a ')' token");
    return expr;
  }

  ExprPtr parse_check() {
    skip_blanks();
    if (at_end()) fail("unexpected end of the condition, expecting a field check, a macro or a '('");
    if (rest().front() == '(') return parse_embedded();
    auto expr = std::make_shared<Expr>();
    expr->pos = pos();
    if (lex_field(expr->check.left) || lex_transformer(expr->check.left)) {
      skip_blanks();
      parse_comparison(expr->check);
      return expr;
    }
    if (lex_identifier()) {
      expr->kind = Expr::Kind::macro;
      expr->macro = last_;
      return expr;
    }
    fail("expected a field check, a macro or a '('");
  }

  void parse_comparison(Check& check) {
    if (rest().starts_with("exists")) {
      take_token(6);
      check.op = Op::exists;
      check.value_pos = pos();
      return;
    }
    if (const OpName* op = find_op(kOrderOps)) {
      take_op(check, *op);
      if (lex_right(check)) return;
      const size_t length = number_length(rest());
      if (length == 0) fail("expected a number, a 'val(field)' or a transformer");
      check.values.emplace_back(rest().substr(0, length));
      take_token(length);
      return;
    }
    const OpName* op = find_op(kSymbolOps);
    if (!op) op = find_word_op();
    if (op) {
      const size_t behind_op = here_.at + op->text.size();
      take_op(check, *op);
      if (here_.at > behind_op && lex_modifier_form(check)) return;
      if (lex_right(check)) return;
      check.values.push_back(lex_string());
      return;
    }
    if (const OpName* list_op = find_op(kListOps)) {
      take_op(check, *list_op);
      if (lex_list(check) || lex_right(check)) return;
      if (!lex_identifier()) fail("expected a list, a list's name, a 'val(field)' or a transformer");
      check.values.push_back(last_);
      check.value_is_identifier = true;
      return;
    }
    std::string message = "expected an operator after '" + last_ + "'";
    if (const auto word = identifier_at(here_.at); !word.empty()) {
      std::vector<std::string_view> known{"exists"};
      for (const OpName& name : kWordOps) known.push_back(name.text);
      for (const OpName& name : kListOps) known.push_back(name.text);
      if (const auto meant = nearest(word, known); !meant.empty() && meant != word) {
        message += "; did you mean '" + std::string(meant) + "'?";
      } else if (word == "not") {
        message += "; a negation stands before the field: not " + last_ + " ...";
      }
    }
    fail(std::move(message));
  }

  // `oneof (a, b)` or `oneof name` behind an operator and a blank. Anything else leaves the word to be an ordinary
  // value.
  bool lex_modifier_form(Check& check) {
    const auto found = std::find_if(kModifiers.begin(), kModifiers.end(),
                                    [&](const ModifierName& name) { return rest().starts_with(name.text); });
    if (found == kModifiers.end()) return false;
    const Place before = here_;
    advance(found->text.size());
    const bool has_blank = skip_blanks();
    const std::string_view word = identifier_at(here_.at);
    const bool has_name = !word.empty() && word != "and" && word != "or" && word != "not";
    if (!has_blank || at_end() || (rest().front() != '(' && !has_name)) {
      here_ = before;
      return false;
    }
    check.modifier = found->modifier;
    check.value_pos = pos();
    if (lex_list(check)) return true;
    lex_identifier();
    check.values.push_back(last_);
    check.value_is_identifier = true;
    return true;
  }

  // --- tokens
  // ----------------------------------------------------------------------------------------------------------
  void take_token(size_t length) {
    last_ = rest().substr(0, length);
    advance(length);
  }
  void take(char c) {
    last_ = c;
    advance(1);
  }
  void expect(char c, const char* message) {
    if (at_end() || rest().front() != c) fail(message);
    take(c);
  }

  template <size_t N>
  const OpName* find_op(const std::array<OpName, N>& ops) const {
    for (const OpName& op : ops)
      if (rest().starts_with(op.text)) return &op;
    return nullptr;
  }
  const OpName* find_word_op() const {
    for (const OpName& op : kWordOps) {
      if (!rest().starts_with(op.text)) continue;
      const std::string_view behind = rest().substr(op.text.size());
      if (!behind.empty() && is_space(behind.front())) return &op;
    }
    return nullptr;
  }
  void take_op(Check& check, const OpName& op) {
    check.op = op.op;
    take_token(op.text.size());
    skip_blanks();
    check.value_pos = pos();
  }

  std::string_view identifier_at(size_t at) const {
    size_t end = at;
    if (end < text_.size() && is_alpha(text_[end]))
      while (end < text_.size() && is_name(text_[end])) ++end;
    return text_.substr(at, end - at);
  }
  bool lex_identifier() {
    const std::string_view word = identifier_at(here_.at);
    if (word.empty()) return false;
    take_token(word.size());
    return true;
  }

  bool lex_field(Operand& field) {
    size_t end = here_.at;
    size_t parts = 0;
    while (true) {
      const std::string_view word = identifier_at(end);
      if (word.empty()) break;
      end += word.size();
      ++parts;
      if (end + 1 >= text_.size() || text_[end] != '.' || !is_alpha(text_[end + 1])) break;
      ++end;
    }
    if (parts < 2) return false;
    field.kind = Operand::Kind::field;
    field.pos = pos();
    field.name = text_.substr(here_.at, end - here_.at);
    take_token(end - here_.at);
    lex_arg(field);
    return true;
  }

  void lex_arg(Operand& operand) {
    if (at_end() || rest().front() != '[') return;
    const std::string name = last_;
    take('[');
    if (!at_end() && (rest().front() == '"' || rest().front() == '\'')) {
      operand.arg = lex_quoted();
    } else {
      size_t length = 0;
      while (length < rest().size() && !is_space(rest()[length]) &&
             std::string_view("\"'[]").find(rest()[length]) == std::string_view::npos)
        ++length;
      if (length == 0) fail("expected a valid field argument: a quoted string or a bare string");
      operand.arg = rest().substr(0, length);
      advance(length);
    }
    expect(']', "expected a ']' token");
    last_ = name + '[' + *operand.arg + ']';
  }

  bool lex_transformer(Operand& transformer) {
    const std::string_view word = identifier_at(here_.at);
    if (here_.at + word.size() >= text_.size() || text_[here_.at + word.size()] != '(') return false;
    if (std::find(kTransformers.begin(), kTransformers.end(), word) == kTransformers.end()) return false;
    const Nested nested(*this);
    transformer.kind = Operand::Kind::transformer;
    transformer.pos = pos();
    transformer.name = word;
    take_token(word.size());
    take('(');
    lex_operands(transformer.args, true);
    lex_arg(transformer);
    return true;
  }

  // Operands up to and including the closing parenthesis. A literal list does not hold another one.
  void lex_operands(std::vector<Operand>& operands, bool lists) {
    skip_blanks();
    if (!lists && !at_end() && rest().front() == ')') {
      take(')');
      return;
    }
    while (true) {
      Operand& operand = operands.emplace_back();
      operand.pos = pos();
      const size_t digits = number_length(rest());
      if (digits > 0) {
        operand.kind = Operand::Kind::number;
        operand.name = rest().substr(0, digits);
        take_token(digits);
      } else if (!at_end() && (rest().front() == '"' || rest().front() == '\'')) {
        operand.kind = Operand::Kind::text;
        operand.name = lex_quoted();
      } else if (lists && !at_end() && rest().front() == '(') {
        const Nested nested(*this);
        operand.kind = Operand::Kind::list;
        take('(');
        lex_operands(operand.args, false);
      } else if (!lex_transformer(operand) && !lex_field(operand)) {
        fail(lists ? "expected a field, a transformer, a number, a quoted string or a list of them"
                   : "expected a field, a transformer, a number or a quoted string");
      }
      skip_blanks();
      if (at_end() || rest().front() != ',') break;
      take(',');
      skip_blanks();
    }
    expect(')', "expected a ')' token closing the arguments");
  }

  bool lex_right(Check& check) {
    if (rest().starts_with("val(")) {
      take_token(3);
      take('(');
      skip_blanks();
      check.right.emplace();
      if (!lex_field(*check.right)) fail("expected a field inside 'val(...)'");
      skip_blanks();
      expect(')', "expected a ')' token closing 'val('");
      check.right_is_val = true;
      return true;
    }
    Operand operand;
    if (!lex_transformer(operand)) return false;
    check.right = std::move(operand);
    return true;
  }

  bool lex_list(Check& check) {
    if (at_end() || rest().front() != '(') return false;
    take('(');
    skip_blanks();
    if (!at_end() && rest().front() == ')') {
      take(')');
      return true;
    }
    while (true) {
      check.values.push_back(lex_string());
      skip_blanks();
      if (at_end() || rest().front() != ',') break;
      take(',');
      skip_blanks();
    }
    expect(')', "expected a ')' or a ',' token after a list's value");
    return true;
  }

  std::string lex_string() {
    if (!at_end() && (rest().front() == '"' || rest().front() == '\'')) return lex_quoted();
    size_t length = 0;
    while (length < rest().size() && !is_space(rest()[length]) &&
           std::string_view("()\"'=,").find(rest()[length]) == std::string_view::npos) {
      if (rest()[length] == '\0') fail("a value must not hold a NUL byte");
      ++length;
    }
    if (length == 0) fail("expected a value: a quoted string or a bare string");
    take_token(length);
    return last_;
  }

  std::string lex_quoted() {
    const char quote = rest().front();
    size_t end = 1;
    while (end < rest().size() && (rest()[end] != quote || rest()[end - 1] == '\\')) ++end;
    if (end >= rest().size()) fail("expected a closing quote for the string");
    const std::string_view raw = rest().substr(1, end - 1);
    std::string value = unescape(raw, quote);
    take_token(end + 1);
    return value;
  }

  std::string unescape(std::string_view raw, char quote) const {
    std::string value;
    value.reserve(raw.size());
    for (size_t i = 0; i < raw.size(); ++i) {
      if (raw[i] == '\0') fail("a value must not hold a NUL byte");
      if (raw[i] != '\\') {
        value += raw[i];
        continue;
      }
      const char c = ++i < raw.size() ? raw[i] : '\0';
      switch (c) {
        case 'b': value += '\b'; break;
        case 'f': value += '\f'; break;
        case 'n': value += '\n'; break;
        case 'r': value += '\r'; break;
        case 't': value += '\t'; break;
        case '/': value += '/'; break;
        case '\\':
        case ' ': value += '\\'; break;  // an old spelling that published rules use
        case 'x': {
          uint64_t byte = 0;
          if (i + 2 >= raw.size() || !is_hex(raw[i + 1]) || !is_hex(raw[i + 2]) ||
              !parse_u64(raw.substr(i + 1, 2), byte, 16))
            fail("expected two hexadecimal digits after \\x");
          if (byte == 0) fail("a value must not hold a NUL byte");
          value += static_cast<char>(byte);
          i += 2;
          break;
        }
        default:
          if (c != quote) fail("unsupported string escape sequence: \\" + std::string(1, c));
          value += c;
      }
    }
    return value;
  }

  static size_t number_length(std::string_view text) {
    size_t decimal = !text.empty() && (text[0] == '+' || text[0] == '-') ? 1 : 0;
    const size_t first_digit = decimal;
    while (decimal < text.size() && is_digit(text[decimal])) ++decimal;
    if (decimal == first_digit) return 0;
    if (decimal + 1 < text.size() && text[decimal] == '.' && is_digit(text[decimal + 1])) {
      ++decimal;
      while (decimal < text.size() && is_digit(text[decimal])) ++decimal;
    }
    if (decimal < text.size() && (text[decimal] == 'e' || text[decimal] == 'E')) {
      size_t exponent = decimal + 1;
      if (exponent < text.size() && (text[exponent] == '+' || text[exponent] == '-')) ++exponent;
      const size_t digits = exponent;
      while (exponent < text.size() && is_digit(text[exponent])) ++exponent;
      if (exponent > digits) decimal = exponent;
    }
    size_t hex = 0;
    if (text.starts_with("0x")) {
      hex = 2;
      while (hex < text.size() && is_hex(text[hex])) ++hex;
      if (hex == 2) hex = 0;
    }
    return std::max(decimal, hex);
  }

  const std::string_view text_;
  const uint32_t base_;
  Place here_{0, 1, 1};
  uint32_t depth_ = 0;
  std::string last_;  // the token in front of here_, for messages
};

}  // namespace

Parsed<ExprPtr> parse_condition(std::string_view text, uint32_t base) {
  try {
    return Parser(text, base).condition();
  } catch (Failure& failure) {
    return tl::unexpected(std::move(failure.error));
  }
}

Parsed<Operand> parse_operand(std::string_view text) {
  try {
    return Parser(text, 0).lone_operand();
  } catch (Failure& failure) {
    return tl::unexpected(std::move(failure.error));
  }
}

std::optional<Op> parse_op(std::string_view text) {
  const auto find = [&](const auto& ops) -> std::optional<Op> {
    for (const OpName& op : ops)
      if (op.text == text) return op.op;
    return {};
  };
  for (const auto& found : {find(kSymbolOps), find(kOrderOps), find(kWordOps), find(kListOps)})
    if (found) return found;
  if (text == "exists") return Op::exists;
  return {};
}

std::optional<Modifier> parse_modifier(std::string_view text) {
  for (const ModifierName& name : kModifiers)
    if (name.text == text) return name.modifier;
  return {};
}

bool takes_modifier(Op op) {
  return op == Op::eq || op == Op::ne ||
         std::any_of(kWordOps.begin(), kWordOps.end(), [&](const OpName& name) { return name.op == op; });
}

}  // namespace quell::detect::falco
