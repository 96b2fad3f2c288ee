// Back-tests: figures, ids, limits, guards, comparison; and promotion in place.
#include "respond/policy/backtest.h"

#include "respond/policy/explain.h"
#include "respond/policy/promote.h"
#include "world.h"

namespace quell::respond::policy {
namespace {

BacktestInput input_of(std::vector<std::shared_ptr<const Policy>> policies, const std::vector<Detection>& detections) {
  BacktestInput input;
  input.policies = std::move(policies);
  input.next = [&detections, at = size_t{0}]() mutable -> Result<const Detection*> {
    return at < detections.size() ? &detections[at++] : nullptr;
  };
  return input;
}

std::vector<Detection> stream() {
  std::vector<Detection> out;
  for (uint64_t day = 0; day < 3; ++day)
    for (uint64_t i = 0; i < 4; ++i)
      out.push_back(detection({.at_s = day * 86'400 + i * 60, .container = fmt::format("c{}", i), .pid = 100}));
  for (size_t i = 0; i < out.size(); ++i) out[i].id = fmt::format("d-{:016x}", i);
  return out;
}

const std::string kPause = "  mode: observe\n  match: {rule: Shell}\n  actions: [container.pause: {ttl: 150s}]\n";

TEST(Backtest, CountsWhatWouldHaveBeenDone) {
  const auto detections = stream();
  const auto report = backtest(input_of({policy("p", kPause)}, detections));
  ASSERT_TRUE(report);
  EXPECT_EQ(report->detections, 12u);
  EXPECT_EQ(report->from_ns, detections.front().kernel_ns);
  EXPECT_EQ(report->to_ns, detections.back().kernel_ns);
  const BacktestPolicy& p = report->policies.at(0);
  EXPECT_EQ(p.counters.fired, 12u);
  EXPECT_EQ(p.actions.at("container.pause"), 12u);
  EXPECT_EQ(p.targets, 4u);
  EXPECT_EQ(p.most_targets_at_once, 3u);  // 150 s each, one more every 60 s
  EXPECT_EQ(p.trip_count, 0u);
  EXPECT_EQ(p.unjudged, 12u);
  EXPECT_EQ(report->row_count, 12u);
  EXPECT_EQ(report->rows.at(0).count, 1u);
  EXPECT_FALSE(report->comparison);
}

TEST(Backtest, TheSameInputHasTheSameIdAndTheKeptReportProvesIt) {
  const auto detections = stream();
  auto first = backtest(input_of({policy("p", kPause)}, detections));
  auto second = backtest(input_of({policy("p", kPause)}, detections));
  ASSERT_TRUE(first && second);
  second->elapsed_ms = 17;
  EXPECT_EQ(first->id(), second->id());
  EXPECT_EQ(first->id().size(), 64u);
  const auto kept = read_report(second->json());
  ASSERT_TRUE(kept) << kept.error().str();
  EXPECT_EQ(kept->id, first->id());
  ASSERT_EQ(kept->policies.size(), 1u);
  EXPECT_EQ(kept->policies[0].second, first->policies[0].hash);
  std::string forged = second->json();
  forged.replace(forged.find("\"fired\":12"), 10, "\"fired\":10");
  EXPECT_EQ(read_report(forged).error().code, Code::malformed);
  EXPECT_FALSE(read_report("{}"));
  EXPECT_FALSE(read_report("nothing"));
  EXPECT_NE(first->text().find(first->id()), std::string::npos);
  const auto fewer = backtest(input_of({policy("p", kPause)}, {detections.begin(), detections.end() - 1}));
  EXPECT_NE(fewer->id(), first->id());
}

TEST(Backtest, LimitsAreCountedAsEpisodesAndTheStreamGoesOn) {
  std::vector<Detection> detections;
  for (uint64_t burst = 0; burst < 2; ++burst)
    for (int i = 0; i < 100; ++i)
      detections.push_back(detection({.at_s = burst * 3600, .container = fmt::format("b{}-{}", burst, i)}));
  const auto report = backtest(input_of({policy("p", kPause + "  limits: {perPolicy: 5/10m}\n")}, detections));
  ASSERT_TRUE(report);
  const BacktestPolicy& p = report->policies.at(0);
  EXPECT_EQ(p.counters.fired, 10u);
  EXPECT_EQ(p.counters.refused, 190u);
  EXPECT_EQ(p.refusals.at("per_policy"), 190u);
  ASSERT_EQ(p.trips.size(), 2u);
  EXPECT_EQ(p.trips[0].at_ns, kStartNs);
  EXPECT_EQ(p.trips[1].at_ns, kStartNs + 3600 * kSecondNs);
  EXPECT_EQ(p.trips[1].firings_stopped, 95u);
}

TEST(Backtest, GuardsAndVerdictsAreAsked) {
  const auto detections = stream();
  const std::string ladder =
      "  mode: observe\n  match: {rule: Shell}\n  actions:\n    - container.pause\n    - if: {verified: "
      "refused_guard}\n"
      "      do: [container.isolate_network]\n";
  auto input = input_of({policy("p", ladder)}, detections);
  input.guard = [](const Detection& d, const PlannedAction& action) -> std::optional<std::string> {
    if (d.container_id == "c1" && action.action == "container.pause") return "protected";
    return {};
  };
  input.verdict = [](const Detection& d) -> std::optional<bool> {
    if (d.container_id == "c3") return {};
    return d.container_id != "c0";
  };
  uint64_t told = 0;
  input.progress = [&](uint64_t, uint64_t) { ++told; };
  const auto report = backtest(input);
  ASSERT_TRUE(report);
  const BacktestPolicy& p = report->policies.at(0);
  EXPECT_EQ(p.guard_refusals.at("protected"), 3u);
  EXPECT_EQ(p.actions.at("container.pause"), 9u);
  EXPECT_EQ(p.actions.at("container.isolate_network"), 3u);
  EXPECT_EQ(p.confirmed, 6u);
  EXPECT_EQ(p.false_alarms, 3u);
  EXPECT_EQ(p.unjudged, 3u);
  EXPECT_EQ(told, 0u);  // too few for it
}

TEST(Backtest, ComparesWithThePreviousVersion) {
  const auto detections = stream();
  auto input = input_of({policy("p", kPause + "  exclude: [{field: {container.id: c0}}]\n")}, detections);
  input.previous = {policy("p", kPause + "  exclude: [{field: {container.id: [c1, c2]}}]\n")};
  const auto report = backtest(input);
  ASSERT_TRUE(report && report->comparison);
  EXPECT_EQ(report->comparison->same, 3u);
  EXPECT_EQ(report->comparison->added, 6u);
  EXPECT_EQ(report->comparison->removed, 3u);
  EXPECT_EQ(report->comparison->removed_rows.at(0).target, "container:c0");
  EXPECT_TRUE(read_report(report->json()));
}

TEST(Backtest, AnErrorOfTheSourceEndsIt) {
  BacktestInput input;
  input.policies = {policy("p", kPause)};
  input.next = []() -> Result<const Detection*> { return Error{Code::io, "gone", {}}; };
  EXPECT_EQ(backtest(input).error().code, Code::io);
  input.next = []() -> Result<const Detection*> { return nullptr; };
  const auto report = backtest(input);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->detections, 0u);
}

TEST(PolicyPromotion, ChangesOneWord) {
  const std::string text =
      "# kept\napiVersion: quell/v1\nkind: ResponsePolicy\nmetadata: {name: a, owner: me, version: 1}\nspec:\n"
      "  match: {rule: Shell}\n  mode:   \"observe\"   # also kept\n  actions: [container.pause]\n---\n" +
      policy_text("b", "  mode: observe\n  match: {rule: Shell}\n  actions: [container.pause]\n");
  const PolicyFile file = read(text);
  ASSERT_EQ(file.policies.size(), 2u) << readable(file.problems);
  const auto promoted = with_mode(*file.policies[0], *next_mode(Mode::observe));
  ASSERT_TRUE(promoted);
  std::string expected = text;
  expected.replace(expected.find("\"observe\""), 9, "approve");
  EXPECT_EQ(*promoted, expected);
  const PolicyFile again = read(*promoted);
  EXPECT_EQ(again.policies.at(0)->mode, Mode::approve);
  EXPECT_EQ(again.policies[0]->hash, file.policies[0]->hash);
  EXPECT_EQ(again.policies[1]->mode, Mode::observe);
  EXPECT_EQ(next_mode(Mode::approve), Mode::enforce);
  EXPECT_FALSE(next_mode(Mode::enforce));
}

TEST(PolicyExplanation, NamesEverythingThatMatters) {
  const std::string text = explain(*policy(
      "p",
      "  mode: approve\n  match: {rule: [Shell, \"Rev*\"], any: [{severity: {gte: high}}, {tags: T1059}]}\n"
      "  threshold: {count: 2, distinct: rule, window: 60s, groupBy: [container.id]}\n  scope: {maxTargets: 4}\n"
      "  exclude: [{entityGroup: crown}]\n  actions:\n    - container.pause: {ttl: 17m}\n    - if: {verified: failed}\n"
      "      do: [container.kill: {restartPolicy: no}]\n    - notify: [soc]\n  limits: {perTarget: 3/7m}\n"
      "  approval: {required: two_of(sec), onTimeout: soft_only}\n  expires: 2031-05-06\n"));
  for (const char* part : {"Shell", "Rev*", "high", "T1059", "2 different rules", "1m", "container.id", "4 targets",
                           "crown", "container.pause", "17m", "failed", "container.kill", "restartPolicy", "soc", "7m",
                           "two of group sec", "contain-soft", "2031-05-06"})
    EXPECT_NE(text.find(part), std::string::npos) << part << " is missing in\n" << text;
}

}  // namespace
}  // namespace quell::respond::policy
