// quell rule: what rule files say, what is wrong with them, and every field that a rule can use.
#include <fmt/format.h>

#include "apps/quell/cli.h"
#include "apps/quell/rule_fields.h"
#include "apps/quell/rule_lowered.h"
#include "apps/quell/rules.h"
#include "base/json.h"
#include "base/text.h"
#include "detect/falco/loader.h"
#include "detect/fields/catalog.h"

namespace quell::cli {
namespace {

namespace falco = detect::falco;

struct Options {
  std::vector<std::string> paths;
  std::string name;
  FieldFilter fields;
};

/// One run of the loader over the files that the options name, everything it said included.
struct Loaded {
  falco::Loader loader{detect::semantics()};
  std::vector<falco::FileResult> files;
  size_t errors = 0, warnings = 0;
};

Result<std::unique_ptr<Loaded>> load(const Options& options) {
  auto loaded = std::make_unique<Loaded>();
  QUELL_TRY(const auto files, find_rule_files(options.paths));
  loaded->files = falco::load_files(loaded->loader, files, falco::OnError::keep_going);
  for (const falco::FileResult& file : loaded->files) {
    loaded->errors += file.errors.size();
    loaded->warnings += file.warnings.size();
  }
  return loaded;
}

/// The rules, for commands that only make sense when they load.
Result<std::unique_ptr<Loaded>> load_sound(const Options& options) {
  QUELL_TRY(auto loaded, load(options));
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
  const auto loaded = load(options);
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

std::string rule_json(const detect::Rule& rule) {
  JsonWriter out;
  out.begin_object().text("name", rule.name).text("priority", to_string(rule.priority));
  out.text("severity", to_string(severity_of(rule.priority))).text("source", rule.source).flag("enabled", rule.enabled);
  out.texts("tags", rule.tags).text("description", rule.description).text("file", rule.file).integer("line", rule.line);
  out.end_object();
  return out.take();
}

Exit list(const Globals& globals, const Options& options) {
  const auto format = output_format(globals, {"table", "json", "jsonl", "name"});
  if (!format) return fail(format.error());
  const auto loaded = load_sound(options);
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
  fmt::print("\ncondition, as written:\n  {}\n", rule.condition_text);
  if (rule.condition != nullptr)
    fmt::print("\ncondition, with macros and lists put in:\n  {}\n", rule.condition->str());
  fmt::print("\noutput:\n  {}\n", rule.output);
}

Exit explain(const Globals& globals, const Options& options) {
  const auto format = output_format(globals, {"text", "json", "jsonl"});
  if (!format) return fail(format.error());
  const auto loaded = load_sound(options);
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
  CLI::App* rule = add_command(app, "rule", "Check, list and explain rules; list the fields that they can use",
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
  add("check", "Every error and warning with file, line and column",
      "  quell rule check my_rules.yaml\n  quell rule check rules.d -o json", check)
      ->add_option("PATH", options->paths, paths_help)
      ->type_name("");
  add("list", "Rules in the order in which they are evaluated",
      "  quell rule list\n  quell rule list my_rules.yaml -o jsonl", list)
      ->add_option("PATH", options->paths, paths_help)
      ->type_name("");
  CLI::App* explain_command =
      add("explain", "What a rule looks for, with its macros and lists put in, and what the engine makes of it",
          "  quell rule explain \"Terminal shell in container\"\n"
          "  quell rule explain \"My rule\" --rules my_rules.yaml -o json",
          explain);
  explain_command->add_option("RULE", options->name, "its name, as `quell rule list` shows it")
      ->required()
      ->type_name("");
  explain_command->add_option("-r,--rules", options->paths, paths_help)->type_name("PATH")->expected(1, -1)->take_all();
  add_field_filter(*add("fields", "Fields that conditions and outputs can use",
                        "  quell rule fields proc.\n  quell rule fields --search directory --class fd", fields),
                   options->fields);
}

}  // namespace quell::cli
