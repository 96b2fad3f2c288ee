#pragma once
// Text matching that predicates share: shell globs, path prefixes by component, sets.
#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <xxhash.h>

namespace quell::detect {

/// Shell pattern over the whole text: `*` (any run, '/' included), `?`, `[set]`, backslash escape.
bool glob_match(std::string_view pattern, std::string_view text, bool ignore_case);

bool contains_ignoring_case(std::string_view text, std::string_view needle);

struct TextHash {
  using is_transparent = void;
  using is_avalanching = void;
  size_t operator()(std::string_view text) const { return XXH3_64bits(text.data(), text.size()); }
};

/// Set of constant texts with lookup by view.
class TextSet {
 public:
  void insert(std::string text);
  bool contains(std::string_view text) const {
    // Most lookups miss; a length that no member has is the cheapest proof.
    if (text.size() < 64 && (lengths_ >> text.size() & 1) == 0) return false;
    return set_.contains(text);
  }
  size_t size() const { return set_.size(); }

 private:
  boost::unordered_flat_set<std::string, TextHash, std::equal_to<>> set_;
  uint64_t lengths_ = 0;
};

/// Path prefixes by whole components ("/var/run" covers "/var/run/x", not "/var/running"), each with the ids of those
/// who ask for it. Components of a prefix that hold `*`, `?` or `[` are globs over one component.
class PathPrefixes {
 public:
  void insert(std::string_view prefix, uint32_t id = 0);
  bool covers(std::string_view path) const {
    return !walk(root_, path, [](uint32_t) { return false; });
  }
  /// Calls found(id) for every prefix that covers the path; an id may come again.
  template <typename Found>
  void visit(std::string_view path, Found&& found) const {
    walk(root_, path, [&](uint32_t id) {
      found(id);
      return true;
    });
  }

 private:
  struct Node {
    boost::unordered_flat_map<std::string, std::unique_ptr<Node>, TextHash, std::equal_to<>> exact;
    std::vector<std::pair<std::string, std::unique_ptr<Node>>> globs;
    std::vector<uint32_t> ends;
  };

  // False as soon as `go_on` says so.
  template <typename GoOn>
  static bool walk(const Node& node, std::string_view rest, const GoOn& go_on) {
    for (const uint32_t id : node.ends)
      if (!go_on(id)) return false;
    while (!rest.empty() && rest[0] == '/') rest.remove_prefix(1);
    if (rest.empty()) return true;
    const size_t slash = rest.find('/');
    const std::string_view part = rest.substr(0, slash);
    const std::string_view left = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash + 1);
    if (const auto child = node.exact.find(part); child != node.exact.end() && !walk(*child->second, left, go_on))
      return false;
    for (const auto& [glob, child] : node.globs)
      if (glob_match(glob, part, false) && !walk(*child, left, go_on)) return false;
    return true;
  }
  Node root_;
};

}  // namespace quell::detect
