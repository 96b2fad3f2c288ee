#pragma once
// Lists are put into conditions as text, before the condition is parsed.
//
// A list's name counts where it stands between white space, parentheses, commas, equals signs or the ends of the text:
// also inside quotes, and also as a bare value. List by list in order of definition each occurrence gives way to the
// items, joined by
// ", "; the white space around it becomes one blank; an empty list takes a comma next to it away. Text that one list
// brought in is looked through by the lists after it, not by itself and those before it.
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "detect/falco/definitions.h"

namespace quell::detect::falco {

/// Bounds on what lists may blow one condition up to: its size, and how many names are put in.
inline constexpr size_t kMaxConditionBytes = 32u << 20;
inline constexpr size_t kMaxListUses = 100'000;

class ListTable {
 public:
  /// Resolves the items of every list: an item that names a list defined before this one was last touched stands for
  /// that list's own items, one level deep. Errors: limit.
  static Result<ListTable> create(const Definitions<ListDefinition>& lists);

  /// `text` with lists put in. Marks the lists that were used. Errors: limit.
  Result<SourcedText> substitute(const SourcedText& text);
  bool is_used(size_t index) const { return lists_[index].is_used; }
  /// Names of the lists that `text` holds.
  std::vector<std::string> names_in(std::string_view text) const;
  /// Names of lists that the list's items name.
  const std::vector<std::string>& references(size_t index) const { return lists_[index].references; }

 private:
  struct List {
    std::string name;
    std::string text;  // items, quoted where needed, joined
    bool is_empty = true;
    bool is_used = false;
    std::vector<std::string> references;
  };
  friend class Substitution;

  Result<SourcedText> substitute_slowly(const SourcedText& text);

  std::vector<List> lists_;  // in order of definition
  std::unordered_map<std::string_view, size_t> by_name_;
  bool has_odd_names_ = false;  // a name with a delimiter in it, which no single word can match
  std::vector<std::shared_ptr<const ListDefinition>> definitions_;  // own the names
};

}  // namespace quell::detect::falco
