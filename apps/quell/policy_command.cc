// quell policy: what is wrong with response policies, what they say in plain words, and whether their tests hold.
#include <fmt/format.h>

#include "apps/quell/cli.h"
#include "apps/quell/policy_files.h"
#include "base/json.h"
#include "respond/policy/explain.h"
#include "respond/policy/policy_tests.h"

namespace quell::cli {
namespace {

namespace policy = respond::policy;

struct Options {
  PolicySources sources;
  std::vector<std::string> tests;
};

std::string plural(size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

void print_check(const Globals& globals, const LoadedPolicies& loaded) {
  fmt::print("{}", policy::readable(loaded.config_problems));
  for (const policy::PolicyFile& file : loaded.files) {
    fmt::print("{}", policy::readable(file.problems));
    if (file.errors > 0 || globals.quiet) continue;
    for (const auto& one : file.policies)
      fmt::print("{}: ok: {} (version {}, {})\n", file.name, one->name, one->version, to_string(one->mode));
  }
  if (globals.quiet) return;
  fmt::print("{}, {}\n", plural(loaded.errors, "error"), plural(loaded.warnings, "warning"));
}

void print_check_json(const LoadedPolicies& loaded) {
  JsonWriter out;
  out.begin_object().text("apiVersion", "quell/v1").flag("valid", loaded.errors == 0);
  out.integer("errors", loaded.errors).integer("warnings", loaded.warnings).key("config_problems");
  policy::write_problems(out, loaded.config_problems);
  out.key("files").begin_array();
  for (const policy::PolicyFile& file : loaded.files) {
    out.begin_object().text("name", file.name).key("policies").begin_array();
    for (const auto& one : file.policies) {
      out.begin_object().text("name", one->name).text("owner", one->owner).integer("version", one->version);
      out.text("mode", to_string(one->mode)).text("hash", one->hash).end_object();
    }
    out.end_array().key("problems");
    policy::write_problems(out, file.problems);
    out.end_object();
  }
  out.end_array().end_object();
  fmt::print("{}\n", out.take());
}

Exit check(const Globals& globals, const Options& options) {
  const auto format = output_format(globals, {"text", "json"});
  if (!format) return fail(format.error());
  const auto loaded = load_policies(globals, options.sources);
  if (!loaded) return fail(loaded.error());
  *format == "json" ? print_check_json(*loaded) : print_check(globals, *loaded);
  if (loaded->errors == 0) return Exit::done;
  return fail({Code::invalid_rules,
               fmt::format("{} in {}", plural(loaded->errors, "error"), plural(loaded->files.size(), "file")),
               {}});
}

Exit explain(const Globals& globals, const Options& options) {
  const auto format = output_format(globals, {"text", "json"});
  if (!format) return fail(format.error());
  const auto loaded = load_sound_policies(globals, options.sources);
  if (!loaded) return fail(loaded.error());
  std::string text;
  JsonWriter out;
  out.begin_object().text("apiVersion", "quell/v1").key("items").begin_array();
  for (const auto& one : loaded->policies()) {
    const std::string sentences = policy::explain(*one);
    text += (text.empty() ? "" : "\n") + sentences;
    out.begin_object().text("name", one->name).text("mode", to_string(one->mode)).text("text", sentences).end_object();
  }
  out.end_array().end_object();
  fmt::print("{}", *format == "json" ? out.take() + "\n" : text);
  return Exit::done;
}

Exit test(const Globals& globals, const Options& options) {
  const auto format = output_format(globals, {"text", "json"});
  if (!format) return fail(format.error());
  const auto files = find_policy_tests(options.tests);
  if (!files) return fail(files.error());
  policy::PolicyTestOutcome outcome;
  for (const std::string& file : *files) policy::run_policy_tests(file, policy_actions(), outcome);
  if (*format == "json") {
    JsonWriter out;
    policy::write_policy_tests(out, outcome);
    fmt::print("{}\n", out.take());
  } else {
    fmt::print("{}", policy::readable(outcome.problems));
    for (const policy::PolicyTestCase& one : outcome.cases) {
      if (one.is_ok() && globals.quiet) continue;
      fmt::print("{}  {}: {}\n", one.is_ok() ? "ok  " : "FAIL", one.file, one.name);
      for (const std::string& difference : one.differences) fmt::print("      {}\n", difference);
      if (!one.is_ok() && !one.why.empty()) fmt::print("      {}\n", one.why);
    }
    fmt::print("{}: {} ok, {} failed{}\n", plural(outcome.cases.size(), "case"),
               outcome.cases.size() - outcome.failed(), outcome.failed(),
               outcome.broken == 0 ? "" : fmt::format(", {}", plural(outcome.broken, "broken file")));
  }
  if (outcome.broken > 0)
    return fail({Code::invalid_rules, fmt::format("{} cannot be used", plural(outcome.broken, "file")), {}});
  return outcome.failed() > 0 ? Exit::failed : Exit::done;
}

}  // namespace

void add_policy(CLI::App& app, const Globals& globals, Action& run) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = add_command(app, "policy", "Check, explain, test, back-test and promote response policies",
                                  "  quell policy check my_policies/\n"
                                  "  quell policy backtest shell.yaml --days 30");
  command->require_subcommand(1);
  const auto add = [&](const std::string& name, const std::string& summary, const std::string& examples,
                       Exit (*function)(const Globals&, const Options&)) {
    CLI::App* sub = add_command(*command, name, summary, examples);
    sub->callback([&globals, &run, options, function] {
      run = [&globals, options, function] { return function(globals, *options); };
    });
    return sub;
  };
  add_policy_sources(
      *add("check", "Every error and warning with file, line and column",
           "  quell policy check shell.yaml --config response.yaml\n  quell policy check policies.d -o json", check),
      options->sources);
  add_policy_sources(*add("explain", "What a policy does, in plain sentences",
                          "  quell policy explain shell.yaml\n  quell policy explain --policy stolen-shell", explain),
                     options->sources);
  add("test", "Runs test files: detections in, expected decisions out",
      "  quell policy test my_policies/tests\n  quell policy test shell.policy-test.yaml -o json", test)
      ->add_option("PATH", options->tests, "test files or folders (default: those of the installed policies)")
      ->type_name("");
  add_policy_backtest(*command, globals, run);
  add_policy_promote(*command, globals, run);
}

}  // namespace quell::cli
