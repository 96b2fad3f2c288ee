// Policies, their configuration and their tests come from anywhere. Whatever the bytes: no crash, no growth without
// end, every problem has a place, and what is read keeps its promises.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/json.h"
#include "respond/policy/engine.h"
#include "respond/policy/explain.h"
#include "respond/policy/promote.h"
#include "respond/policy/reader.h"
#include "respond/policy/steps.h"

namespace {

using namespace quell;
using namespace quell::respond::policy;

const ActionCatalogue& catalogue() {
  static constexpr ParamFacts kParams[] = {{"mode", ParamType::text, "a|b"}, {"allow", ParamType::texts}};
  static constexpr ActionFacts kActions[] = {
      {"container.pause", EffectClass::soft, true, true, 900, TargetKind::container, kParams},
      {"process.kill", EffectClass::hard, false, false, 0, TargetKind::process},
      {"host.isolate_network", EffectClass::wide, true, true, 0, TargetKind::host},
  };
  static const ActionCatalogue kCatalogue{[](std::string_view name) -> const ActionFacts* {
                                            for (const ActionFacts& one : kActions)
                                              if (one.name == name) return &one;
                                            return nullptr;
                                          },
                                          {"container.pause", "process.kill", "host.isolate_network"}};
  return kCatalogue;
}

void feed(const std::shared_ptr<const Policy>& policy) {
  PolicyEngine engine({policy}, {.mode = Mode::enforce});
  std::vector<Decision> decisions;
  for (uint64_t i = 0; i < 8; ++i) {
    Detection detection;
    detection.id = "d-" + std::to_string(i);
    detection.rule = i % 2 == 0 ? "Shell" : "Miner";
    detection.priority = Priority::critical;
    detection.source = "syscall";
    detection.hostname = "h";
    detection.kernel_ns = (1'000 + i) * kSecondNs;
    detection.container_id = detection.container_full_id = "c1";
    detection.process = {"b", 7, 7};
    engine.feed(detection, {.now_ns = detection.kernel_ns}, decisions);
  }
  for (const Decision& decision : decisions) {
    std::vector<StepOutcome> outcomes;
    for (;;) {
      const NextStep next = next_step(decision, outcomes, ApprovalState::granted);
      if (next.kind == NextStep::Kind::done || next.kind == NextStep::Kind::wait) break;
      outcomes.push_back({next.step, ActionState::failed});
      if (outcomes.size() > policy->step_count) std::abort();
    }
  }
  PolicyEngine again({policy}, {.mode = Mode::enforce});
  if (!again.restore(engine.save()) || again.save() != engine.save()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const PolicyConfig config;
  const PolicyFile file = read_policies(
      "fuzz.yaml", text, {.actions = catalogue(), .config = &config, .now_ns = kSecondNs, .rules = {"Shell", "Miner"}});
  if (file.errors > file.problems.size()) std::abort();
  for (const Problem& problem : file.problems)
    if (problem.message.empty() || problem.excerpt.size() > 160) std::abort();
  if (readable(file.problems).empty() != file.problems.empty()) std::abort();
  JsonWriter out;
  write_problems(out, file.problems);
  if (!Json::parse(out.finished())) std::abort();
  for (const auto& policy : file.policies) {
    if (policy->name.empty() || policy->steps.empty() || explain(*policy).empty()) std::abort();
    const auto promoted = with_mode(*policy, Mode::approve);
    if (!promoted) std::abort();
    feed(policy);
  }
  const ConfigFile read = read_config("fuzz.yaml", text);
  if (read.errors > read.problems.size()) std::abort();
  PolicyEngine engine(file.policies, {});
  (void)engine.restore(text);
  return 0;
}
