// quell policy backtest: what policies would have done to the recorded detections.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "apps/quell/history.h"
#include "apps/quell/policy_files.h"
#include "apps/quell/policy_ledger.h"
#include "base/clock.h"
#include "base/moment.h"
#include "base/text.h"
#include "respond/policy/backtest.h"
#include "respond/policy/detection_fields.h"

namespace quell::cli {
namespace {

namespace policy = respond::policy;

constexpr uint64_t kMaxDays = 3'650;

struct Options {
  PolicySources sources;
  uint64_t days = 30;
  std::string from, to, previous;
  bool keep = true;
};

/// Half open.
struct Range {
  uint64_t from_ns = 0, to_ns = UINT64_MAX;
};

Result<Range> range_of(const Options& options) {
  Range out;
  const uint64_t now_ns = system_clock().realtime_ns();
  const auto moment = [](const std::string& text, bool is_end) -> Result<uint64_t> {
    // A day alone begins at midnight, and as an end it counts in whole.
    const auto at = is_end || text.size() != 10 ? parse_deadline(text) : parse_iso8601_utc(text + "T00:00:00Z");
    if (!at)
      return Error{
          Code::invalid_argument,
          fmt::format("\"{}\" is neither a day such as 2026-11-22 nor a moment such as 2026-11-22T10:00:00Z", text),
          is_end ? "--to" : "--from"};
    return *at;
  };
  if (options.from.empty()) {
    out.from_ns = now_ns - std::min(now_ns, options.days * policy::kDayNs);
  } else {
    QUELL_TRY(out.from_ns, moment(options.from, false));
  }
  if (!options.to.empty()) {
    QUELL_TRY(out.to_ns, moment(options.to, true));
  }
  if (out.from_ns >= out.to_ns) return Error{Code::invalid_argument, "the time ends before it begins", "--to"};
  return out;
}

/// Detections of a history, page by page.
class Pages {
 public:
  Pages(const History& history, Range range) : history_(history), range_(range) {}

  Result<const Detection*> next() {
    for (;;) {
      if (at_ == page_.size()) {
        if (is_last_) return static_cast<const Detection*>(nullptr);
        QUELL_TRY(page_, history_.oldest_first(range_.from_ns, after_));
        at_ = 0;
        is_last_ = page_.empty();
        if (is_last_) continue;
        after_ = page_.back().id;
      }
      const Detection& one = page_[at_++];
      if (one.kernel_ns < range_.to_ns) return &one;
    }
  }

 private:
  const History& history_;
  const Range range_;
  std::vector<Detection> page_;
  size_t at_ = 0;
  std::string after_;
  bool is_last_ = false;
};

/// What the guards would say, as far as a recorded detection tells.
std::optional<std::string> refused_by_guard(const Detection& detection, const policy::PlannedAction& action) {
  if (const std::string* label = policy::find_label(detection, "quell.protected");
      label != nullptr && *label != "false")
    return "the container carries the label quell.protected";
  if (detection.container != nullptr && detection.container->is_pod_sandbox)
    return "the sandbox of a pod is not acted on";
  std::string space;
  if (policy::first_value(detection, "k8s.ns.name", space) && (space == "kube-system" || space == "quell"))
    return fmt::format("namespace {} is protected", space);
  if (action.target.kind == policy::TargetKind::process && detection.process.pid == 1) return "process 1 is protected";
  return {};
}

Exit backtest(const Globals& globals, const Options& options) {
  const auto format = output_format(globals, {"text", "json"});
  if (!format) return fail(format.error());
  const auto range = range_of(options);
  if (!range) return fail(range.error());
  const auto loaded = load_sound_policies(globals, options.sources);
  if (!loaded) return fail(loaded.error());
  policy::BacktestInput input;
  input.policies = loaded->policies();
  input.config = loaded->config;
  if (!options.previous.empty()) {
    PolicySources sources = options.sources;
    sources.paths = {options.previous};
    const auto previous = load_sound_policies(globals, sources);
    if (!previous) return fail(previous.error());
    input.previous = previous->policies();
  }
  const auto history = History::open(globals);
  if (!history) return fail(history.error());
  Pages pages(*history, *range);
  input.next = [&] { return pages.next(); };
  input.guard = refused_by_guard;
  const bool shows_progress = !globals.quiet && isatty(STDERR_FILENO) == 1;
  if (shows_progress) {
    input.progress = [](uint64_t done, uint64_t at_ns) {
      fmt::print(stderr, "\r{:>10} detections, {}", done, iso8601_utc(at_ns).substr(0, 16));
    };
  }
  const uint64_t start_ns = system_clock().monotonic_ns();
  auto report = policy::backtest(input);
  if (shows_progress) fmt::print(stderr, "\r{:50}\r", "");
  if (!report) return fail(report.error());
  report->elapsed_ms = (system_clock().monotonic_ns() - start_ns) / 1'000'000;
  fmt::print("{}", *format == "json" ? report->json() + "\n" : report->text());
  if (!options.keep) return Exit::done;
  if (const auto kept = PolicyLedger(globals.data_dir_or_default()).keep(*report); !kept) {
    fmt::print(stderr, "quell: warning: {}; no promotion can name this report\n", kept.error().str());
    return Exit::partly_done;
  }
  return Exit::done;
}

}  // namespace

void add_policy_backtest(CLI::App& app, const Globals& globals, Action& run) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = add_command(app, "backtest", "What policies would have done to the recorded detections",
                                  "  quell policy backtest shell.yaml --days 30\n"
                                  "  quell policy backtest shell.yaml --previous shell.old.yaml -o json");
  add_policy_sources(*command, options->sources);
  command->add_option("--days", options->days, "the last so many days (default 30)")
      ->check(CLI::Range(uint64_t{1}, kMaxDays))
      ->type_name("N");
  command->add_option("--from", options->from, "from this day or moment (UTC) on, instead of --days")
      ->type_name("TIME");
  command->add_option("--to", options->to, "until this day or moment (UTC)")->type_name("TIME");
  command->add_option("--previous", options->previous, "an earlier version of the policies, to compare with")
      ->type_name("PATH");
  command->add_flag("!--no-keep", options->keep, "do not keep the report in the data directory");
  command->callback([&globals, &run, options] { run = [&globals, options] { return backtest(globals, *options); }; });
}

}  // namespace quell::cli
