#pragma once
// From the paths that a person names to a compiled program.
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apps/quell/rule_flags.h"
#include "base/result.h"
#include "detect/engine.h"
#include "model/interest.h"

namespace quell::cli {

/// Where rules and exceptions come from, as a person names it.
struct RuleSources {
  std::vector<std::string> paths{};       // rule files and folders; empty: the installed rules
  std::vector<std::string> exceptions{};  // files and folders of exceptions, besides those that are found by themselves
  std::string data_dir{};  // its exceptions.d counts, if it is there and can be read; empty: not looked at
  RuleFlags flags{};       // what the command line says about the rules of all files
};

struct RuleFiles {
  std::vector<std::string> rules, exceptions;
};

/// Folder of a data directory with the exceptions of its owner.
inline constexpr std::string_view kExceptionsFolder = "exceptions.d";

/// Rules and what was made of them; immutable, shared by whoever renders or completes detections.
struct LoadedRules {
  detect::RuleSet set;
  std::shared_ptr<const detect::Program> program;
  RuleFiles files;
  size_t warning_count = 0;
  uint64_t generation = 0;      // counts from 1 in a running quell; 0 elsewhere
  std::string hash;             // of all files, of what has expired in them, and of the engine's options
  uint64_t next_expiry_ns = 0;  // realtime at which the next exception ends; 0: none does

  const detect::Rule* find(std::string_view name) const;
  /// What the sensor has to deliver for them.
  Interest interest() const;
};

/// The rule files behind `paths`: a folder stands for its .yaml and .yml files in the order of their names. Without
/// paths: the installed rules (/usr/share/quell/rules, then /etc/quell/rules.d), else content/rules of the clone that
/// this binary was built in. Errors: not_found (a path, or no rules anywhere), permission_denied, io.
Result<std::vector<std::string>> find_rule_files(const std::vector<std::string>& paths);

/// `name` (such as "content/rules") in the clone that this binary was built in; empty if it was not.
std::string folder_of_clone(std::string_view name);

/// Every file and folder that find_files() looks at, there or not: what to watch for changes.
std::vector<std::string> rule_folders(const RuleSources& sources);

/// All files behind `sources`. Shipped exceptions come along with the installed rules alone: they speak about those.
/// Errors: those of find_rule_files(), for either kind.
Result<RuleFiles> find_files(const RuleSources& sources);

/// Of names and contents of the files: changes when one of them does. A file that cannot be read counts as empty.
std::string fingerprint(const RuleFiles& files);

/// Loads, selects and compiles. Every error and warning of every file goes to stderr (warnings about rules only if
/// `show_warnings`; what no longer silences anything is always said); so does a selection that no rule fits.
/// Errors: those of find_files(); invalid_rules (the first problem with its place; all were printed).
Result<std::shared_ptr<const LoadedRules>> load_rules(const RuleSources& sources, const detect::EngineOptions& options,
                                                      bool show_warnings, uint64_t generation = 0);

}  // namespace quell::cli
