#include "apps/quell/rule_sources.h"

namespace quell::cli {

RuleSources rule_sources(const Globals& globals, const std::vector<std::string>& paths,
                         const std::vector<std::string>& exceptions) {
  RuleSources sources{.paths = paths, .exceptions = exceptions, .data_dir = {}};
  if (paths.empty()) sources.data_dir = globals.data_dir_or_default();
  return sources;
}

void add_exceptions_option(CLI::App& command, std::vector<std::string>& exceptions) {
  command
      .add_option(
          "--exceptions", exceptions,
          "a file of exceptions or a folder of them; may be repeated (besides exceptions.d of the data directory)")
      ->type_name("PATH")
      ->expected(1)
      ->take_all();
}

}  // namespace quell::cli
