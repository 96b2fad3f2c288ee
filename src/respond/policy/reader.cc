#include "respond/policy/reader.h"

#include <fmt/format.h>

#include <map>

#include "respond/policy/bind.h"
#include "respond/policy/schema.h"

namespace quell::respond::policy {
namespace {

constexpr yaml::Limits kLimits{.bytes = 1u << 20, .depth = 64, .nodes = 100'000};

/// The documents of a text; null if it is no YAML, which is then a problem.
std::shared_ptr<const yaml::File> parsed(const std::string& name, const std::string& text, Problems& problems) {
  auto file = yaml::parse(name, text, yaml::DuplicateKeys::report, kLimits);
  if (!file) {
    problems.of_file(name, text, file.error());
    return nullptr;
  }
  for (const yaml::DuplicateKey& key : (*file)->duplicate_keys())
    problems.error(
        ProblemCode::duplicate_key, *key.again,
        fmt::format("\"{}\" is here twice, first in line {}", key.again->text(), key.first->start().line + 1),
        "keep one of them");
  return *file;
}

void count_errors(Problems& problems, std::vector<Problem>& out, size_t& errors) {
  problems.sort();
  errors = problems.errors();
  out = problems.take();
}

}  // namespace

std::string_view to_string(Mode mode) {
  constexpr std::string_view kNames[] = {"observe", "approve", "enforce"};
  return kNames[static_cast<size_t>(mode)];
}

std::string_view to_string(EffectClass value) {
  constexpr std::string_view kNames[] = {"collect", "contain-soft", "contain-hard", "contain-wide", "contain-critical"};
  return kNames[static_cast<size_t>(value)];
}

std::string_view to_string(TargetKind value) {
  constexpr std::string_view kNames[] = {"process", "container", "host", "user", "address", "file"};
  return kNames[static_cast<size_t>(value)];
}

std::string_view to_string(ParamType value) {
  constexpr std::string_view kNames[] = {"a text", "a whole number", "true or false", "a duration such as 10m",
                                         "a text or a list of texts"};
  return kNames[static_cast<size_t>(value)];
}

PolicyFile read_policies(const std::string& name, const std::string& text, const ReadOptions& options) {
  PolicyFile out;
  out.name = name;
  Problems problems;
  const auto file = parsed(name, text, problems);
  std::map<std::string, const yaml::Node*> names;
  if (file != nullptr) {
    for (const yaml::Node* document : file->documents()) {
      if (document->is_null()) continue;  // what a file of comments alone holds
      const size_t errors_before = problems.errors();
      check_shape(*document, "policy", problems);
      if (!document->is_map()) continue;
      auto policy = std::make_shared<Policy>();
      policy->file = file;
      bind_policy(*document, *policy);
      bind_steps(node_at(document, {"spec", "actions"}), options, *policy, problems);
      lint_policy(*policy, options, problems);
      if (const yaml::Node* place = node_at(document, {"metadata", "name"}); place != nullptr && place->is_scalar()) {
        const auto [first, is_new] = names.emplace(policy->name, place);
        if (!is_new)
          problems.error(
              ProblemCode::duplicate_name, *place,
              fmt::format("there is another policy \"{}\" in line {}", policy->name, first->second->start().line + 1),
              "state belongs to the name; give each policy its own");
      }
      if (problems.errors() == errors_before && file->duplicate_keys().empty())
        out.policies.push_back(std::move(policy));
    }
  }
  count_errors(problems, out.problems, out.errors);
  return out;
}

PolicyFile read_policy_file(const std::string& path, const ReadOptions& options) {
  const auto text = yaml::read_text_file(path, kLimits.bytes);
  if (text) return read_policies(path, *text, options);
  PolicyFile out;
  out.name = path;
  Problems problems;
  problems.of_file(path, {}, text.error());
  count_errors(problems, out.problems, out.errors);
  return out;
}

void find_shared_names(std::vector<PolicyFile>& files) {
  std::map<std::string, const Policy*> names;
  for (PolicyFile& file : files) {
    Problems problems;
    std::erase_if(file.policies, [&](const std::shared_ptr<const Policy>& policy) {
      const auto [first, is_new] = names.emplace(policy->name, policy.get());
      if (is_new) return false;
      const yaml::Node& place = *node_at(policy->document, {"metadata", "name"});
      problems.error(ProblemCode::duplicate_name, place,
                     fmt::format("there is another policy \"{}\" at {}", policy->name,
                                 node_at(first->second->document, {"metadata", "name"})->where()),
                     "state belongs to the name; give each policy its own");
      return true;
    });
    file.errors += problems.errors();
    for (Problem& problem : problems.take()) file.problems.push_back(std::move(problem));
  }
}

ConfigFile read_config(const std::string& name, const std::string& text) {
  ConfigFile out;
  Problems problems;
  if (const auto file = parsed(name, text, problems)) {
    bool has_one = false;
    for (const yaml::Node* document : file->documents()) {
      if (document->is_null()) continue;
      check_shape(*document, "config", problems);
      if (has_one) {
        problems.error(ProblemCode::duplicate_name, *document, "there is a second configuration in this file",
                       "put everything into one document");
      } else if (document->is_map()) {
        out.config = bind_config(*document);
      }
      has_one = true;
    }
  }
  count_errors(problems, out.problems, out.errors);
  return out;
}

}  // namespace quell::respond::policy
