// What every shipped rule owes its readers: a technique, an explanation, an output that names the actor, a line in the
// table of content/rules/README.md, and scenarios that show it firing and just not firing.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "base/yaml.h"
#include "capture/scenario/scenario.h"

namespace quell {
namespace {

namespace fs = std::filesystem;

constexpr size_t kDescriptionMinimum = 80;
constexpr size_t kConstantLimit = 255;  // what the rule language allows for one constant

struct ShippedRule {
  std::string name, description, condition, output, where;
  std::vector<std::string> tags;
};

std::vector<std::string> yaml_files(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(std::string(QUELL_SOURCE_DIR) + "/" + folder))
    if (entry.path().extension() == ".yaml") files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  return files;
}

/// Calls visit(item, file) for every item of the shipped rule files.
template <typename Visit>
void for_each_item(Visit&& visit) {
  for (const std::string& path : yaml_files("content/rules")) {
    const auto file = yaml::parse_file(path);
    ASSERT_TRUE(file) << file.error().str();
    for (const yaml::Node* document : (*file)->documents())
      for (const yaml::Node* item : document->items()) visit(*item);
  }
}

std::vector<ShippedRule> shipped_rules() {
  std::vector<ShippedRule> rules;
  for_each_item([&](const yaml::Node& item) {
    if (item.find("rule") == nullptr) return;
    ShippedRule rule;
    const auto text = [&](const char* key) {
      return item.find(key) == nullptr ? std::string{} : item.find(key)->text();
    };
    rule.name = text("rule");
    rule.description = text("desc");
    rule.condition = text("condition");
    rule.output = text("output");
    rule.where = item.where();
    rule.tags = item.get_strings("tags").value_or(std::vector<std::string>{});
    rules.push_back(std::move(rule));
  });
  return rules;
}

/// "T1059" or "T1059.004".
bool is_technique(const std::string& tag) {
  const auto digits = [&](size_t from, size_t count) {
    return tag.size() >= from + count &&
           std::all_of(tag.begin() + static_cast<ptrdiff_t>(from), tag.begin() + static_cast<ptrdiff_t>(from + count),
                       [](unsigned char c) { return std::isdigit(c) != 0; });
  };
  if (tag.empty() || tag[0] != 'T' || !digits(1, 4)) return false;
  return tag.size() == 5 || (tag.size() == 9 && tag[5] == '.' && digits(6, 3));
}

TEST(Content, RulesExplainThemselves) {
  const auto rules = shipped_rules();
  ASSERT_GE(rules.size(), 36u);
  std::set<std::string> names;
  for (const ShippedRule& rule : rules) {
    EXPECT_TRUE(names.insert(rule.name).second) << rule.where << ": the name is taken: " << rule.name;
    EXPECT_GE(rule.description.size(), kDescriptionMinimum) << rule.where;
    EXPECT_NE(rule.description.find("alse alarm"), std::string::npos)
        << rule.where << ": says nothing about what triggers it falsely";
    EXPECT_TRUE(std::any_of(rule.tags.begin(), rule.tags.end(), is_technique)) << rule.where << ": no ATT&CK technique";
    EXPECT_TRUE(std::any_of(rule.tags.begin(), rule.tags.end(),
                            [](const std::string& tag) { return tag.starts_with("mitre_"); }))
        << rule.where << ": no ATT&CK tactic";
    for (const char* token : {"%user.name", "%proc.name", "%proc.pname", "%proc.cmdline", "container_id=%container.id"})
      EXPECT_NE(rule.output.find(token), std::string::npos) << rule.where << ": the output lacks " << token;
  }
}

TEST(Content, NamesDoNotCollideWithOtherRuleSets) {
  for_each_item([](const yaml::Node& item) {
    for (const char* kind : {"list", "macro"})
      if (const yaml::Node* name = item.find(kind)) {
        EXPECT_TRUE(name->text().starts_with("quell_")) << item.where() << ": " << name->text();
      }
  });
}

/// 00_base.yaml and one more file are enough to load: nobody must take all stories to have one.
TEST(Content, EachFileNeedsOnlyTheBase) {
  std::map<std::string, std::string> defined;
  for_each_item([&](const yaml::Node& item) {
    for (const char* kind : {"list", "macro"})
      if (const yaml::Node* name = item.find(kind)) defined[name->text()] = item.file().name();
  });
  const auto words = [](const std::string& text) {
    std::set<std::string> out;
    for (size_t at = text.find("quell_"); at != std::string::npos; at = text.find("quell_", at + 1)) {
      const size_t end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789", at);
      out.insert(text.substr(at, end == std::string::npos ? end : end - at));
    }
    return out;
  };
  for_each_item([&](const yaml::Node& item) {
    const yaml::Node* condition = item.find("condition");
    if (condition == nullptr) return;
    for (const std::string& word : words(condition->text())) {
      ASSERT_TRUE(defined.contains(word)) << item.where() << ": nobody defines " << word;
      const bool base = defined[word].ends_with("00_base.yaml");
      EXPECT_TRUE(base || defined[word] == item.file().name())
          << item.where() << ": " << word << " is of " << defined[word];
    }
  });
}

TEST(Content, ConstantsFitTheLanguage) {
  for_each_item([](const yaml::Node& item) {
    const yaml::Node* condition = item.find("condition");
    if (condition == nullptr) return;
    const std::string& text = condition->text();
    for (size_t from = text.find('"'); from != std::string::npos;) {
      const size_t to = text.find('"', from + 1);
      ASSERT_NE(to, std::string::npos) << item.where() << ": a quote is not closed";
      EXPECT_LE(to - from - 1, kConstantLimit) << item.where();
      from = text.find('"', to + 1);
    }
  });
}

TEST(Content, EveryRuleHasItsScenarios) {
  std::map<std::string, size_t> fires, misses;
  for (const std::string& path : yaml_files("tests/scenarios")) {
    const auto scenario = capture::load_scenario(path);
    ASSERT_TRUE(scenario) << scenario.error().str();
    EXPECT_GE(scenario->why.size(), 20u) << path;
    for (const capture::Expectation& expectation : scenario->expect) {
      ++fires[expectation.rule];
      EXPECT_TRUE(is_technique(expectation.attack)) << expectation.where << ": name the technique";
    }
    for (const capture::NearMiss& miss : scenario->near_misses) {
      ++misses[miss.rule];
      EXPECT_GE(miss.because.size(), 8u) << miss.where << ": say why";
    }
  }
  std::set<std::string> names;
  for (const ShippedRule& rule : shipped_rules()) {
    names.insert(rule.name);
    EXPECT_GE(fires[rule.name], 1u) << rule.where << ": no scenario shows '" << rule.name << "' firing";
    EXPECT_GE(misses[rule.name], 1u) << rule.where << ": no scenario shows '" << rule.name << "' just not firing";
  }
  for (const auto& [name, count] : fires)
    EXPECT_TRUE(count == 0 || names.contains(name)) << "a scenario expects a rule that does not exist: " << name;
  for (const auto& [name, count] : misses)
    EXPECT_TRUE(count == 0 || names.contains(name)) << "a near miss of a rule that does not exist: " << name;
}

TEST(Content, ReadmeListsEveryRuleWithItsTechniques) {
  std::ifstream file(std::string(QUELL_SOURCE_DIR) + "/content/rules/README.md");
  ASSERT_TRUE(file.good());
  std::map<std::string, std::string> rows;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("| ")) continue;
    const size_t end = line.find(" |", 2);
    rows[line.substr(2, end - 2)] = line;
  }
  size_t listed = 0;
  for (const ShippedRule& rule : shipped_rules()) {
    ASSERT_TRUE(rows.contains(rule.name)) << "content/rules/README.md has no row for '" << rule.name << "'";
    ++listed;
    for (const std::string& tag : rule.tags)
      EXPECT_TRUE(!is_technique(tag) || rows[rule.name].find(tag) != std::string::npos) << rule.name << ": " << tag;
  }
  EXPECT_EQ(listed + 2, rows.size()) << "rows for rules that are gone";  // the head and the line below it
}

}  // namespace
}  // namespace quell
