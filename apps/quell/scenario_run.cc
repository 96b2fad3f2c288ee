#include "apps/quell/scenario_run.h"

#include <algorithm>
#include <map>

#include "detect/falco/condition_parser.h"
#include "detect/operand.h"
#include "enrich/tables.h"

namespace quell::cli {
namespace {

using Operands = std::map<std::string, detect::CompiledOperand>;

/// The fields that expectations ask for, ready to be read.
Result<Operands> compile_fields(const capture::Scenario& scenario) {
  Operands out;
  for (const capture::Expectation& expectation : scenario.expect) {
    for (const auto& [name, value] : expectation.fields) {
      const auto parsed = detect::falco::parse_operand(name);
      auto compiled = parsed ? detect::compile_operand(*parsed) : detect::OperandCompilation{};
      if (!compiled.operand)
        return Error{Code::invalid_argument, "there is no field '" + name + "'", expectation.where};
      out.emplace(name, *std::move(compiled.operand));
    }
  }
  return out;
}

const capture::Expectation* expectation_of(const capture::Scenario& scenario, const std::string& rule, int32_t event) {
  for (const capture::Expectation& expectation : scenario.expect) {
    if (static_cast<int32_t>(expectation.event) == event && expectation.rule == rule) return &expectation;
  }
  return nullptr;
}

bool has_technique(const Detection& detection, const std::string& attack) {
  return std::any_of(detection.tags.begin(), detection.tags.end(),
                     [&](const std::string& tag) { return tag == attack || tag.starts_with(attack + "."); });
}

bool never_fires(const capture::Scenario& scenario, const std::string& rule) {
  return std::find(scenario.must_not_fire.begin(), scenario.must_not_fire.end(), rule) != scenario.must_not_fire.end();
}

const capture::NearMiss* near_miss_of(const capture::Scenario& scenario, const std::string& rule, int32_t event) {
  for (const capture::NearMiss& miss : scenario.near_misses) {
    if (static_cast<int32_t>(miss.event) == event && miss.rule == rule) return &miss;
  }
  return nullptr;
}

}  // namespace

std::string_view to_string(Difference::Kind kind) {
  switch (kind) {
    case Difference::Kind::missing: return "missing";
    case Difference::Kind::unexpected: return "unexpected";
    case Difference::Kind::forbidden: return "forbidden";
    case Difference::Kind::field: return "field";
    case Difference::Kind::technique: return "technique";
  }
  return "";
}

Result<std::vector<Firing>> run_scenario(const capture::Scenario& scenario, const detect::RuleSet& rules,
                                         std::shared_ptr<const detect::Program> program) {
  QUELL_TRY(const Operands operands, compile_fields(scenario));
  enrich::StateTables tables(enrich::Options{});
  for (const auto& [name, address] : scenario.names) detect::tell_address(*program, name, address);
  detect::Engine engine(std::move(program));
  detect::Arena arena;
  tables.load(scenario.snapshot);
  std::vector<Firing> out;
  uint64_t number = 0;
  for (const capture::ScenarioEvent& bytes : scenario.events) {
    Event event;
    QUELL_CHECK(Event::parse(bytes.bytes, event));
    const EventContext& context = tables.apply(event, ++number);
    for (const detect::RuleIndex rule : engine.evaluate(context)) {
      Firing& firing = out.emplace_back(Firing{bytes.index, rule, engine.render(rule, context), {}});
      const auto* expectation = expectation_of(scenario, rules.rules.at(rule).name, bytes.index);
      if (expectation == nullptr) continue;
      arena.reset();
      for (const auto& [name, value] : expectation->fields) {
        firing.field_values.push_back(
            detect::value_text(detect::evaluate(operands.at(name), {context, arena}, nullptr)));
      }
    }
  }
  return out;
}

std::vector<Difference> judge(const capture::Scenario& scenario, const std::vector<Firing>& firings) {
  using Kind = Difference::Kind;
  std::vector<Difference> out;
  std::vector<bool> explained(firings.size(), false);
  for (const capture::Expectation& expectation : scenario.expect) {
    const auto event = static_cast<int32_t>(expectation.event);
    size_t at = 0;
    while (at < firings.size() &&
           (explained[at] || firings[at].event != event || firings[at].detection.rule != expectation.rule))
      ++at;
    if (at == firings.size()) {
      out.push_back({Kind::missing, event, expectation.rule, {}, {}, {}, expectation.where});
      continue;
    }
    explained[at] = true;
    const Firing& firing = firings[at];
    if (!expectation.attack.empty() && !has_technique(firing.detection, expectation.attack)) {
      out.push_back({Kind::technique, event, expectation.rule, expectation.attack, {}, {}, expectation.where});
    }
    for (size_t i = 0; i < expectation.fields.size(); ++i) {
      const auto& [name, value] = expectation.fields[i];
      if (firing.field_values.at(i) == value) continue;
      out.push_back({Kind::field, event, expectation.rule, name, value, firing.field_values[i], expectation.where});
    }
  }
  for (size_t i = 0; i < firings.size(); ++i) {
    const Firing& firing = firings[i];
    const std::string& rule = firing.detection.rule;
    if (const auto* miss = near_miss_of(scenario, rule, firing.event)) {
      out.push_back({Kind::forbidden, firing.event, rule, miss->because, {}, firing.detection.message, miss->where});
    } else if (never_fires(scenario, rule)) {
      out.push_back({Kind::forbidden, firing.event, rule, {}, {}, firing.detection.message, scenario.where});
    } else if (!explained[i] && scenario.is_exact) {
      out.push_back({Kind::unexpected, firing.event, rule, {}, {}, firing.detection.message, {}});
    }
  }
  return out;
}

bool would_notice(const capture::Scenario& scenario, const std::string& rule, int32_t event) {
  if (expectation_of(scenario, rule, event) != nullptr) return false;
  return scenario.is_exact || near_miss_of(scenario, rule, event) != nullptr || never_fires(scenario, rule);
}

}  // namespace quell::cli
