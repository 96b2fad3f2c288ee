// Every scenario of this folder goes through the front door: text, .scap bytes, reader, state tables, rules,
// detections. A scenario passes if exactly the expected rules fire, each on its event and with a tag of the expected
// ATT&CK technique.
//
// One scenario: scenario_test --gtest_filter='*miner_started*'
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "capture/scap/reader.h"
#include "capture/scap/writer.h"
#include "capture/scenario/scenario.h"
#include "detect/engine.h"
#include "detect/falco/loader.h"
#include "enrich/tables.h"

namespace quell {
namespace {

namespace fs = std::filesystem;

struct Fired {
  int32_t event;  // position in the scenario, -1 for what led up to it
  Detection detection;
};

/// The scenario as a capture file, removed with the object.
class CaptureFile {
 public:
  explicit CaptureFile(const capture::Scenario& scenario) {
    // Programs of the test run next to each other, one per filter.
    path_ = fs::temp_directory_path() / ("quell-scenario-" + std::to_string(getpid()) + ".scap");
    auto writer = capture::ScapWriter::create(path_.string(), scenario.snapshot, {.gzip = false});
    if (!writer) {
      ADD_FAILURE() << writer.error().str();
      return;
    }
    for (const capture::ScenarioEvent& event : scenario.events) {
      const auto appended = (*writer)->append(event.bytes, 0, false);
      EXPECT_TRUE(appended) << appended.error().str();
    }
    const auto closed = (*writer)->close();
    EXPECT_TRUE(closed) << closed.error().str();
  }
  ~CaptureFile() {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  CaptureFile(const CaptureFile&) = delete;
  CaptureFile& operator=(const CaptureFile&) = delete;
  std::string path() const { return path_.string(); }

 private:
  fs::path path_;
};

std::shared_ptr<const detect::Program> compile_rules(const std::vector<std::string>& paths) {
  detect::falco::Loader loader(detect::semantics());
  std::vector<std::string> absolute;
  for (const std::string& path : paths) absolute.push_back(std::string(QUELL_SOURCE_DIR) + "/" + path);
  for (const auto& file : detect::falco::load_files(loader, absolute, detect::falco::OnError::stop))
    EXPECT_TRUE(file.successful()) << detect::falco::readable(file);
  auto program = detect::compile(loader.rules(), {});
  EXPECT_TRUE(program) << program.error().str();
  return program ? *program : nullptr;
}

std::vector<Fired> run(const capture::Scenario& scenario) {
  std::vector<Fired> fired;
  const auto program = compile_rules(scenario.rules);
  if (program == nullptr) return fired;
  const CaptureFile file(scenario);
  auto source = capture::open_scap(file.path());
  EXPECT_TRUE(source) << source.error().str();
  if (!source) return fired;

  enrich::StateTables tables(enrich::Options{});
  detect::Engine engine(program);
  tables.load((*source)->snapshot());
  uint64_t number = 0;
  EventBatch batch;
  for (bool more = true; more;) {
    const auto pull = (*source)->fill(batch, 0);
    EXPECT_TRUE(pull) << pull.error().str();
    more = pull && *pull != capture::Pull::ended;
    for (size_t i = 0; i < batch.size(); ++i) {
      number += batch.slot(i).skipped_before + 1;
      Event event;
      const auto parsed = Event::parse(batch.event(i), event);
      EXPECT_TRUE(parsed) << parsed.error().str();
      if (!parsed) return fired;
      event.cpu = batch.slot(i).cpu;
      event.state_only = batch.slot(i).state_only;
      const EventContext& context = tables.apply(event, number);
      if (event.state_only) continue;
      for (const detect::RuleIndex rule : engine.evaluate(context))
        fired.push_back({scenario.events.at(number - 1).index, engine.render(rule, context)});
    }
  }
  EXPECT_EQ(number, scenario.events.size()) << "events were lost on the way";
  return fired;
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
  for (Fired& item : run(*scenario))
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
