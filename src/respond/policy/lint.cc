// What is allowed by form and makes no sense, or not here.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>

#include "respond/policy/bind.h"
#include "respond/policy/detection_fields.h"

namespace quell::respond::policy {
namespace {

constexpr uint64_t kMaxWindowNs = kDayNs;

/// Calls `visit` with every scalar that stands behind `key` in conditions below `node`, be it one, a list, or behind an
/// operator.
template <typename Visit>
void for_each_text(const yaml::Node& node, const Visit& visit) {
  if (node.is_scalar()) visit(node);
  for (const yaml::Node* item : node.items()) for_each_text(*item, visit);
}

template <typename Visit>
void for_each_key(const yaml::Node& condition, std::string_view key, const Visit& visit, int depth = 0) {
  if (depth > 16) return;
  for (const yaml::Entry& entry : condition.entries()) {
    if (entry.key->text() == key) {
      visit(*entry.value);
    } else if (entry.key->text() == "all" || entry.key->text() == "any") {
      for (const yaml::Node* item : entry.value->items()) for_each_key(*item, key, visit, depth + 1);
    } else if (entry.key->text() == "not") {
      for_each_key(*entry.value, key, visit, depth + 1);
    }
  }
}

class Lint {
 public:
  Lint(const Policy& policy, const ReadOptions& options, Problems& problems)
      : policy_(policy), options_(options), problems_(problems), spec_(policy.document->find("spec")) {}

  void run() {
    rules();
    fields();
    severities();
    threshold();
    confidence();
    targets();
    groups();
    limits();
    expiry();
  }

 private:
  const yaml::Node* at(std::initializer_list<std::string_view> keys) const { return node_at(spec_, keys); }

  template <typename Visit>
  void for_each_in_conditions(std::string_view key, const Visit& visit) const {
    if (const yaml::Node* match = at({"match"})) for_each_key(*match, key, visit);
    if (const yaml::Node* exclude = at({"exclude"}))
      for (const yaml::Node* item : exclude->items()) for_each_key(*item, key, visit);
  }

  void rules() {
    if (options_.rules.empty()) return;
    const auto check = [&](const yaml::Node& name) {
      const bool is_there = std::any_of(options_.rules.begin(), options_.rules.end(),
                                        [&](const std::string& rule) { return glob_match(name.text(), rule); });
      if (!is_there)
        problems_.warning(ProblemCode::unknown_rule, name, fmt::format("no rule is called \"{}\"", name.text()),
                          did_you_mean(name.text(), {options_.rules.begin(), options_.rules.end()}));
    };
    for_each_in_conditions("rule", [&](const yaml::Node& value) {
      for_each_text(value, check);
      for (const char* key : {"anyOf", "noneOf"})
        if (const yaml::Node* names = value.find(key)) for_each_text(*names, check);
    });
  }

  void field(const yaml::Node& place, const std::string& name) {
    if (!options_.knows_field || name.starts_with("container.label[") || options_.knows_field(name)) return;
    std::vector<std::string_view> known;
    for (const EntityField& one : entity_fields()) known.push_back(one.name);
    if (std::find(known.begin(), known.end(), name) != known.end()) return;
    problems_.warning(ProblemCode::unknown_field, place, fmt::format("no rule can print a field \"{}\"", name),
                      known.empty() ? std::string() : did_you_mean(name, known));
  }

  void fields() {
    for_each_in_conditions("field", [&](const yaml::Node& value) {
      for (const yaml::Entry& entry : value.entries()) field(*entry.key, entry.key->text());
    });
    if (const yaml::Node* names = at({"threshold", "groupBy"}))
      for_each_text(*names, [&](const yaml::Node& name) { field(name, name.text()); });
    if (const yaml::Node* name = at({"threshold", "distinct"})) field(*name, name->text());
  }

  void severities() {
    for_each_in_conditions("severity", [&](const yaml::Node& value) {
      if (value.is_map() && !value.entries().empty() && severity_mask(value) == 0)
        problems_.warning(ProblemCode::never_true, value, "no severity can pass these bounds together");
    });
  }

  void threshold() {
    if (!policy_.threshold) return;
    const Threshold& threshold = *policy_.threshold;
    const yaml::Node& place = *at({"threshold"});
    if (threshold.group_by.empty() && threshold.count > 1)
      problems_.warning(ProblemCode::no_group_by, place,
                        "the threshold counts detections of all containers and hosts together, and acts on whichever "
                        "comes last",
                        "add groupBy: [container.id]");
    if (threshold.window_ns > kMaxWindowNs)
      problems_.error(ProblemCode::bad_value, *at({"threshold", "window"}),
                      "a window longer than a day would hold more than a day of detections in memory",
                      "use 24h or less");
    if (is_zero(at({"threshold", "window"})))
      problems_.error(ProblemCode::bad_value, *at({"threshold", "window"}), "a window must be longer than nothing");
    if (threshold.distinct == "rule" && threshold.count > 1) {
      // Names that a detection can have at all, if the condition enumerates them.
      std::set<std::string> names;
      bool is_open = true;
      for (const Condition& part : policy_.match.parts) collect_rules(part, names, is_open);
      if (!is_open && names.size() < threshold.count)
        problems_.warning(ProblemCode::never_true, place,
                          fmt::format("{} different rules are asked for, and `match` lets only {} through",
                                      threshold.count, names.size()));
    }
  }

  static bool is_zero(const yaml::Node* node) { return node != nullptr && parse_duration_ns(node->text()) == 0u; }

  static void collect_rules(const Condition& condition, std::set<std::string>& names, bool& is_open) {
    if (condition.kind == Condition::Kind::all)
      for (const Condition& part : condition.parts) collect_rules(part, names, is_open);
    if (condition.kind != Condition::Kind::rule) return;
    for (const ValueTest& test : condition.tests) {
      if (test.op != ValueTest::Op::glob) continue;
      const auto& list = test.list.written();
      if (std::any_of(list.begin(), list.end(), [](const std::string& name) { return is_glob(name); })) continue;
      is_open = false;
      names.insert(list.begin(), list.end());
    }
  }

  void confidence() {
    const Confidence& bounds = policy_.confidence;
    const double low = std::max(bounds.gte.value_or(0), bounds.gt.value_or(0));
    const double high = std::min(bounds.lte.value_or(1), bounds.lt.value_or(1));
    const bool is_open = bounds.gt.value_or(-1) >= high || bounds.lt.value_or(2) <= low;
    if (low > high || is_open)
      problems_.warning(ProblemCode::never_true, *at({"confidence"}), "no confidence can pass these bounds");
  }

  /// Whether the condition holds on hosts only.
  static bool demands_host(const Condition& condition) {
    if (condition.kind == Condition::Kind::all)
      return std::any_of(condition.parts.begin(), condition.parts.end(), demands_host);
    if (condition.kind != Condition::Kind::field || condition.field != "container.id") return false;
    return std::any_of(condition.tests.begin(), condition.tests.end(), [](const ValueTest& test) {
      return test.op == ValueTest::Op::in && test.list.written().size() == 1 && test.list.written()[0] == "host";
    });
  }

  void targets() {
    const bool is_host_only = demands_host(policy_.match);
    const auto& group_by = policy_.threshold ? policy_.threshold->group_by : std::vector<std::string>{};
    const bool groups_targets =
        group_by.empty() || std::any_of(group_by.begin(), group_by.end(), [](const std::string& field) {
          return field.starts_with("container.") || field.starts_with("k8s.pod.") || field == "proc.pid";
        });
    std::set<std::string> told;
    for_each_step(policy_.steps, [&](const Step& step) {
      if (step.kind != Step::Kind::action || step.target != TargetKind::container) return;
      if (!told.insert(step.action).second) return;
      if (is_host_only)
        problems_.error(
            ProblemCode::impossible_target, place_of(step.action),
            fmt::format("{} needs a container, and `match` asks for processes outside of containers", step.action),
            "use an action on processes or on the host");
      if (!groups_targets)
        problems_.warning(ProblemCode::impossible_target, place_of(step.action),
                          fmt::format("{} acts on one container, and a group of {} may span several: only that of the "
                                      "last detection is acted on",
                                      step.action, fmt::join(group_by, ", ")),
                          "group by container.id as well");
    });
  }

  /// Where the action is first named.
  const yaml::Node& place_of(const std::string& action) const {
    const yaml::Node* list = at({"actions"});
    const yaml::Node* found = nullptr;
    const std::function<void(const yaml::Node*)> search = [&](const yaml::Node* steps) {
      if (steps == nullptr) return;
      for (const yaml::Node* item : steps->items()) {
        if (item->text() == action && found == nullptr) found = item;
        for (const yaml::Entry& entry : item->entries())
          if (entry.key->text() == action && found == nullptr) found = entry.key;
        search(item->find("do"));
      }
    };
    search(list);
    return found != nullptr ? *found : *list;
  }

  void groups() {
    if (options_.config == nullptr) return;
    const auto& entity_groups = options_.config->entity_groups;
    if (const yaml::Node* exclude = at({"exclude"})) {
      for (const yaml::Node* item : exclude->items()) {
        const yaml::Node* names = item->find("entityGroup");
        if (names == nullptr) continue;
        for_each_text(*names, [&](const yaml::Node& name) { known_group(name, name.text(), entity_groups, true); });
      }
    }
    const yaml::Node* required = at({"approval", "required"});
    if (!policy_.approval || required == nullptr || policy_.approval->required.group.empty()) return;
    const auto& approvers = options_.config->approver_groups;
    const Approvers& wanted = policy_.approval->required;
    const bool is_error = policy_.mode != Mode::observe;
    if (!known_group(*required, wanted.group, approvers, is_error)) return;
    const size_t people = approvers.find(wanted.group)->second.size();
    if (people < wanted.count)
      problems_.add(is_error, ProblemCode::bad_value, *required,
                    fmt::format("group {} has {} people, so {} can never agree", wanted.group, people, wanted.count));
  }

  template <typename Groups>
  bool known_group(const yaml::Node& place, const std::string& name, const Groups& groups, bool is_error) {
    if (groups.find(name) != groups.end()) return true;
    std::vector<std::string_view> known;
    for (const auto& [group, content] : groups) known.push_back(group);
    problems_.add(is_error, ProblemCode::unknown_group, place,
                  fmt::format("the configuration has no group \"{}\"", name), did_you_mean(name, known));
    return false;
  }

  void limits() {
    if (policy_.mode == Mode::enforce && at({"limits"}) == nullptr)
      problems_.warning(ProblemCode::no_limits, *at({"mode"}), "this policy acts by itself and sets no limits",
                        fmt::format("perPolicy {} and perCluster {} apply; write `limits` to choose",
                                    rate_text(policy_.limits.per_policy), rate_text(policy_.limits.per_cluster)));
  }

  void expiry() {
    if (policy_.expires_ns != 0 && options_.now_ns >= policy_.expires_ns)
      problems_.warning(ProblemCode::expired, *at({"expires"}), "this policy has expired and does nothing",
                        "move the date, or remove the file");
  }

  const Policy& policy_;
  const ReadOptions& options_;
  Problems& problems_;
  const yaml::Node* spec_;
};

}  // namespace

void lint_policy(const Policy& policy, const ReadOptions& options, Problems& problems) {
  if (policy.document->find("spec") != nullptr) Lint(policy, options, problems).run();
}

}  // namespace quell::respond::policy
