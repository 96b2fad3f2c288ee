// quell rule suggest: the narrowest exception for a detection that is daily life, with what it would silence and what
// it would hide. What it prints is a file of exceptions; all that is said about it is a comment.
#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "apps/quell/cli.h"
#include "apps/quell/exception_files.h"
#include "apps/quell/history.h"
#include "apps/quell/rule_sources.h"
#include "apps/quell/scenario_suite.h"
#include "apps/quell/suggestion.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"

namespace quell::cli {
namespace {

constexpr uint64_t kDayNs = 86'400'000'000'000;
constexpr uint64_t kValidDays = 90;
constexpr size_t kMaxHistory = 20'000;
constexpr size_t kSamples = 3;

struct Options {
  std::string id;
  std::vector<std::string> rules, exceptions, scenarios;
  Responsibility who;
  std::string write_path;
  size_t scope = 1;
  uint64_t days = 30;
  bool apply = false, force = false;
};

/// A suggestion and what is known of its effect.
struct Weighed {
  Suggestion suggestion;
  size_t silenced = 0;   // stored detections of the rule, folded repeats included
  size_t undecided = 0;  // stored detections that do not tell a field
  std::vector<const Detection*> samples;
  std::vector<std::string> hidden;  // scenarios whose expected detections would not come
};

struct RuleHistory {
  std::vector<Detection> detections;
  uint64_t total = 0;  // folded repeats included
};

/// A file for the loader that goes away with us.
class ScratchFile {
 public:
  static Result<ScratchFile> create(const std::string& text) {
    std::string name = (std::filesystem::temp_directory_path() / "quell-suggest-XXXXXX.yaml").string();
    const int fd = mkstemps(name.data(), 5);
    if (fd < 0) return errno_error(errno, "cannot write to the folder of temporary files", name);
    close(fd);
    ScratchFile file(name);
    QUELL_CHECK(append_exceptions(name, text));
    return file;
  }
  ScratchFile(ScratchFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ScratchFile& operator=(ScratchFile&&) = delete;
  ~ScratchFile() {
    if (!path_.empty()) unlink(path_.c_str());
  }
  const std::string& path() const { return path_; }

 private:
  explicit ScratchFile(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

/// A machine may have none; that must not keep anybody from an exception.
bool has_scenarios(const Options& options) { return !options.scenarios.empty() || find_scenarios({}).has_value(); }

/// Expectations of the rule that do not come, as "file: case, event N".
Result<std::vector<std::string>> missing(const Options& options, const std::string& rule,
                                         const std::vector<std::string>& more_exceptions) {
  if (!has_scenarios(options)) return std::vector<std::string>();
  SuiteOptions suite;
  suite.paths = options.scenarios;
  suite.only_rule = rule;
  suite.rules = {.paths = options.rules, .exceptions = options.exceptions, .data_dir = {}};
  suite.rules.exceptions.insert(suite.rules.exceptions.end(), more_exceptions.begin(), more_exceptions.end());
  QUELL_TRY(const SuiteOutcome outcome, run_suite(suite));
  if (!outcome.broken.empty()) return outcome.broken.front();
  std::vector<std::string> out;
  for (const CaseOutcome& one : outcome.cases) {
    for (const Difference& difference : one.differences) {
      if (difference.kind != Difference::Kind::missing || difference.rule != rule) continue;
      const std::string& name = one.scenario.case_name;
      out.push_back(
          fmt::format("{}{}{}, event {}", one.scenario.name, name.empty() ? "" : ": ", name, difference.event));
    }
  }
  return out;
}

Result<Weighed> weigh(const Options& options, const std::string& rule, Suggestion suggestion,
                      const RuleHistory& history, const std::vector<std::string>& missing_before) {
  Weighed out;
  for (const Detection& detection : history.detections) {
    const auto silenced = suggestion.silences(detection);
    if (!silenced) ++out.undecided;
    if (!silenced.value_or(false)) continue;
    out.silenced += 1 + detection.folded.count;
    if (out.samples.size() < kSamples) out.samples.push_back(&detection);
  }
  QUELL_TRY(const ScratchFile file, ScratchFile::create(exception_yaml(rule, suggestion, options.who)));
  QUELL_TRY(out.hidden, missing(options, rule, {file.path()}));
  std::erase_if(out.hidden, [&](const std::string& name) {
    return std::find(missing_before.begin(), missing_before.end(), name) != missing_before.end();
  });
  out.suggestion = std::move(suggestion);
  return out;
}

std::string current_user() {
  // Behind sudo it is the person who answers, not root.
  if (const char* name = std::getenv("SUDO_USER")) return name;
  const passwd* entry = getpwuid(getuid());
  return entry != nullptr ? entry->pw_name : fmt::format("uid {}", getuid());
}

/// A remark in YAML: what it quotes is an attacker's to choose.
std::string remark(std::string_view text) {
  std::string safe = json_escape(text.substr(0, 200));
  return "# " + safe + "\n";
}

std::string document(const Options& options, const Detection& detection, const RuleHistory& history,
                     const std::vector<Weighed>& all) {
  const Weighed& chosen = all[options.scope - 1];
  std::string out = remark("Suggested by `quell rule suggest " + detection.id + "`. Review it before it is used.");
  out += remark("For: " + detection.message);
  out += fmt::format("# Of {} detections of this rule in the last {} days it would have silenced {}{}.\n",
                     history.total, options.days, chosen.silenced,
                     chosen.undecided == 0 ? "" : fmt::format(" ({} do not tell)", chosen.undecided));
  for (const Detection* sample : chosen.samples)
    out += remark("  " + sample->id + "  " + iso8601_utc(sample->kernel_ns) + "  " + sample->message);
  if (!has_scenarios(options)) {
    out += "# No scenarios are installed here: nothing tells what it might hide.\n";
  } else if (chosen.hidden.empty()) {
    out += "# It hides nothing that a scenario expects.\n";
  } else {
    out += fmt::format("# CAUTION: it hides {} true detections that scenarios expect:\n", chosen.hidden.size());
    for (const std::string& name : chosen.hidden) out += remark("  " + name);
  }
  out += exception_yaml(detection.rule, chosen.suggestion, options.who);
  if (all.size() > 1) out += "#\n# Other scopes (--scope N):\n";
  for (size_t i = 0; i < all.size(); ++i) {
    if (i + 1 == options.scope) continue;
    out += remark(fmt::format("  {}  silences {}, hides {}: {}{}", i + 1, all[i].silenced, all[i].hidden.size(),
                              all[i].suggestion.is_own ? "the rule's own " + all[i].suggestion.name + ": " : "",
                              all[i].suggestion.text()));
  }
  return out;
}

void print_json(const Options& options, const Detection& detection, const RuleHistory& history,
                const std::vector<Weighed>& all) {
  JsonWriter out;
  out.begin_object().text("apiVersion", "quell/v1").text("detection", detection.id).text("rule", detection.rule);
  out.integer("days", options.days).integer("detections", history.total).integer("chosen", options.scope);
  out.key("suggestions").begin_array();
  for (const Weighed& one : all) {
    out.begin_object().text("name", one.suggestion.name).flag("own", one.suggestion.is_own);
    out.key("terms").begin_array();
    for (const ExceptionTerm& term : one.suggestion.terms)
      out.begin_object().text("field", term.field).text("comp", term.comp).text("value", term.value).end_object();
    out.end_array().integer("silenced", one.silenced).integer("undecided", one.undecided);
    std::vector<std::string> samples;
    for (const Detection* sample : one.samples) samples.push_back(sample->id);
    out.texts("samples", samples).texts("hides", one.hidden);
    out.text("yaml", exception_yaml(detection.rule, one.suggestion, options.who)).end_object();
  }
  out.end_array().end_object();
  fmt::print("{}\n", out.take());
}

Result<void> settle_expiry(Options& options, const Detection& detection) {
  if (options.who.expires.empty()) {
    // From the detection, not from today: asking again gives the same answer. Unless that is over already.
    const uint64_t now_ns = system_clock().realtime_ns();
    uint64_t until_ns = detection.kernel_ns + kValidDays * kDayNs;
    if (until_ns < now_ns + kDayNs) until_ns = now_ns + kValidDays * kDayNs;
    options.who.expires = date_utc(until_ns);
  } else if (!parse_deadline(options.who.expires)) {
    return Error{Code::invalid_argument, fmt::format("\"{}\" is no date; write 2027-01-31", options.who.expires),
                 "--expires"};
  }
  return {};
}

Exit suggest(const Globals& globals, Options options) {
  const auto format = output_format(globals, {"text", "json", "jsonl"});
  if (!format) return fail(format.error());
  const auto history = History::open(globals);
  if (!history) return fail(history.error());
  const auto detection = history->find(options.id);
  if (!detection) return fail(detection.error());
  if (const auto settled = settle_expiry(options, *detection); !settled) return fail(settled.error());
  if (options.who.owner.empty()) options.who.owner = current_user();

  const auto rules = load_rules(rule_sources(globals, options.rules, options.exceptions), {}, false);
  if (!rules) return fail(rules.error());
  const detect::Rule* rule = (*rules)->find(detection->rule);
  if (rule == nullptr) {
    return fail({Code::not_found,
                 fmt::format("the rule \"{}\" is not among these rules; name its files with --rules", detection->rule),
                 {}});
  }
  const uint64_t now_ns = system_clock().realtime_ns();
  const uint64_t back_ns = options.days * kDayNs;
  auto stored = history->of_rule(detection->rule, now_ns > back_ns ? now_ns - back_ns : 0, kMaxHistory);
  if (!stored) return fail(stored.error());
  RuleHistory known{.detections = *std::move(stored)};
  for (const Detection& one : known.detections) known.total += 1 + one.folded.count;

  const auto before = missing(options, rule->name, {});
  if (!before) return fail(before.error());
  std::vector<Weighed> all;
  for (Suggestion& suggestion : suggestions_for(*detection, *rule)) {
    auto weighed = weigh(options, rule->name, std::move(suggestion), known, *before);
    if (!weighed) return fail(weighed.error());
    all.push_back(*std::move(weighed));
  }
  if (all.empty()) {
    return fail({Code::not_found, "the detection names neither program, place nor file to make an exception of", {}});
  }
  if (options.scope == 0 || options.scope > all.size()) {
    return fail({Code::invalid_argument, fmt::format("there are {} scopes", all.size()), "--scope"});
  }

  if (*format == "text") {
    fmt::print("{}", document(options, *detection, known, all));
  } else {
    print_json(options, *detection, known, all);
  }
  const Weighed& chosen = all[options.scope - 1];
  if (!options.apply && options.write_path.empty()) return Exit::done;
  if (!chosen.hidden.empty() && !options.force) {
    return fail({Code::refused,
                 fmt::format("it hides {} detections that scenarios expect; choose a narrower --scope, or --force",
                             chosen.hidden.size()),
                 {}});
  }
  const std::string yaml = exception_yaml(detection->rule, chosen.suggestion, options.who);
  if (!options.write_path.empty()) {
    if (const auto written = append_exceptions(options.write_path, yaml); !written) return fail(written.error());
    say(globals, fmt::format("written to {}; use it with --exceptions", options.write_path));
  }
  if (!options.apply) return Exit::done;
  const std::string folder = globals.data_dir_or_default() + "/" + std::string(kExceptionsFolder);
  // An own exception of a rule gets many values; each suggestion keeps a file of its own.
  const std::string name =
      chosen.suggestion.is_own ? chosen.suggestion.name + "-" + detection->id : chosen.suggestion.name;
  const auto added = add_exception_file(folder, name, yaml);
  if (!added) return fail(added.error());
  say(globals,
      fmt::format("added as {}; a running quell takes it by itself; undo: {}", *added,
                  chosen.suggestion.is_own ? "rm " + *added : "quell exception remove " + chosen.suggestion.name));
  return Exit::done;
}

}  // namespace

void add_rule_suggest(CLI::App& rule, const Globals& globals, Action& run) {
  const auto options = std::make_shared<Options>();
  CLI::App* command =
      add_command(rule, "suggest", "The narrowest exception for a detection, what it silences and hides",
                  "  quell rule suggest d-0123456789abcdef\n"
                  "  quell rule suggest d-0123456789abcdef --reason \"nightly backup\" --apply");
  command->add_option("DETECTION_ID", options->id, "as it stands in the detection's quell.id")
      ->required()
      ->type_name("");
  command
      ->add_option("-r,--rules", options->rules,
                   "a rule file or folder; may be repeated (default: the installed rules)")
      ->type_name("PATH")
      ->expected(1)
      ->take_all();
  add_exceptions_option(*command, options->exceptions);
  command
      ->add_option("--scenarios", options->scenarios,
                   "what must stay detected: scenario files or folders (default: the shipped scenarios)")
      ->type_name("PATH")
      ->expected(1)
      ->take_all();
  command->add_option("--scope", options->scope, "another of the scopes that it lists (default 1, the narrowest)")
      ->type_name("N");
  command->add_option("--days", options->days, "how far back stored detections count (default 30)")
      ->check(CLI::Range(1, 36500))
      ->type_name("N");
  command->add_option("--owner", options->who.owner, "who answers for it (default: you)")->type_name("NAME");
  command->add_option("--reason", options->who.reason, "why this is expected")->type_name("TEXT");
  command->add_option("--expires", options->who.expires, "its last day (default: 90 days after the detection)")
      ->type_name("DATE");
  command->add_option("--write", options->write_path, "also append it to this file")->type_name("FILE");
  command->add_flag("--apply", options->apply, "also put it into exceptions.d of the data directory");
  command->add_flag("--force", options->force, "even if it hides what a scenario expects");
  command->callback([&globals, &run, options] { run = [&globals, options] { return suggest(globals, *options); }; });
}

}  // namespace quell::cli
