#pragma once
// Text matching that predicates share: shell globs, path prefixes by component, sets.
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
  struct Hash {
    using is_transparent = void;
    using is_avalanching = void;
    size_t operator()(std::string_view text) const { return XXH3_64bits(text.data(), text.size()); }
  };
  boost::unordered_flat_set<std::string, Hash, std::equal_to<>> set_;
  uint64_t lengths_ = 0;
};

/// Path prefixes by whole components ("/var/run" covers "/var/run/x", not "/var/running"). Components of a prefix that
/// hold
/// `*`, `?` or `[` are globs over one component.
class PathPrefixes {
 public:
  void insert(std::string_view prefix);
  bool covers(std::string_view path) const;

 private:
  struct Node {
    std::vector<std::pair<std::string, std::unique_ptr<Node>>> exact;
    std::vector<std::pair<std::string, std::unique_ptr<Node>>> globs;
    bool end = false;
  };
  static bool covers(const Node& node, std::string_view rest);
  Node root_;
};

}  // namespace quell::detect
