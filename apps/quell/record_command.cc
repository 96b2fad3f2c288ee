// quell record: a capture of a scope, for a while or until interrupted. No rules run, nothing is responded to.
#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "apps/quell/cli.h"
#include "apps/quell/confine.h"
#include "apps/quell/daemon.h"
#include "apps/quell/live_tables.h"
#include "base/text.h"

namespace quell::cli {
namespace {

struct Options {
  std::string scope, out, duration;
  std::vector<std::string> rules, events, static_fields;
  os::RuntimeSockets sockets = os::find_runtime_sockets();
  bool only_scope = false;
};

/// Which events to take: all, those of the rules, or those named.
Result<std::vector<bool>> interest_of(const Options& options, bool show_warnings) {
  std::vector<bool> interest(kEventCodeCount, options.rules.empty() && options.events.empty());
  if (!options.rules.empty()) {
    QUELL_CHECK(define_static_fields(options.static_fields));
    QUELL_TRY(const auto rules, load_rules({.paths = options.rules}, {}, show_warnings));
    interest = detect::wanted_event_codes(*rules->program);
    interest.resize(kEventCodeCount);
  }
  for (const std::string& list : options.events) {
    for (const std::string_view name : split(list, ',')) {
      const std::vector<EventCode> codes = event_codes_named(name);
      if (codes.empty()) {
        std::vector<std::string_view> names;
        for (const EventSpec& spec : kEventTable) names.push_back(spec.name);
        const std::string_view near = nearest(name, names);
        return Error{Code::invalid_argument,
                     fmt::format("there is no event \"{}\"{}", name,
                                 near.empty() ? std::string() : fmt::format("; did you mean \"{}\"?", near)),
                     "--events"};
      }
      for (const EventCode code : codes) interest[code] = true;
    }
  }
  return interest;
}

Exit record(const Globals& globals, const Options& options) {
  uint64_t duration_ms = 0;
  if (!options.duration.empty()) {
    const auto parsed = parse_duration_ms(options.duration);
    if (!parsed) return fail(parsed.error());
    duration_ms = *parsed;
  }
  Daemon::block_signals();
  const auto machine = os::make_linux_os();
  const auto runtimes = os::make_runtimes(options.sockets);
  auto interest = interest_of(options, globals.verbose);
  if (!interest) return fail(interest.error());
  const auto scope = resolve_scope(options.scope, *machine, runtimes);
  if (!scope) return fail(scope.error());

  auto nothing = std::make_shared<LoadedRules>();
  auto program = detect::compile(nothing->set, {});
  if (!program) return fail(program.error());
  nothing->program = *std::move(program);

  capture::EbpfOptions sensor;
  sensor.scope = scope->sensor;
  sensor.interest = *std::move(interest);
  sensor.scan = [&]() -> Result<Snapshot> {
    QUELL_TRY(Snapshot snapshot, scan_machine());
    if (options.only_scope) confine(snapshot, *scope);
    return snapshot;
  };
  auto source = capture::open_ebpf(sensor);
  if (!source) return fail(source.error());
  os::ContainerLookup lookup(runtimes);
  LiveLane::Options lane_options;
  lane_options.tables = live_table_options(options.sockets.runc_roots);
  if (options.only_scope) confine(lane_options.tables, *scope);
  lane_options.boot_id = machine->boot_id();
  lane_options.record_path = options.out;
  lane_options.clock = &system_clock();
  lane_options.lookup = &lookup;
  lane_options.emit = [](OutgoingDetection&&) {};
  const auto lane = LiveLane::create(std::move(*source), nothing, std::move(lane_options));
  if (!lane) return fail(lane.error());
  say(globals,
      fmt::format("recording {} to {}{}; Ctrl-C ends it", options.scope.empty() ? "this machine" : options.scope,
                  options.out, duration_ms == 0 ? std::string() : fmt::format(" for {}", options.duration)));

  Result<void> ended;
  std::atomic<bool> has_ended{false};
  std::thread engine([&] {
    ended = (*lane)->run();
    has_ended = true;
  });
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(duration_ms);
  while (!has_ended && (duration_ms == 0 || std::chrono::steady_clock::now() < end)) {
    const timespec patience{0, 50'000'000};
    const int number = sigtimedwait(&set, nullptr, &patience);
    if (number == SIGINT || number == SIGTERM) break;
  }
  (*lane)->stop();
  engine.join();
  const LaneStatus status = (*lane)->status();
  say(globals, fmt::format("{} events in {}, {} lost", status.recorded_events, options.out, status.source.lost()));
  if (!ended) return fail(ended.error());
  return Exit::done;
}

}  // namespace

void add_record(CLI::App& app, const Globals& globals, Action& run) {
  const auto options = std::make_shared<Options>();
  CLI::App* command =
      add_command(app, "record", "Write a .scap capture of a scope",
                  "  quell record --scope container:web --out web.scap --for 10s\n"
                  "  quell record --scope pid:4711 --out build.scap --for 1m --events execve,openat,connect");
  command
      ->add_option("--scope", options->scope, "cgroup:PATH, container:ID|NAME or pid:PID (default: the whole machine)")
      ->type_name("SCOPE");
  command->add_option("--out", options->out, "the capture to write (gzip)")->required()->type_name("FILE");
  command->add_option("--for", options->duration, "how long, such as 10s (default: until Ctrl-C)")->type_name("TIME");
  command->add_option("-r,--rules", options->rules, "only the events that these rules ask for")
      ->type_name("PATH")
      ->expected(1, -1)
      ->take_all();
  add_static_fields(*command, options->static_fields);
  command->add_option("--events", options->events, "only these events, such as execve,openat")
      ->type_name("NAME,…")
      ->expected(1, -1)
      ->take_all();
  command->add_flag("--only-scope", options->only_scope,
                    "of processes outside of the scope, only the names of ancestors: no arguments, no environment");
  command->add_option("--docker-socket", options->sockets.docker, "Docker's API socket")->type_name("PATH");
  command->add_option("--containerd-socket", options->sockets.containerd, "containerd's socket")->type_name("PATH");
  command->callback([&globals, &run, options] { run = [&globals, options] { return record(globals, *options); }; });
}

}  // namespace quell::cli
