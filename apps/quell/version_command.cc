#include <fmt/format.h>

#include "apps/quell/cli.h"
#include "base/version.h"

namespace quell::cli {

void add_version(CLI::App& app, const Globals& globals, Action& run) {
  CLI::App* command =
      add_command(app, "version", "Version and commit of this binary", "  quell version\n  quell version -o json");
  command->callback([&globals, &run] {
    run = [&globals] {
      const auto format = output_format(globals, {"text", "json", "jsonl"});
      if (!format) return fail(format.error());
      if (*format == "text") {
        fmt::print("quell {} ({})\n", kVersion, kCommit);
      } else {
        fmt::print("{{\"apiVersion\":\"quell/v1\",\"version\":\"{}\",\"commit\":\"{}\"}}\n", kVersion, kCommit);
      }
      return Exit::done;
    };
  });
}

}  // namespace quell::cli
