#pragma once
// Policy files and their configuration: text in, policies and everything that is wrong out, in one run.
//
//   const PolicyFile file = read_policies("shell.yaml", text, {.actions = catalogue, .config = &config});
//   fmt::print("{}", readable(file.problems));
//   if (file.errors == 0) engine.emplace(file.policies, ...);
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "respond/policy/action_facts.h"
#include "respond/policy/policy.h"
#include "respond/policy/problem.h"

namespace quell::respond::policy {

struct ReadOptions {
  const ActionCatalogue& actions;
  const PolicyConfig* config = nullptr;  // null: nothing is configured, and only what does not need it is checked
  uint64_t now_ns = 0;                   // for `expires`; 0: not checked
  std::vector<std::string> rules{};      // names of all rules, if they are known; empty: not checked
  std::function<bool(std::string_view field)> knows_field{};  // whether any rule can print it; null: not checked
};

struct PolicyFile {
  std::string name;
  std::vector<std::shared_ptr<const Policy>> policies;  // those without errors, in file order
  std::vector<Problem> problems;                        // by place
  size_t errors = 0;
};

/// Reads all documents of one text. `name` is what messages call it.
PolicyFile read_policies(const std::string& name, const std::string& text, const ReadOptions& options);
/// The same for the file at `path`; one that cannot be read is a problem of that file.
PolicyFile read_policy_file(const std::string& path, const ReadOptions& options);
/// Names that two policies share, as problems of the file of the later one.
void find_shared_names(std::vector<PolicyFile>& files);

struct ConfigFile {
  PolicyConfig config;
  std::vector<Problem> problems;
  size_t errors = 0;
};
/// Reads one document of kind ResponseConfig.
ConfigFile read_config(const std::string& name, const std::string& text);

/// The lists of a ResponseConfig's or a test's map, whose shape was checked.
PolicyConfig bind_config(const yaml::Node& node);

/// SHA-256 over the document as canonical JSON, without `spec.mode`.
std::string content_hash(const yaml::Node& document);

}  // namespace quell::respond::policy
