// quell exception: which exceptions are there, whose they are, until when; and taking one back.
#include <fmt/format.h>

#include "apps/quell/cli.h"
#include "apps/quell/exception_files.h"
#include "apps/quell/rule_sources.h"
#include "apps/quell/rules_json.h"

namespace quell::cli {
namespace {

struct Options {
  std::vector<std::string> rules, exceptions;
  std::string name;
};

Exit list(const Globals& globals, const Options& options) {
  const auto format = output_format(globals, {"table", "json", "jsonl", "name"});
  if (!format) return fail(format.error());
  const auto rules = load_rules(rule_sources(globals, options.rules, options.exceptions), {}, false);
  if (!rules) return fail(rules.error());
  std::vector<std::string> items;
  for (const detect::ExceptionRecord& exception : (*rules)->set.exceptions) {
    if (*format == "name") {
      fmt::print("{}\n", exception.name);
    } else if (*format == "table") {
      fmt::print("{:<24} {:<12} {:<10} {:<12} {}  ({}:{})\n", exception.name, state_of(exception),
                 exception.expires.empty() ? "-" : exception.expires, exception.owner.empty() ? "-" : exception.owner,
                 exception.rule, exception.file, exception.line);
      if (!exception.reason.empty()) fmt::print("{:24} {}\n", "", exception.reason);
    } else {
      items.push_back(exception_json(exception));
    }
  }
  if (*format == "jsonl") fmt::print("{}{}", fmt::join(items, "\n"), items.empty() ? "" : "\n");
  if (*format == "json") fmt::print("{{\"apiVersion\":\"quell/v1\",\"items\":[{}]}}\n", fmt::join(items, ","));
  return Exit::done;
}

Exit remove(const Globals& globals, const Options& options) {
  const std::string folder = globals.data_dir_or_default() + "/" + std::string(kExceptionsFolder);
  const auto removed = remove_exception_file(folder, options.name);
  if (!removed) return fail(removed.error());
  say(globals, fmt::format("removed {}; a running quell follows by itself", *removed));
  return Exit::done;
}

}  // namespace

void add_exception(CLI::App& app, const Globals& globals, Action& run) {
  const auto options = std::make_shared<Options>();
  CLI::App* exception = add_command(app, "exception", "List and remove exceptions to rules",
                                    "  quell exception list\n  quell exception remove suggested-1a2b3c4d");
  exception->require_subcommand(1);
  CLI::App* list_command = add_command(*exception, "list", "Every exception with its owner, reason, last day and state",
                                       "  quell exception list\n  quell exception list --rules my_rules.yaml -o json");
  list_command
      ->add_option("-r,--rules", options->rules,
                   "a rule file or folder; may be repeated (default: the installed rules)")
      ->type_name("PATH")
      ->expected(1)
      ->take_all();
  add_exceptions_option(*list_command, options->exceptions);
  list_command->callback([&globals, &run, options] { run = [&globals, options] { return list(globals, *options); }; });
  CLI::App* remove_command =
      add_command(*exception, "remove", "Removes an exception that `quell rule suggest --apply` added",
                  "  quell exception remove suggested-1a2b3c4d\n"
                  "  quell exception remove suggested-1a2b3c4d --data-dir /srv/quell");
  remove_command->add_option("NAME", options->name, "as `quell exception list` shows it")->required()->type_name("");
  remove_command->callback(
      [&globals, &run, options] { run = [&globals, options] { return remove(globals, *options); }; });
}

}  // namespace quell::cli
