#include <algorithm>

#include "detect/falco/loader.h"

namespace quell::detect::falco {
namespace {

// `*` stands for any text. Backtracks to the last star only, so it is linear in pattern times text.
bool matches(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0, star = std::string_view::npos, star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace

std::vector<Selection> select(RuleSet& rules, std::span<const Selection> selections) {
  std::vector<Selection> idle;
  for (const Selection& selection : selections) {
    bool any = false;
    for (Rule& rule : rules.rules) {
      const bool hit = selection.by == Selection::By::name
                           ? matches(selection.pattern, rule.name)
                           : std::find(rule.tags.begin(), rule.tags.end(), selection.pattern) != rule.tags.end();
      if (hit) rule.enabled = selection.enable;
      any = any || hit;
    }
    if (!any) idle.push_back(selection);
  }
  return idle;
}

Result<std::vector<Selection>> read_selections(const yaml::Node& node) {
  if (!node.is_sequence()) return node.error("expected a sequence of 'enable:' and 'disable:' entries");
  std::vector<Selection> selections;
  for (const yaml::Node* entry : node.items()) {
    QUELL_CHECK(entry->only_keys({"enable", "disable"}));
    if (entry->entries().size() != 1) return entry->error("expected either 'enable' or 'disable'");
    const yaml::Node& what = *entry->entries()[0].value;
    QUELL_CHECK(what.only_keys({"rule", "tag"}));
    if (what.entries().size() != 1) return what.error("expected either 'rule' or 'tag'");
    Selection selection;
    selection.enable = entry->entries()[0].key->text() == "enable";
    selection.by = what.find("rule") ? Selection::By::name : Selection::By::tag;
    QUELL_TRY(selection.pattern, what.entries()[0].value->as_string());
    selections.push_back(std::move(selection));
  }
  return selections;
}

}  // namespace quell::detect::falco
