#include "apps/quell/engine_flags.h"

namespace quell::cli {

void add_rule_matching(CLI::App& command, bool& match_all) {
  command
      .add_option_function<std::string>(
          "--rule-matching", [&match_all](const std::string& which) { match_all = which == "all"; },
          "all: every rule that matches an event gives a detection (default); first: only the first one in rule order")
      ->check(CLI::IsMember({"all", "first"}))
      ->type_name("all|first");
}

}  // namespace quell::cli
