// Steps against the catalogue of actions.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "respond/policy/bind.h"

namespace quell::respond::policy {
namespace {

constexpr std::string_view kTtl = "ttl";

class StepBinder {
 public:
  StepBinder(const ReadOptions& options, Policy& policy, Problems& problems)
      : options_(options), policy_(policy), problems_(problems) {}

  std::vector<Step> bind(const yaml::Node* list, int depth) {
    std::vector<Step> out;
    if (list == nullptr || depth > 16) return out;
    for (const yaml::Node* item : list->items()) {
      if (item->is_scalar()) {
        action(*item, nullptr, out.emplace_back());
      } else if (const yaml::Node* condition = item->find("if")) {
        Step& step = out.emplace_back();
        step.kind = Step::Kind::when;
        for (const std::string& state : texts_of(condition->find("verified")))
          if (const auto known = parse_action_state(state)) step.verified.push_back(*known);
        if (!has_action_)
          problems_.warning(ProblemCode::never_true, *condition, "no action runs before this `if`, so it never holds",
                            "put the action that it asks about in front of it");
        out.back().then = bind(item->find("do"), depth + 1);
      } else if (item->entries().size() == 1) {
        const yaml::Entry& entry = item->entries().front();
        if (entry.key->text() == "notify") {
          notify(*entry.value, out.emplace_back());
        } else if (entry.key->text() != "do") {
          action(*entry.key, entry.value, out.emplace_back());
        }
      }
    }
    return out;
  }

 private:
  void notify(const yaml::Node& targets, Step& step) {
    step.kind = Step::Kind::notify;
    step.number = policy_.step_count++;
    step.notify = texts_of(&targets);
    if (options_.config == nullptr) return;
    const auto& known = options_.config->notify;
    const auto check = [&](const yaml::Node& target) {
      if (!target.is_scalar() || std::find(known.begin(), known.end(), target.text()) != known.end()) return;
      std::string suggestion = did_you_mean(target.text(), {known.begin(), known.end()});
      if (suggestion.empty()) suggestion = "name it under `notify` of the configuration";
      problems_.add(policy_.mode == Mode::enforce, ProblemCode::notify_not_configured, target,
                    fmt::format("nobody is configured behind \"{}\"", target.text()), std::move(suggestion));
    };
    if (targets.is_scalar()) check(targets);
    for (const yaml::Node* item : targets.items()) check(*item);
  }

  void action(const yaml::Node& name, const yaml::Node* params, Step& step) {
    step.number = policy_.step_count++;
    step.action = name.text();
    has_action_ = true;
    const ActionFacts* facts = options_.actions.find(name.text());
    if (facts == nullptr) {
      problems_.error(ProblemCode::unknown_action, name, fmt::format("there is no action \"{}\"", name.text()),
                      did_you_mean(name.text(), options_.actions.names));
      return;
    }
    step.effect_class = facts->effect_class;
    step.target = facts->target;
    step.ttl_ns = facts->takes_ttl ? facts->default_ttl_s * kSecondNs : 0;
    bool has_ttl = false;
    if (params != nullptr) {
      for (const yaml::Entry& entry : params->entries()) {
        if (entry.key->text() == kTtl) {
          has_ttl = true;
          ttl(*facts, entry, step);
        } else {
          param(*facts, entry, step);
        }
      }
    }
    if (facts->reversible && facts->takes_ttl && facts->default_ttl_s == 0 && !has_ttl)
      problems_.error(ProblemCode::no_ttl, name, fmt::format("{} would stay in effect for ever", name.text()),
                      fmt::format("say when it ends: {}: {{ttl: 4h}}", name.text()));
    if (policy_.mode == Mode::enforce && facts->effect_class == EffectClass::critical)
      problems_.error(ProblemCode::critical_automatic, name,
                      fmt::format("{} is of class {}, which no policy may do by itself", name.text(),
                                  to_string(facts->effect_class)),
                      "use mode approve; it takes two people");
  }

  void ttl(const ActionFacts& facts, const yaml::Entry& entry, Step& step) {
    if (!facts.takes_ttl) {
      problems_.error(ProblemCode::unknown_parameter, *entry.key,
                      fmt::format("{} does not expire, so it takes no ttl", facts.name));
      return;
    }
    const auto value = parse_duration_ns(entry.value->text());
    if (!value || *value < kSecondNs) {
      problems_.error(entry.value->is_scalar() ? ProblemCode::bad_value : ProblemCode::wrong_type, *entry.value,
                      "\"ttl\" must be a duration of a second or more, such as 15m");
      return;
    }
    step.ttl_ns = *value;
  }

  void param(const ActionFacts& facts, const yaml::Entry& entry, Step& step) {
    const auto found = std::find_if(facts.params.begin(), facts.params.end(),
                                    [&](const ParamFacts& one) { return one.name == entry.key->text(); });
    if (found == facts.params.end()) {
      std::vector<std::string_view> known;
      for (const ParamFacts& one : facts.params) known.push_back(one.name);
      if (facts.takes_ttl) known.push_back(kTtl);
      problems_.error(ProblemCode::unknown_parameter, *entry.key,
                      fmt::format("{} has no parameter \"{}\"", facts.name, entry.key->text()),
                      known.empty() ? "it takes none" : did_you_mean(entry.key->text(), known));
      return;
    }
    if (!is_typed(*found, *entry.value)) {
      problems_.error(ProblemCode::wrong_type, *entry.value,
                      fmt::format("\"{}\" of {} must be {}", found->name, facts.name, to_string(found->type)));
      return;
    }
    if (!found->choices.empty()) {
      const auto choices = split(found->choices, '|');
      if (std::find(choices.begin(), choices.end(), entry.value->text()) == choices.end()) {
        problems_.error(ProblemCode::unknown_choice, *entry.value,
                        fmt::format("\"{}\" of {} cannot be \"{}\"", found->name, facts.name, entry.value->text()),
                        did_you_mean(entry.value->text(), choices));
        return;
      }
    }
    step.params[std::string(found->name)] = fmt::format("{}", fmt::join(texts_of(entry.value), ","));
  }

  static bool is_typed(const ParamFacts& facts, const yaml::Node& value) {
    switch (facts.type) {
      case ParamType::text: return value.is_scalar() && !value.text().empty();
      case ParamType::duration: return parse_duration_ns(value.text()).has_value();
      case ParamType::integer: return value.as_i64().has_value();
      case ParamType::flag: return value.as_bool().has_value();
      case ParamType::texts: {
        const size_t wanted = value.is_sequence() ? value.items().size() : 1;
        return wanted > 0 && texts_of(&value).size() == wanted;
      }
    }
    return false;
  }

  const ReadOptions& options_;
  Policy& policy_;
  Problems& problems_;
  bool has_action_ = false;
};

}  // namespace

void bind_steps(const yaml::Node* node, const ReadOptions& options, Policy& policy, Problems& problems) {
  policy.steps = StepBinder(options, policy, problems).bind(node, 0);
}

}  // namespace quell::respond::policy
