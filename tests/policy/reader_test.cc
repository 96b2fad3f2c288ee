// What is wrong with policy files, each with its place. `@@` marks the place that must be named.
#include "world.h"

namespace quell::respond::policy {
namespace {

struct Marked {
  std::string text;
  uint32_t line = 1, column = 1;
};

Marked unmarked(const std::string& text) {
  Marked out;
  const size_t at = text.find("@@");
  out.text = text;
  if (at == std::string::npos) return out;
  out.text.erase(at, 2);
  for (size_t i = 0; i < at; ++i) {
    ++out.column;
    if (text[i] == '\n') ++out.line, out.column = 1;
  }
  return out;
}

const PolicyConfig& config() {
  static const PolicyConfig kConfig = [] {
    PolicyConfig out;
    out.entity_groups["crown"] = {};
    out.approver_groups["oncall"] = {"alice"};
    out.notify = {"slack:#soc"};
    return out;
  }();
  return kConfig;
}

struct Case {
  ProblemCode code;
  bool is_error;
  std::string spec;  // or the whole document if it begins with "api"
  std::string suggestion{};
};

const std::string kHead = "  mode: enforce\n  limits: {perPolicy: 1/1m}\n";
const std::string kRest = kHead + "  match: {rule: Shell}\n";
const std::string kDo = "  actions: [container.pause]\n";

const Case kCases[] = {
    {ProblemCode::unknown_key, true, kRest + kDo + "  @@scop: {maxTargets: 1}\n", "scope"},
    {ProblemCode::unknown_key, true, kRest + kDo + "  scope: {maxTargets: 1, @@namespace: [a]}\n", "namespaces"},
    {ProblemCode::unknown_key, true, kHead + "  match: {all: [{@@rules: a}]}\n" + kDo, "rule"},
    {ProblemCode::unknown_key, true,
     kRest + "  actions:\n    - {if: {verified: failed}, do: [container.pause], @@also: 1}\n"},
    {ProblemCode::missing_key, true, "  @@mode: enforce\n" + kDo},
    {ProblemCode::missing_key, true, kHead + "  match: @@{}\n" + kDo},
    {ProblemCode::missing_key, true, kRest + "  actions:\n    - container.pause\n    - @@if: {verified: failed}\n"},
    {ProblemCode::missing_key, true, kRest + kDo + "  threshold: @@{count: 2}\n"},
    {ProblemCode::wrong_type, true, kHead + "  match: @@[a]\n" + kDo},
    {ProblemCode::wrong_type, true, kRest + "  actions: @@container.pause\n"},
    {ProblemCode::wrong_type, true, kRest + "  actions: [container.pause: @@[15m]]\n"},
    {ProblemCode::wrong_type, true,
     kRest + "  actions:\n    - @@container.pause: {}\n      notify: [\"slack:#soc\"]\n"},
    {ProblemCode::wrong_type, true, kRest + kDo + "  limits: {perPolicy: @@{count: 1}}\n"},
    {ProblemCode::wrong_type, true, kRest + "  actions: [process.kill: {depth: @@deep}]\n"},
    {ProblemCode::bad_value, true, kRest + kDo + "  threshold: {count: 2, window: @@60, groupBy: [container.id]}\n"},
    {ProblemCode::bad_value, true, kRest + kDo + "  threshold: {count: @@0, window: 60s, groupBy: [container.id]}\n"},
    {ProblemCode::bad_value, true, kRest + kDo + "  threshold: {count: 2, window: @@48h, groupBy: [container.id]}\n"},
    {ProblemCode::bad_value, true, kRest + kDo + "  threshold: {count: 2, window: @@0s, groupBy: [container.id]}\n"},
    {ProblemCode::bad_value, true, kRest + kDo + "  confidence: {gte: @@1.5}\n"},
    {ProblemCode::bad_value, true, kRest + kDo + "  health: {minHealthyReplicas: @@120%}\n"},
    {ProblemCode::bad_value, true, kRest + kDo + "  approval: {required: @@three_of(oncall)}\n"},
    {ProblemCode::bad_value, true, kRest + kDo + "  expires: @@soon\n"},
    {ProblemCode::bad_value, true, kRest + "  actions: @@[]\n"},
    {ProblemCode::bad_value, true, kRest + "  actions: [container.pause: {ttl: @@15}]\n"},
    {ProblemCode::bad_value, true, kRest + kDo + "  approval: {required: @@two_of(oncall)}\n"},
    {ProblemCode::unknown_choice, true, "  mode: @@enforced\n  match: {rule: Shell}\n" + kDo, "enforce"},
    {ProblemCode::unknown_choice, true, kRest + kDo + "  evidence: {before: [process_tree, @@socket]}\n", "sockets"},
    {ProblemCode::unknown_choice, true, kRest + "  actions: [container.kill: {restartPolicy: @@nope}]\n"},
    {ProblemCode::unknown_operator, true, kHead + "  match: {field: {proc.name: {@@equals: a}}}\n" + kDo},
    {ProblemCode::unknown_operator, true, kHead + "  match: {severity: {@@get: high}}\n" + kDo, "gte"},
    {ProblemCode::unknown_severity, true, kHead + "  match: {severity: {gte: @@hihg}}\n" + kDo, "high"},
    {ProblemCode::unknown_severity, true, kHead + "  match: {severity: [low, @@warning]}\n" + kDo},
    {ProblemCode::unknown_state, true,
     kRest + "  actions:\n    - container.pause\n    - if: {verified: @@not_contianed}\n"
             "      do: [container.kill]\n",
     "not_contained"},
    {ProblemCode::unknown_state, true,
     kRest + "  actions:\n    - container.pause\n    - if: {verified: [failed, @@executing]}\n"
             "      do: [container.kill]\n"},
    {ProblemCode::unknown_action, true, kRest + "  actions: [@@container.puase: {}]\n", "container.pause"},
    {ProblemCode::unknown_action, true, kRest + "  actions: [@@container.freeze]\n"},
    {ProblemCode::unknown_parameter, true, kRest + "  actions: [container.isolate_network: {@@alow: [a]}]\n", "allow"},
    {ProblemCode::unknown_parameter, true, kRest + "  actions: [container.kill: {@@ttl: 5m}]\n"},
    {ProblemCode::unknown_group, true, kRest + kDo + "  exclude: [{entityGroup: @@crwon}]\n", "crown"},
    {ProblemCode::unknown_group, true, kRest + kDo + "  approval: {required: @@one_of(nobody)}\n"},
    {ProblemCode::unknown_group, false,
     "  mode: observe\n  match: {rule: Shell}\n" + kDo + "  approval: {required: @@one_of(nobody)}\n"},
    {ProblemCode::unknown_rule, false, kHead + "  match: {rule: {anyOf: [Shell, @@Shel]}}\n" + kDo, "Shell"},
    {ProblemCode::unknown_rule, false, kHead + "  match: {any: [{rule: Shell}, {rule: @@\"Mine*\"}]}\n" + kDo},
    {ProblemCode::unknown_field, false, kHead + "  match: {rule: Shell, field: {@@proc.nmae: a}}\n" + kDo, "proc.name"},
    {ProblemCode::unknown_field, false,
     kRest + kDo + "  threshold: {count: 2, window: 1m, groupBy: [container.id, @@nothing.here]}\n"},
    {ProblemCode::bad_regex, true, kHead + "  match: {field: {proc.name: {regex: @@\"a(b\"}}}\n" + kDo},
    {ProblemCode::bad_regex, true, kHead + "  match: {rule: {regex: @@\"(?!a)\"}}\n" + kDo},
    {ProblemCode::no_group_by, false, kRest + kDo + "  threshold: @@{count: 2, window: 60s}\n"},
    {ProblemCode::no_ttl, true, kRest + "  actions: [@@process.suspend: {}]\n"},
    {ProblemCode::no_limits, false, "  mode: @@enforce\n  match: {rule: Shell}\n" + kDo},
    {ProblemCode::critical_automatic, true, kRest + "  actions: [@@account.quarantine]\n"},
    {ProblemCode::notify_not_configured, true, kRest + "  actions: [container.pause, notify: [@@\"slack:#sco\"]]\n",
     "slack:#soc"},
    {ProblemCode::notify_not_configured, false,
     "  mode: observe\n  match: {rule: Shell}\n  actions: [notify: @@mail]\n"},
    {ProblemCode::impossible_target, true,
     kHead + "  match: {rule: Shell, field: {container.id: host}}\n  actions: [@@container.pause]\n"},
    {ProblemCode::impossible_target, false,
     kRest + "  threshold: {count: 2, window: 1m, groupBy: [user.name]}\n  actions: [@@container.pause]\n"},
    {ProblemCode::expired, false, kRest + kDo + "  expires: @@2020-01-01\n"},
    {ProblemCode::never_true, false, kHead + "  match: {severity: @@{gt: high, lt: critical}}\n" + kDo},
    {ProblemCode::never_true, false,
     kRest + kDo + "  threshold: @@{count: 2, distinct: rule, window: 1m, groupBy: [container.id]}\n"},
    {ProblemCode::never_true, false, kRest + kDo + "  confidence: @@{gte: 0.9, lt: 0.5}\n"},
    {ProblemCode::never_true, false,
     kRest + "  actions:\n    - if: @@{verified: failed}\n      do: [container.kill]\n"},
    {ProblemCode::missing_key, true,
     "apiVersion: quell/v1\nkind: ResponsePolicy\nmetadata: @@{name: p, version: 1}\nspec:\n" + kRest + kDo},
    {ProblemCode::bad_value, true,
     "apiVersion: quell/v1\nkind: ResponsePolicy\nmetadata: {name: @@Not OK, owner: o, version: 1}\nspec:\n" + kRest +
         kDo},
    {ProblemCode::unknown_choice, true,
     "apiVersion: @@quell/v2\nkind: ResponsePolicy\nmetadata: {name: p, owner: o, version: 1}\nspec:\n" + kRest + kDo},
    {ProblemCode::yaml, true, "apiVersion: quell/v1\nkind: @@]\n"},
    {ProblemCode::duplicate_key, true,
     "apiVersion: quell/v1\n@@apiVersion: quell/v1\nkind: ResponsePolicy\nmetadata: {name: p, owner: o, version: "
     "1}\nspec:\n" +
         kRest + kDo},
};

PolicyFile read_case(const std::string& text) {
  ReadOptions options{.actions = catalogue(), .config = &config(), .now_ns = kStartNs, .rules = {"Shell", "Other"}};
  options.knows_field = [](std::string_view field) { return field == "proc.cwd"; };
  return read_policies("p.yaml", text, options);
}

TEST(PolicyReader, EveryKindOfProblemHasItsPlace) {
  for (const Case& one : kCases) {
    const Marked marked = unmarked(one.spec.starts_with("api") ? one.spec : policy_text("p", one.spec));
    const PolicyFile file = read_case(marked.text);
    const auto found = std::find_if(file.problems.begin(), file.problems.end(), [&](const Problem& problem) {
      return problem.code == one.code && problem.line == marked.line && problem.column == marked.column;
    });
    ASSERT_NE(found, file.problems.end())
        << to_string(one.code) << " expected at " << marked.line << ":" << marked.column << " of\n"
        << marked.text << readable(file.problems);
    EXPECT_EQ(found->is_error, one.is_error) << readable(file.problems);
    EXPECT_FALSE(found->message.empty());
    EXPECT_FALSE(found->excerpt.empty());
    EXPECT_NE(found->suggestion.find(one.suggestion), std::string::npos) << readable(file.problems);
    EXPECT_EQ(file.policies.empty(), one.is_error);
    // Nothing else is complained about but what follows from it.
    EXPECT_LE(file.errors, 2u) << readable(file.problems);
  }
}

TEST(PolicyReader, EveryCodeHasACase) {
  for (int code = 0; code <= static_cast<int>(ProblemCode::never_true); ++code) {
    const auto is_it = [&](const Case& one) { return static_cast<int>(one.code) == code; };
    const bool is_elsewhere = static_cast<ProblemCode>(code) == ProblemCode::unreadable ||
                              static_cast<ProblemCode>(code) == ProblemCode::duplicate_name;
    EXPECT_NE(std::any_of(std::begin(kCases), std::end(kCases), is_it), is_elsewhere)
        << to_string(static_cast<ProblemCode>(code));
  }
}

TEST(PolicyReader, AllProblemsInOneRun) {
  const PolicyFile file = read_case(policy_text(
      "p",
      "  mode: auto\n  match: {rul: a, severity: {gte: bad}}\n  threshold: {count: many, window: 5}\n"
      "  actions:\n    - container.pause: {ttl: x, colour: red}\n    - nothing.known\n    - if: {verified: maybe}\n"
      "      do: [host.isolate]\n  limits: {perTarget: often}\n  expires: never\n"));
  EXPECT_EQ(file.errors, 12u) << readable(file.problems);
  EXPECT_TRUE(std::is_sorted(file.problems.begin(), file.problems.end(), [](const Problem& a, const Problem& b) {
    return std::pair(a.line, a.column) < std::pair(b.line, b.column);
  }));
}

TEST(PolicyReader, SeveralDocumentsAndSharedNames) {
  const std::string one = policy_text("a", kRest + kDo), two = policy_text("b", kRest + kDo);
  PolicyFile file = read(one + "---\n" + two + "---\n");
  EXPECT_EQ(file.errors, 0u);
  ASSERT_EQ(file.policies.size(), 2u);
  EXPECT_EQ(file.policies[1]->name, "b");
  const PolicyFile twice = read(one + "---\n" + one);
  ASSERT_EQ(twice.errors, 1u);
  EXPECT_EQ(twice.problems[0].code, ProblemCode::duplicate_name);
  EXPECT_EQ(twice.problems[0].line, 12u);
  std::vector<PolicyFile> files;
  files.push_back(read(one));
  files.push_back(read(two + "---\n" + one));
  find_shared_names(files);
  EXPECT_EQ(files[0].errors, 0u);
  EXPECT_EQ(files[1].errors, 1u);
  EXPECT_EQ(files[1].policies.size(), 1u);
}

TEST(PolicyReader, TheWholeGrammarIsRead) {
  const PolicyFile file = read(policy_text("stolen-shell-to-egress", R"(  mode: approve
  match:
    all:
      - rule: {anyOf: ["Terminal shell in container", "Drop and execute*"]}
      - severity: {gte: high}
      - field: {k8s.ns.name: {notIn: [kube-system, quell]}}
  threshold: {count: 2, distinct: rule, window: 60s, groupBy: [container.id]}
  confidence: {gte: 0.8}
  scope: {clusters: [prod-*], maxTargets: 1}
  exclude: [{label: {quell.io/never-auto: "true"}}, {entityGroup: crown-jewels}]
  evidence: {before: [process_tree, sockets, file_copy], budget: 3s, capture: {before: 15s, after: 30s}}
  actions:
    - container.pause:            {ttl: 15m}
    - container.isolate_network:  {ttl: 4h, allow: [quell]}
    - if: {verified: not_contained}
      do: [container.kill: {restartPolicy: no}]
    - notify: [slack:#soc, pagerduty:p1]
  limits: {perTarget: 1/10m, perPolicy: 5/10m, perCluster: 20/1h, onExceed: disarm_and_page}
  health: {minHealthyReplicas: 60%, respectPDB: true}
  approval: {required: one_of(oncall), expires: 10m, onTimeout: soft_only}
  expires: 2027-03-31
)"));
  ASSERT_EQ(file.errors, 0u) << readable(file.problems);
  const Policy& p = *file.policies.at(0);
  EXPECT_EQ(p.mode, Mode::approve);
  EXPECT_EQ(p.threshold->window_ns, 60 * kSecondNs);
  EXPECT_EQ(p.scope.max_targets, 1u);
  EXPECT_EQ(p.exclude.size(), 2u);
  EXPECT_EQ(p.evidence.capture_after_ns, 30 * kSecondNs);
  ASSERT_EQ(p.steps.size(), 4u);
  EXPECT_EQ(p.step_count, 4u);
  EXPECT_EQ(p.steps[1].params, (ActionParams{{"allow", "quell"}}));
  EXPECT_EQ(p.steps[2].then.at(0).params, (ActionParams{{"restartPolicy", "no"}}));
  EXPECT_EQ(p.steps[2].then[0].number, 2u);
  EXPECT_EQ(p.limits.per_cluster, (Rate{20, 3600 * kSecondNs}));
  EXPECT_TRUE(p.health.min_healthy.is_percent);
  EXPECT_EQ(p.approval->required.group, "oncall");
  EXPECT_TRUE(p.approval->soft_only_on_timeout);
}

TEST(PolicyReader, TheHashIsOfTheContentWithoutTheMode) {
  const auto hash = [](const std::string& text) { return read(text).policies.at(0)->hash; };
  const std::string text = policy_text("p", kRest + kDo);
  std::string other = text;
  other.replace(other.find("enforce"), 7, "observe # later");
  EXPECT_EQ(hash(text), hash(other));
  std::string reordered = policy_text("p", kDo + "  match: {rule: \"Shell\"}\n" + kHead);
  EXPECT_EQ(hash(text), hash(reordered));
  std::string changed = text;
  changed.replace(changed.find("Shell"), 5, "Other");
  EXPECT_NE(hash(text), hash(changed));
}

TEST(PolicyReader, ConfigurationIsReadAndChecked) {
  const ConfigFile file =
      read_config("c.yaml",
                  "apiVersion: quell/v1\nkind: ResponseConfig\ncluster: prod\nentityGroups:\n"
                  "  crown: {images: [db], labels: {tier: crown}}\napproverGroups: {oncall: [alice, "
                  "bob]}\nnotify: [\"slack:#soc\"]\n");
  EXPECT_EQ(file.errors, 0u) << readable(file.problems);
  EXPECT_EQ(file.config.cluster, "prod");
  EXPECT_EQ(file.config.approver_groups.at("oncall").size(), 2u);
  EXPECT_TRUE(file.config.entity_groups.at("crown").images.matches("db"));
  const ConfigFile bad = read_config("c.yaml", "apiVersion: quell/v1\nkind: ResponseConfig\nclutser: prod\n");
  ASSERT_EQ(bad.errors, 1u);
  EXPECT_EQ(bad.problems[0].line, 3u);
  EXPECT_EQ(read_policy_file("/nowhere/p.yaml", {.actions = catalogue()}).problems.at(0).code, ProblemCode::unreadable);
}

TEST(PolicyValues, AreReadAndWritten) {
  EXPECT_EQ(parse_duration_ns("90s"), 90 * kSecondNs);
  EXPECT_EQ(parse_duration_ns("7d"), 7 * kDayNs);
  for (const char* bad : {"", "s", "1", "-1s", "1.5h", "1w", "99999999999s", "4000d", " 1s"})
    EXPECT_FALSE(parse_duration_ns(bad)) << bad;
  EXPECT_EQ(duration_text(90 * kSecondNs), "90s");
  EXPECT_EQ(duration_text(3600 * kSecondNs), "1h");
  EXPECT_EQ(duration_text(0), "0ms");
  for (const char* bad : {"", "1", "0/1m", "1/0s", "a/1m", "1/m", "1//1m"}) EXPECT_FALSE(parse_rate(bad)) << bad;
  EXPECT_EQ(rate_text(*parse_rate("5/600s")), "5/10m");
  for (const char* bad : {"", "%", "101%", "-1", "5 %"}) EXPECT_FALSE(parse_amount(bad)) << bad;
  for (const char* bad : {"", "oncall", "one_of()", "one_of(a b)", "one_of(a", "two_of"})
    EXPECT_FALSE(parse_approvers(bad)) << bad;
  EXPECT_EQ(parse_approvers("two_of(sec-ops)")->count, 2);
  EXPECT_TRUE(glob_match("a*c?e", "abbbcde"));
  EXPECT_TRUE(glob_match("*", ""));
  EXPECT_FALSE(glob_match("a*b", "ac"));
  EXPECT_TRUE(glob_match("*a*a*a*a*b", std::string(2000, 'a') + "b"));
}

}  // namespace
}  // namespace quell::respond::policy
