// quell detect: recorded captures through the rules, at full speed, in the order in which they are named.
#include <fmt/format.h>

#include <chrono>
#include <filesystem>

#include "apps/quell/cli.h"
#include "apps/quell/detection_printer.h"
#include "apps/quell/engine_flags.h"
#include "apps/quell/evaluator.h"
#include "apps/quell/held_detections.h"
#include "apps/quell/noise.h"
#include "apps/quell/rule_flags.h"
#include "apps/quell/rule_sources.h"
#include "capture/scap/reader.h"
#include "capture/scenario/encode.h"

namespace quell::cli {
namespace {

struct Options {
  std::vector<std::string> files, rules, exceptions, names;
  bool stats = false, exit_on_detection = false, match_all = true;
  RuleFlagTexts rule_flags;
  std::string fold_window;
  ProfileFlags profile;
};

struct Totals {
  uint64_t events = 0, detections = 0, folded = 0;
  capture::SourceCounters source;
  enrich::Counters tables;
};

void add(Totals& totals, const Evaluator& evaluator, const capture::EventSource& source,
         const enrich::StateTables& tables) {
  totals.events += evaluator.event_count();
  totals.detections += evaluator.detection_count();
  const capture::SourceCounters counters = source.counters();
  totals.source.malformed += counters.malformed;
  totals.source.lost_ring_full += counters.lost_ring_full;
  totals.source.lost_scratch += counters.lost_scratch;
  totals.source.skipped_blocks += counters.skipped_blocks;
  totals.source.skipped_events += counters.skipped_events;
  totals.source.skipped_entries += counters.skipped_entries;
  totals.source.enters_not_kept += counters.enters_not_kept;
  totals.source.events += counters.events;
  const enrich::Counters sizes = tables.counters();
  totals.tables.threads_evicted += sizes.threads_evicted;
  totals.tables.threads_refused += sizes.threads_refused;
  totals.tables.fds_refused += sizes.fds_refused;
  totals.tables.containers_refused += sizes.containers_refused;
  totals.tables.malformed_containers += sizes.malformed_containers;
}

void print_stats(const Totals& totals, double seconds) {
  const capture::SourceCounters& source = totals.source;
  const enrich::Counters& tables = totals.tables;
  fmt::print(
      stderr,
      "events: {}\ndetections: {}\nfolded: {}\nseconds: {:.3f}\nevents/s: {:.0f}\n"
      "losses: {} (ring_full {}, scratch {}, malformed {}, skipped_events {}, skipped_blocks {}, skipped_entries {}, "
      "enters_not_kept {}, threads_evicted {}, threads_refused {}, fds_refused {}, containers_refused {}, "
      "malformed_containers {})\n",
      source.events, totals.detections, totals.folded, seconds,
      seconds > 0 ? static_cast<double>(source.events) / seconds : 0.0, source.lost() + source.malformed,
      source.lost_ring_full, source.lost_scratch, source.malformed, source.skipped_events, source.skipped_blocks,
      source.skipped_entries, source.enters_not_kept, tables.threads_evicted, tables.threads_refused,
      tables.fds_refused, tables.containers_refused, tables.malformed_containers);
}

/// The path in front, once, and the offset behind it.
Error located(Error error, const std::string& path) {
  if (error.message.starts_with(path + ": ")) error.message.erase(0, path.size() + 2);
  if (error.where.empty() || error.where == path) {
    error.where = path;
  } else {
    error.where = fmt::format("{}: at byte {}", path, error.where);
  }
  return error;
}

/// Everything up to the end of the capture, or up to where it breaks.
Result<void> replay(const std::string& path, const LoadedRules& rules, DetectionPrinter& printer,
                    const NoiseOptions& noise_options, detect::RuleProfile* profile, Totals& totals) {
  // Standard input by its usual name.
  auto opened = capture::open_scap(path == "-" ? "/dev/stdin" : path);
  if (!opened) return located(opened.error(), path);
  const std::unique_ptr<capture::EventSource> source = *std::move(opened);
  Result<void> printed;
  NoiseFilter noise(
      noise_options,
      [&](std::string_view name) {
        const detect::Rule* rule = rules.find(name);
        return rule != nullptr ? rule->fold.window_ns : std::optional<uint64_t>();
      },
      [&](OutgoingDetection&& outgoing) {
        if (printed && is_printed(outgoing)) printed = printer.print(outgoing.detection);
      });
  HeldDetections held(
      {},
      [&](std::string_view name) {
        const detect::Rule* rule = rules.find(name);
        return rule != nullptr ? rule->output : std::string();
      },
      [&](Detection&& detection) {
        const uint64_t now_ns = detection.kernel_ns;  // the capture's own time: the same capture folds the same way
        noise.take({std::move(detection)}, now_ns);
      });
  enrich::Options tables_options;
  tables_options.on_described = [&](const std::shared_ptr<const Container>& container, uint64_t now_ns) {
    held.described(container, now_ns);
  };
  enrich::StateTables tables(std::move(tables_options));
  detect::Engine engine(rules.program);
  engine.profile_into(profile);
  EvaluatorOptions options;
  options.origin = "scap:" + path;
  options.on_detection = [&](Detection&& detection) {
    detection.rules_hash = rules.hash;
    held.add(std::move(detection));
  };
  Evaluator evaluator(tables, engine, options);
  evaluator.load(source->snapshot());
  Result<void> ended;
  for (EventBatch batch; ended && printed;) {
    const auto pull = source->fill(batch, 0);
    if (!pull) {
      ended = pull.error();
      break;
    }
    if (*pull == capture::Pull::restarted) {
      held.flush();
      evaluator.load(source->snapshot());
    }
    evaluator.run(batch);
    if (!held.empty() && !batch.empty()) held.tick(load<EventHeader>(batch.event(batch.size() - 1).data()).ts_ns);
    if (*pull == capture::Pull::ended) break;
  }
  held.flush();
  noise.flush();
  totals.folded += noise.counters().fold.folded;
  add(totals, evaluator, *source, tables);
  if (!printed) return printed;
  if (!ended) return located(ended.error(), path);
  return {};
}

/// "NAME=ADDRESS": what a domain name pointed to when the capture was taken.
Result<void> tell_name(const detect::Program& program, const std::string& text) {
  const size_t equals = text.find('=');
  const auto address = equals == std::string::npos
                           ? std::nullopt
                           : capture::scenario::parse_ip(std::string_view(text).substr(equals + 1));
  if (equals == 0 || !address) {
    return Error{Code::invalid_argument,
                 fmt::format("\"{}\" is no name and address, such as kubernetes.default=10.96.0.1", text), "--resolve"};
  }
  detect::tell_address(program, text.substr(0, equals), *address);
  return {};
}

bool means_rules(const std::string& path) {
  const std::filesystem::path file(path);
  std::error_code ignored;
  return file.extension() == ".yaml" || file.extension() == ".yml" || std::filesystem::is_directory(file, ignored);
}

Exit detect(const Globals& globals, Options options) {
  const auto format = output_format(globals, {"text", "json", "jsonl"});
  if (!format) return fail(format.error());
  // `--rules a.yaml b.yaml` puts b.yaml among the captures; no capture looks like that.
  std::vector<std::string> captures;
  for (const std::string& file : options.files) (means_rules(file) ? options.rules : captures).push_back(file);
  if (captures.empty()) {
    return fail({Code::invalid_argument, "name at least one capture, such as `quell detect attack.scap`", {}});
  }
  detect::EngineOptions engine_options;
  engine_options.match_all = options.match_all;
  const auto flags = read_rule_flags(options.rule_flags, engine_options);
  if (!flags) return fail(flags.error());
  RuleSources sources = rule_sources(globals, options.rules, options.exceptions);
  sources.flags = *flags;
  const auto rules = load_rules(sources, engine_options, globals.verbose);
  if (!rules) return fail(rules.error());
  for (const std::string& name : options.names)
    if (const auto told = tell_name(*(*rules)->program, name); !told) return fail(told.error());

  DetectionPrinter printer(*format == "text" ? StreamFormat::text : StreamFormat::json, flags->style);
  NoiseOptions noise;
  if (!options.fold_window.empty()) {
    const auto window_ms = parse_duration_ms(options.fold_window);
    if (!window_ms) return fail(window_ms.error());
    noise.fold_window_ns = *window_ms * 1'000'000;
  }
  const std::unique_ptr<detect::RuleProfile> profile = options.profile.make();
  Totals totals;
  Exit status = Exit::done;
  const auto start = std::chrono::steady_clock::now();
  for (const std::string& path : captures) {
    if (const auto read = replay(path, **rules, printer, noise, profile.get(), totals); !read) {
      const Exit failed = fail(read.error());
      if (status == Exit::done) status = failed;
    }
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (options.stats) print_stats(totals, seconds);
  if (profile != nullptr) fmt::print(stderr, "{}", profile_table(profile->report()));
  if (status == Exit::done && options.exit_on_detection && totals.detections > 0) return Exit::detections_found;
  return status;
}

}  // namespace

void add_detect(CLI::App& app, const Globals& globals, Action& run) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = add_command(app, "detect", "Run recorded captures through the rules",
                                  "  quell detect attack.scap\n"
                                  "  quell detect attack.scap --rules my_rules.yaml -o json --stats");
  command
      ->add_option("FILE", options->files,
                   "captures (.scap, plain or gzip; - for stdin); a folder or .yaml file counts as --rules")
      ->required()
      ->type_name("");
  command
      ->add_option("-r,--rules", options->rules,
                   "a rule file or a folder of them; may be repeated (default: the installed rules)")
      ->type_name("PATH")
      ->expected(1)
      ->take_all();
  add_exceptions_option(*command, options->exceptions);
  command->add_flag("--stats", options->stats,
                    "at the end, on stderr: events, detections, seconds, events/s, losses by cause");
  command->add_flag("--exit-on-detection", options->exit_on_detection, "exit with 10 if there were detections");
  command
      ->add_option("--fold-window", options->fold_window,
                   "repeats of a detection within this time, by the capture's clock, become a counter (default: off)")
      ->type_name("TIME");
  add_rule_matching(*command, options->match_all);
  add_profile(*command, options->profile);
  add_rule_flags(*command, options->rule_flags);
  command
      ->add_option("--resolve", options->names,
                   "what a domain name in the rules pointed to then (a replay asks no name server)")
      ->type_name("NAME=ADDRESS")
      ->expected(1)
      ->take_all();
  command->callback([&globals, &run, options] { run = [&globals, options] { return detect(globals, *options); }; });
}

}  // namespace quell::cli
