#include "apps/quell/rules.h"

#include <fmt/format.h>

#include "detect/falco/loader.h"
#include "detect/interest.h"

namespace quell::cli {

const detect::Rule* LoadedRules::find(std::string_view name) const {
  for (const detect::Rule& rule : set.rules) {
    if (rule.name == name) return &rule;
  }
  return nullptr;
}

Interest LoadedRules::interest() const { return detect::interest_of(set, detect::wanted_event_codes(*program)); }

Result<std::shared_ptr<const LoadedRules>> load_rules(const std::vector<std::string>& paths,
                                                      const detect::EngineOptions& options, bool show_warnings) {
  auto loaded = std::make_shared<LoadedRules>();
  QUELL_TRY(loaded->files, find_rule_files(paths));
  detect::falco::Loader loader(detect::semantics());
  size_t errors = 0;
  // All files are looked at, so that one run tells everything that is wrong.
  for (detect::falco::FileResult& file :
       detect::falco::load_files(loader, loaded->files, detect::falco::OnError::keep_going)) {
    errors += file.errors.size();
    loaded->warning_count += file.warnings.size();
    if (!show_warnings) file.warnings.clear();
    fmt::print(stderr, "{}", detect::falco::readable(file));
  }
  if (errors > 0) {
    return Error{Code::invalid_rules,
                 fmt::format("the rules have {} error{}; nothing was loaded", errors, errors == 1 ? "" : "s"),
                 {}};
  }
  loaded->set = loader.rules();
  QUELL_TRY(loaded->program, detect::compile(loaded->set, options));
  return std::shared_ptr<const LoadedRules>(std::move(loaded));
}

}  // namespace quell::cli
