#include "respond/policy/explain.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>

#include "base/moment.h"
#include "model/severity.h"

namespace quell::respond::policy {
namespace {

using Op = ValueTest::Op;

std::string listed(const std::vector<std::string>& words, std::string_view last_word = "or") {
  std::string out;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) out += i + 1 == words.size() ? fmt::format(" {} ", last_word) : ", ";
    out += words[i];
  }
  return out;
}

std::string quoted(const GlobList& list, std::string_view last_word = "or") {
  std::vector<std::string> words;
  for (const std::string& word : list.written()) words.push_back(fmt::format("\"{}\"", word));
  return listed(words, last_word);
}

bool has_globs(const GlobList& list) {
  return std::any_of(list.written().begin(), list.written().end(), [](const std::string& one) { return is_glob(one); });
}

std::string verb(const ValueTest& test) {
  switch (test.op) {
    case Op::in: return "is " + quoted(test.list);
    case Op::not_in: return "is not " + quoted(test.list);
    case Op::glob: return (has_globs(test.list) ? "fits " : "is ") + quoted(test.list);
    case Op::not_glob: return (has_globs(test.list) ? "does not fit " : "is not ") + quoted(test.list);
    case Op::all_of_globs: return "include " + quoted(test.list, "and");
    case Op::regex: return fmt::format("matches /{}/", test.regex->pattern());
    case Op::gte: return fmt::format("is at least {}", test.number);
    case Op::gt: return fmt::format("is more than {}", test.number);
    case Op::lte: return fmt::format("is at most {}", test.number);
    case Op::lt: return fmt::format("is less than {}", test.number);
    case Op::exists: return "is known";
    case Op::is_absent: return "is not known";
  }
  return {};
}

std::string verbs(std::string_view subject, const std::vector<ValueTest>& tests) {
  std::vector<std::string> parts;
  for (const ValueTest& test : tests) parts.push_back(verb(test));
  return fmt::format("{} {}", subject, listed(parts, "and"));
}

std::string severities(uint8_t mask) {
  std::vector<std::string> words;
  for (int i = 0; i < 5; ++i)
    if ((mask >> i & 1) != 0) words.emplace_back(to_string(static_cast<Severity>(i)));
  return words.empty() ? "the severity is none" : "the severity is " + listed(words);
}

std::string joined(const Condition& condition, std::string_view word, bool in_brackets) {
  std::vector<std::string> parts;
  for (const Condition& part : condition.parts) {
    const bool is_group = part.parts.size() > 1 && part.kind != condition.kind;
    parts.push_back(is_group ? "(" + describe(part) + ")" : describe(part));
  }
  std::string out;
  for (size_t i = 0; i < parts.size(); ++i) out += (i == 0 ? "" : fmt::format(", {} ", word)) + parts[i];
  return in_brackets && parts.size() > 1 ? "(" + out + ")" : out;
}

std::string rate_words(const Rate& rate) {
  return fmt::format("{} {} in {}", rate.count, rate.count == 1 ? "time" : "times", duration_text(rate.window_ns));
}

std::string approvers_words(const Approvers& approvers) {
  return fmt::format("{} of {}", approvers.count == 1 ? "one" : "two",
                     approvers.group.empty() ? std::string("those who may approve") : "group " + approvers.group);
}

class Explainer {
 public:
  explicit Explainer(const Policy& policy) : policy_(policy) {}

  std::string run() {
    line(fmt::format("{} (version {}, of {})", policy_.name, policy_.version, policy_.owner));
    mode();
    when();
    whom();
    evidence();
    line("It does, in this order:");
    steps(policy_.steps, 1);
    limits();
    approval();
    if (policy_.expires_ns != 0)
      line(fmt::format("It ends on {}; after that it does nothing.", date_utc(policy_.expires_ns - 1)));
    return out_;
  }

 private:
  void line(std::string_view text) { out_ += fmt::format("{}\n", text); }

  void mode() {
    switch (policy_.mode) {
      case Mode::observe: return line("It only observes: what it would do is recorded, and nothing is done.");
      case Mode::approve: return line("It asks: nothing is done before people agree.");
      case Mode::enforce: return line("It acts by itself, within its limits.");
    }
  }

  void when() {
    const std::string match = describe(policy_.match);
    if (!policy_.threshold) {
      line(fmt::format("When: each detection of which {}.", match));
    } else {
      const Threshold& threshold = *policy_.threshold;
      std::string what = fmt::format("{} detections", threshold.count);
      if (!threshold.distinct.empty())
        what = threshold.distinct == "rule"
                   ? fmt::format("detections of {} different rules", threshold.count)
                   : fmt::format("detections with {} different values of {}", threshold.count, threshold.distinct);
      const std::string with =
          threshold.group_by.empty() ? "" : fmt::format(" with the same {}", listed(threshold.group_by, "and"));
      line(fmt::format("When: {} within {}{}, of which {}.", what, duration_text(threshold.window_ns), with, match));
      line("      Once that is reached, the count starts anew.");
    }
    const Confidence& bounds = policy_.confidence;
    if (bounds.gte) line(fmt::format("      The incident's confidence must be at least {}.", *bounds.gte));
    if (bounds.gt) line(fmt::format("      The incident's confidence must be more than {}.", *bounds.gt));
    if (bounds.lte) line(fmt::format("      The incident's confidence must be at most {}.", *bounds.lte));
    if (bounds.lt) line(fmt::format("      The incident's confidence must be less than {}.", *bounds.lt));
  }

  void whom() {
    const Scope& scope = policy_.scope;
    const auto place = [&](std::string_view what, const GlobList& list) {
      if (!list.empty()) line(fmt::format("      Only where the {} fits {}.", what, quoted(list)));
    };
    place("cluster", scope.clusters);
    place("namespace", scope.namespaces);
    place("image", scope.images);
    place("host", scope.hosts);
    for (const Exclusion& one : policy_.exclude) {
      std::vector<std::string> parts;
      for (const auto& [name, value] : one.labels)
        parts.push_back(fmt::format("the label {} fits \"{}\"", name, value));
      if (!one.entity_groups.empty()) parts.push_back(fmt::format("it belongs to group {}", listed(one.entity_groups)));
      if (!one.condition.parts.empty()) parts.push_back(describe(one.condition));
      line(fmt::format("      Never if {}.", listed(parts, "and")));
    }
    if (scope.max_targets != 0)
      line(fmt::format("      At most {} target{} in its effect at once.", scope.max_targets,
                       scope.max_targets == 1 ? "" : "s"));
  }

  void evidence() {
    const Evidence& evidence = policy_.evidence;
    if (!evidence.before.empty())
      line(fmt::format("Evidence: {}{}.", listed(evidence.before, "and"),
                       evidence.budget_ns == 0 ? std::string()
                                               : fmt::format("; what is not there after {} is left out",
                                                             duration_text(evidence.budget_ns))));
    if (evidence.capture_before_ns + evidence.capture_after_ns != 0)
      line(fmt::format("Evidence: system calls from {} before to {} after the detection.",
                       duration_text(evidence.capture_before_ns), duration_text(evidence.capture_after_ns)));
  }

  void steps(const std::vector<Step>& steps, int depth) {
    const std::string indent(static_cast<size_t>(depth) * 2, ' ');
    for (const Step& step : steps) {
      if (step.kind == Step::Kind::when) {
        std::vector<std::string> states;
        for (const ActionState state : step.verified) states.emplace_back(to_string(state));
        line(fmt::format("{}- if the action before ended as {}:", indent, listed(states)));
        this->steps(step.then, depth + 1);
      } else if (step.kind == Step::Kind::notify) {
        line(fmt::format("{}- tells {}", indent, listed(step.notify, "and")));
      } else {
        std::string text = fmt::format("{}- {} on the {} ({})", indent, step.action, to_string(step.target),
                                       to_string(step.effect_class));
        if (step.ttl_ns != 0) text += fmt::format(", undone after {}", duration_text(step.ttl_ns));
        for (const auto& [name, value] : step.params) text += fmt::format(", {} {}", name, value);
        line(text);
      }
    }
  }

  void limits() {
    const Limits& limits = policy_.limits;
    std::string text = fmt::format("Limits: {} for the policy, {} for all policies of the cluster",
                                   rate_words(limits.per_policy), rate_words(limits.per_cluster));
    if (limits.per_target.count != 0) text += fmt::format(", {} for one target", rate_words(limits.per_target));
    line(text + (limits.disarms ? ". Beyond that it disarms itself and pages." : ". What goes beyond is dropped."));
    const Health& health = policy_.health;
    if (health.min_healthy.value != 0)
      line(fmt::format("Health: {}{} of the workload's replicas must stay healthy.", health.min_healthy.value,
                       health.min_healthy.is_percent ? " %" : ""));
    if (health.respect_pdb) line("Health: pod disruption budgets hold.");
  }

  void approval() {
    std::vector<std::string> asked;
    uint8_t people = policy_.approval ? policy_.approval->required.count : 1;
    for_each_step(policy_.steps, [&](const Step& step) {
      if (step.kind != Step::Kind::action) return;
      if (step.effect_class == EffectClass::critical) people = 2;
      if (policy_.mode == Mode::approve || step.effect_class >= EffectClass::wide) asked.push_back(step.action);
    });
    if (asked.empty()) return line("Approval: none is needed in this mode.");
    const Approval approval = policy_.approval.value_or(Approval{});
    Approvers approvers = approval.required;
    approvers.count = people;
    line(fmt::format("Approval: {} must agree to {}, within {}; else {}.", approvers_words(approvers),
                     listed(asked, "and"), duration_text(approval.expires_ns),
                     approval.soft_only_on_timeout ? "only what is of class contain-soft is done" : "it is cancelled"));
  }

  const Policy& policy_;
  std::string out_;
};

}  // namespace

std::string describe(const Condition& condition) {
  switch (condition.kind) {
    case Condition::Kind::all: return joined(condition, "and", false);
    case Condition::Kind::any: return joined(condition, "or", true);
    case Condition::Kind::negation: return "not (" + describe(condition.parts.front()) + ")";
    case Condition::Kind::rule: return verbs("the rule", condition.tests);
    case Condition::Kind::severity: return severities(condition.severities);
    case Condition::Kind::tags: return verbs("one of its tags", condition.tests);
    case Condition::Kind::source: return verbs("the source", condition.tests);
    case Condition::Kind::field: return verbs(condition.field, condition.tests);
  }
  return {};
}

std::string explain(const Policy& policy) { return Explainer(policy).run(); }

}  // namespace quell::respond::policy
