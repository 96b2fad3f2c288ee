// quell rule: what rule files say, what is wrong with them, and every field that a rule can use.
#include <fmt/format.h>

#include "apps/quell/cli.h"
#include "apps/quell/rule_fields.h"
#include "apps/quell/rule_flags.h"
#include "apps/quell/rule_lowered.h"
#include "apps/quell/rule_sources.h"
#include "apps/quell/rules_json.h"
#include "apps/quell/server_call.h"
#include "base/json.h"
#include "base/text.h"
#include "detect/falco/loader.h"
#include "detect/fields/catalog.h"

namespace quell::cli {
namespace {

namespace falco = detect::falco;

struct Options {
  std::vector<std::string> paths, exceptions;
  std::string name;
  FieldFilter fields;
  std::vector<std::string> static_fields;
  bool running = false;
};

/// One run of the loader over the files that the options name, everything it said included.
struct Loaded {
  falco::Loader loader{detect::semantics()};
  std::vector<falco::FileResult> files;
  size_t errors = 0, warnings = 0;
};

Result<std::unique_ptr<Loaded>> load(const Globals& globals, const Options& options) {
  QUELL_CHECK(define_static_fields(options.static_fields));
  auto loaded = std::make_unique<Loaded>();
  QUELL_TRY(const auto files, find_files(rule_sources(globals, options.paths, options.exceptions)));
  loaded->files = falco::load_files(loaded->loader, files.rules, falco::OnError::keep_going, files.exceptions);
  for (const falco::FileResult& file : loaded->files) {
    loaded->errors += file.errors.size();
    loaded->warnings += file.warnings.size();
  }
  return loaded;
}

/// The rules, for commands that only make sense when they load.
Result<std::unique_ptr<Loaded>> load_sound(const Globals& globals, const Options& options) {
  QUELL_TRY(auto loaded, load(globals, options));
  for (const falco::FileResult& file : loaded->files) {
    if (!file.successful()) fmt::print(stderr, "{}", falco::readable(file));
  }
  if (loaded->errors > 0)
    return Error{Code::invalid_rules, fmt::format("the rules have {} errors", loaded->errors), {}};
  return loaded;
}

Exit check(const Globals& globals, const Options& options) {
  const auto format = output_format(globals, {"text", "json", "jsonl"});
  if (!format) return fail(format.error());
  const auto loaded = load(globals, options);
  if (!loaded) return fail(loaded.error());
  const Loaded& rules = **loaded;
  Result<void> compiled;
  if (rules.errors == 0) {
    if (const auto program = detect::compile(rules.loader.rules(), {}); !program) compiled = program.error();
  }
  const bool is_valid = rules.errors == 0 && compiled;
  if (*format == "text") {
    for (const falco::FileResult& file : rules.files) {
      fmt::print("{}", falco::readable(file));
      if (file.successful() && !globals.quiet) {
        fmt::print("{}: ok{}\n", file.name,
                   file.warnings.empty()
                       ? std::string()
                       : fmt::format(", {} warning{}", file.warnings.size(), file.warnings.size() == 1 ? "" : "s"));
      }
    }
    if (is_valid && !globals.quiet)
      fmt::print("{} rules in {} files\n", rules.loader.rules().rules.size(), rules.files.size());
  } else {
    std::vector<std::string> files;
    for (const falco::FileResult& file : rules.files) files.push_back(falco::json(file));
    if (*format == "jsonl") {
      for (const std::string& file : files) fmt::print("{}\n", file);
    } else {
      fmt::print(
          "{{\"apiVersion\":\"quell/v1\",\"valid\":{},\"rules\":{},\"errors\":{},\"warnings\":{},\"files\":[{}]}}\n",
          is_valid, rules.loader.rules().rules.size(), rules.errors, rules.warnings, fmt::join(files, ","));
    }
  }
  if (!compiled) return fail(compiled.error());
  if (rules.errors > 0) {
    return fail({Code::invalid_rules,
                 fmt::format("{} error{} in {} files", rules.errors, rules.errors == 1 ? "" : "s", rules.files.size()),
                 {}});
  }
  return Exit::done;
}

/// The rules of the running quell, and whether its files still say the same.
Exit list_running(const Globals& globals, std::string_view format) {
  const auto answer = call_server(globals, api::Method::get, "/v1/rules");
  if (!answer) return fail(answer.error());
  const auto json = Json::parse(*answer);
  if (!json || json->at("items").array() == nullptr)
    return fail({Code::malformed, "the server's answer is no list of rules", {}});
  if (const std::string error = json->at("error").str(); !error.empty())
    fmt::print(stderr, "quell: warning: the rule files have changed and cannot be loaded: {}\n", error);
  if (format == "json") {
    fmt::print("{}\n", *answer);
    return Exit::done;
  }
  if (format == "table") {
    say(globals, fmt::format("generation {} ({}), loaded {}", json->at("generation").u64(), json->at("hash").str(),
                             json->at("loaded_time").str()));
  }
  for (const Json& rule : *json->at("items").array()) {
    if (format == "jsonl") {
      fmt::print("{}\n", rule.dump());
    } else if (format == "name") {
      fmt::print("{}\n", rule.at("name").str());
    } else {
      fmt::print("{:<60}  {:<13}  {:<8}  {}{}\n", rule.at("name").str(), rule.at("priority").str(),
                 rule.at("source").str(), rule.at("enabled").boolean() ? "" : "(off) ",
                 fmt::join(rule.at("tags").texts(), ","));
    }
  }
  return Exit::done;
}

Exit list(const Globals& globals, const Options& options) {
  const auto format = output_format(globals, {"table", "json", "jsonl", "name"});
  if (!format) return fail(format.error());
  if (options.running) return list_running(globals, *format);
  const auto loaded = load_sound(globals, options);
  if (!loaded) return fail(loaded.error());
  const auto& rules = (*loaded)->loader.rules().rules;
  size_t width = 0;
  for (const detect::Rule& rule : rules) width = std::max(width, rule.name.size());
  std::vector<std::string> items;
  for (const detect::Rule& rule : rules) {
    if (*format == "name") {
      fmt::print("{}\n", rule.name);
    } else if (*format == "table") {
      fmt::print("{:<{}}  {:<13}  {:<8}  {}{}\n", rule.name, width, to_string(rule.priority), rule.source,
                 rule.enabled ? "" : "(off) ", fmt::join(rule.tags, ","));
    } else {
      items.push_back(rule_json(rule));
    }
  }
  if (*format == "jsonl") fmt::print("{}{}", fmt::join(items, "\n"), items.empty() ? "" : "\n");
  if (*format == "json") fmt::print("{{\"apiVersion\":\"quell/v1\",\"items\":[{}]}}\n", fmt::join(items, ","));
  return Exit::done;
}

void print_explained(const detect::Rule& rule) {
  fmt::print("{}\n  {}\n\n", rule.name, rule.description);
  fmt::print("priority:   {} (severity {}){}\n", to_string(rule.priority), to_string(severity_of(rule.priority)),
             rule.enabled ? "" : ", switched off");
  fmt::print("source:     {}\n", rule.source);
  if (!rule.tags.empty()) fmt::print("tags:       {}\n", fmt::join(rule.tags, ", "));
  fmt::print("defined in: {}:{}\n", rule.file, rule.line);
  std::vector<std::string_view> events;
  for (const EventCode code : rule.event_codes) {
    const std::string_view name = event_spec(code).name;
    if (std::find(events.begin(), events.end(), name) == events.end()) events.push_back(name);
  }
  if (!events.empty() && events.size() <= 24) fmt::print("events:     {}\n", fmt::join(events, ", "));
  if (events.size() > 24) fmt::print("events:     {} kinds\n", events.size());
  if (!rule.exception_names.empty()) fmt::print("exceptions: {}\n", fmt::join(rule.exception_names, ", "));
  if (rule.fold.window_ns == 0u) fmt::print("repeats:    never folded\n");
  if (rule.fold.window_ns.value_or(0) > 0)
    fmt::print("repeats:    folded for {} s\n", static_cast<double>(*rule.fold.window_ns) / 1e9);
  if (!rule.fold.by.empty()) fmt::print("the same if: {} are\n", fmt::join(rule.fold.by, ", "));
  fmt::print("\ncondition, as written:\n  {}\n", rule.condition_text);
  if (rule.condition != nullptr)
    fmt::print("\ncondition, with macros and lists put in:\n  {}\n", rule.condition->str());
  fmt::print("\noutput:\n  {}\n", rule.output);
}

Exit explain(const Globals& globals, const Options& options) {
  const auto format = output_format(globals, {"text", "json", "jsonl"});
  if (!format) return fail(format.error());
  const auto loaded = load_sound(globals, options);
  if (!loaded) return fail(loaded.error());
  const auto& rules = (*loaded)->loader.rules().rules;
  const auto found =
      std::find_if(rules.begin(), rules.end(), [&](const detect::Rule& rule) { return rule.name == options.name; });
  if (found == rules.end()) {
    std::vector<std::string_view> names;
    for (const detect::Rule& rule : rules) names.push_back(rule.name);
    const std::string_view near = nearest(options.name, names);
    return fail(
        {Code::not_found,
         fmt::format("there is no rule \"{}\"{}", options.name,
                     near.empty() ? "; `quell rule list` shows them all" : fmt::format("; did you mean \"{}\"?", near)),
         {}});
  }
  if (*format == "text") {
    print_explained(*found);
    const auto lowered = lowered_text((*loaded)->loader.rules(), options.name);
    if (!lowered) return fail(lowered.error());
    fmt::print("\n{}", *lowered);
  } else {
    fmt::print("{}\n", (*loaded)->loader.describe(options.name));
  }
  return Exit::done;
}

Exit fields(const Globals& globals, const Options& options) { return print_fields(globals, options.fields); }

}  // namespace

void add_rule(CLI::App& app, const Globals& globals, Action& run) {
  const auto options = std::make_shared<Options>();
  CLI::App* rule =
      add_command(app, "rule", "Check, list, explain, test and reload rules; list the fields that they can use",
                  "  quell rule check my_rules.yaml\n  quell rule fields proc.");
  rule->require_subcommand(1);
  const auto add = [&](const std::string& name, const std::string& summary, const std::string& examples,
                       Exit (*function)(const Globals&, const Options&)) {
    CLI::App* command = add_command(*rule, name, summary, examples);
    command->callback([&globals, &run, options, function] {
      run = [&globals, options, function] { return function(globals, *options); };
    });
    return command;
  };
  const std::string paths_help = "rule files or folders (default: the installed rules)";
  CLI::App* check_command = add("check", "Every error and warning with file, line and column",
                                "  quell rule check my_rules.yaml\n  quell rule check rules.d -o json", check);
  check_command->add_option("PATH", options->paths, paths_help)->type_name("");
  add_exceptions_option(*check_command, options->exceptions);
  add_static_fields(*check_command, options->static_fields);
  CLI::App* list_command = add("list", "Rules in the order in which they are evaluated",
                               "  quell rule list\n  quell rule list --running -o jsonl", list);
  list_command->add_option("PATH", options->paths, paths_help)->type_name("");
  list_command->add_flag("--running", options->running,
                         "those of the running quell, with the error of its last reload");
  add_exceptions_option(*list_command, options->exceptions);
  add_static_fields(*list_command, options->static_fields);
  CLI::App* explain_command =
      add("explain", "What a rule looks for, with its macros and lists put in, and what the engine makes of it",
          "  quell rule explain \"Terminal shell in container\"\n"
          "  quell rule explain \"My rule\" --rules my_rules.yaml -o json",
          explain);
  explain_command->add_option("RULE", options->name, "its name, as `quell rule list` shows it")
      ->required()
      ->type_name("");
  explain_command->add_option("-r,--rules", options->paths, paths_help)->type_name("PATH")->expected(1, -1)->take_all();
  add_static_fields(*explain_command, options->static_fields);
  add_exceptions_option(*explain_command, options->exceptions);
  add_rule_suggest(*rule, globals, run);
  add_rule_test(*rule, globals, run);
  add_rule_reload(*rule, globals, run);
  add_field_filter(*add("fields", "Fields that conditions and outputs can use",
                        "  quell rule fields proc.\n  quell rule fields --search directory --class fd", fields),
                   options->fields);
}

}  // namespace quell::cli
