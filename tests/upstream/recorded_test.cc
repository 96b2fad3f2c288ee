// Recordings of the live sensor (record.cc, recorded/manifest.yaml): replayed, the upstream rules fire as they must;
// and what scenarios write is what the sensor writes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/yaml.h"
#include "capture/scap/reader.h"
#include "replay.h"

namespace quell::test {
namespace {

namespace fs = std::filesystem;

constexpr size_t kWantedRecordings = 20;
constexpr uintmax_t kMaxBytes = 50 * 1024;

std::string folder() { return std::string(QUELL_SOURCE_DIR) + "/tests/upstream"; }

struct Recorded {
  std::string file;
  std::vector<std::string> rules;
};

std::vector<Recorded> recordings() {
  std::vector<Recorded> out;
  const auto manifest = yaml::parse_file(folder() + "/recorded/manifest.yaml");
  if (!manifest) {
    ADD_FAILURE() << manifest.error().str();
    return out;
  }
  for (const yaml::Node* item : (*manifest)->documents().front()->items())
    out.push_back(
        {item->get_string("file").value_or(""), item->get_strings("rules").value_or(std::vector<std::string>{})});
  return out;
}

/// Calls visit(event) for every event of the capture.
template <typename Visit>
void for_each_event(const std::string& path, Visit&& visit) {
  const auto source = capture::open_scap(path);
  ASSERT_TRUE(source) << source.error().str();
  EventBatch batch;
  for (bool more = true; more;) {
    const auto pull = (*source)->fill(batch, 0);
    ASSERT_TRUE(pull) << path << ": " << pull.error().str();
    more = *pull != capture::Pull::ended;
    for (size_t i = 0; i < batch.size(); ++i) {
      Event event;
      ASSERT_TRUE(Event::parse(batch.event(i), event));
      visit(event);
    }
  }
}

class UpstreamRecordings : public testing::TestWithParam<Recorded> {};

TEST_P(UpstreamRecordings, FireAsTheyMust) {
  const char* data = std::getenv("QUELL_TEST_DATA");
  if (data == nullptr) {
    std::cout << "SKIPPED: QUELL_TEST_DATA is not set\n";
    GTEST_SKIP() << "QUELL_TEST_DATA is not set";
  }
  static const auto program = [&] {
    std::vector<std::string> paths;
    for (const char* name : {"falco_rules.yaml", "falco-incubating_rules.yaml", "falco-sandbox_rules.yaml"})
      paths.push_back(std::string(data) + "/falco-rules/" + name);
    return compile_rules(paths, true);
  }();
  const std::string path = folder() + "/recorded/" + GetParam().file;
  std::set<std::string> fired;
  for (const Fired& item : replay(path, program)) fired.insert(item.detection.rule);
  ASSERT_FALSE(GetParam().rules.empty());
  for (const std::string& rule : GetParam().rules) EXPECT_TRUE(fired.contains(rule)) << "'" << rule << "' did not fire";
}

std::string test_name(const testing::TestParamInfo<Recorded>& info) {
  return info.param.file.substr(0, info.param.file.find('.'));
}
INSTANTIATE_TEST_SUITE_P(Upstream, UpstreamRecordings, testing::ValuesIn(recordings()), test_name);

TEST(UpstreamRecordingsFolder, HoldsWhatItsManifestSays) {
  const std::vector<Recorded> listed = recordings();
  EXPECT_GE(listed.size(), kWantedRecordings);
  std::set<std::string> names;
  for (const Recorded& item : listed) {
    names.insert(item.file);
    EXPECT_LE(fs::file_size(folder() + "/recorded/" + item.file), kMaxBytes) << item.file;
  }
  for (const auto& entry : fs::directory_iterator(folder() + "/recorded"))
    if (entry.path().extension() == ".gz") {
      EXPECT_TRUE(names.contains(entry.path().filename())) << entry.path() << " is not in the manifest";
    }
}

bool succeeded(const Event& event) { return !event.spec().has_return_value() || event.param(0).i64() >= 0; }

/// What a program was given may be nothing.
bool may_be_empty(std::string_view param) { return param == "args" || param == "env"; }

/// A scenario may say less about the world, but every parameter that the sensor always fills is there.
TEST(UpstreamScenarioEvents, AreAsTheSensorWritesThem) {
  struct Seen {
    size_t count = 0;
    std::vector<size_t> filled;
  };
  std::map<EventCode, Seen> seen;
  for (const Recorded& item : recordings())
    for_each_event(folder() + "/recorded/" + item.file, [&](const Event& event) {
      if (!succeeded(event)) return;
      Seen& entry = seen[event.code()];
      entry.filled.resize(event.spec().params.size());
      ++entry.count;
      for (size_t i = 0; i < event.nparams(); ++i) entry.filled[i] += event.param(i).empty() ? 0 : 1;
    });
  size_t compared = 0;
  std::set<std::string> missing;
  for (const char* level : {"stable", "incubating", "sandbox"})
    for (const auto& file : fs::directory_iterator(folder() + "/scenarios/" + level)) {
      const auto scenario = capture::load_scenario(file.path().string());
      ASSERT_TRUE(scenario) << scenario.error().str();
      for (const capture::ScenarioEvent& item : scenario->events) {
        Event event;
        ASSERT_TRUE(Event::parse(item.bytes, event));
        const auto known = seen.find(event.code());
        if (known == seen.end() || !succeeded(event)) continue;
        ++compared;
        ASSERT_EQ(event.nparams(), event.spec().params.size());
        for (size_t i = 0; i < event.nparams(); ++i)
          if (event.param(i).empty() && !may_be_empty(event.spec().params[i].name) &&
              known->second.filled[i] == known->second.count)
            missing.insert(std::string(event.spec().name) + "." + std::string(event.spec().params[i].name));
      }
    }
  for (const std::string& name : missing)
    ADD_FAILURE() << "the sensor always fills " << name << ", a scenario does not";
  EXPECT_GE(compared, 100u);
  EXPECT_GE(seen.size(), 20u) << "kinds of events in the recordings";
}

}  // namespace
}  // namespace quell::test
