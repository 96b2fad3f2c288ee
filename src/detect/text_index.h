#pragma once
// All constants that predicates compare one text with, so that one pass over the text says which predicates hold.
// The cost of a pass grows with the text, hardly with the number of predicates.
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "detect/byte_trie.h"
#include "detect/matchers.h"
#include "detect/predicate.h"

namespace re2 {
class RE2;
}

namespace quell::detect {

/// Which of a subject's predicates hold. Reused from text to text.
class LeafSet {
 public:
  void resize(size_t leaves) {
    if (marks_.size() < leaves) marks_.resize(leaves, 0);
  }
  void clear() {
    for (const uint32_t leaf : list_) marks_[leaf] = 0;
    list_.clear();
  }
  void add(uint32_t leaf) {
    if (marks_[leaf] != 0) return;
    marks_[leaf] = 1;
    list_.push_back(leaf);
  }
  bool has(uint32_t leaf) const { return marks_[leaf] != 0; }
  const std::vector<uint32_t>& list() const { return list_; }

 private:
  std::vector<uint8_t> marks_;
  std::vector<uint32_t> list_;
};

class TextIndex {
 public:
  /// The predicate's left side is the text; its ids are Predicate::leaf. Borrows it. Before freeze().
  void add(const Predicate& predicate);
  void freeze();
  /// Adds the leaves that hold for this text.
  void match(std::string_view text, LeafSet& out) const;

 private:
  void add_one(const Predicate& p, std::string_view constant);

  boost::unordered_flat_map<std::string, std::vector<uint32_t>, TextHash, std::equal_to<>> equals_;
  ByteTrie beginnings_, endings_, within_, within_folded_;
  PathPrefixes prefixes_;
  bool has_prefixes_ = false;
  // Patterns with a literal part that must be in the text are tried only when it is; their ids in `within_` and
  // `within_folded_` count on from the number of leaves.
  std::vector<const Predicate*> guarded_;
  std::vector<const Predicate*> others_;  // tried on each text
  std::vector<uint32_t> always_;
};

}  // namespace quell::detect
