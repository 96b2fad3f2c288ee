// What comes next in a decision, given how its steps ended.
#include "respond/policy/steps.h"

#include "world.h"

namespace quell::respond::policy {
namespace {

Decision decided(const std::string& actions, const std::string& mode = "enforce", const Event& event = {}) {
  Fed fed({policy("p", "  mode: " + mode +
                           "\n  match: {rule: Shell}\n  approval: {required: one_of(x), onTimeout: "
                           "soft_only}\n  actions:\n" +
                           actions)});
  auto decisions = fed(event);
  EXPECT_EQ(decisions.size(), 1u);
  return decisions.at(0);
}

/// The steps that run, with an outcome for each; ends at the first that waits.
std::string played(const Decision& decision, const std::map<std::string, ActionState>& ends,
                   ApprovalState approval = ApprovalState::pending) {
  std::string out;
  std::vector<StepOutcome> outcomes;
  for (int i = 0; i < 100; ++i) {
    const NextStep next = next_step(decision, outcomes, approval);
    if (next.kind == NextStep::Kind::done) return out;
    if (next.kind == NextStep::Kind::wait) return out + "wait";
    if (next.kind == NextStep::Kind::notify) {
      out += "notify:" + next.notify->front() + " ";
      outcomes.push_back({next.step, ActionState::contained});
      continue;
    }
    out += next.action->action + " ";
    const auto end = ends.find(next.action->action);
    outcomes.push_back({next.step, end == ends.end() ? ActionState::contained : end->second});
  }
  return "endless";
}

const std::string kLadder =
    "    - container.pause\n"
    "    - if: {verified: [not_contained, failed]}\n"
    "      do:\n"
    "        - container.kill\n"
    "        - if: {verified: failed}\n"
    "          do: [notify: nobody-could]\n"
    "    - container.isolate_network\n"
    "    - notify: soc\n";

TEST(PolicySteps, ConditionsAskForTheActionThatRanLast) {
  const Decision decision = decided(kLadder);
  EXPECT_EQ(played(decision, {}), "container.pause container.isolate_network notify:soc ");
  EXPECT_EQ(played(decision, {{"container.pause", ActionState::not_contained}}),
            "container.pause container.kill container.isolate_network notify:soc ");
  EXPECT_EQ(played(decision, {{"container.pause", ActionState::failed}, {"container.kill", ActionState::failed}}),
            "container.pause container.kill notify:nobody-could container.isolate_network notify:soc ");
  EXPECT_EQ(played(decision, {{"container.pause", ActionState::refused_guard}}),
            "container.pause container.isolate_network notify:soc ");
}

TEST(PolicySteps, AStaleTargetEndsTheActingNotTheTelling) {
  EXPECT_EQ(played(decided(kLadder), {{"container.pause", ActionState::stale_target}}), "container.pause notify:soc ");
}

TEST(PolicySteps, ApprovalIsWaitedFor) {
  const Decision decision = decided(kLadder, "approve");
  EXPECT_EQ(played(decision, {}), "wait");
  EXPECT_EQ(played(decision, {}, ApprovalState::granted), "container.pause container.isolate_network notify:soc ");
  EXPECT_EQ(played(decision, {}, ApprovalState::denied), "");
  // soft_only: the kill is left out; the pause is still what ran last.
  EXPECT_EQ(played(decision, {{"container.pause", ActionState::failed}}, ApprovalState::timed_out),
            "container.pause notify:nobody-could container.isolate_network notify:soc ");
}

TEST(PolicySteps, EnforcedStepsDoNotWaitForThoseThatAsk) {
  const Decision decision = decided("    - container.pause\n    - host.isolate_network\n    - notify: soc\n");
  EXPECT_EQ(played(decision, {}), "container.pause wait");
  EXPECT_EQ(played(decision, {}, ApprovalState::granted), "container.pause host.isolate_network notify:soc ");
  EXPECT_EQ(played(decision, {}, ApprovalState::denied), "container.pause notify:soc ");
}

TEST(PolicySteps, WhatHasNoTargetIsPassedOver) {
  const Decision decision = decided("    - process.kill\n    - container.pause\n", "enforce", {.container = "host"});
  EXPECT_EQ(played(decision, {}), "process.kill ");
}

TEST(PolicySteps, RefusalsHaveNoSteps) {
  Decision decision = decided(kLadder);
  decision.kind = DecisionKind::refused;
  EXPECT_EQ(played(decision, {}), "");
}

}  // namespace
}  // namespace quell::respond::policy
