// Every scenario of this folder goes through the front door: text, .scap bytes, reader, state tables, rules,
// detections. A scenario passes if exactly the expected rules fire, each on its event and with a tag of the expected
// ATT&CK technique.
//
// One scenario: scenario_test --gtest_filter='*miner_started*'
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "replay.h"

namespace quell {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> absolute(const std::vector<std::string>& paths) {
  std::vector<std::string> out;
  for (const std::string& path : paths) out.push_back(std::string(QUELL_SOURCE_DIR) + "/" + path);
  return out;
}

bool has_technique(const Detection& detection, const std::string& attack) {
  return std::any_of(detection.tags.begin(), detection.tags.end(),
                     [&](const std::string& tag) { return tag == attack || tag.starts_with(attack + "."); });
}

std::vector<std::string> scenario_files() {
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(std::string(QUELL_SOURCE_DIR) + "/tests/scenarios"))
    if (entry.path().extension() == ".yaml") files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  return files;
}

class Scenarios : public testing::TestWithParam<std::string> {};

TEST_P(Scenarios, DetectsExactlyWhatItExpects) {
  const auto scenario = capture::load_scenario(GetParam());
  ASSERT_TRUE(scenario) << scenario.error().str();
  SCOPED_TRACE(scenario->why);
  std::multimap<std::pair<int32_t, std::string>, Detection> fired;
  for (test::Fired& item : test::replay(*scenario, test::compile_rules(absolute(scenario->rules))))
    fired.emplace(std::pair{item.event, item.detection.rule}, std::move(item.detection));

  for (const capture::Expectation& expectation : scenario->expect) {
    const auto found = fired.find({static_cast<int32_t>(expectation.event), expectation.rule});
    if (found == fired.end()) {
      ADD_FAILURE() << expectation.where << ": '" << expectation.rule << "' did not fire on event "
                    << expectation.event;
      continue;
    }
    const Detection& detection = found->second;
    EXPECT_TRUE(expectation.attack.empty() || has_technique(detection, expectation.attack))
        << expectation.where << ": '" << expectation.rule << "' has no tag of " << expectation.attack;
    EXPECT_EQ(detection.message.find('%'), std::string::npos) << "left unfilled: " << detection.message;
    fired.erase(found);
  }
  for (const capture::NearMiss& miss : scenario->near_misses)
    EXPECT_FALSE(fired.contains({static_cast<int32_t>(miss.event), miss.rule}))
        << miss.where << ": '" << miss.rule << "' fired although " << miss.because;
  for (const auto& [key, detection] : fired)
    ADD_FAILURE() << "not expected on event " << key.first << ": " << detection.rule << ": " << detection.message;
}

std::string test_name(const testing::TestParamInfo<std::string>& info) { return fs::path(info.param).stem().string(); }
INSTANTIATE_TEST_SUITE_P(Content, Scenarios, testing::ValuesIn(scenario_files()), test_name);

}  // namespace
}  // namespace quell
