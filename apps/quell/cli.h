#pragma once
// What every command shares: the global flags, how a command is declared, how it says that something went wrong.
#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/quell/exit_code.h"
#include "base/moment.h"
#include "base/result.h"

namespace quell::cli {

inline constexpr std::string_view kDefaultDataDir = "/var/lib/quell";
inline constexpr std::string_view kControlSocketName = "quell.sock";  // in the data directory

struct Globals {
  std::string output;  // -o; empty: the command's default
  std::string data_dir;
  std::string server;
  bool quiet = false;
  bool verbose = false;
  bool no_color = false;
  std::string timeout;  // "30s"; empty: the command's default

  std::string data_dir_or_default() const;
  /// Where the API of the running quell is: --server, else the socket in the data directory.
  std::string server_or_default() const;
  /// Of --timeout, which main() has checked.
  uint64_t timeout_ms_or(uint64_t otherwise_ms) const;
};

/// What a command leaves for main() to run once the whole line is parsed.
using Action = std::function<Exit()>;

/// Makes the help of `command` begin with its examples.
void show_examples_first(CLI::App& command, const std::string& examples);

/// Adds a subcommand. `examples` are two lines that its help begins with. It shares the global flags of its parents.
CLI::App* add_command(CLI::App& parent, const std::string& name, const std::string& summary,
                      const std::string& examples);

/// --exceptions, for commands that load rules.
void add_exceptions_option(CLI::App& command, std::vector<std::string>& exceptions);

// Each adds one command with its subcommands; the chosen one sets `run`.
void add_detect(CLI::App& app, const Globals& globals, Action& run);
void add_rule(CLI::App& app, const Globals& globals, Action& run);
void add_up(CLI::App& app, const Globals& globals, Action& run);
void add_record(CLI::App& app, const Globals& globals, Action& run);
void add_exception(CLI::App& app, const Globals& globals, Action& run);
void add_action(CLI::App& app, const Globals& globals, Action& run);
void add_policy(CLI::App& app, const Globals& globals, Action& run);
void add_doctor(CLI::App& app, const Globals& globals, Action& run);
void add_capture(CLI::App& app, const Globals& globals, Action& run);
void add_audit(CLI::App& app, const Globals& globals, Action& run);
void add_evidence(CLI::App& app, const Globals& globals, Action& run);
// Parts of `quell rule`.
void add_rule_suggest(CLI::App& rule, const Globals& globals, Action& run);
void add_rule_test(CLI::App& rule, const Globals& globals, Action& run);
void add_rule_reload(CLI::App& rule, const Globals& globals, Action& run);
void add_version(CLI::App& app, const Globals& globals, Action& run);

/// One line on stderr, and the status that fits the code.
Exit fail(const Error& error);
/// A line for the person, on stderr; --quiet silences it.
void say(const Globals& globals, std::string_view line);

/// -o must be one of `formats`; empty becomes the first. Errors: invalid_argument.
Result<std::string> output_format(const Globals& globals, const std::vector<std::string_view>& formats);

}  // namespace quell::cli
