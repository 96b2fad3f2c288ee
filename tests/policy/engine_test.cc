// What policies decide.
#include "world.h"

namespace quell::respond::policy {
namespace {

const std::string kPause = "  actions: [container.pause: {ttl: 15m}]\n";

TEST(PolicyEngine, MatchesByEveryKindOfTest) {
  struct Case {
    std::string match;
    Event event;
    bool fires;
  };
  const Event shell{.rule = "Shell", .fields = {{"fd.sport", "443"}, {"k8s.ns.name", "pay"}}};
  const Case cases[] = {
      {"{rule: Shell}", shell, true},
      {"{rule: {anyOf: [\"She*\", Other]}}", shell, true},
      {"{rule: {noneOf: [\"She*\"]}}", shell, false},
      {"{rule: {regex: \"^sh\"}}", shell, false},
      {"{severity: {gte: high}}", shell, true},
      {"{severity: {gt: high}}", shell, false},
      {"{severity: [low, medium]}", shell, false},
      {"{severity: {notIn: [low]}, rule: Shell}", shell, true},
      {"{field: {fd.sport: 443}}", shell, true},
      {"{field: {fd.sport: {gte: 443, lt: 444}}}", shell, true},
      {"{field: {fd.sport: {gt: 443}}}", shell, false},
      {"{field: {proc.name: {gt: 1}}}", shell, false},
      {"{field: {k8s.ns.name: {notIn: [kube-system, pay]}}}", shell, false},
      {"{field: {nothing.there: {notIn: [x]}}}", shell, true},
      {"{field: {nothing.there: {in: [x]}}}", shell, false},
      {"{field: {nothing.there: {exists: false}}}", shell, true},
      {"{field: {k8s.ns.name: {exists: true, glob: \"p?y\"}}}", shell, true},
      {"{field: {container.image: {notGlob: \"web:*\"}}}", shell, false},
      {"{field: {container.image.repository: {regex: \"^we\"}}}", shell, true},
      {"{all: [{rule: Shell}, {any: [{source: k8s_audit}, {field: {proc.name: sh}}]}]}", shell, true},
      {"{not: {rule: Shell}}", shell, false},
      {"{not: {any: [{rule: Other}, {severity: low}]}}", shell, true},
      {"{source: syscall}", shell, true},
      {"{source: [aws, k8s_audit]}", shell, false},
      {"{field: {\"container.label[team]\": pay}}", {.labels = {{"team", "pay"}}}, true},
  };
  for (const Case& one : cases) {
    Fed fed({policy("p", "  mode: enforce\n  match: " + one.match + "\n" + kPause)});
    EXPECT_EQ(fed.kinds(one.event), one.fires ? "R" : "") << one.match;
  }
}

TEST(PolicyEngine, TagsHaveOperatorsOfTheirOwn) {
  const auto fires = [](const std::string& match) {
    PolicyEngine engine({policy("p", "  mode: enforce\n  match: " + match + "\n" + kPause)}, {});
    Detection d = detection({});
    d.tags = {"T1059.004", "container"};
    std::vector<Decision> out;
    engine.feed(d, {.now_ns = d.kernel_ns}, out);
    return out.size() == 1;
  };
  EXPECT_TRUE(fires("{tags: container}"));
  EXPECT_TRUE(fires("{tags: {allOf: [\"T1059.*\", container]}}"));
  EXPECT_FALSE(fires("{tags: {allOf: [\"T1059.*\", host]}}"));
  EXPECT_FALSE(fires("{tags: {noneOf: [\"T1059*\"]}}"));
}

TEST(PolicyEngine, ModesSayTheSameWithAnotherVerb) {
  const std::string match = "  match: {rule: Shell}\n";
  Fed observing({policy("p", "  mode: observe\n" + match + kPause)});
  EXPECT_EQ(observing.kinds({}), "o");
  Fed asking({policy("p", "  mode: approve\n  approval: {required: two_of(sec), expires: 5m}\n" + match + kPause)});
  const auto asked = asking({});
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].kind, DecisionKind::requested);
  EXPECT_EQ(asked[0].approval_expires_ns, kStartNs + 300 * kSecondNs);
  EXPECT_EQ(asked[0].actions.at(0).approvals, 2);
  Fed acting({policy("p", "  mode: enforce\n" + match + kPause)});
  const auto acted = acting({});
  ASSERT_EQ(acted.size(), 1u);
  EXPECT_EQ(acted[0].kind, DecisionKind::run);
  EXPECT_EQ(acted[0].actions.at(0).approvals, 0);
  EXPECT_EQ(acted[0].actions[0].ttl_ns, 900 * kSecondNs);
  EXPECT_EQ(acted[0].target.key, "container:c1");
  EXPECT_EQ(acted[0].target.start, "s1");
}

TEST(PolicyEngine, WideActionsAskEvenWhenEnforced) {
  Fed fed(
      {policy("p", "  mode: enforce\n  match: {rule: Shell}\n  actions: [container.pause, host.isolate_network]\n")});
  const auto decisions = fed({});
  ASSERT_EQ(decisions.size(), 1u);
  EXPECT_EQ(decisions[0].kind, DecisionKind::run);
  EXPECT_EQ(decisions[0].actions.at(0).approvals, 0);
  EXPECT_EQ(decisions[0].actions.at(1).approvals, 1);
  EXPECT_GT(decisions[0].approval_expires_ns, 0u);
}

const std::string kTwoRules =
    "  mode: enforce\n  match: {severity: {gte: high}}\n"
    "  threshold: {count: 2, distinct: rule, window: 60s, groupBy: [container.id]}\n";

TEST(PolicyEngine, ThresholdCountsDifferentRulesPerContainer) {
  Fed fed({policy("p", kTwoRules + kPause)});
  EXPECT_EQ(fed.kinds({.at_s = 0, .rule = "A"}), "");
  EXPECT_EQ(fed.kinds({.at_s = 1, .rule = "A"}), "");
  EXPECT_EQ(fed.kinds({.at_s = 2, .rule = "B", .container = "c2"}), "");
  const auto fired = fed({.at_s = 61, .rule = "B"});  // the second A is 60 s ago
  ASSERT_EQ(fired.size(), 1u);
  EXPECT_EQ(fired[0].group, "container.id=c1");
  EXPECT_EQ(fired[0].detection_ids.size(), 3u);
  EXPECT_EQ(fed.kinds({.at_s = 200, .rule = "A"}), "");
  EXPECT_EQ(fed.kinds({.at_s = 261, .rule = "B"}), "");  // a second too late
}

TEST(PolicyEngine, AGroupStartsAnewAfterFiring) {
  Fed fed({policy("p",
                  "  mode: enforce\n  match: {rule: Shell}\n  threshold: {count: 3, window: 10s, groupBy: "
                  "[container.id]}\n  limits: {perPolicy: 100/1m}\n  actions: [process.kill]\n")});
  std::string kinds;
  for (int i = 0; i < 9; ++i) kinds += fed.kinds({.at_s = 1, .pid = i + 1}) + "|";
  EXPECT_EQ(kinds, "||R|||R|||R|");
}

TEST(PolicyEngine, OutOfOrderWithinTheLatenessCounts) {
  Fed fed({policy("p", kTwoRules + kPause)});
  EXPECT_EQ(fed.kinds({.at_s = 100, .rule = "X", .container = "c9"}), "");
  EXPECT_EQ(fed.kinds({.at_s = 30, .rule = "A"}), "");  // 70 s late
  EXPECT_EQ(fed.counters().late, 1u);
  EXPECT_EQ(fed.kinds({.at_s = 92, .rule = "A"}), "");
  EXPECT_EQ(fed.kinds({.at_s = 91, .rule = "B"}), "R");
}

TEST(PolicyEngine, AClockThatGoesBackDoesNotSilenceThresholds) {
  Fed fed({policy("p", kTwoRules + kPause)});
  fed({.at_s = 10'000, .rule = "A"});
  fed.now_ns = kStartNs;
  EXPECT_EQ(fed.kinds({.at_s = 0, .rule = "A"}), "");
  EXPECT_EQ(fed.engine.counters().clock_went_back, 1u);
  EXPECT_EQ(fed.kinds({.at_s = 1, .rule = "B"}), "R");
}

TEST(PolicyEngine, AFutureEventTimeDoesNotMakeOthersLate) {
  PolicyEngine engine({policy("p", kTwoRules + kPause)}, {});
  std::vector<Decision> out;
  const uint64_t now_ns = kStartNs;
  engine.feed(detection({.at_s = 1'000'000, .rule = "A"}), {.now_ns = now_ns}, out);
  engine.feed(detection({.at_s = 0, .rule = "B"}), {.now_ns = now_ns}, out);
  EXPECT_EQ(out.size(), 1u);
}

TEST(PolicyEngine, WithoutItsGroupFieldADetectionDoesNotCount) {
  Fed fed({policy("p",
                  "  mode: enforce\n  match: {rule: Shell}\n  threshold: {count: 2, window: 1m, groupBy: "
                  "[k8s.pod.name]}\n" +
                      kPause)});
  EXPECT_EQ(fed.kinds({}) + fed.kinds({}), "");
  EXPECT_EQ(fed.counters().ungrouped, 2u);
}

TEST(PolicyEngine, TheSameTargetIsSuppressedByIdentity) {
  Fed fed({policy("p", "  mode: enforce\n  match: {rule: Shell}\n" + kPause)});
  const auto first = fed({.at_s = 0});
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(fed.kinds({.at_s = 1}), "");
  EXPECT_EQ(fed.kinds({.at_s = 1, .started_at = ""}), "");     // its start is not known yet
  EXPECT_EQ(fed.kinds({.at_s = 2, .started_at = "s2"}), "R");  // another life of the container
  EXPECT_EQ(fed.kinds({.at_s = 3, .container = "c2"}), "R");
  EXPECT_EQ(fed.counters().suppressed, 2u);
  EXPECT_TRUE(fed.engine.release(first[0].id));
  EXPECT_FALSE(fed.engine.release(first[0].id));
  EXPECT_EQ(fed.kinds({.at_s = 4}), "R");
  EXPECT_EQ(fed.kinds({.at_s = 4 + 900}), "R");  // its TTL is over
}

TEST(PolicyEngine, TheSameDetectionGivesTheSameId) {
  const auto one = policy("p", "  mode: enforce\n  match: {rule: Shell}\n" + kPause);
  const Detection d = detection({});
  std::string ids[2];
  for (std::string& id : ids) {
    PolicyEngine engine({one}, {});
    std::vector<Decision> out;
    engine.feed(d, {.now_ns = d.kernel_ns}, out);
    id = out.at(0).id;
  }
  EXPECT_EQ(ids[0], ids[1]);
  EXPECT_EQ(ids[0].size(), 3u + 16u);
}

TEST(PolicyEngine, AThousandInARowTripTheBrake) {
  Fed fed({policy("p",
                  "  mode: enforce\n  match: {rule: Shell}\n  limits: {perPolicy: 5/10m}\n  actions: [container.pause, "
                  "notify: [\"slack:#soc\"]]\n")});
  size_t run = 0, paged = 0;
  for (int i = 0; i < 1000; ++i) {
    for (const Decision& one : fed({.at_s = 1, .container = fmt::format("c{}", i)})) {
      run += one.kind == DecisionKind::run;
      if (one.kind != DecisionKind::paged) continue;
      ++paged;
      EXPECT_EQ(one.refusal, Refusal::per_policy);
      EXPECT_EQ(one.notify, std::vector<std::string>{"slack:#soc"});
      EXPECT_TRUE(one.actions.empty());
    }
  }
  EXPECT_EQ(run, 5u);
  EXPECT_EQ(paged, 1u);
  EXPECT_FALSE(fed.engine.status()[0].is_armed);
  EXPECT_EQ(fed.counters().disarmed, 994u);
  EXPECT_EQ(fed.kinds({.at_s = 100'000, .container = "later"}), "");  // it stays so
  ASSERT_TRUE(fed.engine.arm("p"));
  EXPECT_FALSE(fed.engine.arm("p"));
  EXPECT_EQ(fed.engine.arm("q").error().code, Code::not_found);
  EXPECT_EQ(fed.kinds({.at_s = 100'001, .container = "later"}), "R");
}

TEST(PolicyEngine, LimitsPerTargetAndClusterAndDrop) {
  Fed fed({policy("p",
                  "  mode: enforce\n  match: {rule: Shell}\n  limits: {perTarget: 1/10m, onExceed: drop}\n" + kPause)});
  const auto first = fed({.at_s = 0});
  ASSERT_EQ(first.size(), 1u);
  fed.engine.release(first[0].id);
  const auto second = fed({.at_s = 60});
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].refusal, Refusal::per_target);
  EXPECT_EQ(fed.kinds({.at_s = 61}), "");  // refused too, and not told again
  EXPECT_EQ(fed.counters().untold, 1u);
  EXPECT_TRUE(fed.engine.status()[0].is_armed);
  EXPECT_EQ(fed.kinds({.at_s = 60, .container = "c2"}), "R");
  EXPECT_EQ(fed.kinds({.at_s = 601}), "R");

  const std::string limited = "  mode: enforce\n  limits: {perCluster: 2/1h, onExceed: drop}\n";
  Fed two({policy("p", limited + "  match: {rule: Shell}\n" + kPause),
           policy("q", limited + "  match: {rule: Miner}\n" + kPause)});
  EXPECT_EQ(two.kinds({.container = "a"}), "R");
  EXPECT_EQ(two.kinds({.rule = "Miner", .container = "b"}), "R");
  const auto third = two({.rule = "Miner", .container = "c"});
  ASSERT_EQ(third.size(), 1u);
  EXPECT_EQ(third[0].refusal, Refusal::per_cluster);
}

TEST(PolicyEngine, AnObservingPolicyNeitherDisarmsNorUsesUpTheCluster) {
  const std::string spec = "  match: {rule: Shell}\n  limits: {perPolicy: 1/10m, perCluster: 2/10m}\n" + kPause;
  Fed fed({policy("watch", "  mode: observe\n" + spec), policy("act", "  mode: enforce\n" + spec)});
  EXPECT_EQ(fed.kinds({.container = "a"}), "oR");
  EXPECT_EQ(fed.kinds({.container = "b"}), "xp");
  EXPECT_TRUE(fed.engine.status()[0].is_armed);
  EXPECT_FALSE(fed.engine.status()[1].is_armed);
}

TEST(PolicyEngine, MaxTargetsCountsWhatHolds) {
  Fed fed({policy("p", "  mode: enforce\n  match: {rule: Shell}\n  scope: {maxTargets: 1}\n" + kPause)});
  EXPECT_EQ(fed.kinds({.at_s = 0, .container = "a"}), "R");
  const auto second = fed({.at_s = 1, .container = "b"});
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].refusal, Refusal::max_targets);
  EXPECT_EQ(fed.kinds({.at_s = 901, .container = "b"}), "R");

  struct Others final : InEffect {
    void held_on(std::string_view, std::vector<Held>&) const override {}
    void targets_of(std::string_view, std::vector<std::string>& out) const override { out.emplace_back("container:z"); }
  } others;
  Fed taken({policy("p", "  mode: enforce\n  match: {rule: Shell}\n  scope: {maxTargets: 1}\n" + kPause)},
            {.in_effect = &others});
  EXPECT_EQ(taken.kinds({.container = "a"}), "x");
  EXPECT_EQ(taken.kinds({.container = "z"}), "R");
}

TEST(PolicyEngine, TheSecondPolicyJoins) {
  const std::string rest = "  mode: enforce\n  match: {rule: Shell}\n";
  Fed fed({policy("p", rest + kPause), policy("q", rest + kPause),
           policy("r", rest + "  actions: [container.pause, container.isolate_network]\n")});
  const auto decisions = fed({});
  ASSERT_EQ(decisions.size(), 3u);
  EXPECT_EQ(decisions[1].kind, DecisionKind::joined);
  EXPECT_EQ(decisions[1].actions.at(0).joins, decisions[0].id);
  EXPECT_EQ(decisions[2].kind, DecisionKind::run);
  EXPECT_EQ(decisions[2].actions.at(0).joins, decisions[0].id);
  EXPECT_EQ(decisions[2].actions.at(1).joins, "");
}

TEST(PolicyEngine, TheHigherClassWins) {
  const std::string rest = "  mode: enforce\n  match: {rule: Shell}\n";
  Fed fed({policy("p", rest + "  actions: [container.kill]\n"), policy("q", rest + kPause)});
  const auto decisions = fed({});
  ASSERT_EQ(decisions.size(), 2u);
  EXPECT_EQ(decisions[1].kind, DecisionKind::joined);
  EXPECT_EQ(decisions[1].actions.at(0).superseded_by, decisions[0].id);

  struct Others final : InEffect {
    void held_on(std::string_view key, std::vector<Held>& out) const override {
      if (key == "container:c1") out.push_back({"a-1", "container.kill", EffectClass::hard, "s1"});
    }
    void targets_of(std::string_view, std::vector<std::string>&) const override {}
  } others;
  Fed by_hand({policy("q", rest + kPause)}, {.in_effect = &others});
  EXPECT_EQ(by_hand.kinds({}), "j");
  EXPECT_EQ(by_hand.kinds({.started_at = "s2"}), "R");
}

TEST(PolicyEngine, ScopeExclusionAndConfidence) {
  const std::string rest = "  mode: enforce\n  match: {rule: Shell}\n" + kPause;
  EngineOptions options;
  options.config.cluster = "prod-eu";
  options.config.entity_groups["crown"].images = GlobList({"db"});
  Fed fed({policy("p", rest + "  confidence: {gte: 0.8}\n  scope: {clusters: [prod-*], images: [web, db]}\n"
                              "  exclude: [{label: {never: \"true\"}}, {entityGroup: crown}, {rule: Shell, field: "
                              "{proc.pid: 5}}]\n")},
          options);
  EXPECT_EQ(fed({}, 0.5).size(), 0u);
  EXPECT_EQ(fed.kinds({.image = "other:1"}), "");
  EXPECT_EQ(fed.kinds({.image = "db:9"}), "");
  EXPECT_EQ(fed.kinds({.labels = {{"never", "true"}}}), "");
  EXPECT_EQ(fed.kinds({.pid = 5}), "");
  EXPECT_EQ(fed.kinds({.labels = {{"never", "false"}}}), "R");
  const PolicyCounters counters = fed.counters();
  EXPECT_EQ(counters.matched, 6u);
  EXPECT_EQ(counters.low_confidence, 1u);
  EXPECT_EQ(counters.out_of_scope, 1u);
  EXPECT_EQ(counters.excluded, 3u);
}

TEST(PolicyEngine, OwnOutcomesTriggerNothingUnlessNamed) {
  Fed fed({policy("any", "  mode: enforce\n  match: {not: {source: quell}}\n" + kPause),
           policy("named", "  mode: enforce\n  match: {source: quell}\n" + kPause)});
  const auto decisions = fed({.source = "quell"});
  ASSERT_EQ(decisions.size(), 1u);
  EXPECT_EQ(decisions[0].policy->name, "named");
}

TEST(PolicyEngine, NothingToActOnIsSaid) {
  Fed fed({policy("p", "  mode: enforce\n  match: {rule: Shell}\n" + kPause)});
  const auto decisions = fed({.container = "host"});
  ASSERT_EQ(decisions.size(), 1u);
  EXPECT_EQ(decisions[0].refusal, Refusal::no_target);
}

TEST(PolicyEngine, AnExpiredPolicyDoesNothing) {
  Fed fed({policy("p", "  mode: enforce\n  match: {rule: Shell}\n  expires: 2020-01-01\n" + kPause)});
  EXPECT_EQ(fed.kinds({}), "");
  EXPECT_TRUE(fed.engine.status()[0].has_expired);
}

TEST(PolicyEngine, StateSurvivesARestart) {
  const std::vector<std::shared_ptr<const Policy>> policies = {
      policy("p", kTwoRules + "  limits: {perPolicy: 2/10m}\n" + kPause),
      policy("q", "  mode: enforce\n  match: {rule: Shell}\n" + kPause)};
  Fed before(policies);
  before({.at_s = 0, .rule = "A"});
  before({.at_s = 0, .container = "held"});
  ASSERT_TRUE(before.engine.disarm("q", "by hand", kStartNs));
  EXPECT_EQ(before.engine.disarm("q", "again", kStartNs).error().code, Code::conflict);
  const std::string saved = before.engine.save();

  Fed after(policies);
  ASSERT_TRUE(after.engine.restore(saved));
  EXPECT_EQ(after.engine.save(), saved);
  EXPECT_EQ(after.kinds({.at_s = 5, .rule = "B"}), "R");  // the A was before the restart
  EXPECT_FALSE(after.engine.status()[1].is_armed);
  EXPECT_EQ(after.engine.status()[1].disarmed_because, "by hand");
  ASSERT_TRUE(after.engine.arm("q"));
  EXPECT_EQ(after.kinds({.at_s = 6, .container = "held"}), "");  // suppressed: q holds it

  for (const char* broken :
       {"", "{}", "[]", "{\"format\":1,\"policies\":[{\"name\":\"p\"}],\"open\":[]}", "{\"format\":2}"})
    EXPECT_FALSE(after.engine.restore(broken)) << broken;
  EXPECT_FALSE(after.engine.restore(saved.substr(0, saved.size() / 2)));
  EXPECT_EQ(after.engine.status()[0].open_targets, 1u);  // as it was
}

TEST(PolicyEngine, ChangedPoliciesKeepWhatHoldsAndLoseTheirWindows) {
  Fed before({policy("p", kTwoRules + kPause)});
  before({.at_s = 0, .rule = "A"});
  Fed after({policy("p", kTwoRules + "  actions: [container.isolate_network]\n")});
  ASSERT_TRUE(after.engine.restore(before.engine.save()));
  EXPECT_EQ(after.kinds({.at_s = 5, .rule = "B"}), "");
}

TEST(PolicyEngine, EverythingHasABound) {
  EngineOptions options;
  options.max_groups = 10;
  options.max_entries = 5;
  options.max_open = 3;
  options.max_targets = 4;
  options.max_rules = 2;
  const std::string many = "  limits: {perTarget: 9/1d, perPolicy: 9999/1m, perCluster: 9999/1m}\n";
  Fed fed(
      {policy("p",
              "  mode: enforce\n  match: {rule: A}\n  threshold: {count: 50, window: 60s, groupBy: [container.id]}\n" +
                  kPause),
       policy("q", "  mode: enforce\n  match: {rule: B}\n" + many + kPause)},
      options);
  for (int i = 0; i < 100; ++i) fed({.rule = "A", .container = fmt::format("c{}", i)});
  for (int i = 0; i < 20; ++i) fed({.rule = "A", .container = "c99"});
  for (int i = 0; i < 20; ++i) fed({.rule = "B", .container = fmt::format("c{}", i)});
  for (int i = 0; i < 20; ++i) fed({.rule = fmt::format("other {}", i)});
  EXPECT_EQ(fed.counters(0).groups_forgotten, 90u);
  EXPECT_EQ(fed.counters(0).entries_forgotten, 16u);
  EXPECT_EQ(fed.counters(1).rates_forgotten, 16u);
  EXPECT_EQ(fed.engine.counters().open_forgotten, 17u);
  EXPECT_EQ(fed.engine.status()[1].open_targets, 3u);
}

}  // namespace
}  // namespace quell::respond::policy
