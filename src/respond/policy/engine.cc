#include "respond/policy/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/assert.h"
#include "base/sha256.h"
#include "respond/policy/detection_fields.h"
#include "respond/policy/engine_impl.h"

namespace quell::respond::policy {
namespace {

constexpr uint64_t kTellAgainNs = 60 * kSecondNs;
constexpr size_t kMaxValue = 256;  // of a group key or a distinct value; longer ones are told apart by their hash

std::string sha256_of(std::string_view text) {
  Sha256 hash;
  hash.update({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  return hash.finish();
}

bool fits_labels(const LabelGlobs& wanted, const Detection& detection, const FeedContext& context, bool all) {
  const auto fits = [&](const auto& label) {
    if (const std::string* value = find_label(detection, label.first); value != nullptr)
      return glob_match(label.second, *value);
    if (context.labels == nullptr) return false;
    const auto found = context.labels->find(label.first);
    return found != context.labels->end() && glob_match(label.second, found->second);
  };
  return all ? std::all_of(wanted.begin(), wanted.end(), fits) : std::any_of(wanted.begin(), wanted.end(), fits);
}

bool fits_field(const GlobList& list, const Detection& detection, std::string_view field) {
  std::string value;
  return !list.empty() && first_value(detection, field, value) && list.matches(value);
}

/// Image names are known with and without their tag; either may be meant.
bool fits_image(const GlobList& list, const Detection& detection) {
  return fits_field(list, detection, "container.image") || fits_field(list, detection, "container.image.repository");
}

bool fits_group(const EntityGroup& group, const Detection& detection, const FeedContext& context) {
  return fits_field(group.containers, detection, "container.name") || fits_image(group.images, detection) ||
         fits_field(group.namespaces, detection, "k8s.ns.name") || group.hosts.matches(detection.hostname) ||
         fits_field(group.users, detection, "user.name") || fits_labels(group.labels, detection, context, false);
}

}  // namespace

PolicyEngine::Impl::Impl(std::vector<std::shared_ptr<const Policy>> policies, EngineOptions given)
    : options(std::move(given)), open(options.max_open), by_rule(options.max_rules) {
  std::set<std::string_view> names;
  for (auto& policy : policies) {
    QUELL_ASSERT(names.insert(policy->name).second);
    states.push_back(std::make_unique<PolicyState>(std::move(policy), options));
  }
}

PolicyState* PolicyEngine::Impl::find(std::string_view name) {
  for (auto& state : states)
    if (state->policy->name == name) return state.get();
  return nullptr;
}

void PolicyEngine::Impl::feed(const Detection& detection, const FeedContext& context, std::vector<Decision>& out) {
  ++counters.feeds;
  advance(detection, context);
  for (const uint32_t index : candidates(detection)) consider(*states[index], detection, context, out);
}

void PolicyEngine::Impl::advance(const Detection& detection, const FeedContext& context) {
  now_ns = context.now_ns;
  open.expire(now_ns);
  event_ns = std::min(detection.kernel_ns, now_ns + options.lateness_ns);
  // The watermark is never further in front of the clock than the lateness, unless the clock went back.
  if (watermark_ns > now_ns + 2 * options.lateness_ns) {
    ++counters.clock_went_back;
    watermark_ns = event_ns;
    for (auto& state : states)
      if (state->windows) state->windows->clear();
  }
  is_late = event_ns + options.lateness_ns < watermark_ns;
  watermark_ns = std::max(watermark_ns, event_ns);
}

const std::vector<uint32_t>& PolicyEngine::Impl::candidates(const Detection& detection) {
  auto& list = by_rule.touch(detection.rule).by_severity[static_cast<size_t>(detection.severity())];
  if (!list) {
    list.emplace();
    for (uint32_t i = 0; i < states.size(); ++i)
      if (could_hold(states[i]->policy->match, detection.rule, detection.severity()) != Truth::no) list->push_back(i);
  }
  return *list;
}

void PolicyEngine::Impl::consider(PolicyState& state, const Detection& detection, const FeedContext& context,
                                  std::vector<Decision>& out) {
  const Policy& policy = *state.policy;
  if (policy.expires_ns != 0 && now_ns >= policy.expires_ns) return;
  if (detection.source == "quell" && !policy.wants_own_outcomes) return;
  if (!holds(policy.match, detection)) return;
  ++state.counters.matched;
  if (!policy.confidence.allows(context.confidence)) {
    ++state.counters.low_confidence;
    return;
  }
  if (!is_in_scope(policy.scope, detection, context)) {
    ++state.counters.out_of_scope;
    return;
  }
  if (is_excluded(policy, detection, context)) {
    ++state.counters.excluded;
    return;
  }
  if (!state.is_armed) {
    ++state.counters.disarmed;
    return;
  }
  Decision decision;
  auto causes = reach(state, detection, decision.group);
  if (!causes) return;
  decision.policy = state.policy;
  decision.detection_ids = std::move(*causes);
  fire(state, detection, context, std::move(decision), out);
}

bool PolicyEngine::Impl::is_in_scope(const Scope& scope, const Detection& detection, const FeedContext& context) const {
  const std::string_view cluster = context.cluster.empty() ? std::string_view(options.config.cluster) : context.cluster;
  return (scope.clusters.empty() || scope.clusters.matches(cluster)) &&
         (scope.hosts.empty() || scope.hosts.matches(detection.hostname)) &&
         (scope.namespaces.empty() || fits_field(scope.namespaces, detection, "k8s.ns.name")) &&
         (scope.images.empty() || fits_image(scope.images, detection));
}

bool PolicyEngine::Impl::is_excluded(const Policy& policy, const Detection& detection,
                                     const FeedContext& context) const {
  return std::any_of(policy.exclude.begin(), policy.exclude.end(), [&](const Exclusion& one) {
    if (!fits_labels(one.labels, detection, context, true)) return false;
    const auto in_group = [&](const std::string& name) {
      const auto group = options.config.entity_groups.find(name);
      return group != options.config.entity_groups.end() && fits_group(group->second, detection, context);
    };
    if (!one.entity_groups.empty() && !std::any_of(one.entity_groups.begin(), one.entity_groups.end(), in_group))
      return false;
    return holds(one.condition, detection);
  });
}

std::optional<std::vector<std::string>> PolicyEngine::Impl::reach(PolicyState& state, const Detection& detection,
                                                                  std::string& group) {
  if (!state.windows) return std::vector<std::string>{detection.id};
  const Threshold& threshold = *state.policy->threshold;
  if (is_late) {
    ++state.counters.late;
    return {};
  }
  WindowEntry entry;
  entry.at_ns = event_ns;
  entry.detection_id = detection.id;
  std::string key, value;
  bool is_whole = true;
  for (const std::string& field : threshold.group_by) {
    is_whole = is_whole && first_value(detection, field, value);
    if (!is_whole) break;
    if (value.size() > kMaxValue) value = sha256_of(value);
    key += fmt::format("{}:", value.size()) + value;  // with its length, so that no two groups look alike
    group += fmt::format("{}{}={}", group.empty() ? "" : ", ", field, value);
  }
  if (is_whole && !threshold.distinct.empty()) {
    is_whole = first_value(detection, threshold.distinct, entry.value);
    if (entry.value.size() > kMaxValue) entry.value = sha256_of(entry.value);
  }
  if (!is_whole) {
    ++state.counters.ungrouped;
    return {};
  }
  const uint64_t reach_back_ns = options.lateness_ns + threshold.window_ns;
  const auto fired =
      state.windows->add(key, std::move(entry), watermark_ns > reach_back_ns ? watermark_ns - reach_back_ns : 0);
  if (!fired) {
    ++state.counters.below_threshold;
    return {};
  }
  std::vector<std::string> causes;
  for (const WindowEntry& one : *fired)
    if (one.detection_id != detection.id) causes.push_back(one.detection_id);
  causes.push_back(detection.id);
  if (causes.size() > kMaxCauses) causes.erase(causes.begin(), causes.end() - kMaxCauses);
  return causes;
}

void PolicyEngine::Impl::fire(PolicyState& state, const Detection& detection, const FeedContext& context,
                              Decision decision, std::vector<Decision>& out) {
  const Policy& policy = *state.policy;
  const Mode mode = mode_of(policy);
  const bool is_real = mode != Mode::observe;
  decision.event_ns = event_ns;
  decision.decided_ns = now_ns;
  plan(policy, detection, decision);
  decision.id = "pd-" + sha256_of(fmt::format("{}\n{}\n{}\n{}", policy.name, decision.target.key, decision.target.start,
                                              detection.id))
                            .substr(0, 16);
  if (decision.target.empty())
    return refuse(state, Refusal::no_target,
                  fmt::format("the detection has no {} to act on", to_string(decision.target.kind)), now_ns,
                  std::move(decision), out);
  if (open.find(policy.name, decision.target) != nullptr) {
    ++state.counters.suppressed;
    return;
  }
  look_at_others(decision, is_real);
  const auto is_left_to_do = [](const PlannedAction& action) {
    return action.effect_class != EffectClass::collect && !action.target.empty() && action.joins.empty() &&
           action.superseded_by.empty();
  };
  const bool has_others =
      std::any_of(decision.actions.begin(), decision.actions.end(),
                  [](const PlannedAction& action) { return !action.joins.empty() || !action.superseded_by.empty(); });
  if (has_others && std::none_of(decision.actions.begin(), decision.actions.end(), is_left_to_do)) {
    decision.kind = DecisionKind::joined;
    decision.reason = "what it would do is in effect or under way already";
    ++state.counters.joined;
    hold(decision, is_real, now_ns);
    out.push_back(std::move(decision));
    return;
  }
  const std::string_view cluster = context.cluster.empty() ? std::string_view(options.config.cluster) : context.cluster;
  std::string reason;
  const Refusal refusal = refusal_of(state, decision, cluster, now_ns, reason);
  if (refusal != Refusal::none) return refuse(state, refusal, std::move(reason), now_ns, std::move(decision), out);
  state.per_policy.take(now_ns);
  if (policy.limits.per_target.count != 0) state.per_target.touch(decision.target.key).take(now_ns);
  if (is_real) per_cluster.touch(cluster).take(now_ns);
  ask_for_approval(policy, mode, now_ns, decision);
  ++state.counters.fired;
  hold(decision, is_real, now_ns);
  out.push_back(std::move(decision));
}

void PolicyEngine::Impl::plan(const Policy& policy, const Detection& detection, Decision& decision) const {
  for_each_step(policy.steps, [&](const Step& step) {
    if (step.kind != Step::Kind::action) return;
    PlannedAction& action = decision.actions.emplace_back();
    action.step = step.number;
    action.action = step.action;
    action.effect_class = step.effect_class;
    action.target = target_of(detection, step.target);
    action.ttl_ns = step.ttl_ns;
    action.params = step.params;
  });
  // What it is about: whom the first containment contains; who only collects or tells is about the container or the
  // process.
  const auto first = std::find_if(decision.actions.begin(), decision.actions.end(), [](const PlannedAction& action) {
    return action.effect_class != EffectClass::collect;
  });
  if (first != decision.actions.end()) {
    decision.target = first->target;
    return;
  }
  if (!decision.actions.empty()) decision.target = decision.actions.front().target;
  for (const TargetKind kind : {TargetKind::container, TargetKind::process, TargetKind::host})
    if (decision.target.empty()) decision.target = target_of(detection, kind);
}

void PolicyEngine::Impl::look_at_others(Decision& decision, bool is_real) const {
  for (PlannedAction& action : decision.actions) {
    if (action.target.empty() || action.effect_class == EffectClass::collect) continue;
    EffectClass highest = action.effect_class;
    const auto look = [&](const std::string& id, const std::string& name, EffectClass effect_class) {
      if (name == action.action && action.joins.empty()) action.joins = id;
      if (effect_class > highest) {
        highest = effect_class;
        action.superseded_by = id;
      }
    };
    open.for_each_on(action.target, [&](const OpenDecision& other, const OpenAction& held) {
      if (other.policy != decision.policy->name && other.is_real == is_real)
        look(other.id, held.action, held.effect_class);
    });
    if (options.in_effect != nullptr) {
      std::vector<InEffect::Held> held;
      options.in_effect->held_on(action.target.key, held);
      for (const InEffect::Held& one : held)
        if (one.start.empty() || action.target.start.empty() || one.start == action.target.start)
          look(one.id, one.action, one.effect_class);
    }
    if (!action.joins.empty()) action.superseded_by.clear();
  }
}

Refusal PolicyEngine::Impl::refusal_of(PolicyState& state, const Decision& decision, std::string_view cluster,
                                       uint64_t now, std::string& reason) {
  const Policy& policy = *state.policy;
  if (policy.scope.max_targets != 0) {
    std::vector<std::string> others;
    if (options.in_effect != nullptr) options.in_effect->targets_of(policy.name, others);
    std::sort(others.begin(), others.end());
    others.erase(std::unique(others.begin(), others.end()), others.end());
    size_t count = open.targets_of(policy.name);
    bool is_among = open.holds(policy.name, decision.target.key);
    for (const std::string& key : others) {
      is_among = is_among || key == decision.target.key;
      count += !open.holds(policy.name, key);
    }
    if (!is_among && count >= policy.scope.max_targets) {
      reason = fmt::format("it is in effect on {} targets, and may be on {}", count, policy.scope.max_targets);
      return Refusal::max_targets;
    }
  }
  const auto says = [&](std::string_view what, const Rate& rate) {
    reason = fmt::format("{} has reached its limit of {}", what, rate_text(rate));
  };
  if (policy.limits.per_target.count != 0) {
    while (!state.per_target.empty() && state.per_target.oldest().second.is_idle(policy.limits.per_target, now))
      state.per_target.pop_oldest();
    RateWindow* window = state.per_target.find(decision.target.key);
    if (window != nullptr && !window->has_room(policy.limits.per_target, now)) {
      says(decision.target.label, policy.limits.per_target);
      return Refusal::per_target;
    }
  }
  if (!state.per_policy.has_room(policy.limits.per_policy, now)) {
    says("the policy", policy.limits.per_policy);
    return Refusal::per_policy;
  }
  if (!per_cluster.touch(cluster).has_room(policy.limits.per_cluster, now)) {
    says(cluster.empty() ? "the cluster" : fmt::format("cluster {}", cluster), policy.limits.per_cluster);
    return Refusal::per_cluster;
  }
  return Refusal::none;
}

void PolicyEngine::Impl::refuse(PolicyState& state, Refusal refusal, std::string reason, uint64_t now,
                                Decision decision, std::vector<Decision>& out) {
  ++state.counters.refused;
  decision.kind = DecisionKind::refused;
  decision.refusal = refusal;
  const bool is_limit =
      refusal == Refusal::per_target || refusal == Refusal::per_policy || refusal == Refusal::per_cluster;
  const bool is_observing = mode_of(*state.policy) == Mode::observe;
  if (is_limit && state.policy->limits.disarms && !is_observing && !options.never_disarm) {
    state.is_armed = false;
    state.disarmed_because = reason;
    state.disarmed_ns = now;
    if (state.windows) state.windows->clear();
    decision.kind = DecisionKind::paged;
    decision.reason =
        fmt::format("policy {} has disarmed itself: {}; arm it again once you know why", state.policy->name, reason);
    decision.actions.clear();
    for_each_step(state.policy->steps, [&](const Step& step) {
      for (const std::string& whom : step.notify)
        if (std::find(decision.notify.begin(), decision.notify.end(), whom) == decision.notify.end())
          decision.notify.push_back(whom);
    });
    out.push_back(std::move(decision));
    return;
  }
  uint64_t& told_ns = state.told_ns[static_cast<size_t>(refusal)];
  if (told_ns != 0 && told_ns <= now && now - told_ns < kTellAgainNs && !options.never_disarm) {
    ++state.counters.untold;
    return;
  }
  told_ns = now;
  decision.reason = std::move(reason);
  if (is_limit && state.policy->limits.disarms && is_observing) decision.reason += "; the policy would disarm itself";
  out.push_back(std::move(decision));
}

void PolicyEngine::Impl::ask_for_approval(const Policy& policy, Mode mode, uint64_t now, Decision& decision) const {
  const uint8_t asked = policy.approval ? policy.approval->required.count : uint8_t{1};
  bool is_asked = false;
  for (PlannedAction& action : decision.actions) {
    if (mode == Mode::approve || action.effect_class == EffectClass::wide) action.approvals = asked;
    if (action.effect_class == EffectClass::critical) action.approvals = 2;
    is_asked = is_asked || action.approvals > 0;
  }
  const bool waits = mode == Mode::approve;
  decision.kind = mode == Mode::observe ? DecisionKind::observed : waits ? DecisionKind::requested : DecisionKind::run;
  if (is_asked || waits)
    decision.approval_expires_ns = now + (policy.approval ? policy.approval->expires_ns : Approval{}.expires_ns);
  decision.reason = decision.group.empty() ? "a detection matched" : "the threshold was reached for " + decision.group;
}

void PolicyEngine::Impl::hold(const Decision& decision, bool is_real, uint64_t now) {
  OpenDecision held;
  held.id = decision.id;
  held.policy = decision.policy->name;
  held.is_real = is_real;
  held.target = decision.target;
  uint64_t ttl_ns = 0;
  for (const PlannedAction& action : decision.actions) {
    ttl_ns = std::max(ttl_ns, action.ttl_ns);
    if (!action.target.empty() && action.effect_class != EffectClass::collect && action.joins.empty() &&
        action.superseded_by.empty())
      held.actions.push_back({action.action, action.effect_class, action.target});
  }
  if (ttl_ns == 0) ttl_ns = options.hold_ns;
  held.until_ns = std::max(now, decision.approval_expires_ns) + ttl_ns;
  open.add(std::move(held));
}

PolicyEngine::PolicyEngine(std::vector<std::shared_ptr<const Policy>> policies, EngineOptions options)
    : impl_(std::make_unique<Impl>(std::move(policies), std::move(options))) {}
PolicyEngine::~PolicyEngine() = default;
PolicyEngine::PolicyEngine(PolicyEngine&&) noexcept = default;
PolicyEngine& PolicyEngine::operator=(PolicyEngine&&) noexcept = default;

void PolicyEngine::feed(const Detection& detection, const FeedContext& context, std::vector<Decision>& out) {
  impl_->feed(detection, context, out);
}

bool PolicyEngine::release(std::string_view decision_id) { return impl_->open.release(decision_id); }

Result<void> PolicyEngine::arm(std::string_view policy) {
  PolicyState* state = impl_->find(policy);
  if (state == nullptr) return Error{Code::not_found, fmt::format("there is no policy \"{}\"", policy), {}};
  if (state->is_armed) return Error{Code::conflict, fmt::format("policy {} is armed", policy), {}};
  state->is_armed = true;
  state->disarmed_because.clear();
  state->disarmed_ns = 0;
  // What stopped it is known now: the same must not stop it at once.
  state->per_policy = {};
  state->per_target.clear();
  return {};
}

Result<void> PolicyEngine::disarm(std::string_view policy, std::string reason, uint64_t now_ns) {
  PolicyState* state = impl_->find(policy);
  if (state == nullptr) return Error{Code::not_found, fmt::format("there is no policy \"{}\"", policy), {}};
  if (!state->is_armed)
    return Error{Code::conflict, fmt::format("policy {} is disarmed: {}", policy, state->disarmed_because), {}};
  state->is_armed = false;
  state->disarmed_because = std::move(reason);
  state->disarmed_ns = now_ns;
  if (state->windows) state->windows->clear();
  return {};
}

std::vector<PolicyStatus> PolicyEngine::status() const {
  std::vector<PolicyStatus> out;
  for (const auto& state : impl_->states) {
    PolicyStatus& status = out.emplace_back();
    status.name = state->policy->name;
    status.version = state->policy->version;
    status.mode = impl_->mode_of(*state->policy);
    status.is_armed = state->is_armed;
    status.disarmed_because = state->disarmed_because;
    status.disarmed_ns = state->disarmed_ns;
    status.has_expired = state->policy->expires_ns != 0 && impl_->now_ns >= state->policy->expires_ns;
    status.open_targets = impl_->open.targets_of(state->policy->name);
    status.counters = state->counters;
    if (state->windows) {
      status.counters.groups_forgotten = state->windows->groups().forgotten();
      status.counters.entries_forgotten = state->windows->forgotten_entries();
    }
    status.counters.rates_forgotten = state->per_target.forgotten();
  }
  return out;
}

EngineCounters PolicyEngine::counters() const {
  EngineCounters out = impl_->counters;
  out.open_forgotten = impl_->open.forgotten();
  return out;
}

size_t PolicyEngine::open_targets() const { return impl_->open.target_count(); }
size_t PolicyEngine::open_targets(std::string_view policy) const { return impl_->open.targets_of(policy); }

}  // namespace quell::respond::policy
