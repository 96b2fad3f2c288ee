#include "apps/quell/scenario_suite.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <tuple>

namespace quell::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kInstalled = "/usr/share/quell/scenarios";

/// Rules for the scenarios that use the same files, with the mutants behind them when those are asked for.
struct Bench {
  std::shared_ptr<const LoadedRules> loaded;
  detect::RuleSet set;
  std::vector<Mutant> mutants;  // of the rules behind loaded->set.rules
  std::shared_ptr<const detect::Program> program;
};

/// A path of a scenario is meant from the scenario's folder, or from one above it: where a clone begins.
std::string resolve(const std::string& path, const std::string& scenario_file) {
  std::error_code error;
  if (fs::path(path).is_absolute()) return path;
  for (fs::path at = fs::absolute(scenario_file, error).parent_path(); !error; at = at.parent_path()) {
    if (fs::exists(at / path, error)) return (at / path).lexically_normal().string();
    if (at == at.root_path()) break;
  }
  return path;
}

std::set<std::string> tested_rules(const std::vector<capture::Scenario>& scenarios) {
  std::set<std::string> names;
  for (const capture::Scenario& scenario : scenarios)
    for (const capture::Expectation& expectation : scenario.expect) names.insert(expectation.rule);
  return names;
}

Result<Bench> make_bench(const RuleSources& sources, bool mutate, const std::set<std::string>& tested) {
  Bench bench;
  QUELL_TRY(bench.loaded, load_rules(sources, {.match_all = true}, false));
  bench.set = bench.loaded->set;
  bench.program = bench.loaded->program;
  if (!mutate) return bench;
  for (const detect::Rule& rule : bench.loaded->set.rules) {
    if (!tested.contains(rule.name) || rule.condition == nullptr) continue;
    for (Mutant& mutant : mutants_of(rule)) bench.mutants.push_back(std::move(mutant));
  }
  for (const Mutant& mutant : bench.mutants) bench.set.rules.push_back(mutant.rule);
  QUELL_TRY(bench.program, detect::compile(bench.set, {.match_all = true}));
  return bench;
}

using TermId = std::tuple<std::string, std::string, std::string>;  // file, rule, term

/// Splits what the mutants did from what the rules did, and notes the terms whose absence the scenario notices.
void take_mutants(const Bench& bench, const capture::Scenario& scenario, std::vector<Firing>& firings,
                  std::set<TermId>& noticed) {
  const size_t rule_count = bench.loaded->set.rules.size();
  std::set<std::pair<std::string, int32_t>> real;
  for (const Firing& firing : firings)
    if (firing.rule < rule_count) real.emplace(firing.detection.rule, firing.event);
  for (const Firing& firing : firings) {
    if (firing.rule < rule_count) continue;
    const Mutant& mutant = bench.mutants.at(firing.rule - rule_count);
    if (real.contains({mutant.original, firing.event})) continue;
    if (would_notice(scenario, mutant.original, firing.event))
      noticed.emplace(mutant.file, mutant.original, mutant.term);
  }
  std::erase_if(firings, [&](const Firing& firing) { return firing.rule >= rule_count; });
}

}  // namespace

size_t SuiteOutcome::failed() const {
  return static_cast<size_t>(
      std::count_if(cases.begin(), cases.end(), [](const CaseOutcome& outcome) { return !outcome.is_ok(); }));
}

Result<std::vector<std::string>> find_scenarios(const std::vector<std::string>& paths) {
  std::vector<std::string> roots = paths;
  std::error_code error;
  if (roots.empty()) {
    roots.push_back(fs::is_directory(kInstalled, error) ? kInstalled : folder_of_clone("tests/scenarios"));
    if (roots.front().empty()) return Error{Code::not_found, "no scenarios are installed; name some", kInstalled};
  }
  std::vector<std::string> files;
  for (const std::string& root : roots) {
    if (!fs::exists(root, error)) return Error{Code::not_found, "no such scenario file or folder", root};
    if (!fs::is_directory(root, error)) {
      files.push_back(root);
      continue;
    }
    const size_t before = files.size();
    for (fs::directory_iterator it(root, error), end; !error && it != end; it.increment(error)) {
      const auto extension = it->path().extension();
      if (extension == ".yaml" || extension == ".yml") files.push_back(it->path().string());
    }
    if (error) return errno_error(error.value(), "cannot read the folder of scenarios", root);
    if (files.size() == before) return Error{Code::not_found, "there is no scenario in this folder", root};
    std::sort(files.begin() + static_cast<ptrdiff_t>(before), files.end());
  }
  return files;
}

Result<SuiteOutcome> run_suite(const SuiteOptions& options) {
  QUELL_TRY(const auto files, find_scenarios(options.paths));
  SuiteOutcome out;
  std::vector<capture::Scenario> scenarios;
  for (const std::string& file : files) {
    auto cases = capture::load_scenarios(file);
    if (!cases) {
      out.broken.push_back(std::move(cases).error());
      continue;
    }
    for (capture::Scenario& scenario : *cases) {
      if (options.only_rule.empty() || tested_rules({scenario}).contains(options.only_rule))
        scenarios.push_back(std::move(scenario));
    }
  }

  const std::set<std::string> tested = tested_rules(scenarios);
  std::map<std::vector<std::string>, Result<Bench>> benches;
  std::map<TermId, uint32_t> terms;  // with the line of its rule
  std::set<TermId> noticed;
  for (capture::Scenario& scenario : scenarios) {
    RuleSources sources = options.rules;
    if (sources.paths.empty())
      for (const std::string& path : scenario.rules) sources.paths.push_back(resolve(path, scenario.name));
    auto bench = benches.find(sources.paths);
    if (bench == benches.end()) {
      bench = benches.emplace(sources.paths, make_bench(sources, options.mutate, tested)).first;
      if (!bench->second) out.broken.push_back(bench->second.error());
      if (bench->second)
        for (const Mutant& mutant : bench->second->mutants)
          terms[{mutant.file, mutant.original, mutant.term}] = mutant.line;
    }
    if (!bench->second) continue;
    auto firings = run_scenario(scenario, bench->second->set, bench->second->program);
    if (!firings) {
      out.broken.push_back(std::move(firings).error());
      continue;
    }
    if (options.mutate) take_mutants(*bench->second, scenario, *firings, noticed);
    std::vector<Difference> differences = judge(scenario, *firings);
    out.cases.push_back({std::move(scenario), *std::move(firings), std::move(differences)});
  }
  out.terms = terms.size();
  for (const auto& [id, line] : terms) {
    if (!noticed.contains(id)) out.unnoticed.push_back({std::get<1>(id), std::get<2>(id), std::get<0>(id), line});
  }
  return out;
}

}  // namespace quell::cli
