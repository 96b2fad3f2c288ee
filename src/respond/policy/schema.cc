#include "respond/policy/schema.h"

#include <algorithm>

#include "model/action.h"
#include "model/severity.h"

namespace quell::respond::policy {
namespace {

using enum Shape;

constexpr KeyRow kRows[] = {
    {"policy", "apiVersion", choice, "api_version", true, "Version of this format.", "quell/v1"},
    {"policy", "kind", choice, "policy_kind", true, "What the document is.", "ResponsePolicy"},
    {"policy", "metadata", object, "metadata", true, "Who it is.", ""},
    {"policy", "spec", object, "spec", true, "What it does.", ""},

    {"metadata", "name", name, "", true, "Unique among all loaded policies; state and history belong to it.",
     "stolen-shell"},
    {"metadata", "owner", text, "", true, "Who answers for it.", "sec-platform"},
    {"metadata", "version", count, "", true, "Raised with every change of meaning.", "7"},

    {"spec", "mode", choice, "mode", true,
     "`observe`: decides and records what it would do. `approve`: asks. `enforce`: acts. Raised by `quell policy "
     "promote`.",
     "observe"},
    {"spec", "match", object, "condition", true, "The detections it is about.", ""},
    {"spec", "threshold", object, "threshold", false, "How many of them it takes; without it each one fires.", ""},
    {"spec", "confidence", object, "confidence", false,
     "Of the incident that the detection belongs to; 1 until triage supplies one.", "{gte: 0.8}"},
    {"spec", "scope", object, "scope", false, "Where it applies; without it everywhere.", ""},
    {"spec", "exclude", objects, "exclusion", false,
     "What it leaves alone. An entry holds if all its keys hold; one "
     "entry that holds is enough.",
     ""},
    {"spec", "evidence", object, "evidence", false, "What is collected first.", ""},
    {"spec", "actions", steps, "", true, "In this order; see below.", ""},
    {"spec", "limits", object, "limits", false, "The brake.", ""},
    {"spec", "health", object, "health", false, "What must stay alive; checked by the guards before the effect.", ""},
    {"spec", "approval", object, "approval", false,
     "Who must agree in mode `approve`, and in `enforce` to actions of "
     "class contain-wide.",
     ""},
    {"spec", "expires", deadline, "", false, "Last day, or the moment (UTC) from which on it does nothing.",
     "2027-03-31"},

    {"condition", "all", objects, "condition", false, "Every one of them must hold.", ""},
    {"condition", "any", objects, "condition", false, "One of them must hold.", ""},
    {"condition", "not", object, "condition", false, "It must not hold.", ""},
    {"condition", "rule", object_or_texts, "rule_match", false, "Name of the rule; texts are names or globs.",
     "{anyOf: [\"Terminal shell*\"]}"},
    {"condition", "severity", object_or_choices, "severity_match", false, "How bad the rule says it is.",
     "{gte: high}"},
    {"condition", "tags", object_or_texts, "tags_match", false, "Tags of the rule; texts are tags or globs.",
     "[mitre_execution]"},
    {"condition", "source", texts, "", false,
     "Where it came from. Detections of source `quell`, our own outcomes, "
     "match only policies that name it here.",
     "syscall"},
    {"condition", "field", field_map, "field_match", false,
     "Any output field or entity field; all of them must "
     "hold. A value or a list alone means `in`.",
     "{k8s.ns.name: {notIn: [kube-system]}}"},

    {"rule_match", "anyOf", texts, "", false, "One of these names or globs.", "[\"Shell*\"]"},
    {"rule_match", "noneOf", texts, "", false, "None of these.", "[\"Shell*\"]"},
    {"rule_match", "regex", regex, "", false, "RE2, anywhere in the name.", "\"shell|tunnel\""},

    {"severity_match", "in", choices, "severity", false, "One of these.", "[high, critical]"},
    {"severity_match", "notIn", choices, "severity", false, "None of these.", "[low]"},
    {"severity_match", "eq", choice, "severity", false, "Just this.", "high"},
    {"severity_match", "gte", choice, "severity", false, "This or worse.", "high"},
    {"severity_match", "gt", choice, "severity", false, "Worse than this.", "medium"},
    {"severity_match", "lte", choice, "severity", false, "This or less.", "medium"},
    {"severity_match", "lt", choice, "severity", false, "Less than this.", "critical"},

    {"tags_match", "anyOf", texts, "", false, "Has one of these.", "[T1059, T1059.*]"},
    {"tags_match", "allOf", texts, "", false, "Has every one of these.", "[container, shell]"},
    {"tags_match", "noneOf", texts, "", false, "Has none of these.", "[noise]"},

    {"field_match", "in", values, "", false, "Equals one of these.", "[nginx, httpd]"},
    {"field_match", "notIn", values, "", false, "Equals none of these; holds if there is no value.", "[kube-system]"},
    {"field_match", "eq", value, "", false, "Equals.", "nginx"},
    {"field_match", "ne", value, "", false, "Does not equal; holds if there is no value.", "root"},
    {"field_match", "glob", texts, "", false, "One of these globs fits the whole value.", "\"/tmp/*\""},
    {"field_match", "notGlob", texts, "", false, "None of these globs fits; holds if there is no value.", "\"/usr/*\""},
    {"field_match", "regex", regex, "", false, "RE2, anywhere in the value.", "\"^/dev/shm/\""},
    {"field_match", "gte", number, "", false, "At least, as a number.", "1024"},
    {"field_match", "gt", number, "", false, "More than, as a number.", "1023"},
    {"field_match", "lte", number, "", false, "At most, as a number.", "1024"},
    {"field_match", "lt", number, "", false, "Less than, as a number.", "1024"},
    {"field_match", "exists", flag, "", false, "Whether there is a value at all.", "true"},

    {"threshold", "count", count, "", true, "So many detections, or different values of `distinct`.", "2"},
    {"threshold", "distinct", text, "", false,
     "Count different values of this field instead; `rule` for different "
     "rules.",
     "rule"},
    {"threshold", "window", duration, "", true, "Within this time; event time, sliding.", "60s"},
    {"threshold", "groupBy", texts, "", false, "Counted apart for each combination of these fields.", "[container.id]"},

    {"confidence", "gte", fraction, "", false, "At least.", "0.8"},
    {"confidence", "gt", fraction, "", false, "More than.", "0.5"},
    {"confidence", "lte", fraction, "", false, "At most.", "0.9"},
    {"confidence", "lt", fraction, "", false, "Less than.", "1"},

    {"scope", "clusters", texts, "", false, "Names or globs of clusters.", "[prod-*]"},
    {"scope", "namespaces", texts, "", false, "Names or globs of Kubernetes namespaces.", "[payments]"},
    {"scope", "images", texts, "", false, "Image names or globs, with or without tag.", "[registry.example/pay/*]"},
    {"scope", "hosts", texts, "", false, "Host names or globs.", "[web-*]"},
    {"scope", "maxTargets", count, "", false, "At most so many targets in its effect at once.", "1"},

    {"exclusion", "label", text_map, "", false, "Labels of the container, the pod or the host; values may be globs.",
     "{quell.io/never-auto: \"true\"}"},
    {"exclusion", "entityGroup", texts, "", false, "A group of the configuration.", "crown-jewels"},
    {"exclusion", "rule", object_or_texts, "rule_match", false, "As in `match`.", ""},
    {"exclusion", "severity", object_or_choices, "severity_match", false, "As in `match`.", ""},
    {"exclusion", "tags", object_or_texts, "tags_match", false, "As in `match`.", ""},
    {"exclusion", "source", texts, "", false, "As in `match`.", ""},
    {"exclusion", "field", field_map, "field_match", false, "As in `match`.", ""},

    {"evidence", "before", choices, "evidence", false, "What is collected.", "[process_tree, sockets]"},
    {"evidence", "budget", duration, "", false, "What is not there by then is left out. Runs after soft containment.",
     "3s"},
    {"evidence", "capture", object, "capture", false, "System calls around the detection.", ""},
    {"capture", "before", duration, "", false, "From so long before it.", "15s"},
    {"capture", "after", duration, "", false, "Until so long after it.", "30s"},

    {"limits", "perTarget", rate, "", false, "Firings for one target.", "1/10m"},
    {"limits", "perPolicy", rate, "", false, "Firings of this policy. Without it 10/10m.", "5/10m"},
    {"limits", "perCluster", rate, "", false, "Firings of all policies that act in the cluster. Without it 50/1h.",
     "20/1h"},
    {"limits", "onExceed", choice, "on_exceed", false,
     "`disarm_and_page` (default): the policy stops until it is armed again, and people are told. `drop`: only the "
     "firing is dropped.",
     "disarm_and_page"},

    {"health", "minHealthyReplicas", amount, "", false, "Of the workload, where its controller is known.", "60%"},
    {"health", "respectPDB", flag, "", false, "Whether pod disruption budgets hold.", "true"},

    {"approval", "required", approvers, "", true, "One or two people of an approver group.", "one_of(oncall)"},
    {"approval", "expires", duration, "", false, "How long the question stands. Without it 10m.", "10m"},
    {"approval", "onTimeout", choice, "on_timeout", false,
     "`cancel` (default), or `soft_only`: actions of class contain-soft run all the same.", "soft_only"},

    {"step", "if", object, "step_condition", false, "Holds for the action that ran last before it.",
     "{verified: not_contained}"},
    {"step", "do", steps, "", false, "What follows an `if` that holds.", "[container.kill: {}]"},
    {"step", "notify", texts, "", false, "Whom to tell; targets of the configuration.", "[\"slack:#soc\"]"},
    {"step_condition", "verified", choices, "state", true, "States of the action.", "[not_contained, failed]"},

    {"config", "apiVersion", choice, "api_version", true, "Version of this format.", "quell/v1"},
    {"config", "kind", choice, "config_kind", true, "What the document is.", "ResponseConfig"},
    {"config", "cluster", text, "", false, "Name of the cluster that this machine belongs to.", "prod-eu"},
    {"config", "entityGroups", object_map, "entity_group", false, "Groups that `exclude` can name.", ""},
    {"config", "approverGroups", texts_map, "", false, "Groups that `approval` can name, with their people.",
     "{oncall: [alice, bob]}"},
    {"config", "notify", texts, "", false, "Targets that `notify` can name.", "[\"slack:#soc\"]"},
    {"entity_group", "containers", texts, "", false, "Names or globs of containers.", "[db-*]"},
    {"entity_group", "images", texts, "", false, "Image names or globs, with or without tag.", "[postgres]"},
    {"entity_group", "namespaces", texts, "", false, "Names or globs of Kubernetes namespaces.", "[payments]"},
    {"entity_group", "hosts", texts, "", false, "Host names or globs.", "[db-*]"},
    {"entity_group", "users", texts, "", false, "User names or globs.", "[backup]"},
    {"entity_group", "labels", text_map, "", false, "Labels, each enough; values may be globs.", "{tier: crown}"},

    {"test", "why", text, "", false, "For whoever sees it fail.", ""},
    {"test", "policies", texts, "", true, "Policy files, from this file's folder.", "[shell.yaml]"},
    {"test", "config", object, "test_config", false, "The configuration that they meet.", ""},
    {"test", "cases", objects, "test_case", true, "Each starts with nothing known.", ""},
    {"test_config", "cluster", text, "", false, "As in a ResponseConfig.", ""},
    {"test_config", "entityGroups", object_map, "entity_group", false, "As in a ResponseConfig.", ""},
    {"test_config", "approverGroups", texts_map, "", false, "As in a ResponseConfig.", ""},
    {"test_config", "notify", texts, "", false, "As in a ResponseConfig.", ""},
    {"test_case", "name", text, "", true, "", ""},
    {"test_case", "why", text, "", false, "For whoever sees it fail.", ""},
    {"test_case", "mode", choice, "mode", false, "Instead of what the policies say.", "enforce"},
    {"test_case", "detections", objects, "test_detection", true, "What happens, in the order of arrival.", ""},
    {"test_case", "outcomes", text_map, "", false, "State in which an action ends; without it `contained`.",
     "{container.pause: not_contained}"},
    {"test_case", "approval", choice, "answer", false, "What people say when they are asked; without it granted.",
     "timed_out"},
    {"test_case", "expect", objects, "test_expectation", false, "Every decision that must come, and no other.", ""},
    {"test_case", "notFired", texts, "", false, "Policies that must not decide anything.", "[shell]"},
    {"test_detection", "at", duration, "", true, "Event time since the start of the case.", "30s"},
    {"test_detection", "rule", text, "", true, "Name of the rule.", ""},
    {"test_detection", "severity", choice, "severity", false, "Without it high.", "critical"},
    {"test_detection", "source", text, "", false, "Without it syscall.", "quell"},
    {"test_detection", "tags", texts, "", false, "Tags of the rule.", ""},
    {"test_detection", "host", text, "", false, "Host name.", "web-1"},
    {"test_detection", "fields", text_map, "", false, "Output fields and entity fields.", "{container.id: c1}"},
    {"test_detection", "labels", text_map, "", false, "Labels of the container.", ""},
    {"test_detection", "confidence", fraction, "", false, "Without it 1.", "0.5"},
    {"test_detection", "repeat", count, "", false,
     "So many in a row, each with another pid and container if these are "
     "written with `{n}`.",
     "1000"},
    {"test_expectation", "detection", text, "", false, "Position of the detection that brings it, from 0.", "1"},
    {"test_expectation", "policy", text, "", false, "Its name; needed if the test has several.", ""},
    {"test_expectation", "state", choice, "decision", true, "What is decided.", "run"},
    {"test_expectation", "reason", choice, "refusal", false, "Why it is refused, or what the page is about.",
     "per_policy"},
    {"test_expectation", "target", text, "", false, "What it is about.", "container:c1"},
    {"test_expectation", "steps", texts_or_none, "", false,
     "What runs, given the outcomes: actions, and notify:TARGET.", "[container.pause]"},
    {"test_expectation", "times", count, "", false, "So many of them, in a row or not. Without it 1.", "3"},
};

constexpr std::string_view kApiVersion[] = {"quell/v1"};
constexpr std::string_view kPolicyKind[] = {"ResponsePolicy"};
constexpr std::string_view kConfigKind[] = {"ResponseConfig"};
constexpr std::string_view kModes[] = {"observe", "approve", "enforce"};
constexpr std::string_view kSeverities[] = {"informational", "low", "medium", "high", "critical"};
constexpr std::string_view kOnExceed[] = {"disarm_and_page", "drop"};
constexpr std::string_view kOnTimeout[] = {"cancel", "soft_only"};
constexpr std::string_view kEvidence[] = {"process_tree", "open_files", "sockets",    "environment",
                                          "file_copy",    "memory",     "layer_diff", "logs"};
constexpr std::string_view kDecisions[] = {"observed", "requested", "run", "joined", "refused", "paged"};
constexpr std::string_view kRefusals[] = {"no_target", "max_targets", "per_target", "per_policy", "per_cluster"};
constexpr std::string_view kAnswers[] = {"pending", "granted", "denied", "timed_out"};
constexpr ActionState kOutcomes[] = {
    ActionState::contained,       ActionState::partially_contained,
    ActionState::not_contained,   ActionState::failed,
    ActionState::unknown,         ActionState::refused_guard,
    ActionState::stale_target,    ActionState::cancelled,
    ActionState::expired_request, ActionState::already_in_effect,
    ActionState::undone,          ActionState::undo_failed,
};

struct WordSet {
  std::string_view name;
  std::span<const std::string_view> words;
};
constexpr WordSet kSets[] = {
    {"api_version", kApiVersion}, {"policy_kind", kPolicyKind}, {"config_kind", kConfigKind}, {"mode", kModes},
    {"severity", kSeverities},    {"on_exceed", kOnExceed},     {"on_timeout", kOnTimeout},   {"evidence", kEvidence},
    {"decision", kDecisions},     {"refusal", kRefusals},       {"answer", kAnswers},
};

}  // namespace

std::span<const KeyRow> key_rows() { return kRows; }

std::vector<std::string_view> words_of(std::string_view set) {
  for (const WordSet& one : kSets)
    if (one.name == set) return {one.words.begin(), one.words.end()};
  std::vector<std::string_view> out;
  if (set == "state")
    for (const ActionState state : kOutcomes) out.push_back(to_string(state));
  return out;
}

bool is_outcome(std::string_view state) {
  return std::any_of(std::begin(kOutcomes), std::end(kOutcomes),
                     [&](ActionState one) { return to_string(one) == state; });
}

}  // namespace quell::respond::policy
