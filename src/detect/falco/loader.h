#pragma once
// Loads rule files of the Falco language. Files come one after another into one store, and after each the whole store
// is compiled: a later file may redefine, append to and override earlier ones, an earlier one cannot use what only a
// later defines. A file with an error is refused as a whole and changes nothing: what was loaded before stays in force.
//
//   falco::Loader loader(detect::semantics());
//   const auto loaded = falco::load_files(loader, {"/etc/quell/rules.d"}, falco::OnError::keep_going);
//   for (const auto& file : loaded) std::cerr << falco::readable(file);
//   RuleSet rules = loader.rules();
//   falco::select(rules, selections);
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "detect/falco/compile.h"
#include "detect/falco/definitions.h"
#include "detect/falco/problem.h"
#include "detect/falco/reader.h"
#include "detect/falco/version.h"
#include "detect/ruleset.h"
#include "detect/semantics.h"

namespace quell::detect::falco {

struct LoaderOptions {
  std::vector<ExtraOutput> extra_outputs = {};
  std::vector<Plugin> plugins = builtin_plugins();
  uint64_t now_ns = 0;  // realtime that decides which exceptions have expired; 0: the machine's clock
};

/// Used by one thread.
class Loader {
 public:
  /// Borrows `semantics`.
  explicit Loader(const Semantics& semantics, LoaderOptions options = {});

  /// Adds an output text to the rules of every file that is loaded from now on. Rules of earlier files follow with the
  /// next file.
  void add_extra_output(ExtraOutput extra);

  /// Loads one file's text. `name` is what messages call it.
  FileResult load(std::string name, std::string text, FileKind kind = FileKind::rules);
  /// Reads and loads the file at `path`. A file that cannot be read gives LOAD_ERR_FILE_READ.
  FileResult load_file(const std::string& path, FileKind kind = FileKind::rules);

  /// The rules of all files that loaded, in order of evaluation.
  const RuleSet& rules() const { return compiled_.rules; }
  const Compiled& compiled() const { return compiled_; }

  /// Everything that is loaded as JSON: {"lists", "macros", "required_engine_version", "required_plugin_versions",
  /// "rules"}.
  std::string describe() const;
  /// One rule in the same form; empty if there is none of that name.
  std::string describe(std::string_view rule) const;

 private:
  std::string describe_rules(std::optional<std::string_view> only) const;

  const Semantics& semantics_;
  LoaderOptions options_;
  Store store_;
  Compiled compiled_;
};

enum class OnError : uint8_t {
  stop,        // as Falco does: the first bad file ends the loading
  keep_going,  // the other files still count
};

/// Loads files and directories in order, those of exceptions last; one result per file that was looked at. Warnings
/// about macros and lists that a later file turned out to use are taken back. An entry that does not exist gives a
/// result with LOAD_ERR_FILE_READ.
std::vector<FileResult> load_files(Loader& loader, const std::vector<std::string>& paths, OnError on_error,
                                   const std::vector<std::string>& exception_paths = {});

/// The rule files that `path` stands for: itself, or, if it is a directory, its regular files ending in .yaml or .yml
/// by name, not those of directories in it. Errors: what the system says.
Result<std::vector<std::string>> rule_files(const std::string& path);

/// Switches rules on or off, over what their files say.
struct Selection {
  bool enable = true;
  enum class By : uint8_t { name, tag } by = By::name;
  std::string pattern;  // name: `*` stands for any text, the whole name must match; tag: as is
};

/// Applies the selections in order: a later one overrides an earlier one. Gives those that no rule fits.
std::vector<Selection> select(RuleSet& rules, std::span<const Selection> selections);

/// Reads `[{enable: {rule: "glob"}}, {disable: {tag: t}}]`. Errors: invalid_argument with the place.
Result<std::vector<Selection>> read_selections(const yaml::Node& node);

}  // namespace quell::detect::falco
