// Every rule of the upstream rule files has a scenario that fires it; those of the stable file also one that differs in
// the decisive condition alone and does not. Scenarios are text (scenarios/FILE/*.yaml, in the language of
// capture/scenario/scenario.h) or recorded live (recorded/, see record.cc). All of them go through .scap bytes, reader,
// state tables and rules, with every rule enabled and every match counted.
//
// The rule files are not part of this repository: QUELL_TEST_DATA names the folder that has them in falco-rules/. A
// scenario names them without a folder; a file with a folder is ours (adjust/: lists and macros that upstream leaves
// empty for its users).
//
// One scenario: upstream_rules_test --gtest_filter='*netcat_shell*'
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "replay.h"

namespace quell::test {
namespace {

namespace fs = std::filesystem;

struct RuleFile {
  const char* name;
  const char* folder;  // of its scenarios
  size_t rule_count;
  bool needs_near_miss;
};
constexpr RuleFile kRuleFiles[] = {
    {"falco_rules.yaml", "stable", 25, true},
    {"falco-incubating_rules.yaml", "incubating", 31, false},
    {"falco-sandbox_rules.yaml", "sandbox", 37, false},
};

const char* test_data() { return std::getenv("QUELL_TEST_DATA"); }

#define NEEDS_TEST_DATA()                                 \
  if (test_data() == nullptr) {                           \
    std::cout << "SKIPPED: QUELL_TEST_DATA is not set\n"; \
    GTEST_SKIP() << "QUELL_TEST_DATA is not set";         \
  }

std::string folder() { return std::string(QUELL_SOURCE_DIR) + "/tests/upstream"; }

/// Where the rule files of a scenario are.
std::vector<std::string> rule_paths(const std::vector<std::string>& names) {
  std::vector<std::string> out;
  for (const std::string& name : names)
    out.push_back(name.find('/') == std::string::npos ? std::string(test_data()) + "/falco-rules/" + name
                                                      : folder() + "/" + name);
  return out;
}

/// Programs are compiled once per set of files.
std::shared_ptr<const detect::Program> program_of(const capture::Scenario& scenario) {
  static std::map<std::vector<std::string>, std::shared_ptr<const detect::Program>> programs;
  // Addresses of domain names belong to the program: such a scenario has one of its own.
  if (!scenario.names.empty()) return compile_rules(rule_paths(scenario.rules), true);
  auto& program = programs[scenario.rules];
  if (program == nullptr) program = compile_rules(rule_paths(scenario.rules), true);
  return program;
}

std::vector<std::string> scenario_files() {
  std::vector<std::string> files;
  for (const RuleFile& rules : kRuleFiles)
    for (const auto& entry : fs::directory_iterator(folder() + "/scenarios/" + rules.folder))
      if (entry.path().extension() == ".yaml") files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  return files;
}

class UpstreamScenarios : public testing::TestWithParam<std::string> {};

TEST_P(UpstreamScenarios, DetectsExactlyWhatItExpects) {
  NEEDS_TEST_DATA();
  const auto scenario = capture::load_scenario(GetParam());
  ASSERT_TRUE(scenario) << scenario.error().str();
  SCOPED_TRACE(scenario->why);
  std::multimap<std::pair<int32_t, std::string>, Detection> fired;
  for (Fired& item : replay(*scenario, program_of(*scenario)))
    fired.emplace(std::pair{item.event, item.detection.rule}, std::move(item.detection));

  for (const capture::Expectation& expectation : scenario->expect) {
    const auto found = fired.find({static_cast<int32_t>(expectation.event), expectation.rule});
    if (found == fired.end()) {
      ADD_FAILURE() << expectation.where << ": '" << expectation.rule << "' did not fire on event "
                    << expectation.event;
      continue;
    }
    EXPECT_EQ(found->second.message.find('%'), std::string::npos) << "left unfilled: " << found->second.message;
    fired.erase(found);
  }
  for (const capture::NearMiss& miss : scenario->near_misses)
    EXPECT_FALSE(fired.contains({static_cast<int32_t>(miss.event), miss.rule}))
        << miss.where << ": '" << miss.rule << "' fired although " << miss.because;
  for (const auto& [key, detection] : fired)
    ADD_FAILURE() << "not expected on event " << key.first << ": " << detection.rule << ": " << detection.message;
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  const fs::path path(info.param);
  return path.parent_path().filename().string() + "_" + path.stem().string();
}
INSTANTIATE_TEST_SUITE_P(Upstream, UpstreamScenarios, testing::ValuesIn(scenario_files()), test_name);

TEST(UpstreamRules, EveryRuleHasItsScenarios) {
  NEEDS_TEST_DATA();
  for (const RuleFile& rules : kRuleFiles) {
    detect::falco::Loader loader(detect::semantics());
    for (const auto& file : detect::falco::load_files(loader, rule_paths({rules.name}), detect::falco::OnError::stop))
      ASSERT_TRUE(file.successful()) << detect::falco::readable(file);
    std::set<std::string> names;
    for (const detect::Rule& rule : loader.rules().rules) names.insert(rule.name);
    EXPECT_EQ(names.size(), rules.rule_count) << rules.name;

    std::set<std::string> fires, misses;
    for (const std::string& path : scenario_files()) {
      if (fs::path(path).parent_path().filename() != rules.folder) continue;
      const auto scenario = capture::load_scenario(path);
      ASSERT_TRUE(scenario) << scenario.error().str();
      ASSERT_EQ(scenario->rules.at(0), rules.name) << path;
      for (const capture::Expectation& expectation : scenario->expect) fires.insert(expectation.rule);
      for (const capture::NearMiss& miss : scenario->near_misses) misses.insert(miss.rule);
    }
    for (const std::string& name : names) {
      EXPECT_TRUE(fires.contains(name)) << rules.name << ": no scenario shows '" << name << "' firing";
      EXPECT_TRUE(!rules.needs_near_miss || misses.contains(name))
          << rules.name << ": no scenario shows '" << name << "' just not firing";
    }
    for (const std::string& name : fires) EXPECT_TRUE(names.contains(name)) << "there is no rule '" << name << "'";
    for (const std::string& name : misses) EXPECT_TRUE(names.contains(name)) << "there is no rule '" << name << "'";
  }
}

}  // namespace
}  // namespace quell::test
