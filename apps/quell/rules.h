#pragma once
// From the paths that a person names to a compiled program.
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "detect/engine.h"
#include "model/interest.h"

namespace quell::cli {

/// Rules and what was made of them; immutable, shared by whoever renders or completes detections.
struct LoadedRules {
  detect::RuleSet set;
  std::shared_ptr<const detect::Program> program;
  std::vector<std::string> files;
  size_t warning_count = 0;

  const detect::Rule* find(std::string_view name) const;
  /// What the sensor has to deliver for them.
  Interest interest() const;
};

/// The rule files behind `paths`: a folder stands for its .yaml and .yml files in the order of their names. Without
/// paths: the installed rules (/usr/share/quell/rules, then /etc/quell/rules.d), else content/rules of the clone that
/// this binary was built in. Errors: not_found (a path, or no rules anywhere), permission_denied, io.
Result<std::vector<std::string>> find_rule_files(const std::vector<std::string>& paths);

/// Loads and compiles. Every error and warning of every file goes to stderr (warnings only if `show_warnings`).
/// Errors: those of find_rule_files(); invalid_rules (the details were printed).
Result<std::shared_ptr<const LoadedRules>> load_rules(const std::vector<std::string>& paths,
                                                      const detect::EngineOptions& options, bool show_warnings);

}  // namespace quell::cli
