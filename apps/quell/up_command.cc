#include <fmt/format.h>

#include "apps/quell/cli.h"
#include "apps/quell/daemon.h"
#include "apps/quell/engine_flags.h"

namespace quell::cli {
namespace {

struct Options {
  DaemonOptions daemon;
  RuleFlagTexts rule_flags;
  std::string listen = "127.0.0.1:7555";
  std::string fold_window = "10s";
  bool match_all = true;
  std::string capture = "rules", capture_priority, capture_before, capture_after, capture_memory, capture_disk;
};

/// The flight recorder's options as they were given.
Result<FlightOptions> flight_options(const Options& options) {
  FlightOptions out;
  QUELL_TRY(out.mode, parse_capture_mode(options.capture));
  if (!options.capture_priority.empty()) {
    out.at_least = parse_priority(options.capture_priority);
    if (!out.at_least)
      return Error{Code::invalid_argument, fmt::format("\"{}\" is no priority", options.capture_priority),
                   "--capture-priority"};
  }
  if (!options.capture_before.empty()) {
    QUELL_TRY(out.before_ms, parse_duration_ms(options.capture_before));
  }
  if (!options.capture_after.empty()) {
    QUELL_TRY(out.after_ms, parse_duration_ms(options.capture_after));
  }
  if (!options.capture_memory.empty()) {
    QUELL_TRY(out.memory_bytes, parse_size(options.capture_memory));
  }
  if (!options.capture_disk.empty()) {
    QUELL_TRY(out.disk_bytes, parse_size(options.capture_disk));
  }
  constexpr uint64_t kLeastMemory = 1 << 20;
  if (out.memory_bytes < kLeastMemory)
    return Error{Code::invalid_argument, "the flight recorder needs at least 1M; --capture off does without it",
                 "--capture-memory"};
  return out;
}

Exit up(const Globals& globals, const Options& options) {
  const auto format = output_format(globals, {"text", "json", "jsonl"});
  if (!format) return fail(format.error());
  const auto listen = api::parse_listen_address(options.listen);
  if (!listen) return fail(listen.error());
  const auto flight = flight_options(options);
  if (!flight) return fail(flight.error());
  DaemonOptions daemon_options = options.daemon;
  daemon_options.flight = *flight;
  daemon_options.data_dir = globals.data_dir_or_default();
  daemon_options.listen = *listen;
  daemon_options.format = *format == "text" ? StreamFormat::text : StreamFormat::json;
  daemon_options.engine.match_all = options.match_all;
  const auto fold_window_ms = parse_duration_ms(options.fold_window);
  if (!fold_window_ms) return fail(fold_window_ms.error());
  daemon_options.noise.fold_window_ns = *fold_window_ms * 1'000'000;
  daemon_options.show_warnings = globals.verbose;
  auto flags = read_rule_flags(options.rule_flags, daemon_options.engine);
  if (!flags) return fail(flags.error());
  daemon_options.rule_flags = *std::move(flags);

  Daemon::block_signals();
  const auto daemon = Daemon::create(std::move(daemon_options));
  if (!daemon) return fail(daemon.error());
  say(globals, fmt::format("watching {}; health and metrics on {}; actions by `quell action … --data-dir {}`",
                           options.daemon.scope.empty() ? "this machine" : options.daemon.scope, (*daemon)->address(),
                           globals.data_dir_or_default()));
  if (const auto ended = (*daemon)->run(); !ended) return fail(ended.error());
  return Exit::done;
}

}  // namespace

void add_up(CLI::App& app, const Globals& globals, Action& run) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = add_command(app, "up", "Watch this machine: sensor, rules, detections, responses",
                                  "  quell up\n"
                                  "  quell up --scope container:web --rules my_rules.yaml -o json");
  command
      ->add_option("--scope", options->daemon.scope,
                   "watch, and let actions touch, only cgroup:PATH, container:ID|NAME or pid:PID")
      ->type_name("SCOPE");
  command->add_option("-r,--rules", options->daemon.rules, "rule files or folders (default: the installed rules)")
      ->type_name("PATH")
      ->expected(1, -1)
      ->take_all();
  command
      ->add_option("--listen", options->listen,
                   "where health and metrics are served; port 0 picks a free one (default 127.0.0.1:7555)")
      ->type_name("ADDR:PORT");
  add_exceptions_option(*command, options->daemon.exceptions);
  command
      ->add_option("--fold-window", options->fold_window,
                   "repeats of a detection within this time become a counter; 0: every one goes out (default 10s)")
      ->type_name("TIME");
  command
      ->add_option("--max-per-minute", options->daemon.noise.max_per_minute,
                   "print at most this many detections of a rule per minute; all are stored (default 0: no limit)")
      ->type_name("COUNT");
  command->add_option("--record", options->daemon.record_path, "also write every evaluated event to this capture")
      ->type_name("FILE");
  command
      ->add_option("--capture", options->capture,
                   "which detections get a capture of what came before and after them: off, rules (those that say "
                   "capture: true) or all (default rules)")
      ->type_name("WHICH");
  command
      ->add_option("--capture-priority", options->capture_priority,
                   "with rules: also every detection at least this severe")
      ->type_name("PRIORITY");
  command->add_option("--capture-before", options->capture_before, "how far back a capture goes (default 30s)")
      ->type_name("TIME");
  command
      ->add_option("--capture-after", options->capture_after,
                   "how long it goes on, unless the rule has a capture_duration (default 5s)")
      ->type_name("TIME");
  command
      ->add_option("--capture-memory", options->capture_memory,
                   "for recent events of all containers; one has a quarter at most (default 16M)")
      ->type_name("SIZE");
  command
      ->add_option("--capture-disk", options->capture_disk,
                   "for all captures in the data directory; the oldest go first (default 1G)")
      ->type_name("SIZE");
  add_rule_matching(*command, options->match_all);
  add_profile(*command, options->daemon.profile);
  command->add_option("--docker-socket", options->daemon.sockets.docker, "Docker's API socket")->type_name("PATH");
  command->add_option("--containerd-socket", options->daemon.sockets.containerd, "containerd's socket")
      ->type_name("PATH");
  add_rule_flags(*command, options->rule_flags);
  command->add_option("--runc-root", options->daemon.sockets.runc_roots, "where runc keeps its containers (patterns)")
      ->type_name("PATH")
      ->expected(1, -1)
      ->take_all();
  command
      ->add_option("--label-max-len", options->daemon.label_max_len,
                   "container labels with a longer value are left out (default 100, 0: none is)")
      ->type_name("BYTES");
  command->callback([&globals, &run, options] { run = [&globals, options] { return up(globals, *options); }; });
}

}  // namespace quell::cli
