// The loader against the published vectors: rule loading, validation cases, and the upstream rule files.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "detect/engine.h"
#include "detect/falco/loader.h"
#include "test_semantics.h"

namespace quell::detect::falco {
namespace {

namespace js = boost::json;

#define NEEDS_TEST_DATA(variable)                         \
  const char* variable = std::getenv("QUELL_TEST_DATA");  \
  if (!variable) {                                        \
    std::printf("SKIPPED: QUELL_TEST_DATA is not set\n"); \
    GTEST_SKIP();                                         \
  }

std::string str(const js::value& value) { return std::string(value.as_string()); }

std::vector<js::object> read_lines(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  std::vector<js::object> rows;
  for (std::string line; std::getline(file, line);) rows.push_back(js::parse(line).as_object());
  return rows;
}

bool any_contains(const std::vector<Problem>& problems, const std::string& text) {
  return std::any_of(problems.begin(), problems.end(),
                     [&](const Problem& problem) { return problem.message.find(text) != std::string::npos; });
}

// "{\"tag1\", \"tag2\"}"
std::vector<std::string> tags_of(const std::string& text) {
  std::vector<std::string> tags;
  for (size_t at = text.find('"'); at != std::string::npos;) {
    const size_t end = text.find('"', at + 1);
    tags.push_back(text.substr(at + 1, end - at - 1));
    at = text.find('"', end + 1);
  }
  return tags;
}

// `syscall_only`: vectors with rules of other sources are left out.
void run_rule_loading_vectors(const std::string& data, const Semantics& semantics, bool syscall_only) {
  size_t steps = 0;
  for (const js::object& test : read_lines(data + "/samples/conformance/rule-loading.jsonl")) {
    SCOPED_TRACE(str(test.at("test")));
    if (syscall_only && js::serialize(test).find("k8s_audit") != std::string::npos) continue;
    Loader loader(semantics);
    FileResult result;
    for (const js::value& value : test.at("steps").as_array()) {
      const js::object& step = value.as_object();
      ++steps;
      SCOPED_TRACE(js::serialize(step));
      const auto find_rule = [&]() -> const Rule* {
        for (const Rule& rule : loader.rules().rules)
          if (rule.name == str(step.at("rule"))) return &rule;
        ADD_FAILURE() << "no such rule";
        return nullptr;
      };
      if (step.contains("load")) {
        result = loader.load(str(step.at("file")), str(step.at("load")));
        EXPECT_EQ(result.successful(), step.at("ok").as_bool()) << verbose(result);
      } else if (step.contains("schema_validation")) {
        EXPECT_EQ(to_string(result.schema), str(step.at("schema_validation")))
            << testing::PrintToString(result.schema_warnings);
      } else if (step.contains("error_contains")) {
        EXPECT_EQ(any_contains(result.errors, str(step.at("error_contains"))), step.at("expect").as_bool())
            << verbose(result);
      } else if (step.contains("warning_contains")) {
        EXPECT_EQ(any_contains(result.warnings, str(step.at("warning_contains"))), step.at("expect").as_bool())
            << verbose(result);
      } else if (step.contains("has_warnings")) {
        EXPECT_EQ(!result.warnings.empty(), step.at("has_warnings").as_bool()) << verbose(result);
      } else if (step.contains("enabled_rules")) {
        const auto& rules = loader.rules().rules;
        EXPECT_EQ(std::count_if(rules.begin(), rules.end(), [](const Rule& rule) { return rule.enabled; }),
                  step.at("enabled_rules").as_int64());
      } else if (step.contains("compiled_condition")) {
        if (const Rule* rule = find_rule()) {
          EXPECT_EQ(rule->condition->str(), str(step.at("compiled_condition")));
        }
      } else if (step.contains("compiled_output")) {
        if (const Rule* rule = find_rule()) {
          EXPECT_EQ(rule->output, str(step.at("compiled_output")));
        }
      } else if (step.contains("describe")) {
        js::value at = js::parse(loader.describe());
        for (const js::value& key : step.at("describe").as_array()) {
          js::value next = at.is_array() ? at.as_array().at(std::stoul(str(key))) : at.as_object().at(key.as_string());
          at = std::move(next);
        }
        EXPECT_EQ(at, step.at("equals"));
      } else if (step.contains("engine_call")) {
        ASSERT_EQ(str(step.at("engine_call")), "add_extra_output_format");
        const js::array& args = step.at("args").as_array();
        loader.add_extra_output({str(args.at(0)), str(args.at(1)), tags_of(str(args.at(2))), str(args.at(3))});
      } else {
        ADD_FAILURE() << "a step of unknown kind";
      }
    }
  }
  EXPECT_GT(steps, 100u);
}

TEST(RuleVectors, RuleLoading) {
  NEEDS_TEST_DATA(data);
  run_rule_loading_vectors(data, TestSemantics({"syscall", "k8s_audit"}), false);
}

TEST(RuleVectors, RuleLoadingWithTheRealFields) {
  NEEDS_TEST_DATA(data);
  run_rule_loading_vectors(data, semantics(), true);
}

bool fits(const Problem& problem, const js::object& wanted) {
  if (wanted.contains("code") && code_name(problem.code) != str(wanted.at("code"))) return false;
  if (wanted.contains("message") && problem.message.find(str(wanted.at("message"))) == std::string::npos) return false;
  const auto is_there = [&](const char* key, auto member) {
    return !wanted.contains(key) ||
           std::any_of(problem.locations.begin(), problem.locations.end(),
                       [&](const Location& location) { return location.*member == str(wanted.at(key)); });
  };
  return is_there("item_type", &Location::item_type) && is_there("item_name", &Location::item_name);
}

void run_validation_cases(const std::string& data, const Semantics& semantics) {
  const std::string folder = data + "/samples/conformance/regression/";
  size_t count = 0;
  for (const js::object& test : read_lines(folder + "cases.jsonl")) {
    if (!test.contains("validate") || test.at("validate").as_array().empty()) continue;
    SCOPED_TRACE(str(test.at("test")));
    ++count;
    Loader loader(semantics);
    std::vector<std::string> files;
    for (const js::value& file : test.at("validate").as_array()) files.push_back(folder + str(file));
    std::vector<FileResult> results;
    for (const std::string& file : files) results.push_back(loader.load_file(file));
    const bool all_loaded =
        std::all_of(results.begin(), results.end(), [](const FileResult& result) { return result.successful(); });
    for (const js::value& value : test.at("expect").as_array()) {
      const js::object& wanted = value.as_object();
      SCOPED_TRACE(js::serialize(wanted));
      if (wanted.contains("process_error")) {
        EXPECT_EQ(all_loaded, !wanted.at("process_error").as_bool());
      } else if (wanted.contains("exit_code")) {
        EXPECT_EQ(all_loaded, wanted.at("exit_code").as_int64() == 0);
      } else if (wanted.contains("validation_successful")) {
        EXPECT_TRUE(results.front().successful());
      } else if (wanted.contains("validation")) {
        bool found = false;
        std::string all;
        for (const FileResult& result : results) {
          const auto& problems = str(wanted.at("validation")) == "error" ? result.errors : result.warnings;
          for (const Problem& problem : problems) found = found || fits(problem, wanted);
          all += verbose(result);
        }
        EXPECT_TRUE(found) << all;
      } else {
        ADD_FAILURE() << "an expectation of unknown kind";
      }
    }
  }
  EXPECT_EQ(count, 25u);
}

TEST(RuleVectors, ValidationCases) {
  NEEDS_TEST_DATA(data);
  run_validation_cases(data, TestSemantics());
}

TEST(RuleVectors, ValidationCasesWithTheRealFields) {
  NEEDS_TEST_DATA(data);
  run_validation_cases(data, semantics());
}

TEST(RuleVectors, UpstreamRuleFilesLoad) {
  NEEDS_TEST_DATA(data);
  const std::string folder = std::string(data) + "/falco-rules/";
  const std::vector<std::vector<std::string>> sets{
      {"falco_rules.yaml"},
      {"falco_rules.yaml", "falco-incubating_rules.yaml", "falco-sandbox_rules.yaml"},
      {"plugins/aws_cloudtrail_rules.yaml"},
      {"plugins/gcp_auditlog_rules.yaml"},
      {"plugins/github.yaml"},
      {"plugins/okta_rules.yaml"},
      {"plugins/k8s_audit_rules.yaml", "plugins/k8s_audit_rules_gke.yaml"},
      {"falco_rules.yaml", "falco-incubating_rules.yaml", "falco-sandbox_rules.yaml",
       "plugins/aws_cloudtrail_rules.yaml", "plugins/gcp_auditlog_rules.yaml", "plugins/github.yaml",
       "plugins/okta_rules.yaml", "plugins/k8s_audit_rules.yaml", "plugins/k8s_audit_rules_gke.yaml"},
  };
  const TestSemantics semantics(TestSemantics::all_sources());
  for (const auto& names : sets) {
    Loader loader(semantics);
    std::vector<std::string> files;
    for (const std::string& name : names) files.push_back(folder + name);
    for (const FileResult& result : load_files(loader, files, OnError::keep_going)) {
      EXPECT_TRUE(result.successful()) << readable(result);
      EXPECT_EQ(result.schema, SchemaStatus::ok) << testing::PrintToString(result.schema_warnings);
    }
    EXPECT_FALSE(loader.rules().rules.empty());
    for (const Rule& rule : loader.rules().rules) {
      const auto again = parse_condition(rule.condition->str());
      ASSERT_TRUE(again) << rule.name << ": " << again.error().message;
      EXPECT_TRUE(same(**again, *rule.condition)) << rule.name;
      EXPECT_FALSE(rule.event_codes.empty());
    }
    EXPECT_NO_THROW(js::parse(loader.describe()));
  }
}

// What the rules of the syscall source mean is known, so their files must load with the real field catalogue as well.
TEST(RuleVectors, UpstreamSyscallRulesLoadWithTheRealFields) {
  NEEDS_TEST_DATA(data);
  const std::string folder = std::string(data) + "/falco-rules/";
  Loader loader(semantics());
  for (const FileResult& result : load_files(
           loader,
           {folder + "falco_rules.yaml", folder + "falco-incubating_rules.yaml", folder + "falco-sandbox_rules.yaml"},
           OnError::keep_going))
    EXPECT_TRUE(result.successful()) << readable(result);
  EXPECT_GT(loader.rules().rules.size(), 60u);
  const auto program = compile(loader.rules(), {});
  ASSERT_TRUE(program) << program.error().str();
  EXPECT_GT(rule_count(**program), 20u);
}

}  // namespace
}  // namespace quell::detect::falco
