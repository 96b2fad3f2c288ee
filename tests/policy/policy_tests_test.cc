// Tests of policies: what holds is ok, what does not is shown, what cannot be run is said.
#include "respond/policy/policy_tests.h"

#include <filesystem>
#include <fstream>

#include "world.h"

namespace quell::respond::policy {
namespace {

class PolicyTests : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / fmt::format("quell-policy-tests-{}", getpid());
    std::filesystem::create_directories(folder_);
    write("p.yaml",
          policy_text("p",
                      "  mode: observe\n  match: {rule: Shell}\n  limits: {perPolicy: 2/1m}\n  actions:\n    - "
                      "container.pause\n    - if: {verified: failed}\n      do: [container.kill]\n"));
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& name, const std::string& text) { std::ofstream(folder_ / name) << text; }
  PolicyTestOutcome run(const std::string& cases, const std::string& policies = "[p.yaml]") {
    write("t.policy-test.yaml", "policies: " + policies + "\ncases:\n" + cases);
    PolicyTestOutcome out;
    run_policy_tests((folder_ / "t.policy-test.yaml").string(), catalogue(), out);
    return out;
  }

  std::filesystem::path folder_;
};

TEST_F(PolicyTests, WhatHoldsIsOk) {
  const auto outcome = run(
      "  - name: a\n    mode: enforce\n    outcomes: {container.pause: failed}\n    detections: [{at: 0s, rule: Shell, "
      "fields: {container.id: c1}}]\n    expect: [{detection: 0, policy: p, state: run, target: \"container:c1\", "
      "steps: "
      "[container.pause, container.kill]}]\n"
      "  - name: b\n    detections: [{at: 0s, rule: Shell, fields: {container.id: \"c{n}\"}, repeat: 3}]\n    expect: "
      "[{state: observed, times: 2}, {state: refused, reason: per_policy}]\n"
      "  - name: c\n    mode: enforce\n    detections: [{at: 0s, rule: Shell, fields: {container.id: \"c{n}\"}, "
      "repeat: "
      "3}]\n    expect: [{state: run, times: 2}, {state: paged, reason: per_policy}]\n"
      "  - name: d\n    detections: [{at: 0s, rule: Other, fields: {container.id: c1}}]\n    notFired: [p]\n");
  ASSERT_EQ(outcome.cases.size(), 4u) << readable(outcome.problems);
  for (const PolicyTestCase& one : outcome.cases) EXPECT_TRUE(one.is_ok()) << one.name << ": " << one.differences[0];
}

TEST_F(PolicyTests, DifferencesAreShown) {
  const auto outcome = run(
      "  - name: missing\n    detections: [{at: 0s, rule: Other, fields: {container.id: c1}}]\n    expect: [{state: "
      "run}]\n"
      "  - name: unexpected\n    detections: [{at: 0s, rule: Shell, fields: {container.id: c1}}]\n"
      "  - name: other steps\n    detections: [{at: 0s, rule: Shell, fields: {container.id: c1}}]\n    expect: "
      "[{state: "
      "observed, steps: [container.kill]}]\n"
      "  - name: forbidden\n    detections: [{at: 0s, rule: Shell, fields: {container.id: c1}}]\n    expect: [{state: "
      "observed}]\n    notFired: [p]\n");
  ASSERT_EQ(outcome.cases.size(), 4u);
  EXPECT_EQ(outcome.failed(), 4u);
  EXPECT_EQ(outcome.cases[0].differences.size(), 1u);
  EXPECT_EQ(outcome.cases[0].differences[0][0], '-');
  EXPECT_EQ(outcome.cases[1].differences.at(0)[0], '+');
  EXPECT_EQ(outcome.cases[2].differences.size(), 2u);
  EXPECT_EQ(outcome.cases[3].differences.size(), 1u);
}

TEST_F(PolicyTests, WhatCannotBeRunIsSaid) {
  EXPECT_EQ(run("  - name: a\n    detections: [{rule: Shell}]\n").broken, 1u);
  EXPECT_EQ(run("  - name: a\n    detections: [{at: 0s, rule: Shell}]\n", "[gone.yaml]").broken, 1u);
  write("bad.yaml", "apiVersion: quell/v1\n");
  const auto outcome = run("  - name: a\n    detections: [{at: 0s, rule: Shell}]\n", "[bad.yaml]");
  EXPECT_EQ(outcome.broken, 1u);
  EXPECT_FALSE(outcome.problems.empty());
  PolicyTestOutcome gone;
  run_policy_tests("/nowhere/t.yaml", catalogue(), gone);
  EXPECT_EQ(gone.broken, 1u);
  EXPECT_TRUE(gone.cases.empty());
}

}  // namespace
}  // namespace quell::respond::policy
