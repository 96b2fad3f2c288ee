#include "detect/falco/loader.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>

#include "test_semantics.h"

namespace quell::detect::falco {
namespace {

const TestSemantics kSemantics;

// A rule file with one rule around the given lines.
std::string rule_with(const std::string& condition, const std::string& more = "") {
  return "- rule: r\n  desc: d\n  condition: " + condition + "\n  output: o\n  priority: INFO\n" + more;
}

const Rule* find_rule(const Loader& loader, std::string_view name = "r") {
  for (const Rule& rule : loader.rules().rules)
    if (rule.name == name) return &rule;
  return nullptr;
}

std::string loaded_condition(const std::string& text) {
  Loader loader(kSemantics);
  const FileResult result = loader.load("rules.yaml", text);
  EXPECT_TRUE(result.successful()) << verbose(result);
  const Rule* rule = find_rule(loader);
  return rule ? rule->condition->str() : "";
}

Problem only_error(const std::string& text) {
  Loader loader(kSemantics);
  const FileResult result = loader.load("rules.yaml", text);
  EXPECT_EQ(result.errors.size(), 1u) << text << verbose(result);
  return result.errors.empty() ? Problem{} : result.errors.front();
}

std::vector<std::string> warning_codes(const std::string& text) {
  Loader loader(kSemantics);
  const FileResult result = loader.load("rules.yaml", text);
  EXPECT_TRUE(result.successful()) << verbose(result);
  std::vector<std::string> codes;
  for (const Problem& problem : result.warnings) codes.emplace_back(code_name(problem.code));
  return codes;
}

// "line:column" of the first `needle` in `text`, from 1.
std::string place_in(const std::string& text, const std::string& needle) {
  const size_t at = text.find(needle);
  EXPECT_NE(at, std::string::npos);
  const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<long>(at), '\n');
  const size_t start = at == 0 ? 0 : text.rfind('\n', at - 1) + 1;
  return std::to_string(line) + ':' + std::to_string(at - start + 1);
}

void expect_error_at(const std::string& text, const std::string& needle, LoadCode code) {
  const Problem error = only_error(text);
  EXPECT_EQ(code_name(error.code), code_name(code)) << error.message;
  EXPECT_EQ(std::to_string(error.line) + ':' + std::to_string(error.column), place_in(text, needle)) << error.message;
  const std::string shown = needle.substr(0, needle.find('\n'));
  EXPECT_EQ(error.excerpt.substr(error.excerpt_column, shown.size()), shown);
}

// --- where a problem is
// ----------------------------------------------------------------------------------------------------

TEST(LoaderPlaces, PlainCondition) {
  expect_error_at(rule_with("evt.type = open and proc.nobody = x"), "proc.nobody", LoadCode::err_compile_condition);
}

TEST(LoaderPlaces, BlockScalars) {
  expect_error_at(rule_with(">\n    evt.type = open\n    and proc.name = x\n    and proc.nobody = y"), "proc.nobody",
                  LoadCode::err_compile_condition);
  expect_error_at(rule_with("|-\n    evt.type = open and (\n      proc.nobody = y)"), "proc.nobody",
                  LoadCode::err_compile_condition);
  expect_error_at(rule_with("|-\n    evt.type = open and (\n      proc.name = y) )"), ")\n  output: o",
                  LoadCode::err_compile_condition);
}

TEST(LoaderPlaces, QuotedCondition) {
  expect_error_at(rule_with("\"evt.type = open and proc.cmdline = \\\"a\\\" and proc.nobody = x\""), "proc.nobody",
                  LoadCode::err_compile_condition);
}

TEST(LoaderPlaces, AppendedCondition) {
  expect_error_at(rule_with("evt.type = open") +
                      "- rule: r\n  condition: >\n    and proc.name = a\n    and proc.nobody = b\n  override: "
                      "{condition: append}\n",
                  "proc.nobody", LoadCode::err_compile_condition);
}

TEST(LoaderPlaces, BehindAListThatWasPutIn) {
  expect_error_at("- list: names\n  items: [alpha, beta, gamma]\n" +
                      rule_with("evt.type = open and proc.name in (names) and proc.nobody = x"),
                  "proc.nobody", LoadCode::err_compile_condition);
}

TEST(LoaderPlaces, InAMacroOnceForAllItsUsers) {
  const std::string text = "- macro: m\n  condition: proc.nobody = x\n" + rule_with("evt.type = open and m") +
                           "- rule: s\n  desc: d\n  condition: evt.type = close and m\n  output: o\n  priority: INFO\n";
  expect_error_at(text, "proc.nobody", LoadCode::err_compile_condition);
  const Problem error = only_error(text);
  ASSERT_EQ(error.locations.size(), 4u);
  EXPECT_EQ(error.locations[1].item_name, "r");
  EXPECT_EQ(error.locations[2].item_type, "macro");
}

TEST(LoaderPlaces, InAnException) {
  expect_error_at(rule_with("evt.type = open",
                            "  exceptions:\n    - name: e\n      fields: [proc.name]\n      values:\n        - ['a "
                            "b)']\n        - ['c(']\n"),
                  "c('", LoadCode::err_compile_condition);
  expect_error_at(rule_with("evt.type = open", "  exceptions:\n    - {name: e, fields: [proc.name, proc.nobody]}\n"),
                  "proc.nobody", LoadCode::err_validate);
}

TEST(LoaderPlaces, InAnOutput) {
  expect_error_at(
      "- rule: r\n  desc: d\n  condition: evt.type = open\n  priority: INFO\n  output: >\n    a %proc.name\n    b "
      "%proc.nobody)\n",
      "%proc.nobody", LoadCode::err_compile_output);
}

TEST(LoaderPlaces, YamlSyntax) {
  const Problem error = only_error("- rule: r\n  desc: [a, b\n  output: x\n");
  EXPECT_EQ(error.code, LoadCode::err_yaml_parse);
  EXPECT_GE(error.line, 2u);
  EXPECT_FALSE(error.excerpt.empty());
}

TEST(LoaderPlaces, AllErrorsInOneRun) {
  Loader loader(kSemantics);
  const FileResult result =
      loader.load("rules.yaml", "- macro: m\n  condition: (\n- list: l\n- rule: a\n  desc: d\n" +
                                    rule_with("m and evt.type = open") +
                                    "- rule: m2\n  desc: d\n  condition: undefined_one\n  output: o\n  priority: x\n");
  std::vector<std::string> codes;
  for (const Problem& problem : result.errors) codes.emplace_back(code_name(problem.code));
  // Nothing is said about rule r: what is wrong with its macro is said already. The last is about m2, whose priority
  // did not hide its condition.
  EXPECT_EQ(codes,
            (std::vector<std::string>{"LOAD_ERR_YAML_VALIDATE", "LOAD_ERR_YAML_VALIDATE", "LOAD_ERR_YAML_VALIDATE",
                                      "LOAD_ERR_YAML_VALIDATE", "LOAD_ERR_YAML_VALIDATE", "LOAD_ERR_COMPILE_CONDITION",
                                      "LOAD_ERR_VALIDATE"}))
      << verbose(result);
}

// --- what is refused
// ---------------------------------------------------------------------------------------------------------

struct Refusal {
  const char* text;
  LoadCode code;
  const char* message;
};

TEST(Loader, Refusals) {
  constexpr auto kYaml = LoadCode::err_yaml_validate;
  constexpr auto kValidate = LoadCode::err_validate;
  const std::string base = rule_with("evt.type = open");
  const Refusal refusals[] = {
      {"text", kYaml, "Rules content is not yaml"},
      {"a: b", kYaml, "Rules content is not yaml array of objects"},
      {"- [a]", kYaml, "Unexpected element type"},
      {"- required_engine_version: 0.64.0", kValidate,
       "Rules require engine version 0.64.0, but engine version is 0.63.0"},
      {"- required_engine_version: 1.0.0", kValidate, "Rules require engine version"},
      {"- required_engine_version: 0.9", kYaml, "Unable to parse engine version '0.9'"},
      {"- required_plugin_versions: {name: a}", kYaml, "sequence"},
      {"- required_plugin_versions: [x]", kYaml, "map"},
      {"- required_plugin_versions: [{name: json, version: x}]", kYaml, "'x'"},
      {"- required_plugin_versions: [{name: json}]", kYaml, "Item has no mapping for key 'version'"},
      {"- required_plugin_versions: [{name: json, version: 0.7.0, alternatives: [{name: json, version: 0.8.0}]}]",
       kYaml, "twice"},
      {"- required_plugin_versions: [{name: foo, version: 1.2.3, alternatives: [{name: bar, version: 2.0.0}]}]",
       kValidate, "Plugin requirement not satisfied, must load one of: foo (>= 1.2.3), bar (>= 2.0.0)"},
      {"- required_plugin_versions: [{name: json, version: 0.99.0}]", kValidate,
       "Plugin 'json' version '0.7.4' is not compatible with required plugin version '0.99.0'"},
      {"- required_plugin_versions: [{name: json, version: 1.0.0}]", kValidate, "is not compatible"},
      {"- list: x", kYaml, "Item has no mapping for key 'items'"},
      {"- list: x\n  items:", kYaml, "Mapping for key 'items' is empty"},
      {"- list: x\n  items: a", kYaml, "sequence"},
      {"- list: x\n  items: [[a]]", kYaml, "Value is not a scalar value"},
      {"- list: ''\n  items: []", kYaml, "Value must be non-empty"},
      {"- list: [x]\n  items: []", kYaml, "Value is not a scalar value"},
      {"- list: x\n  items: []\n  append: true", kValidate, "no list by that name already exists"},
      {"- list: x\n  items: []\n  override: {items: append}", kValidate, "no list by that name already exists"},
      {"- list: x\n  items: []\n  override: {items: prepend}", kYaml,
       "Invalid override operation for key 'items': 'prepend'. Allowed values are: append replace "},
      {"- list: x\n  items: []\n  override: {name: replace}", kYaml, "Key 'name' cannot be replaced"},
      {"- list: x\n  items: []\n  override: items", kYaml, "'override'"},
      {"- macro: x", kYaml, "Item has no mapping for key 'condition'"},
      {"- macro: x\n  condition: a b", LoadCode::err_compile_condition,
       "unexpected token after 'a', expecting 'or', 'and'"},
      {"- macro: x\n  condition: y", kValidate, "Undefined macro 'y' used in filter."},
      {"- macro: x\n  condition: proc.name = a\n  append: maybe", kYaml, "Can't decode YAML scalar value"},
      {"- rule: x", kYaml, "Item has no mapping for key 'enabled'"},
      {"- rule: x\n  enabled: true", kValidate, "Rule has 'enabled' key but no rule by that name already exists"},
      {"- rule: x\n  condition: a\n  append: true", kValidate,
       "Rule uses 'append' or 'override.<key>: append' but no rule by that name already exists"},
      {"- rule: x\n  condition: a\n  override: {condition: replace}", kValidate,
       "An 'override.<key>: replace' to a rule was requested but no rule by that name already exists"},
      {"- rule: r\n  desc: d\n  condition: evt.type=open\n  output: o\n  priority: high", kYaml, "Invalid priority"},
      {"- rule: r\n  desc: d\n  condition: evt.type=open\n  output: o\n  priority: INFO\n  enabled: maybe", kYaml,
       "Can't decode YAML scalar value"},
      {"- rule: r\n  desc: d\n  condition: evt.type=open\n  output: o\n  priority: INFO\n  tags: a", kYaml, "sequence"},
      {"- rule: r\n  desc: d\n  condition: evt.type=open\n  output: o\n  priority: INFO\n  capture_duration: -1", kYaml,
       "Can't decode YAML scalar value"},
      {"- rule: r\n  desc: d\n  condition: evt.type=frob\n  output: o\n  priority: INFO",
       LoadCode::err_compile_condition, "unknown event type frob"},
      {"- rule: r\n  desc: d\n  condition: evt.type=val(proc.name)\n  output: o\n  priority: INFO",
       LoadCode::err_compile_condition, "evt.type"},
      {"- rule: r\n  desc: d\n  condition: tolower(evt.type)=open\n  output: o\n  priority: INFO",
       LoadCode::err_compile_condition, "evt.type"},
  };
  for (const Refusal& refusal : refusals) {
    const Problem error = only_error(refusal.text);
    EXPECT_EQ(code_name(error.code), code_name(refusal.code)) << refusal.text;
    EXPECT_NE(error.message.find(refusal.message), std::string::npos) << refusal.text << ": " << error.message;
    EXPECT_GT(error.line, 0u);
  }
  const Refusal on_top_of_a_rule[] = {
      {"- rule: r\n  condition: and a\n  priority: INFO\n  override: {condition: append}", kYaml,
       "Unexpected key 'priority': no corresponding entry under 'override' is defined."},
      {"- rule: r\n  override: {condition: append}", kYaml,
       "An append override for 'condition' was specified but 'condition' is not defined"},
      {"- rule: r\n  priority: INFO\n  override: {priority: append}", kYaml,
       "Key 'priority' cannot be appended to, use 'replace' instead"},
      {"- rule: r\n  source: syscall\n  override: {source: replace}", kYaml, "Key 'source' cannot be replaced"},
      {"- rule: r\n  append: true", kValidate, "Appended rule must have exceptions or condition property"},
      {"- rule: r\n  condition: and evt.num>0\n  source: other\n  append: true", kValidate,
       "Rule has been re-defined with a different source"},
      {"- rule: r\n  exceptions: [{name: e, values: [a]}]\n  append: true", kValidate,
       "Rule exception must have fields property with a list of fields"},
      {"- rule: r\n  exceptions: [{name: e, fields: proc.name}]\n  append: true", kValidate,
       "Rule exception must have values property with a list of values"},
      {"- rule: r\n  exceptions: [{name: e, fields: proc.name}]\n  override: {exceptions: append}", kValidate,
       "Rule exception must have values property"},
      {"- rule: r\n  exceptions: [{name: e, fields: proc.name, comps: [in], values: [a]}]\n  append: true", kValidate,
       "Fields and comps must both be strings"},
      {"- rule: r\n  exceptions: [{name: e, fields: proc.name, comps: '=', values: [a]}]\n  append: true", kValidate,
       "When fields is a single value"},
      {"- rule: r\n  exceptions: [{name: e, fields: [proc.name], comps: [in, in], values: [[a]]}]\n  append: true",
       kValidate, "Fields and comps lists must have equal length"},
      {"- rule: r\n  exceptions: [{name: e, fields: [proc.name, proc.pid], values: [[a]]}]\n  append: true", kValidate,
       "Fields and values lists must have equal length"},
      {"- rule: r\n  exceptions: [{name: e, fields: proc.name, values: [[a]]}]\n  append: true", kValidate,
       "Expected values array to contain a list of strings"},
      {"- rule: r\n  exceptions: [{name: e, fields: 'proc.name x', values: [a]}]\n  append: true", kValidate,
       "'proc.name x' is not a supported filter field"},
      {"- rule: r\n  exceptions: {name: e}\n  append: true", kYaml, "sequence"},
      {"- rule: r\n  exceptions: [e]\n  append: true", kYaml, "map"},
      {"- rule: r\n  exceptions: [{name: e, fields: proc.name, values: a}]\n  append: true", kYaml, "sequence"},
  };
  for (const Refusal& refusal : on_top_of_a_rule) {
    const Problem error = only_error(base + refusal.text);
    EXPECT_EQ(code_name(error.code), code_name(refusal.code)) << refusal.text;
    EXPECT_NE(error.message.find(refusal.message), std::string::npos) << refusal.text << ": " << error.message;
  }
  const Problem twice =
      only_error(base + "- rule: r\n  exceptions: [{name: e, fields: [proc.name], values: [[a]]}]\n  append: true\n" +
                 "- rule: r\n  exceptions: [{name: e, fields: [proc.name], values: [[a]]}]\n  append: true\n");
  EXPECT_NE(twice.message.find("Can not append exception fields to existing exception, only values"),
            std::string::npos);
}

TEST(Loader, Warnings) {
  using Codes = std::vector<std::string>;
  EXPECT_EQ(warning_codes(rule_with("evt.type=open")), Codes{});
  EXPECT_EQ(warning_codes("- thing: x"), Codes{"LOAD_UNKNOWN_ITEM"});
  EXPECT_EQ(warning_codes("- list: a b\n  items: []"), (Codes{"LOAD_INVALID_LIST_NAME", "LOAD_UNUSED_LIST"}));
  EXPECT_EQ(warning_codes("- macro: a-b\n  condition: evt.num>0"),
            (Codes{"LOAD_INVALID_MACRO_NAME", "LOAD_UNUSED_MACRO"}));
  EXPECT_EQ(warning_codes(rule_with("proc.name=x")), Codes{"LOAD_NO_EVTTYPE"});
  EXPECT_EQ(warning_codes(rule_with("proc.name=x", "  warn_evttypes: false")), Codes{});
  EXPECT_EQ(warning_codes(rule_with("evt.type=open", "  source: mysource")), Codes{"LOAD_UNKNOWN_SOURCE"});
  EXPECT_EQ(warning_codes(rule_with("evt.type=open",
                                    "  exceptions: [{name: e, fields: proc.name}, {name: e, fields: proc.pid}]")),
            Codes{"LOAD_EXCEPTION_NAME_NOT_UNIQUE"});
  EXPECT_EQ(warning_codes(rule_with("evt.type=open", "  exceptions: [{name: e, fields: proc.name, vales: [a]}]")),
            Codes{"LOAD_UNKNOWN_KEY"});
  EXPECT_EQ(warning_codes(rule_with(
                "evt.type=open",
                "  exceptions: [{name: e, fields: proc.name}]\n- rule: r\n  exceptions: [{name: e}]\n  append: true")),
            (Codes{"LOAD_DEPRECATED_ITEM", "LOAD_APPEND_NO_VALUES"}));
  EXPECT_EQ(warning_codes(rule_with("evt.type=open", "  priority: DEBUG")), Codes{"LOAD_WARNING_EXTENSION"});
  EXPECT_EQ(warning_codes(rule_with("evt.type=open and proc.nobody=x", "  skip-if-unknown-filter: true")),
            Codes{"LOAD_UNKNOWN_FILTER"});
  EXPECT_EQ(warning_codes(
                "- rule: r\n  desc: d\n  condition: evt.type=open\n  output: 'x %container.info'\n  priority: INFO"),
            Codes{"LOAD_DEPRECATED_ITEM"});
}

TEST(Loader, SuggestionsForTypos) {
  const auto suggestion = [](const std::string& text) {
    Loader loader(kSemantics);
    const FileResult result = loader.load("rules.yaml", text);
    for (const auto* problems : {&result.errors, &result.warnings})
      for (const Problem& problem : *problems)
        if (!problem.suggestion.empty()) return problem.suggestion;
    return std::string();
  };
  EXPECT_NE(suggestion("- rul: x").find("'rule'"), std::string::npos);
  EXPECT_NE(suggestion(rule_with("evt.type=open", "  enabeld: true")).find("'enabled'"), std::string::npos);
  EXPECT_NE(suggestion("- macro: spawned\n  condition: evt.type=execve\n" + rule_with("spawnd")).find("'spawned'"),
            std::string::npos);
  EXPECT_NE(suggestion("- list: x\n  items: []\n  override: {item: append}").find("'items'"), std::string::npos);
}

// --- a file that fails changes nothing
// ---------------------------------------------------------------------------------------

TEST(Loader, ABadFileLeavesTheOthersInForce) {
  Loader loader(kSemantics);
  ASSERT_TRUE(loader.load("a.yaml", "- list: l\n  items: [a]\n" + rule_with("evt.type=open and proc.name in (l)"))
                  .successful());
  EXPECT_FALSE(
      loader.load("b.yaml", "- list: l\n  items: [b]\n  append: true\n- rule: r\n  enabled: false\n- rule: bad\n")
          .successful());
  ASSERT_NE(find_rule(loader), nullptr);
  EXPECT_TRUE(find_rule(loader)->enabled);
  EXPECT_EQ(find_rule(loader)->condition->str(), "(evt.type = open and proc.name in (a))");
  ASSERT_TRUE(loader.load("c.yaml", "- list: l\n  items: [c]\n  override: {items: append}\n").successful());
  EXPECT_EQ(find_rule(loader)->condition->str(), "(evt.type = open and proc.name in (a, c))");
  EXPECT_FALSE(
      loader.load("d.yaml", "- list: l\n  items: [')']\n").successful());  // breaks the rule of an earlier file
  EXPECT_EQ(find_rule(loader)->condition->str(), "(evt.type = open and proc.name in (a, c))");
}

class Folder {
 public:
  Folder() : path_(std::filesystem::temp_directory_path() / ("quell-rules-" + std::to_string(getpid()))) {
    std::filesystem::create_directories(path_ / "sub");
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name) << text;
    return path_ / name;
  }
  std::string path() const { return path_; }

 private:
  std::filesystem::path path_;
};

TEST(Loader, FilesAndDirectories) {
  const Folder folder;
  folder.write("10-macros.yaml", "- macro: m\n  condition: evt.type=open\n");
  folder.write("20-bad.yml", "- rule: x\n");
  folder.write("30-rules.yaml", rule_with("m"));
  folder.write("40-notes.txt", "not yaml: [");
  folder.write("sub/50-more.yaml", "- rule: y\n");
  const auto files = rule_files(folder.path());
  ASSERT_TRUE(files);
  EXPECT_EQ(files->size(), 3u);
  {
    Loader loader(kSemantics);
    const auto results = load_files(loader, {folder.path()}, OnError::keep_going);
    ASSERT_EQ(results.size(), 3u);
    EXPECT_TRUE(results[0].successful());
    EXPECT_TRUE(results[0].warnings.empty()) << "the macro found its user in a later file";
    EXPECT_FALSE(results[1].successful());
    EXPECT_TRUE(results[2].successful());
    EXPECT_NE(find_rule(loader), nullptr);
  }
  {
    Loader loader(kSemantics);
    EXPECT_EQ(load_files(loader, {folder.path()}, OnError::stop).size(), 2u);
    EXPECT_EQ(find_rule(loader), nullptr);
  }
  Loader loader(kSemantics);
  const auto missing = load_files(loader, {folder.path() + "/none.yaml"}, OnError::keep_going);
  ASSERT_EQ(missing.size(), 1u);
  EXPECT_EQ(missing[0].errors.at(0).code, LoadCode::err_file_read);
  EXPECT_NE(readable(missing[0]).find("none.yaml: error:"), std::string::npos);
}

// --- macros, order, redefinition
// ---------------------------------------------------------------------------------------------

TEST(Loader, MacrosActAsIfInParentheses) {
  EXPECT_EQ(
      loaded_condition("- macro: m\n  condition: evt.type=open or evt.type=close\n" + rule_with("m and proc.name=a")),
      "((evt.type = open or evt.type = close) and proc.name = a)");
}

TEST(Loader, AppendedTextBindsByPrecedence) {
  EXPECT_EQ(loaded_condition(rule_with("evt.type=open and proc.name=a") +
                             "- rule: r\n  condition: or evt.type=close\n  override: {condition: append}\n"),
            "((evt.type = open and proc.name = a) or evt.type = close)");
}

TEST(Loader, ALaterMacroChangesEarlierRulesAndNotTheOrder) {
  Loader loader(kSemantics);
  ASSERT_TRUE(
      loader
          .load("a.yaml", "- macro: m\n  condition: evt.type=open\n" + rule_with("m") +
                              "- rule: s\n  desc: d\n  condition: evt.type=close\n  output: o\n  priority: INFO\n")
          .successful());
  ASSERT_TRUE(loader.load("b.yaml", "- macro: m\n  condition: evt.type=openat\n" + rule_with("m", "  tags: [x]\n"))
                  .successful());
  ASSERT_EQ(loader.rules().rules.size(), 2u);
  EXPECT_EQ(loader.rules().rules[0].name, "r");
  EXPECT_EQ(loader.rules().rules[0].condition->str(), "evt.type = openat");
  EXPECT_EQ(loader.rules().rules[0].file, "b.yaml");
}

TEST(Loader, MacroVisibility) {
  EXPECT_EQ(
      code_name(
          only_error("- macro: a\n  condition: b\n- macro: b\n  condition: evt.type=open\n" + rule_with("a")).code),
      "LOAD_ERR_VALIDATE");
  EXPECT_EQ(loaded_condition("- macro: a\n  condition: evt.type=close\n- macro: b\n  condition: evt.type=open\n- "
                             "macro: a\n  condition: b\n" +
                             rule_with("a")),
            "evt.type = open");
  const Problem loop = only_error(
      "- macro: a\n  condition: evt.type=close\n- macro: b\n  condition: a\n- macro: a\n  condition: b or "
      "evt.type=open\n" +
      rule_with("a"));
  EXPECT_NE(loop.message.find("reference loop in macro 'a'"), std::string::npos);
}

TEST(Loader, MacrosThatGrowWithoutEndAreRefused) {
  std::string text = "- macro: m0\n  condition: proc.name=a or proc.name=b\n";
  for (int i = 1; i < 64; ++i) {
    const std::string below = "m" + std::to_string(i - 1);
    text += "- macro: m" + std::to_string(i) + "\n  condition: " + below + " and " + below + "\n";
  }
  EXPECT_EQ(only_error(text).code, LoadCode::err_validate);
  std::string chain = "- macro: c0\n  condition: proc.name=a\n";
  for (int i = 1; i < 9000; ++i)
    chain += "- macro: c" + std::to_string(i) + "\n  condition: not (c" + std::to_string(i - 1) + " or proc.name=b)\n";
  EXPECT_EQ(only_error(chain).code, LoadCode::err_validate);
}

// --- exceptions
// --------------------------------------------------------------------------------------------------------------

TEST(Loader, ExceptionsBecomeTermsOfTheCondition) {
  const auto with = [](const std::string& exception, const std::string& lists = "") {
    return loaded_condition(lists +
                            rule_with("evt.type=open or evt.type=close", "  exceptions: [" + exception + "]\n"));
  };
  const std::string base = "((evt.type = open or evt.type = close) and not ";
  EXPECT_EQ(with("{name: e, fields: proc.name, values: [a, 'b c', 12]}"), base + "proc.name in (a, \"b c\", 12))");
  EXPECT_EQ(with("{name: e, fields: proc.name, comps: startswith anyof, values: [a]}"),
            base + "proc.name startswith anyof (a))");
  EXPECT_EQ(with("{name: e, fields: [proc.name, fd.name], values: [[a, b], [c, 'd e']]}"),
            base + "((proc.name = a and fd.name = b) or (proc.name = c and fd.name = \"d e\")))");
  EXPECT_EQ(with("{name: e, fields: [proc.name, fd.name], comps: [in, pmatch], values: [[[a, b], /tmp]]}"),
            base + "(proc.name in (a, b) and fd.name pmatch (/tmp)))");
  EXPECT_EQ(with("{name: e, fields: [proc.name, fd.name], comps: [in, '='], values: [[l, x]]}",
                 "- list: l\n  items: [p, q r]\n"),
            base + "(proc.name in (p, \"q r\") and fd.name = x))");
  EXPECT_EQ(with("{name: e, fields: [proc.name], comps: [in], values: [['(a, b)']]}"), base + "proc.name in (a, b))");
  EXPECT_EQ(with("{name: e, fields: [proc.name], comps: [' = '], values: [[toupper(proc.pname)]]}"),
            base + "proc.name = toupper(proc.pname))");
  EXPECT_EQ(with("{name: e, fields: [proc.name]}"), "(evt.type = open or evt.type = close)");
  EXPECT_EQ(with("{name: e, fields: [proc.name], values: []}"), "(evt.type = open or evt.type = close)");
}

// --- forms
// -------------------------------------------------------------------------------------------------------------------

TEST(Loader, Forms) {
  Loader loader(kSemantics);
  const FileResult good = loader.load("good.yaml", rule_with("evt.type=open"));
  EXPECT_EQ(summary(good), "good.yaml: Ok");
  EXPECT_EQ(readable(good), "");
  const FileResult warned = loader.load("warned.yaml", "- thing: x\n");
  EXPECT_EQ("warned.yaml: Ok, with warnings", summary(warned).substr(0, 30));
  EXPECT_NE(summary(warned).find("LOAD_UNKNOWN_ITEM (Unknown rules file item)"), std::string::npos);
  const FileResult bad = loader.load("bad.yaml", "\n" + rule_with("evt.type=open and\n    proc.nobody=x"));
  EXPECT_EQ(summary(bad), "bad.yaml: Invalid 1 errors: [LOAD_ERR_COMPILE_CONDITION (Error compiling condition)]");
  const std::string text = verbose(bad);
  EXPECT_NE(text.find("In rules content: (bad.yaml:0:0)\n    rule 'r': (bad.yaml:1:2)\n    condition expression: (\""),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("\n    proc.nobody=x\n    ^\n"), std::string::npos) << text;
  EXPECT_EQ(readable(bad).find("bad.yaml:5:5: error: rule 'r': "), 0u) << readable(bad);
  const auto object = boost::json::parse(json(bad)).as_object();
  EXPECT_FALSE(object.at("successful").as_bool());
  const auto& error = object.at("errors").as_array().at(0).as_object();
  EXPECT_EQ(error.at("code").as_string(), "LOAD_ERR_COMPILE_CONDITION");
  EXPECT_EQ(error.at("codedesc").as_string(), "Error compiling condition");
  const auto& locations = error.at("context").as_object().at("locations").as_array();
  EXPECT_EQ(locations.at(1).as_object().at("item_type").as_string(), "rule");
  EXPECT_EQ(locations.at(1).as_object().at("item_name").as_string(), "r");
  EXPECT_EQ(locations.at(1).as_object().at("position").as_object().at("line").as_int64(), 1);
}

TEST(Loader, ALongLineIsCutAroundThePlace) {
  std::string condition = "evt.type=open";
  for (int i = 0; i < 100; ++i) condition += " and proc.name=n\xc3\xa4" + std::to_string(i);
  const Problem error =
      only_error(rule_with(condition + " and proc.nobody=x" + " and proc.name=tail" + std::string(300, 'x')));
  EXPECT_LE(error.excerpt.size(), 160u);
  EXPECT_NE(error.excerpt.find("proc.nobody"), std::string::npos);
}

TEST(Loader, DescribeOneRule) {
  Loader loader(kSemantics);
  ASSERT_TRUE(loader
                  .load("a.yaml", "- list: l\n  items: [x]\n- macro: m\n  condition: proc.name in (l)\n" +
                                      rule_with("evt.type=open and m", "  tags: [b, a]\n"))
                  .successful());
  const auto object = boost::json::parse(loader.describe("r")).as_object();
  const auto& rule = object.at("rules").as_array().at(0).as_object();
  EXPECT_EQ(rule.at("details").as_object().at("condition_compiled").as_string(),
            "(evt.type = open and proc.name in (x))");
  EXPECT_EQ(rule.at("details").as_object().at("macros").as_array().at(0).as_string(), "m");
  EXPECT_EQ(rule.at("info").as_object().at("tags").as_array().at(0).as_string(), "a");
  EXPECT_EQ(rule.at("info").as_object().at("priority").as_string(), "Informational");
  EXPECT_TRUE(loader.describe("none").empty());
  EXPECT_TRUE(boost::json::parse(loader.describe())
                  .as_object()
                  .at("lists")
                  .as_array()
                  .at(0)
                  .as_object()
                  .at("details")
                  .as_object()
                  .at("used")
                  .as_bool());
}

TEST(Loader, Outputs) {
  Loader loader(kSemantics, {.extra_outputs = {{"more %proc.pid", "syscall", {}, ""}, {"not here", "", {"t"}, ""}},
                             .plugins = builtin_plugins()});
  ASSERT_TRUE(loader
                  .load("a.yaml",
                        "- rule: r\n  desc: d\n  condition: evt.type=open\n  priority: INFO\n  output: >\n    *x "
                        "%proc.name\n    %container.info\n\n")
                  .successful());
  EXPECT_EQ(find_rule(loader)->output, "x %proc.name more %proc.pid");
  loader.add_extra_output({"bad %proc.nobody", "", {}, "r"});
  EXPECT_EQ(loader.load("b.yaml", "").errors.at(0).code, LoadCode::err_compile_output);
}

TEST(Loader, Selections) {
  Loader loader(kSemantics);
  std::string text;
  for (const char* name : {"Alpha one", "Alpha two", "Beta"})
    text += std::string("- rule: ") + name +
            "\n  desc: d\n  condition: evt.type=open\n  output: o\n  priority: INFO\n  tags: [" +
            (name[0] == 'B' ? "b" : "a") + "]\n";
  ASSERT_TRUE(loader.load("a.yaml", text).successful());
  const auto enabled = [&](const std::string& selections) {
    const auto file = yaml::parse("quell.yaml", selections);
    const auto parsed = read_selections(*(*file)->documents()[0]);
    EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().str());
    RuleSet rules = loader.rules();
    select(rules, *parsed);
    std::string flags;
    for (const Rule& rule : rules.rules) flags += rule.enabled ? '1' : '0';
    return flags;
  };
  EXPECT_EQ(enabled("[]"), "111");
  EXPECT_EQ(enabled("- disable: {rule: '*'}\n- enable: {tag: b}\n"), "001");
  EXPECT_EQ(enabled("- disable: {rule: 'Alpha*'}\n- enable: {rule: '*two'}\n"), "011");
  EXPECT_EQ(enabled("- disable: {rule: 'Alpha'}\n"), "111");
  EXPECT_EQ(enabled("- disable: {rule: 'A*a*o*'}\n"), "001");
  for (const char* bad : {"a: b", "- enable: x", "- enable: {rule: a, tag: b}", "- enabel: {rule: a}",
                          "- {enable: {rule: a}, disable: {rule: b}}"}) {
    const auto file = yaml::parse("quell.yaml", bad);
    EXPECT_FALSE(read_selections(*(*file)->documents()[0])) << bad;
  }
}

TEST(Loader, SeveralDocumentsAndNulls) {
  Loader loader(kSemantics);
  EXPECT_TRUE(loader.load("a.yaml", "---\n- \n" + rule_with("evt.type=open") + "---\n---\n- rule: r\n  enabled: no\n")
                  .successful());
  EXPECT_FALSE(find_rule(loader)->enabled);
  EXPECT_TRUE(loader.load("empty.yaml", "").successful());
}

}  // namespace
}  // namespace quell::detect::falco
