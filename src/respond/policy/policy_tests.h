#pragma once
// Tests of policies as files: detections in, expected decisions out, through the very engine that runs live. The keys
// are those of the objects `test…` in schema.cc.
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "respond/policy/action_facts.h"
#include "respond/policy/problem.h"

namespace quell::respond::policy {

struct PolicyTestCase {
  std::string file, name, why;
  size_t detections = 0, decisions = 0;
  std::vector<std::string> differences;  // `-` was expected and did not come, `+` came and must not
  bool is_ok() const { return differences.empty(); }
};

struct PolicyTestOutcome {
  std::vector<PolicyTestCase> cases;
  std::vector<Problem> problems;  // of test files and of the policies that they name
  size_t broken = 0;              // files that could not be run
  size_t failed() const;
};

/// Runs one file; what it finds is added.
void run_policy_tests(const std::string& path, const ActionCatalogue& actions, PolicyTestOutcome& out);

void write_policy_tests(JsonWriter& out, const PolicyTestOutcome& outcome);

}  // namespace quell::respond::policy
