#include "apps/quell/cli.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/text.h"

namespace quell::cli {
namespace {

/// Help whose first words are examples: the line that most people came for.
class ExamplesFirst final : public CLI::Formatter {
 public:
  std::string make_description(const CLI::App* app) const override {
    const std::string examples = app->get_footer();
    const std::string description = app->get_description();
    return (examples.empty() ? "" : "Examples:\n" + examples + "\n\n") +
           (description.empty() ? "" : description + "\n");
  }
  std::string make_footer(const CLI::App*) const override { return {}; }
};

}  // namespace

void show_examples_first(CLI::App& command, const std::string& examples) {
  command.formatter(std::make_shared<ExamplesFirst>());
  command.footer(examples);
}

CLI::App* add_command(CLI::App& parent, const std::string& name, const std::string& summary,
                      const std::string& examples) {
  CLI::App* command = parent.add_subcommand(name, summary);
  show_examples_first(*command, examples);
  command->fallthrough();
  return command;
}

std::string Globals::data_dir_or_default() const { return data_dir.empty() ? std::string(kDefaultDataDir) : data_dir; }

std::string Globals::server_or_default() const {
  return server.empty() ? "unix:" + data_dir_or_default() + "/" + std::string(kControlSocketName) : server;
}

uint64_t Globals::timeout_ms_or(uint64_t otherwise_ms) const {
  if (timeout.empty()) return otherwise_ms;
  const auto parsed = parse_duration_ms(timeout);
  return parsed ? *parsed : otherwise_ms;
}

Exit fail(const Error& error) {
  fmt::print(stderr, "quell: error: {}\n", error.str());
  return exit_of(error.code);
}

void say(const Globals& globals, std::string_view line) {
  if (!globals.quiet) fmt::print(stderr, "quell: {}\n", line);
}

Result<std::string> output_format(const Globals& globals, const std::vector<std::string_view>& formats) {
  if (globals.output.empty()) return std::string(formats.front());
  if (std::find(formats.begin(), formats.end(), globals.output) != formats.end()) return globals.output;
  return Error{
      Code::invalid_argument,
      fmt::format("-o {} is not possible for this command; possible: {}", globals.output, fmt::join(formats, ", ")),
      {}};
}

}  // namespace quell::cli
