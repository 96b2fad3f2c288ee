#include "apps/quell/rules.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>

#include "base/yaml.h"
#include "detect/falco/loader.h"
#include "detect/interest.h"

namespace quell::cli {
namespace {

namespace falco = detect::falco;

uint64_t hash_of(std::string_view text, uint64_t seed) { return XXH3_64bits_withSeed(text.data(), text.size(), seed); }

/// The same files mean something else once an exception in them has expired, and with other options.
std::string hash_of(const LoadedRules& loaded, const detect::EngineOptions& options, std::string_view files) {
  std::string text(files);
  text += fmt::format("/{}/{}/{}/", options.match_all, static_cast<int>(options.minimum_priority),
                      options.fd_net_in_first_only);
  for (const detect::ExceptionRecord& exception : loaded.set.exceptions) text += exception.is_expired ? 'x' : '.';
  return fmt::format("{:016x}", hash_of(text, 0));
}

bool is_about_an_exception(const falco::Problem& problem) { return problem.code == falco::LoadCode::extension_warning; }

Error first_problem(const std::vector<falco::FileResult>& files, size_t count) {
  for (const falco::FileResult& file : files) {
    if (file.errors.empty()) continue;
    const falco::Problem& problem = file.errors.front();
    const std::string where =
        problem.line == 0 ? file.name : fmt::format("{}:{}:{}", problem.file, problem.line, problem.column);
    return {
        Code::invalid_rules,
        fmt::format("{}; the rules have {} error{}; nothing was loaded", problem.message, count, count == 1 ? "" : "s"),
        where};
  }
  return {Code::internal, "no problem was found", {}};
}

}  // namespace

const detect::Rule* LoadedRules::find(std::string_view name) const {
  for (const detect::Rule& rule : set.rules) {
    if (rule.name == name) return &rule;
  }
  return nullptr;
}

Interest LoadedRules::interest() const { return detect::interest_of(set, detect::wanted_event_codes(*program)); }

std::string fingerprint(const RuleFiles& files) {
  uint64_t hash = 0;
  for (const auto* kind : {&files.rules, &files.exceptions}) {
    for (const std::string& path : *kind) {
      const auto text = yaml::read_text_file(path);
      hash = hash_of(path, hash);
      hash = hash_of(text ? *text : std::string(), hash);
    }
    hash = hash_of("|", hash);
  }
  return fmt::format("{:016x}", hash);
}

Result<std::shared_ptr<const LoadedRules>> load_rules(const RuleSources& sources, const detect::EngineOptions& options,
                                                      bool show_warnings, uint64_t generation) {
  auto loaded = std::make_shared<LoadedRules>();
  loaded->generation = generation;
  QUELL_TRY(loaded->files, find_files(sources));
  // Taken before the files are read: what is written in between differs from it, and is noticed.
  const std::string contents = fingerprint(loaded->files);
  falco::LoaderOptions loader_options;
  loader_options.extra_outputs = sources.flags.extra_outputs;
  falco::Loader loader(detect::semantics(), loader_options);
  size_t errors = 0;
  // All files are looked at, so that one run tells everything that is wrong.
  std::vector<falco::FileResult> results =
      falco::load_files(loader, loaded->files.rules, falco::OnError::keep_going, loaded->files.exceptions);
  for (falco::FileResult& file : results) {
    errors += file.errors.size();
    loaded->warning_count += file.warnings.size();
    if (!show_warnings)
      std::erase_if(file.warnings, [](const auto& problem) { return !is_about_an_exception(problem); });
    fmt::print(stderr, "{}", falco::readable(file));
  }
  if (errors > 0) return first_problem(results, errors);
  loaded->set = loader.rules();
  for (const detect::falco::Selection& idle : detect::falco::select(loaded->set, sources.flags.selections)) {
    const bool by_name = idle.by == detect::falco::Selection::By::name;
    fmt::print(stderr, "quell: warning: --{} {}{}: no rule {}; `quell rule list` shows them all\n",
               idle.enable ? "enable" : "disable", by_name ? "" : "tag:", idle.pattern,
               by_name ? "has such a name" : "has this tag");
  }
  QUELL_TRY(loaded->program, detect::compile(loaded->set, options));
  loaded->hash = hash_of(*loaded, options, contents);
  for (const detect::ExceptionRecord& exception : loaded->set.exceptions) {
    if (exception.expires_ns == 0 || exception.is_expired || exception.is_orphan) continue;
    if (loaded->next_expiry_ns == 0 || exception.expires_ns < loaded->next_expiry_ns)
      loaded->next_expiry_ns = exception.expires_ns;
  }
  return std::shared_ptr<const LoadedRules>(std::move(loaded));
}

}  // namespace quell::cli
