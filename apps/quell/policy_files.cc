#include "apps/quell/policy_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "apps/quell/rule_sources.h"
#include "base/clock.h"
#include "base/text.h"
#include "detect/falco/loader.h"
#include "detect/fields/catalog.h"

namespace quell::cli {
namespace {

namespace fs = std::filesystem;
namespace policy = respond::policy;

constexpr const char* kShipped = "/usr/share/quell/policies";
constexpr const char* kOwn = "/etc/quell/policies.d";
constexpr const char* kConfig = "/etc/quell/response.yaml";
constexpr std::string_view kTestEnd = ".policy-test.yaml";

bool is_test(const fs::path& path) { return path.filename().string().ends_with(kTestEnd); }
bool is_yaml(const fs::path& path) { return path.extension() == ".yaml" || path.extension() == ".yml"; }

std::vector<std::string> standard_folders() {
  std::error_code error;
  std::vector<std::string> out;
  for (const char* folder : {kShipped, kOwn})
    if (fs::is_directory(folder, error)) out.emplace_back(folder);
  if (const std::string clone = folder_of_clone("content/rules"); out.empty() && !clone.empty())
    out.push_back((fs::path(clone).parent_path() / "policies").string());
  return out;
}

/// Files behind `paths` that `is_wanted` likes.
template <typename Iterator, typename Wanted>
Result<std::vector<std::string>> files_behind(const std::vector<std::string>& paths, Wanted is_wanted) {
  std::vector<std::string> out;
  for (const std::string& path : paths.empty() ? standard_folders() : paths) {
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (!fs::exists(status)) return errno_error(error ? error.value() : ENOENT, "cannot read the policies", path);
    if (!fs::is_directory(status)) {
      out.push_back(path);
      continue;
    }
    std::vector<std::string> found;
    for (Iterator it(path, error), end; !error && it != end; it.increment(error)) {
      std::error_code ignored;
      if (it->is_regular_file(ignored) && is_wanted(it->path())) found.push_back(it->path().string());
    }
    if (error) return errno_error(error.value(), "cannot read the folder of policies", path);
    std::sort(found.begin(), found.end());
    out.insert(out.end(), found.begin(), found.end());
  }
  return out;
}

/// Names of the rules, without a word about what is wrong with them; empty if there are none.
std::vector<std::string> rule_names(const Globals& globals, const std::vector<std::string>& paths) {
  const auto files = find_files(rule_sources(globals, paths, {}));
  if (!files) return {};
  detect::falco::Loader loader(detect::semantics());
  detect::falco::load_files(loader, files->rules, detect::falco::OnError::keep_going);
  std::vector<std::string> out;
  for (const detect::Rule& rule : loader.rules().rules) out.push_back(rule.name);
  return out;
}

/// Whether some rule could print it: `proc.aname[2]` counts as proc.aname.
bool is_known_field(std::string_view field) { return detect::field_row(field.substr(0, field.find('['))) != nullptr; }

}  // namespace

std::vector<std::shared_ptr<const policy::Policy>> LoadedPolicies::policies() const {
  std::vector<std::shared_ptr<const policy::Policy>> out;
  for (const policy::PolicyFile& file : files) out.insert(out.end(), file.policies.begin(), file.policies.end());
  return out;
}

Result<std::vector<std::string>> find_policy_files(const std::vector<std::string>& paths) {
  QUELL_TRY(std::vector<std::string> files, files_behind<fs::directory_iterator>(paths, [](const fs::path& path) {
              return is_yaml(path) && !is_test(path);
            }));
  if (files.empty()) return Error{Code::not_found, "there are no policies; name a file or a folder", {}};
  return files;
}

Result<std::vector<std::string>> find_policy_tests(const std::vector<std::string>& paths) {
  QUELL_TRY(std::vector<std::string> files, files_behind<fs::recursive_directory_iterator>(paths, is_test));
  if (files.empty())
    return Error{Code::not_found, fmt::format("there are no tests of policies; their names end in {}", kTestEnd), {}};
  return files;
}

Result<LoadedPolicies> load_policies(const Globals& globals, const PolicySources& sources) {
  LoadedPolicies out;
  std::error_code error;
  const std::string config = sources.config.empty() && fs::exists(kConfig, error) ? kConfig : sources.config;
  if (!config.empty()) {
    QUELL_TRY(const std::string text, yaml::read_text_file(config));
    policy::ConfigFile file = policy::read_config(config, text);
    out.config = std::move(file.config);
    out.config_problems = std::move(file.problems);
    out.errors += file.errors;
    out.has_config = true;
  }
  QUELL_TRY(const auto paths, find_policy_files(sources.paths));
  policy::ReadOptions options{.actions = policy_actions()};
  options.config = out.has_config ? &out.config : nullptr;
  options.now_ns = system_clock().realtime_ns();
  options.rules = rule_names(globals, sources.rules);
  options.knows_field = is_known_field;
  for (const std::string& path : paths) out.files.push_back(policy::read_policy_file(path, options));
  policy::find_shared_names(out.files);
  std::vector<std::string> names;
  for (policy::PolicyFile& file : out.files) {
    out.errors += file.errors;
    out.warnings += file.problems.size() - file.errors;
    for (const auto& one : file.policies) names.push_back(one->name);
    if (!sources.only.empty()) std::erase_if(file.policies, [&](const auto& one) { return one->name != sources.only; });
  }
  if (!sources.only.empty() && out.policies().empty()) {
    const std::string_view near = nearest(sources.only, {names.begin(), names.end()});
    return Error{Code::not_found,
                 fmt::format("there is no sound policy \"{}\"{}", sources.only,
                             near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near)),
                 {}};
  }
  return out;
}

Result<LoadedPolicies> load_sound_policies(const Globals& globals, const PolicySources& sources) {
  QUELL_TRY(LoadedPolicies out, load_policies(globals, sources));
  if (out.errors == 0) return out;
  fmt::print(stderr, "{}", policy::readable(out.config_problems));
  for (const policy::PolicyFile& file : out.files) fmt::print(stderr, "{}", policy::readable(file.problems));
  return Error{Code::invalid_rules, fmt::format("the policies have {} errors", out.errors), {}};
}

void add_policy_sources(CLI::App& command, PolicySources& sources) {
  command.add_option("PATH", sources.paths, "policy files or folders (default: the installed policies)")->type_name("");
  command.add_option("--policy", sources.only, "only the policy of this name")->type_name("NAME");
  command
      .add_option(
          "--config", sources.config,
          "entity groups, approver groups and notify targets (default: /etc/quell/response.yaml, if it is there)")
      ->type_name("FILE");
  command
      .add_option("-r,--rules", sources.rules, "rule files or folders, for the names of rules (default: the installed)")
      ->type_name("PATH")
      ->expected(1)
      ->take_all();
}

}  // namespace quell::cli
