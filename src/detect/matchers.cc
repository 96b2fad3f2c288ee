#include "detect/matchers.h"

#include <algorithm>
#include <cctype>

namespace quell::detect {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// Matches `c` against the set at pattern[at] == '['. Returns the index after the set, or npos if it is not closed (then
// '[' is a plain character).
size_t match_set(std::string_view pattern, size_t at, char c, bool ignore_case, bool& matched) {
  size_t i = at + 1;
  const bool negated = i < pattern.size() && (pattern[i] == '!' || pattern[i] == '^');
  if (negated) ++i;
  bool found = false;
  bool first = true;
  const char wanted = ignore_case ? lower(c) : c;
  while (i < pattern.size() && (pattern[i] != ']' || first)) {
    first = false;
    if (pattern[i] == '[' && i + 1 < pattern.size() && pattern[i + 1] == ':') {
      const size_t end = pattern.find(":]", i + 2);
      if (end != std::string_view::npos) {
        const std::string_view name = pattern.substr(i + 2, end - i - 2);
        const auto u = static_cast<unsigned char>(c);
        if ((name == "alpha" && std::isalpha(u)) || (name == "digit" && std::isdigit(u)) ||
            (name == "alnum" && std::isalnum(u)) || (name == "upper" && std::isupper(u)) ||
            (name == "lower" && std::islower(u)) || (name == "space" && std::isspace(u)) ||
            (name == "punct" && std::ispunct(u)) || (name == "xdigit" && std::isxdigit(u)))
          found = true;
        i = end + 2;
        continue;
      }
    }
    if (pattern[i] == '\\' && i + 1 < pattern.size()) ++i;
    const char low = ignore_case ? lower(pattern[i]) : pattern[i];
    if (i + 2 < pattern.size() && pattern[i + 1] == '-' && pattern[i + 2] != ']') {
      const char high = ignore_case ? lower(pattern[i + 2]) : pattern[i + 2];
      if (static_cast<uint8_t>(low) <= static_cast<uint8_t>(wanted) &&
          static_cast<uint8_t>(wanted) <= static_cast<uint8_t>(high))
        found = true;
      i += 3;
    } else {
      if (low == wanted) found = true;
      ++i;
    }
  }
  if (i >= pattern.size()) return std::string_view::npos;
  matched = found != negated;
  return i + 1;
}

}  // namespace

bool glob_match(std::string_view pattern, std::string_view text, bool ignore_case) {
  size_t p = 0;
  size_t t = 0;
  size_t star = std::string_view::npos;  // pattern index after the last '*', and the text index to retry from
  size_t retry = 0;
  while (t < text.size()) {
    if (p < pattern.size()) {
      const char c = pattern[p];
      if (c == '*') {
        star = ++p;
        retry = t;
        continue;
      }
      if (c == '?') {
        ++p, ++t;
        continue;
      }
      bool matched = false;
      size_t next = std::string_view::npos;
      if (c == '[') next = match_set(pattern, p, text[t], ignore_case, matched);
      if (next == std::string_view::npos) {
        const size_t at = c == '\\' && p + 1 < pattern.size() ? p + 1 : p;
        matched = ignore_case ? lower(pattern[at]) == lower(text[t]) : pattern[at] == text[t];
        next = at + 1;
      }
      if (matched) {
        p = next;
        ++t;
        continue;
      }
    }
    if (star == std::string_view::npos) return false;
    p = star;
    t = ++retry;
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool contains_ignoring_case(std::string_view text, std::string_view needle) {
  return std::search(text.begin(), text.end(), needle.begin(), needle.end(),
                     [](char a, char b) { return lower(a) == lower(b); }) != text.end() ||
         needle.empty();
}

void TextSet::insert(std::string text) {
  lengths_ |= text.size() < 64 ? uint64_t{1} << text.size() : 0;
  set_.insert(std::move(text));
}

void PathPrefixes::insert(std::string_view prefix, uint32_t id) {
  Node* node = &root_;
  while (!prefix.empty()) {
    const size_t slash = prefix.find('/');
    const std::string_view part = prefix.substr(0, slash);
    prefix = slash == std::string_view::npos ? std::string_view{} : prefix.substr(slash + 1);
    if (part.empty()) continue;
    if (part.find_first_of("*?[") == std::string_view::npos) {
      std::unique_ptr<Node>& child = node->exact[std::string(part)];
      if (child == nullptr) child = std::make_unique<Node>();
      node = child.get();
      continue;
    }
    auto found =
        std::find_if(node->globs.begin(), node->globs.end(), [&](const auto& entry) { return entry.first == part; });
    if (found == node->globs.end()) found = node->globs.insert(found, {std::string(part), std::make_unique<Node>()});
    node = found->second.get();
  }
  node->ends.push_back(id);
}

}  // namespace quell::detect
