// Replay of synthetic captures: the whole process by CPU time and by instructions, and the engine alone (Google
// Benchmark).
//   instructions per event = (instructions over the long capture - over the short one) / (events more): start-up falls
//   out.
#include <benchmark/benchmark.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "altered_rules.h"
#include "capture/scap/reader.h"
#include "detect/engine.h"
#include "detect/falco/loader.h"
#include "enrich/tables.h"
#include "run.h"
#include "workload.h"

namespace quell::bench {
namespace {

struct Rules {
  std::string name;
  std::vector<std::string> files;
};

// One rule that never matches measures reading and state; upstream files are there when QUELL_TEST_DATA names them.
std::vector<Rules> rule_sets() {
  const std::string never = scratch() + "/never.yaml";
  std::ofstream(never) << "- rule: never\n  desc: reading and state alone\n  condition: evt.type = openat and evt.num "
                          "= 0\n  output: never\n  priority: DEBUG\n";
  std::vector<Rules> sets{{"never", {never}}, {"shipped", {std::string(QUELL_SOURCE_DIR) + "/content/rules"}}};
  if (const char* data = std::getenv("QUELL_TEST_DATA")) {
    const std::string folder = std::string(data) + "/falco-rules/";
    sets.push_back({"stable", {folder + "falco_rules.yaml"}});
    sets.push_back(
        {"all",
         {folder + "falco_rules.yaml", folder + "falco-incubating_rules.yaml", folder + "falco-sandbox_rules.yaml"}});
  }
  return sets;
}

std::vector<std::string> detect(const std::string& capture, const Rules& rules) {
  std::vector<std::string> command{quell_binary(), "detect", capture, "-o", "json"};
  for (const std::string& file : rules.files) command.insert(command.end(), {"--rules", file});
  return command;
}

// Applies and evaluates a capture held in memory; items are events.
void engine_benchmark(benchmark::State& state, const std::string& bytes, const Rules& rules) {
  detect::falco::Loader loader(detect::semantics());
  for (const std::string& path : rules.files) {
    const auto files = detect::falco::rule_files(path);
    if (files) detect::falco::load_files(loader, *files, detect::falco::OnError::stop);
  }
  const auto program = detect::compile(loader.rules(), {});
  if (!program) {
    state.SkipWithError(program.error().str().c_str());
    return;
  }
  uint64_t events = 0;
  for (auto unused : state) {
    (void)unused;
    auto source = capture::open_scap_bytes({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
    enrich::StateTables tables({});
    detect::Engine engine(*program);
    tables.load((*source)->snapshot());
    EventBatch batch;
    Event event;
    uint64_t number = 0;
    for (bool more = true; more;) {
      const auto pull = (*source)->fill(batch, 0);
      more = pull && *pull != capture::Pull::ended;
      for (size_t i = 0; i < batch.size(); ++i) {
        number += 1 + batch.slot(i).skipped_before;
        if (!Event::parse(batch.event(i), event)) continue;
        benchmark::DoNotOptimize(engine.evaluate(tables.apply(event, number)));
      }
    }
    events += number;
  }
  state.SetItemsProcessed(static_cast<int64_t>(events));
}

class Reporter final : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& one : runs)
      if (!one.error_occurred && one.counters.count("items_per_second") != 0)
        figure("replay." + one.benchmark_name() + ".cpu", 1e9 / one.counters.at("items_per_second"), "ns/event");
  }
};

struct Capture {
  const char* suffix;  // of figures
  Mix mix;
  uint64_t events, short_events, long_events;
  std::string base = {};  // of its three files
};

/// One for speed, and two for counting instructions: what the longer one costs more is the price of its events.
Result<void> write(Capture& capture) {
  capture.base = scratch() + "/replay" + capture.suffix;
  for (const auto& [suffix, events] :
       {std::pair{".scap", capture.events}, {"-short.scap", capture.short_events}, {"-long.scap", capture.long_events}})
    QUELL_CHECK(write_capture(capture.base + suffix, capture.mix, events));
  return {};
}

/// 0 without valgrind.
double instructions_per_event(const Capture& capture, const Rules& rules) {
  const uint64_t few = instructions(detect(capture.base + "-short.scap", rules));
  const uint64_t many = instructions(detect(capture.base + "-long.scap", rules));
  if (few == 0 || many <= few) return 0;
  return static_cast<double>(many - few) / static_cast<double>(capture.long_events - capture.short_events);
}

/// False if the replay failed; its message is shown.
bool replay(const Capture& capture, const Rules& rules) {
  const Usage usage = run(detect(capture.base + ".scap", rules), "/dev/null", scratch() + "/stderr");
  if (usage.status != 0) {
    std::ifstream err(scratch() + "/stderr");
    std::fprintf(stderr, "bench: quell detect failed with rules %s:\n%s\n", rules.name.c_str(),
                 std::string(std::istreambuf_iterator<char>(err), {}).c_str());
    return false;
  }
  figure("replay.events_per_cpu_s." + rules.name + capture.suffix, static_cast<double>(capture.events) / usage.cpu_s,
         "1/s");
  figure("replay.max_rss." + rules.name + capture.suffix, static_cast<double>(usage.max_rss_kb) / 1024, "MiB");
  return true;
}

/// What many rules and long lists add, against the stable file in the same run.
Result<void> rules_growth(const Capture& capture, const Rules& stable, const Rules& all, double stable_cost) {
  Rules many{"x1000", {scratch() + "/x1000.yaml"}};
  QUELL_CHECK(write_altered_rules(all.files, 1000, many.files[0]));
  const Usage usage = run(detect(capture.base + "-short.scap", many), "/dev/null", scratch() + "/stderr");
  figure("rules_growth.x1000.load_s", usage.cpu_s, "s");
  figure("rules_growth.x1000.max_rss", static_cast<double>(usage.max_rss_kb) / 1024, "MiB");
  if (const double cost = instructions_per_event(capture, many); cost > 0 && stable_cost > 0) {
    figure("replay.instructions_per_event.x1000", cost, "1/event");
    figure("rules_growth.x1000", cost / stable_cost, "of stable");
  }
  Rules few_entries{"list_10", stable.files}, many_entries{"list_100k", stable.files};
  few_entries.files.push_back(scratch() + "/list_10.yaml");
  many_entries.files.push_back(scratch() + "/list_100k.yaml");
  QUELL_CHECK(write_long_list(10, few_entries.files.back()));
  QUELL_CHECK(write_long_list(100'000, many_entries.files.back()));
  const auto seconds = [&](const Rules& rules) { return run(detect(capture.base + "-short.scap", rules)).cpu_s; };
  figure("rules_growth.list_100k.load_s", seconds(many_entries) - seconds(few_entries), "s");
  const double cost = instructions_per_event(capture, few_entries);
  if (cost > 0) figure("rules_growth.list_100k", instructions_per_event(capture, many_entries) / cost, "of 10 entries");
  return {};
}

}  // namespace
}  // namespace quell::bench

int main(int argc, char** argv) {
  using namespace quell::bench;
  const bool quick = has_flag(argc, argv, "--quick");
  Capture captures[] = {{"", Mix::mixed, quick ? 200'000u : 1'200'000u, 10'000, quick ? 40'000u : 130'000u},
                        {".big", Mix::big, quick ? 400'000u : 4'000'000u, 10'000, quick ? 60'000u : 200'000u}};
  const auto sets = rule_sets();
  static std::vector<std::string> kept;  // the captures that in-process benchmarks read
  kept.reserve(std::size(captures));
  for (Capture& capture : captures) {
    if (const auto written = write(capture); !written) {
      std::fprintf(stderr, "bench: %s\n", written.error().str().c_str());
      return 1;
    }
    std::map<std::string, double> costs;
    for (const Rules& rules : sets) {
      if (!replay(capture, rules)) return 1;
      // Callgrind makes the start-up fifty times as long: a quick run affords it once.
      if (quick && (capture.mix != Mix::mixed || rules.name != "shipped")) continue;
      costs[rules.name] = instructions_per_event(capture, rules);
      if (costs[rules.name] > 0)
        figure("replay.instructions_per_event." + rules.name + capture.suffix, costs[rules.name], "1/event");
    }
    if (costs["stable"] > 0)
      figure(std::string("replay.all_over_stable") + capture.suffix, costs["all"] / costs["stable"], "of stable");
    if (!quick && capture.mix == Mix::mixed && sets.size() == 4) {
      if (const auto grown = rules_growth(capture, sets[2], sets[3], costs["stable"]); !grown) {
        std::fprintf(stderr, "bench: %s\n", grown.error().str().c_str());
        return 1;
      }
    }
    std::ifstream file(capture.base + "-long.scap", std::ios::binary);
    kept.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    for (const Rules& rules : sets)
      benchmark::RegisterBenchmark(("engine." + rules.name + capture.suffix).c_str(), engine_benchmark,
                                   std::cref(kept.back()), std::cref(rules))
          ->MinTime(quick ? 0.05 : 0.5);
  }
  int no_arguments = 1;
  benchmark::Initialize(&no_arguments, argv);
  Reporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  return 0;
}
