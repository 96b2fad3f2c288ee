#include "respond/policy/problem.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace quell::respond::policy {
namespace {

constexpr size_t kMaxExcerpt = 160;
constexpr size_t kMaxListed = 12;  // more alternatives than that are no help

constexpr std::string_view kCodes[] = {
    "unreadable",
    "yaml",
    "unknown_key",
    "duplicate_key",
    "missing_key",
    "wrong_type",
    "bad_value",
    "unknown_choice",
    "unknown_operator",
    "unknown_severity",
    "unknown_state",
    "unknown_action",
    "unknown_parameter",
    "unknown_group",
    "unknown_rule",
    "unknown_field",
    "bad_regex",
    "duplicate_name",
    "no_group_by",
    "no_ttl",
    "no_limits",
    "critical_automatic",
    "notify_not_configured",
    "impossible_target",
    "expired",
    "never_true",
};

size_t bytes_of_characters(std::string_view text, size_t characters) {
  size_t at = 0;
  while (at < text.size() && characters > 0) {
    ++at;
    while (at < text.size() && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80) ++at;
    --characters;
  }
  return at;
}

/// The part of `line` around `column` (in characters).
void cut_excerpt(std::string_view line, uint32_t column, Problem& problem) {
  const size_t at = bytes_of_characters(line, column);
  size_t from = at > kMaxExcerpt / 2 && line.size() > kMaxExcerpt ? at - kMaxExcerpt / 2 : 0;
  while (from < line.size() && (static_cast<uint8_t>(line[from]) & 0xC0) == 0x80) ++from;
  size_t count = std::min(kMaxExcerpt, line.size() - from);
  while (count > 0 && from + count < line.size() && (static_cast<uint8_t>(line[from + count]) & 0xC0) == 0x80) --count;
  problem.excerpt = line.substr(from, count);
  uint32_t characters = 0;
  for (size_t i = from; i < at && i < from + count; ++i) characters += (static_cast<uint8_t>(line[i]) & 0xC0) != 0x80;
  problem.excerpt_column = characters;
}

}  // namespace

std::string_view to_string(ProblemCode code) { return kCodes[static_cast<size_t>(code)]; }

void Problems::add(bool is_error, ProblemCode code, const yaml::Node& at, std::string message, std::string suggestion) {
  Problem& problem = all_.emplace_back();
  problem.code = code;
  problem.is_error = is_error;
  problem.message = std::move(message);
  problem.suggestion = std::move(suggestion);
  problem.file = at.file().name();
  problem.line = at.start().line + 1;
  problem.column = at.start().column + 1;
  cut_excerpt(at.file().line(at.start().line), at.start().column, problem);
}

void Problems::of_file(const std::string& name, std::string_view text, const Error& failure) {
  Problem& problem = all_.emplace_back();
  problem.code = text.empty() ? ProblemCode::unreadable : ProblemCode::yaml;
  problem.message = failure.message;
  problem.file = name;
  if (!failure.where.starts_with(name + ':')) return;
  const std::string place = failure.where.substr(name.size() + 1);
  const auto parts = split(place, ':');
  uint64_t line = 0, column = 0;
  if (parts.size() < 2 || !parse_u64(parts[0], line) || !parse_u64(parts[1], column) || line == 0 || column == 0)
    return;
  problem.line = static_cast<uint32_t>(line);
  problem.column = static_cast<uint32_t>(column);
  for (uint64_t skip = 1; skip < line && !text.empty(); ++skip) {
    const size_t end = text.find('\n');
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  cut_excerpt(text.substr(0, text.find_first_of("\r\n")), problem.column - 1, problem);
}

void Problems::sort() {
  std::stable_sort(all_.begin(), all_.end(), [](const Problem& a, const Problem& b) {
    return std::pair(a.line, a.column) < std::pair(b.line, b.column);
  });
}

size_t Problems::errors() const {
  return static_cast<size_t>(std::count_if(all_.begin(), all_.end(), [](const Problem& p) { return p.is_error; }));
}

std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& candidates) {
  if (const std::string_view near = nearest(word, candidates); !near.empty())
    return fmt::format("did you mean \"{}\"?", near);
  if (candidates.empty() || candidates.size() > kMaxListed) return {};
  return fmt::format("it can be {}", fmt::join(candidates, ", "));
}

std::string readable(std::span<const Problem> problems) {
  std::string out;
  for (const Problem& problem : problems) {
    out += problem.file;
    if (problem.line > 0) out += fmt::format(":{}:{}", problem.line, problem.column);
    out += fmt::format(": {}: {}\n", problem.is_error ? "error" : "warning", problem.message);
    if (!problem.excerpt.empty()) {
      out += fmt::format("    {}\n    ", to_valid_utf8(problem.excerpt));
      // A tab in front of the place stays one, so that the caret stands below it.
      uint32_t characters = 0;
      for (size_t i = 0; i < problem.excerpt.size() && characters < problem.excerpt_column; ++i) {
        if ((static_cast<uint8_t>(problem.excerpt[i]) & 0xC0) == 0x80) continue;
        out += problem.excerpt[i] == '\t' ? '\t' : ' ';
        ++characters;
      }
      out += "^\n";
    }
    if (!problem.suggestion.empty()) out += fmt::format("    help: {}\n", problem.suggestion);
  }
  return out;
}

void write_problems(JsonWriter& out, std::span<const Problem> problems) {
  out.begin_array();
  for (const Problem& problem : problems) {
    out.begin_object().text("code", to_string(problem.code)).text("severity", problem.is_error ? "error" : "warning");
    out.text("message", problem.message).text("suggestion", problem.suggestion).text("file", problem.file);
    out.integer("line", problem.line).integer("column", problem.column).text("excerpt", problem.excerpt).end_object();
  }
  out.end_array();
}

}  // namespace quell::respond::policy
