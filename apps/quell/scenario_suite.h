#pragma once
// Many scenario files at once: found, read, each with the rules that it names, run and judged.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "apps/quell/rule_mutants.h"
#include "apps/quell/rules.h"
#include "apps/quell/scenario_run.h"

namespace quell::cli {

struct CaseOutcome {
  capture::Scenario scenario;
  std::vector<Firing> firings;
  std::vector<Difference> differences;
  bool is_ok() const { return differences.empty(); }
};

/// A term of a rule that no test would miss.
struct UnnoticedTerm {
  std::string rule, term, file;
  uint32_t line = 0;
};

struct SuiteOptions {
  std::vector<std::string> paths;  // files and folders; empty: the shipped scenarios
  /// Instead of the rules that the scenarios name. Without paths, scenarios that name none use the installed rules.
  RuleSources rules;
  bool mutate = false;
  std::string only_rule{};  // only the cases that expect this rule; empty: all
};

struct SuiteOutcome {
  std::vector<CaseOutcome> cases;
  std::vector<Error> broken;  // files that are no scenarios, or whose rules do not load
  size_t terms = 0;           // dropped in turn, of rules that some case expects
  std::vector<UnnoticedTerm> unnoticed;
  size_t failed() const;
};

/// The scenario files behind `paths`, sorted. Errors: not_found.
Result<std::vector<std::string>> find_scenarios(const std::vector<std::string>& paths);

/// Errors: not_found (no scenario anywhere). What is wrong with one file does not keep the others from running.
Result<SuiteOutcome> run_suite(const SuiteOptions& options);

}  // namespace quell::cli
