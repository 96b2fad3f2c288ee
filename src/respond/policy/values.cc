#include "respond/policy/values.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace quell::respond::policy {
namespace {

struct Unit {
  std::string_view name;
  uint64_t ns;
};
constexpr Unit kUnits[] = {
    {"ms", 1'000'000}, {"s", kSecondNs}, {"m", 60 * kSecondNs}, {"h", 3600 * kSecondNs}, {"d", kDayNs}};
constexpr uint64_t kMaxDurationNs = 3653 * kDayNs;

/// Leading digits, at most `most` of them.
std::optional<uint64_t> take_number(std::string_view& text, size_t most) {
  const size_t count = std::min(text.find_first_not_of("0123456789"), text.size());
  uint64_t value = 0;
  if (count == 0 || count > most || !parse_u64(text.substr(0, count), value)) return {};
  text.remove_prefix(count);
  return value;
}

}  // namespace

std::optional<uint64_t> parse_duration_ns(std::string_view text) {
  const auto number = take_number(text, 9);
  if (!number) return {};
  for (const Unit& unit : kUnits) {
    if (text != unit.name) continue;
    if (*number > kMaxDurationNs / unit.ns) return {};
    return *number * unit.ns;
  }
  return {};
}

std::string duration_text(uint64_t ns) {
  const Unit* best = &kUnits[0];
  for (const Unit& unit : kUnits)
    if (ns >= unit.ns && ns % unit.ns == 0) best = &unit;
  return fmt::format("{}{}", ns / best->ns, best->name);
}

std::optional<Rate> parse_rate(std::string_view text) {
  const auto count = take_number(text, 6);
  if (!count || *count == 0 || !text.starts_with('/')) return {};
  const auto window = parse_duration_ns(text.substr(1));
  if (!window || *window == 0) return {};
  return Rate{static_cast<uint32_t>(*count), *window};
}

std::string rate_text(const Rate& rate) { return fmt::format("{}/{}", rate.count, duration_text(rate.window_ns)); }

std::optional<Amount> parse_amount(std::string_view text) {
  const auto number = take_number(text, 6);
  if (!number) return {};
  if (text.empty()) return Amount{static_cast<uint32_t>(*number), false};
  if (text != "%" || *number > 100) return {};
  return Amount{static_cast<uint32_t>(*number), true};
}

std::optional<Approvers> parse_approvers(std::string_view text) {
  Approvers out;
  if (text.starts_with("two_of(")) {
    out.count = 2;
  } else if (!text.starts_with("one_of(")) {
    return {};
  }
  text.remove_prefix(7);
  if (text.size() < 2 || text.back() != ')') return {};
  text.remove_suffix(1);
  for (const char c : text)
    if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '_' && c != '.' &&
        c != '-')
      return {};
  out.group = text;
  return out;
}

bool is_policy_name(std::string_view text) {
  const auto is_edge = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (text.empty() || text.size() > 63 || !is_edge(text.front()) || !is_edge(text.back())) return false;
  return std::all_of(text.begin(), text.end(), [&](char c) { return is_edge(c) || c == '.' || c == '-'; });
}

bool glob_match(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0, star = std::string_view::npos, mark = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      mark = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p, ++t;
    } else if (star != std::string_view::npos) {
      // The last star takes one byte more; earlier ones need not be tried again.
      p = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

GlobList::GlobList(std::vector<std::string> patterns) : written_(std::move(patterns)) {
  for (const std::string& pattern : written_) (is_glob(pattern) ? globs_ : exact_).push_back(pattern);
  std::sort(exact_.begin(), exact_.end());
}

bool GlobList::matches(std::string_view text) const {
  if (std::binary_search(exact_.begin(), exact_.end(), text, std::less<>())) return true;
  return std::any_of(globs_.begin(), globs_.end(), [&](const std::string& glob) { return glob_match(glob, text); });
}

}  // namespace quell::respond::policy
