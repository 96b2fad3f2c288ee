#pragma once
// Everything that rule files define, before lists, macros and exceptions are resolved. One store for all files: a later
// file may redefine, append to or override what an earlier one said.
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/yaml.h"
#include "detect/falco/sourced_text.h"
#include "detect/ruleset.h"
#include "model/severity.h"

namespace quell::detect::falco {

/// What every definition has. `index` is fixed by the first definition and gives the order; `visibility` moves with
/// each later one: a macro sees what has a lower index than its own visibility.
struct Definition {
  std::string name;
  const yaml::Node* node = nullptr;  // the item of the latest full definition
  size_t index = 0;
  size_t visibility = 0;
};

struct ListDefinition : Definition {
  std::vector<const yaml::Node*> items;  // scalars
};

struct MacroDefinition : Definition {
  SourcedText condition;
};

/// A scalar or a sequence, nested at most twice: what `fields`, `comps` and `values` of an exception hold.
struct Entry {
  const yaml::Node* node = nullptr;
  std::vector<Entry> items;

  bool is_list() const { return node->is_sequence(); }
  const std::string& text() const { return node->text(); }
};

/// Who vouches for the values of one exception entry, and until when.
struct ExceptionNote {
  const yaml::Node* node = nullptr;  // the entry
  std::string owner, reason, expires;
  uint64_t expires_ns = 0;  // realtime, exclusive; 0: never
  bool is_expired = false;
  size_t value_count = 0;
};

struct ExceptionDefinition {
  std::string name;
  const yaml::Node* node = nullptr;
  bool has_field_list = false;  // false: one scalar field
  std::vector<Entry> fields;    // one if scalar; empty: none given
  bool has_comps = false;
  bool has_comp_list = false;
  std::vector<std::string> comps;    // parallel to fields, trimmed
  std::vector<Entry> values;         // without those of entries that have expired
  std::vector<ExceptionNote> notes;  // one per entry that gave values
};

/// An exception entry for a rule that nobody defines.
struct OrphanException {
  std::string rule, name;
  ExceptionNote note;
};

struct RuleDefinition : Definition {
  std::string source = "syscall";
  bool is_known_source = true;
  SourcedText condition;
  SourcedText output;  // trimmed
  std::string description;
  Priority priority = Priority::debug;
  bool enabled = true;
  bool warn_evttypes = true;
  bool skip_if_unknown_filter = false;
  bool capture = false;
  uint64_t capture_duration_ms = 0;
  std::set<std::string> tags;
  std::vector<ExceptionDefinition> exceptions;
  FoldSpec fold;
};

/// Definitions of one kind in order of their first definition. Copying is cheap: copies share what does not change.
template <typename T>
class Definitions {
 public:
  const T* find(std::string_view name) const {
    const auto found = by_name_.find(std::string(name));
    return found == by_name_.end() ? nullptr : all_[found->second].get();
  }
  const std::vector<std::shared_ptr<const T>>& all() const { return all_; }
  /// Adds, or replaces the definition of the same name at its place.
  void put(T definition, size_t now) {
    const auto [found, is_new] = by_name_.emplace(definition.name, all_.size());
    definition.index = is_new ? now : all_[found->second]->index;
    definition.visibility = now;
    auto shared = std::make_shared<const T>(std::move(definition));
    if (is_new) {
      all_.push_back(std::move(shared));
    } else {
      all_[found->second] = std::move(shared);
    }
  }

 private:
  std::vector<std::shared_ptr<const T>> all_;
  std::unordered_map<std::string, size_t> by_name_;
};

struct Store {
  Definitions<ListDefinition> lists;
  Definitions<MacroDefinition> macros;
  Definitions<RuleDefinition> rules;
  std::vector<OrphanException> orphans;
  std::vector<std::shared_ptr<const yaml::File>> files;  // own the nodes that definitions point to
  std::vector<std::string> required_engine_versions;     // as written, for descriptions
  std::vector<std::vector<std::pair<std::string, std::string>>> required_plugins;  // groups of (name, version)
  size_t next_index = 0;
};

}  // namespace quell::detect::falco
