// quell: one binary, one command per job. This file reads the command line and turns what went wrong into an exit
// status.
#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <system_error>

#include "apps/quell/cli.h"
#include "base/log.h"
#include "base/text.h"
#include "base/version.h"

namespace quell::cli {
namespace {

constexpr const char* kExamples =
    "  quell up                          watch this machine: detections on stdout, responses by `quell action`\n"
    "  quell detect attack.scap          run a recorded capture through the rules";

/// The deepest command that the line has named so far.
const CLI::App& current_command(const CLI::App& app) {
  const CLI::App* at = &app;
  for (;;) {
    const auto chosen = at->get_subcommands();
    if (chosen.empty()) return *at;
    at = chosen.back();
  }
}

/// "did you mean …?" for a word that no command or flag took.
std::string suggestion(const CLI::App& app, std::string_view word) {
  std::vector<std::string> names;
  const CLI::App& current = current_command(app);
  if (word.starts_with('-')) {
    for (const CLI::App* at = &current; at != nullptr; at = at->get_parent()) {
      for (const CLI::Option* option : at->get_options()) {
        for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
      }
    }
    word = word.substr(0, word.find('='));
  } else {
    for (const CLI::App* command : current.get_subcommands([](const CLI::App*) { return true; }))
      names.push_back(command->get_name());
  }
  const std::vector<std::string_view> candidates(names.begin(), names.end());
  const std::string_view near = nearest(word, candidates);
  return near.empty() ? std::string() : fmt::format("; did you mean \"{}\"?", near);
}

/// The message of a line that did not parse, in our words.
std::string explain(const CLI::App& app, const CLI::ParseError& error) {
  // By exit code: the name is that of the subcommand when a subcommand throws.
  const auto code = static_cast<CLI::ExitCodes>(error.get_exit_code());
  if (code != CLI::ExitCodes::ExtrasError && code != CLI::ExitCodes::RequiredError) return error.what();
  std::vector<std::string> extra = app.remaining(true);
  if (extra.empty() && code == CLI::ExitCodes::ExtrasError) {
    // A subcommand's own extras are not kept; the library's message ends with them.
    const std::string_view message = error.what();
    const size_t colon = message.rfind(": ");
    if (colon != std::string_view::npos) extra.emplace_back(split(message.substr(colon + 2), ' ').front());
  }
  if (extra.empty()) return error.what();
  return fmt::format("\"{}\" is not known here{}", extra.front(), suggestion(app, extra.front()));
}

std::string help_command(const CLI::App& app) {
  std::string names;
  for (const CLI::App* at = &current_command(app); at->get_parent() != nullptr; at = at->get_parent()) {
    names = " " + at->get_name() + names;
  }
  return "quell" + names + " --help";
}

Exit run(int argc, char** argv) {
  CLI::App app("Quell detects attacks at the kernel and lets you contain them.", "quell");
  Globals globals;
  Action action;
  show_examples_first(app, kExamples);
  app.require_subcommand(1);
  app.set_help_flag("-h,--help", "this text");
  app.set_version_flag("--version", fmt::format("quell {} ({})", kVersion, kCommit), "version and commit");
  app.add_option("-o,--output", globals.output, "text, json, jsonl, table or name, as far as the command has them")
      ->type_name("FORMAT");
  app.add_option("--data-dir", globals.data_dir, "where the store and the control socket are (default /var/lib/quell)")
      ->type_name("DIR")
      ->envname("QUELL_DATA_DIR");
  app.add_option("--server", globals.server,
                 "the running quell: unix:PATH or http://127.0.0.1:PORT (default: the data directory's)")
      ->type_name("URL")
      ->envname("QUELL_SERVER");
  app.add_flag("-q,--quiet", globals.quiet, "on stderr only what went wrong");
  app.add_flag("-v,--verbose", globals.verbose, "on stderr also what is being done");
  app.add_flag("--no-color", globals.no_color, "no colours, even on a terminal");
  app.add_option("--timeout", globals.timeout, "how long to wait for the running quell, such as 30s")
      ->type_name("TIME");
  add_up(app, globals, action);
  add_detect(app, globals, action);
  add_record(app, globals, action);
  add_rule(app, globals, action);
  add_exception(app, globals, action);
  add_action(app, globals, action);
  add_policy(app, globals, action);
  add_doctor(app, globals, action);
  add_capture(app, globals, action);
  add_audit(app, globals, action);
  add_evidence(app, globals, action);
  add_version(app, globals, action);

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app.help());
    return Exit::done;
  } catch (const CLI::CallForVersion& version) {
    fmt::print("{}\n", version.what());
    return Exit::done;
  } catch (const CLI::ParseError& error) {
    fmt::print(stderr, "quell: error: {}; see `{}`\n", explain(app, error), help_command(app));
    return Exit::usage;
  }
  if (!globals.timeout.empty()) {
    if (const auto checked = parse_duration_ms(globals.timeout); !checked) return fail(checked.error());
  }
  if (globals.quiet) log::set_level(log::Level::error);
  if (globals.verbose) log::set_level(log::Level::debug);
  return action();
}

}  // namespace
}  // namespace quell::cli

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader that goes away is an error of write(), which we report
  try {
    return static_cast<int>(quell::cli::run(argc, argv));
  } catch (const std::system_error& error) {
    // Whoever read our output has seen enough (`quell rule fields | head`).
    if (error.code() == std::errc::broken_pipe) return static_cast<int>(quell::cli::Exit::done);
    fmt::print(stderr, "quell: error: this should not have happened: {}\n", error.what());
    return static_cast<int>(quell::cli::Exit::failed);
  } catch (const std::exception& error) {
    fmt::print(stderr, "quell: error: this should not have happened: {}\n", error.what());
    return static_cast<int>(quell::cli::Exit::failed);
  }
}
