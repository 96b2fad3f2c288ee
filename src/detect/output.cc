#include "detect/output.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/text.h"
#include "detect/falco/condition_parser.h"
#include "detect/fields/catalog.h"

namespace quell::detect {
namespace {

constexpr size_t kMaxToken = 512;   // bytes of a field's name with its dot argument
constexpr size_t kMaxValue = 1023;  // bytes of a rendered list or payload; text is bounded by the event it comes from
constexpr size_t kUsualMessage = 512;

bool is_name_char(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.'; }

Value printed(const CompiledOperand& operand, const Extract& x) {
  if (operand.kind == CompiledOperand::Kind::field && operand.field.spec->print != nullptr)
    return operand.field.spec->print(x, operand.field.arg);
  return evaluate(operand, x, nullptr);
}
void append_bounded(std::string& out, const Value& value, const Extract& x) {
  const auto append = [&out](const fmt::format_int& digits) { out.append(digits.data(), digits.size()); };
  switch (value.kind) {
    case Value::Kind::text: out += value.str(); return;
    case Value::Kind::integer: append(fmt::format_int(value.i)); return;
    case Value::Kind::unsigned_: append(fmt::format_int(value.u)); return;
    case Value::Kind::bytes:
      // A whole number of groups, so that what is cut can be decoded.
      if (x.buffers_as_base64)
        out += base64(value.str().substr(0, kMaxValue / 4 * 3));
      else
        out += printable(value.str().substr(0, kMaxValue));
      return;
    case Value::Kind::list: out += std::string_view(value_text(value)).substr(0, kMaxValue); return;
    default: out += value_text(value);
  }
}

// Index after the bracket or parenthesis that closes the one at `open`; npos if it stays open. Quotes hide brackets.
size_t closing(std::string_view text, size_t open, char open_char, char close_char) {
  int depth = 0;
  char quote = 0;
  for (size_t i = open; i < text.size(); ++i) {
    const char c = text[i];
    if (quote != 0) {
      if (c == quote && text[i - 1] != '\\') quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == open_char) {
      ++depth;
    } else if (c == close_char && --depth == 0) {
      return i + 1;
    }
  }
  return std::string_view::npos;
}

// A transformer expression at the start of `text`; its length in `used`. Parsed by the grammar of conditions.
std::optional<OperandCompilation> transformer_token(std::string_view text, size_t& used) {
  size_t name = 0;
  while (name < text.size() && (std::isalnum(static_cast<unsigned char>(text[name])) != 0 || text[name] == '_')) ++name;
  if (name == text.size() || text[name] != '(' || !is_transformer(text.substr(0, name))) return {};
  size_t end = closing(text, name, '(', ')');
  if (end == std::string_view::npos) return {};
  if (end < text.size() && text[end] == '[') {
    const size_t with_key = closing(text, end, '[', ']');
    if (with_key != std::string_view::npos) end = with_key;
  }
  const auto parsed = falco::parse_operand(text.substr(0, end));
  if (!parsed) return {};
  used = end;
  return compile_operand(*parsed);
}

// The longest field at the start of `text`.
std::optional<CompiledOperand> field_token(std::string_view text, size_t& used) {
  size_t run = 0;
  while (run < std::min(text.size(), kMaxToken) && is_name_char(text[run])) ++run;
  for (size_t length = run; length > 0; --length) {
    const std::string_view name = text.substr(0, length);
    if (name.back() == '.' || field_row(name) == nullptr) continue;
    std::optional<std::string> arg;
    size_t end = length;
    if (length == run && end < text.size() && text[end] == '[') {
      const size_t close = closing(text, end, '[', ']');
      if (close != std::string_view::npos) {
        std::string inner(text.substr(end + 1, close - end - 2));
        if (inner.size() >= 2 && (inner.front() == '"' || inner.front() == '\'') && inner.back() == inner.front())
          inner = inner.substr(1, inner.size() - 2);
        arg = std::move(inner);
        end = close;
      }
    }
    Operand operand;
    operand.name = name;
    operand.arg = arg;
    OperandCompilation compiled = compile_operand(operand);
    if (!compiled.operand && arg) {  // the brackets may be literal text
      operand.arg.reset();
      end = length;
      compiled = compile_operand(operand);
    }
    if (compiled.operand) {
      used = end;
      return std::move(compiled.operand);
    }
  }
  return {};
}

}  // namespace

std::vector<Finding> OutputTemplate::parse(std::string_view text, OutputTemplate* out) {
  std::vector<Finding> findings;
  const auto report = [&](std::string message, size_t offset, bool unknown) {
    Finding finding;
    finding.message = std::move(message);
    finding.unknown_filter = unknown;
    finding.pos = {static_cast<uint32_t>(offset), 1, static_cast<uint32_t>(offset + 1)};
    findings.push_back(std::move(finding));
  };
  std::string literal;
  const auto flush = [&] {
    if (out != nullptr && !literal.empty()) out->parts_.emplace_back(literal);
    literal.clear();
  };
  for (size_t at = 0; at < text.size();) {
    if (text[at] != '%') {
      literal += text[at++];
      continue;
    }
    const size_t start = at++;
    uint32_t width = 0;
    while (at < text.size() && std::isdigit(static_cast<unsigned char>(text[at])) != 0)
      width = std::min<uint32_t>(width * 10 + static_cast<uint32_t>(text[at++] - '0'), kMaxValue);
    if (at == text.size()) {
      report(width == 0 ? "invalid formatting syntax: formatting cannot end with a %"
                        : "invalid formatting syntax: formatting cannot end with a number",
             start, false);
      break;
    }
    size_t used = 0;
    Token token;
    token.width = width;
    if (auto transformer = transformer_token(text.substr(at), used)) {
      if (!transformer->operand) {
        transformer->finding.pos = {static_cast<uint32_t>(start), 1, static_cast<uint32_t>(start + 1)};
        findings.push_back(std::move(transformer->finding));
        at += used;
        continue;
      }
      token.operand = std::move(*transformer->operand);
    } else if (auto field = field_token(text.substr(at), used)) {
      token.operand = std::move(*field);
    } else {
      size_t end = at;
      while (end < text.size() && is_name_char(text[end])) ++end;
      const std::string name(text.substr(at, std::max<size_t>(end - at, 1)));
      report("unknown filter: " + name, start, true);
      findings.back().suggestion = find_field(name, {}).finding.suggestion;
      at = std::max(end, at + 1);
      continue;
    }
    const FieldSpec* spec = token.operand.kind == CompiledOperand::Kind::field ? token.operand.field.spec : nullptr;
    if (spec != nullptr && (spec->flags & kFilterOnly) != 0) {
      report("field '" + token.operand.text + "' can only be used in conditions", start, false);
      at += used;
      continue;
    }
    if (spec != nullptr && (spec->flags & kDeprecated) != 0) {
      report("field '" + token.operand.text + "' is deprecated", start, false);
      findings.back().is_error = false;
      findings.back().topic = Finding::Topic::deprecated_item;
    }
    at += used;
    if (out != nullptr) {
      flush();
      out->parts_.emplace_back(std::move(token));
    }
  }
  flush();
  if (out != nullptr) out->list_fields();
  return findings;
}

void OutputTemplate::list_fields() {
  const auto name = [this](uint32_t part) -> const std::string& { return std::get<Token>(parts_[part]).operand.text; };
  for (uint32_t i = 0; i < parts_.size(); ++i)
    if (const auto* token = std::get_if<Token>(&parts_[i]); token != nullptr)
      if (token->operand.kind == CompiledOperand::Kind::field) fields_.push_back(i);
  std::stable_sort(fields_.begin(), fields_.end(), [&](uint32_t a, uint32_t b) { return name(a) < name(b); });
  fields_.erase(std::unique(fields_.begin(), fields_.end(), [&](uint32_t a, uint32_t b) { return name(a) == name(b); }),
                fields_.end());
}

std::string OutputTemplate::render(const Extract& x, std::vector<NamedValue>* fields) const {
  Value* const values = x.arena.values(parts_.size());
  std::string out;
  out.reserve(kUsualMessage);
  for (size_t i = 0; i < parts_.size(); ++i) {
    if (const auto* literal = std::get_if<std::string>(&parts_[i])) {
      out += *literal;
      continue;
    }
    const Token& token = std::get<Token>(parts_[i]);
    values[i] = printed(token.operand, x);
    const size_t begin = out.size();
    append_bounded(out, values[i], x);
    if (token.width > 0) out.resize(begin + token.width, ' ');
  }
  if (fields == nullptr) return out;
  fields->reserve(fields->size() + fields_.size() + 1);
  for (const uint32_t part : fields_) add_field(std::get<Token>(parts_[part]), values[part], x, *fields);
  return out;
}

void OutputTemplate::collect(const Extract& x, std::vector<NamedValue>& fields) const {
  for (const uint32_t part : fields_) {
    const Token& token = std::get<Token>(parts_[part]);
    add_field(token, printed(token.operand, x), x, fields);
  }
}

void OutputTemplate::add_field(const Token& token, Value value, const Extract& x, std::vector<NamedValue>& fields) {
  const FieldSpec& spec = *token.operand.field.spec;
  if (spec.json != nullptr) value = spec.json(x, token.operand.field.arg);
  auto& [name, kept] = fields.emplace_back(token.operand.text, std::monostate());
  switch (value.kind) {
    case Value::Kind::absent: break;
    case Value::Kind::boolean: kept = value.b; break;
    case Value::Kind::integer: kept = value.i; break;
    case Value::Kind::unsigned_: kept = value.u; break;
    case Value::Kind::real: kept = value.d; break;
    case Value::Kind::list: {
      std::vector<std::string> items;
      for (uint32_t i = 0; i < value.size; ++i) items.push_back(value_text(value.items[i]));
      kept = std::move(items);
      break;
    }
    default: append_bounded(kept.emplace<std::string>(), value, x);
  }
}

}  // namespace quell::detect
