#pragma once
// Policies as a person names them: files and folders, the configuration that they refer to, the rules and actions that
// they speak about.
#include <memory>
#include <string>
#include <vector>

#include "apps/quell/cli.h"
#include "respond/policy/reader.h"

namespace quell::cli {

/// The actions of this quell, as policies see them.
const respond::policy::ActionCatalogue& policy_actions();

/// The policy files behind `paths`: a folder stands for its .yaml and .yml files in the order of their names, those of
/// tests left out. Without paths: the installed policies (/usr/share/quell/policies, then /etc/quell/policies.d), else
/// content/policies of the clone that this binary was built in. Errors: not_found.
Result<std::vector<std::string>> find_policy_files(const std::vector<std::string>& paths);

/// The test files behind `paths` (*.policy-test.yaml), also in folders below them. Without paths: those of the policies
/// above. Errors: not_found.
Result<std::vector<std::string>> find_policy_tests(const std::vector<std::string>& paths);

struct PolicySources {
  std::vector<std::string> paths{};  // empty: the installed policies
  std::string config{};              // empty: /etc/quell/response.yaml, if it is there
  std::vector<std::string> rules{};  // for names of rules; empty: the installed rules, if there are any
  std::string only{};                // name of the one policy that counts; empty: all
};

struct LoadedPolicies {
  std::vector<respond::policy::PolicyFile> files;
  std::vector<respond::policy::Problem> config_problems;
  respond::policy::PolicyConfig config;
  bool has_config = false;
  size_t errors = 0, warnings = 0;

  std::vector<std::shared_ptr<const respond::policy::Policy>> policies() const;
};

/// Reads everything; what is wrong with a policy is in the answer. Errors: not_found (a path, or no policy of the
/// name), what the system says.
Result<LoadedPolicies> load_policies(const Globals& globals, const PolicySources& sources);

/// The same for commands that only make sense with sound policies: problems go to stderr. Errors: also invalid_rules.
Result<LoadedPolicies> load_sound_policies(const Globals& globals, const PolicySources& sources);

/// Adds PATH, --config, --rules and --policy.
void add_policy_sources(CLI::App& command, PolicySources& sources);

// Parts of `quell policy`.
void add_policy_backtest(CLI::App& policy, const Globals& globals, Action& run);
void add_policy_promote(CLI::App& policy, const Globals& globals, Action& run);

}  // namespace quell::cli
