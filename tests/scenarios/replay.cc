#include "replay.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "capture/scap/reader.h"
#include "capture/scap/writer.h"
#include "enrich/tables.h"

namespace quell::test {
namespace {

namespace fs = std::filesystem;

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

}  // namespace

std::shared_ptr<const detect::Program> compile_rules(const std::vector<std::string>& paths, bool enable_all) {
  detect::falco::Loader loader(detect::semantics());
  for (const auto& file : detect::falco::load_files(loader, paths, detect::falco::OnError::stop))
    EXPECT_TRUE(file.successful()) << detect::falco::readable(file);
  detect::RuleSet rules = loader.rules();
  const detect::falco::Selection everything{.enable = true, .pattern = "*"};
  if (enable_all) detect::falco::select(rules, {&everything, 1});
  auto program = detect::compile(rules, {.match_all = true});
  EXPECT_TRUE(program) << program.error().str();
  return program ? *program : nullptr;
}

std::vector<Fired> replay(const capture::Scenario& scenario, const std::shared_ptr<const detect::Program>& program) {
  if (program == nullptr) return {};
  for (const auto& [name, address] : scenario.names) detect::tell_address(*program, name, address);
  const CaptureFile file(scenario);
  std::vector<Fired> fired = replay(file.path(), program);
  for (Fired& item : fired) item.event = scenario.events.at(static_cast<size_t>(item.event) - 1).index;
  return fired;
}

std::vector<Fired> replay(const std::string& path, const std::shared_ptr<const detect::Program>& program) {
  std::vector<Fired> fired;
  if (program == nullptr) return fired;
  auto source = capture::open_scap(path);
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
        fired.push_back({static_cast<int32_t>(number), engine.render(rule, context)});
    }
  }
  EXPECT_EQ((*source)->counters().skipped_events, 0u) << path;
  return fired;
}

}  // namespace quell::test
