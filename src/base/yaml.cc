#include "base/yaml.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "base/text.h"

namespace quell::yaml {
namespace {

// Words of YAML 1.1, in the three spellings it allows.
bool is_word(std::string_view text, std::initializer_list<std::string_view> words) {
  if (text.empty()) return false;
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  const auto is_upper = [](char c) { return c >= 'A' && c <= 'Z'; };
  const bool rest_lower = std::none_of(text.begin() + 1, text.end(), is_upper);
  if (!rest_lower && !std::all_of(text.begin(), text.end(), is_upper)) return false;
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    return std::equal(text.begin(), text.end(), word.begin(), word.end(),
                      [&](char a, char b) { return lower(a) == b; });
  });
}

size_t utf8_size(uint32_t code_point) {
  return code_point < 0x80 ? 1 : code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
}

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// What an escape inside double quotes spans in the source and how many bytes of text it gives.
struct Escape {
  size_t source = 2;
  size_t text = 1;
};
Escape escape_at(std::string_view source) {
  if (source.size() < 2) return {};
  const auto digits = [&](size_t count) -> Escape {
    uint64_t code_point = 0;
    if (source.size() < 2 + count || !parse_u64(source.substr(2, count), code_point, 16)) return {};
    return {2 + count, utf8_size(static_cast<uint32_t>(code_point))};
  };
  switch (source[1]) {
    case 'x': return digits(2);
    case 'u': return digits(4);
    case 'U': return digits(8);
    case 'N':
    case '_': return {2, 2};
    case 'L':
    case 'P': return {2, 3};
    default: return {};
  }
}

// Walks a scalar's text beside its source. Characters that are not blank stand in both in the same order; blanks may
// have been folded, stripped or made up, so each one only follows along and the next character finds its place again.
class Alignment {
 public:
  Alignment(std::string_view source, Style style, size_t start) : source_(source), style_(style), at_(start) {
    if (style == Style::single_quoted || style == Style::double_quoted) {
      ++at_;
    } else if (style == Style::literal || style == Style::folded) {
      while (at_ < source_.size() && source_[at_] != '\n' && source_[at_] != '\r')
        ++at_;  // the header, with its comment
      if (at_ < source_.size() && source_[at_] == '\r') ++at_;
      if (at_ < source_.size() && source_[at_] == '\n') ++at_;
    }
  }

  /// The source offset of the next text byte; false if text and source do not go together.
  bool next(char c, size_t& place) {
    if (escape_left_ > 0) {
      --escape_left_;
      place = escape_at_;
      return true;
    }
    if (!is_blank(c)) {
      while (at_ < source_.size() && (is_blank(source_[at_]) || continued_line())) ++at_;
    } else {
      while (continued_line()) {
        ++at_;
        while (at_ < source_.size() && is_blank(source_[at_])) ++at_;
      }
    }
    place = at_;
    if (at_ >= source_.size()) return is_blank(c);
    if (style_ == Style::double_quoted && source_[at_] == '\\') {
      const Escape escape = escape_at(source_.substr(at_));
      escape_at_ = at_;
      escape_left_ = escape.text - 1;
      at_ += escape.source;
      return true;
    }
    if (is_blank(c)) {
      if (is_blank(source_[at_])) ++at_;
      return true;
    }
    if (source_[at_] != c) return false;
    at_ += style_ == Style::single_quoted && c == '\'' ? 2 : 1;
    return true;
  }
  size_t here() const { return at_; }

 private:
  bool continued_line() const {
    return style_ == Style::double_quoted && at_ + 1 < source_.size() && source_[at_] == '\\' &&
           (source_[at_ + 1] == '\n' || source_[at_ + 1] == '\r');
  }

  std::string_view source_;
  Style style_;
  size_t at_;
  size_t escape_at_ = 0;
  size_t escape_left_ = 0;
};

}  // namespace

std::string_view describe(Kind kind) {
  switch (kind) {
    case Kind::null: return "nothing";
    case Kind::scalar: return "a single value";
    case Kind::sequence: return "a sequence";
    case Kind::map: return "a map";
  }
  return "nothing";
}

bool parse_bool(std::string_view text, bool& out) {
  if (is_word(text, {"true", "yes", "on", "y"})) return out = true, true;
  if (is_word(text, {"false", "no", "off", "n"})) return out = false, true;
  return false;
}

std::string File::where(const Mark& mark) const {
  return name_ + ':' + std::to_string(mark.line + 1) + ':' + std::to_string(mark.column + 1);
}

std::string_view File::line(uint32_t line) const {
  if (line >= line_starts_.size()) return {};
  const size_t start = line_starts_[line];
  const size_t end = line + 1 < line_starts_.size() ? line_starts_[line + 1] : text_.size();
  std::string_view content = std::string_view(text_).substr(start, end - start);
  while (!content.empty() && (content.back() == '\n' || content.back() == '\r')) content.remove_suffix(1);
  return content;
}

Mark File::mark_at(size_t offset) const {
  offset = std::min(offset, text_.size());
  const auto next = std::upper_bound(line_starts_.begin(), line_starts_.end(), offset);
  const auto line = static_cast<uint32_t>(next - line_starts_.begin() - 1);
  uint32_t column = 0;
  for (size_t i = line_starts_[line]; i < offset; ++i) column += (static_cast<uint8_t>(text_[i]) & 0xC0) != 0x80;
  return {static_cast<uint32_t>(offset), line, column};
}

std::string Node::where() const { return file_->where(start_); }

const std::string& Node::text() const {
  static const std::string kEmpty;
  const auto* text = std::get_if<std::string>(&value_);
  return text ? *text : kEmpty;
}

std::span<const Node* const> Node::items() const {
  const auto* items = std::get_if<std::vector<const Node*>>(&value_);
  return items ? std::span<const Node* const>(*items) : std::span<const Node* const>();
}

std::span<const Entry> Node::entries() const {
  const auto* entries = std::get_if<std::vector<Entry>>(&value_);
  return entries ? std::span<const Entry>(*entries) : std::span<const Entry>();
}

const Node* Node::find(std::string_view key) const {
  for (const Entry& entry : entries())
    if (entry.key->is_scalar() && entry.key->text() == key) return entry.value;
  return nullptr;
}

Error Node::error(std::string message, Code code) const { return {code, std::move(message), where()}; }

template <typename T, typename Convert>
Result<T> Node::converted(std::string_view expected, Convert convert) const {
  if (!is_scalar()) return error("expected " + std::string(expected) + ", found " + std::string(describe(kind_)));
  T value{};
  if (!convert(text(), value))
    return error("expected " + std::string(expected) + ", found '" + text().substr(0, 100) + "'");
  return value;
}

Result<std::string> Node::as_string() const {
  return converted<std::string>("a text", [](const std::string& text, std::string& out) { return out = text, true; });
}
Result<bool> Node::as_bool() const { return converted<bool>("true or false", parse_bool); }
Result<int64_t> Node::as_i64() const {
  return converted<int64_t>("a whole number", [](std::string_view text, int64_t& out) {
    if (text.starts_with('+')) text.remove_prefix(1);
    return parse_i64(text, out);
  });
}
Result<uint64_t> Node::as_u64() const {
  return converted<uint64_t>("a whole number, 0 or more", [](std::string_view text, uint64_t& out) {
    if (text.starts_with("0x")) return parse_u64(text.substr(2), out, 16);
    return parse_u64(text, out);
  });
}
Result<double> Node::as_double() const {
  return converted<double>("a number", [](std::string_view text, double& out) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc{} && end == text.data() + text.size() && !text.empty();
  });
}

Result<std::vector<std::string>> Node::as_strings() const {
  if (!is_sequence()) return error("expected a sequence of texts, found " + std::string(describe(kind_)));
  std::vector<std::string> texts;
  texts.reserve(items().size());
  for (const Node* item : items()) {
    QUELL_TRY(std::string text, item->as_string());
    texts.push_back(std::move(text));
  }
  return texts;
}

Result<const Node*> Node::optional_entry(std::string_view key) const {
  if (!is_map())
    return error("expected a map with the key '" + std::string(key) + "', found " + std::string(describe(kind_)));
  const Node* node = find(key);
  return node && node->is_null() ? nullptr : node;
}

Result<const Node*> Node::get(std::string_view key) const {
  QUELL_TRY(const Node* node, optional_entry(key));
  if (!node) return error("the key '" + std::string(key) + "' is missing");
  return node;
}

Result<const Node*> Node::get_map(std::string_view key) const {
  QUELL_TRY(const Node* node, get(key));
  if (!node->is_map())
    return node->error("'" + std::string(key) + "' must be a map, found " + std::string(describe(node->kind_)));
  return node;
}

Result<const Node*> Node::get_sequence(std::string_view key) const {
  QUELL_TRY(const Node* node, get(key));
  if (!node->is_sequence())
    return node->error("'" + std::string(key) + "' must be a sequence, found " + std::string(describe(node->kind_)));
  return node;
}

namespace {

// A conversion error speaks of the value; with its key it can be understood without looking the place up.
template <typename T>
Result<T> with_key(std::string_view key, Result<T> result) {
  if (result) return result;
  Error error = std::move(result).error();
  error.message = "'" + std::string(key) + "': " + error.message;
  return error;
}

}  // namespace

#define QUELL_YAML_GETTERS(Type, name)                                        \
  Result<Type> Node::get_##name(std::string_view key) const {                 \
    QUELL_TRY(const Node* node, get(key));                                    \
    return with_key(key, node->as_##name());                                  \
  }                                                                           \
  Result<Type> Node::get_##name(std::string_view key, Type otherwise) const { \
    QUELL_TRY(const Node* node, optional_entry(key));                         \
    if (!node) return otherwise;                                              \
    return with_key(key, node->as_##name());                                  \
  }
QUELL_YAML_GETTERS(std::string, string)
QUELL_YAML_GETTERS(bool, bool)
QUELL_YAML_GETTERS(int64_t, i64)
QUELL_YAML_GETTERS(uint64_t, u64)
QUELL_YAML_GETTERS(double, double)
#undef QUELL_YAML_GETTERS

Result<std::vector<std::string>> Node::get_strings(std::string_view key) const {
  QUELL_TRY(const Node* node, optional_entry(key));
  if (!node) return std::vector<std::string>{};
  return with_key(key, node->as_strings());
}

Result<void> Node::only_keys(std::initializer_list<std::string_view> allowed) const {
  if (!is_map()) return error("expected a map, found " + std::string(describe(kind_)));
  for (const Entry& entry : entries()) {
    if (!entry.key->is_scalar()) return entry.key->error("a key must be a single value");
    const std::string& key = entry.key->text();
    if (std::find(allowed.begin(), allowed.end(), key) != allowed.end()) continue;
    std::string message = "unknown key '" + key + "'";
    if (const auto meant = nearest(key, std::vector<std::string_view>(allowed)); !meant.empty()) {
      message += "; did you mean '" + std::string(meant) + "'?";
    } else {
      message += "; known keys:";
      for (const auto name : allowed) message += ' ' + std::string(name);
    }
    return entry.key->error(std::move(message));
  }
  return {};
}

Mark Node::position_of(size_t offset) const {
  if (!is_scalar()) return start_;
  Alignment alignment(file_->text(), style_, start_.offset);
  size_t place = alignment.here();
  const std::string& value = text();
  for (size_t i = 0; i < value.size() && i <= offset; ++i)
    if (!alignment.next(value[i], place)) return start_;
  return file_->mark_at(offset < value.size() ? place : alignment.here());
}

}  // namespace quell::yaml
