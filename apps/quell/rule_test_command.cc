// quell rule test: scenario files in, what was expected against what came out.
#include <fmt/format.h>

#include "apps/quell/cli.h"
#include "apps/quell/rule_sources.h"
#include "apps/quell/scenario_suite.h"
#include "base/json.h"

namespace quell::cli {
namespace {

struct Options {
  SuiteOptions suite;
};

std::string title(const capture::Scenario& scenario) {
  return scenario.case_name.empty() ? scenario.name : scenario.name + ": " + scenario.case_name;
}

/// Like a diff: what is missing with -, what is too much with +, what is different with !.
std::string line_of(const Difference& difference) {
  using Kind = Difference::Kind;
  const std::string event =
      difference.event < 0 ? std::string("before the first event") : fmt::format("event {}", difference.event);
  const std::string where = difference.where.empty() ? std::string() : fmt::format("   ({})", difference.where);
  switch (difference.kind) {
    case Kind::missing: return fmt::format("- {}: \"{}\" was expected{}", event, difference.rule, where);
    case Kind::unexpected: return fmt::format("+ {}: \"{}\" fired: {}", event, difference.rule, difference.actual);
    case Kind::forbidden:
      return fmt::format("+ {}: \"{}\" must not fire{}: {}{}", event, difference.rule,
                         difference.subject.empty() ? "" : " (" + difference.subject + ")", difference.actual, where);
    case Kind::field:
      return fmt::format("! {}: \"{}\": {} is {}, expected {}{}", event, difference.rule, difference.subject,
                         difference.actual, difference.expected, where);
    case Kind::technique:
      return fmt::format("! {}: \"{}\" has no tag of {}{}", event, difference.rule, difference.subject, where);
  }
  return {};
}

void print_text(const Globals& globals, const SuiteOptions& options, const SuiteOutcome& outcome) {
  for (const Error& error : outcome.broken) fmt::print("FAIL  {}\n", error.str());
  for (const CaseOutcome& one : outcome.cases) {
    if (one.is_ok() && globals.quiet) continue;
    fmt::print("{}  {}\n", one.is_ok() ? "ok  " : "FAIL", title(one.scenario));
    for (const Difference& difference : one.differences) fmt::print("      {}\n", line_of(difference));
  }
  for (const UnnoticedTerm& term : outcome.unnoticed)
    fmt::print("UNTESTED  \"{}\" ({}:{}): no test notices when this is dropped: {}\n", term.rule, term.file, term.line,
               term.term);
  fmt::print("{} cases: {} ok, {} failed{}\n", outcome.cases.size(), outcome.cases.size() - outcome.failed(),
             outcome.failed(), outcome.broken.empty() ? "" : fmt::format(", {} broken files", outcome.broken.size()));
  if (options.mutate) {
    fmt::print("{} terms dropped in turn: {} noticed, {} not\n", outcome.terms,
               outcome.terms - outcome.unnoticed.size(), outcome.unnoticed.size());
  }
}

std::string case_json(const CaseOutcome& one) {
  JsonWriter out;
  out.begin_object().text("file", one.scenario.name).text("case", one.scenario.case_name);
  out.text("why", one.scenario.why).flag("ok", one.is_ok()).integer("events", one.scenario.event_count);
  out.key("fired").begin_array();
  for (const Firing& firing : one.firings) {
    out.begin_object().integer("event", firing.event).text("rule", firing.detection.rule);
    out.text("message", firing.detection.message).end_object();
  }
  out.end_array().key("differences").begin_array();
  for (const Difference& difference : one.differences) {
    out.begin_object().text("kind", to_string(difference.kind)).integer("event", difference.event);
    out.text("rule", difference.rule).text("subject", difference.subject).text("expected", difference.expected);
    out.text("actual", difference.actual).text("where", difference.where).end_object();
  }
  out.end_array().end_object();
  return out.take();
}

void print_json(const SuiteOptions& options, const SuiteOutcome& outcome) {
  JsonWriter out;
  out.begin_object().text("apiVersion", "quell/v1");
  out.integer("ok", outcome.cases.size() - outcome.failed()).integer("failed", outcome.failed());
  out.key("cases").begin_array();
  for (const CaseOutcome& one : outcome.cases) out.raw(case_json(one));
  out.end_array().key("broken").begin_array();
  for (const Error& error : outcome.broken)
    out.begin_object().text("where", error.where).text("message", error.message).end_object();
  out.end_array();
  if (options.mutate) {
    out.integer("terms", outcome.terms).key("unnoticed").begin_array();
    for (const UnnoticedTerm& term : outcome.unnoticed) {
      out.begin_object().text("rule", term.rule).text("term", term.term).text("file", term.file);
      out.integer("line", term.line).end_object();
    }
    out.end_array();
  }
  out.end_object();
  fmt::print("{}\n", out.take());
}

Exit test(const Globals& globals, const Options& options) {
  const auto format = output_format(globals, {"text", "json", "jsonl"});
  if (!format) return fail(format.error());
  const auto outcome = run_suite(options.suite);
  if (!outcome) return fail(outcome.error());
  if (*format == "text") {
    print_text(globals, options.suite, *outcome);
  } else if (*format == "json") {
    print_json(options.suite, *outcome);
  } else {
    for (const CaseOutcome& one : outcome->cases) fmt::print("{}\n", case_json(one));
  }
  if (!outcome->broken.empty()) {
    return fail({Code::invalid_rules,
                 fmt::format("{} of the files cannot be used; the first: {}", outcome->broken.size(),
                             outcome->broken.front().message),
                 outcome->broken.front().where});
  }
  if (outcome->failed() > 0) return Exit::failed;
  return outcome->unnoticed.empty() ? Exit::done : Exit::partly_done;
}

}  // namespace

void add_rule_test(CLI::App& rule, const Globals& globals, Action& run) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = add_command(rule, "test", "Runs scenario files: events in, expected detections out",
                                  "  quell rule test my_scenarios/ --rules my_rules.yaml\n"
                                  "  quell rule test tests/scenarios/miner_started.yaml --mutate -o json");
  command->add_option("PATH", options->suite.paths, "scenario files or folders (default: the shipped scenarios)")
      ->type_name("");
  command
      ->add_option("-r,--rules", options->suite.rules.paths,
                   "a rule file or folder, instead of those that the scenarios name; may be repeated")
      ->type_name("PATH")
      ->expected(1)
      ->take_all();
  add_exceptions_option(*command, options->suite.rules.exceptions);
  command->add_flag("--mutate", options->suite.mutate,
                    "also drop each term of each tested rule in turn, and say which of them no test would miss");
  command->callback([&globals, &run, options] { run = [&globals, options] { return test(globals, *options); }; });
}

}  // namespace quell::cli
