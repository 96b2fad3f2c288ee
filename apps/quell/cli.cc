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

Result<uint64_t> parse_duration_ms(std::string_view text) {
  const Error error{Code::invalid_argument,
                    fmt::format("\"{}\" is no duration; write a number with ms, s, m or h, such as 10s or 5m", text),
                    {}};
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  uint64_t number = 0;
  if (digits == 0 || !parse_u64(text.substr(0, digits), number)) return error;
  const std::string_view unit = text.substr(digits);
  uint64_t factor = 0;
  if (unit.empty() || unit == "s") {
    factor = 1000;
  } else if (unit == "ms") {
    factor = 1;
  } else if (unit == "m") {
    factor = 60'000;
  } else if (unit == "h") {
    factor = 3'600'000;
  }
  if (factor == 0 || number > UINT32_MAX) return error;
  return number * factor;
}

}  // namespace quell::cli
