#pragma once
// What the engine keeps. Shared by its evaluation and its saving.
#include <array>
#include <unordered_map>

#include "respond/policy/engine.h"
#include "respond/policy/window.h"

namespace quell::respond::policy {

struct PolicyState {
  PolicyState(std::shared_ptr<const Policy> of, const EngineOptions& options)
      : policy(std::move(of)), per_target(options.max_targets) {
    if (policy->threshold) windows.emplace(*policy->threshold, options.max_groups, options.max_entries);
  }

  const std::shared_ptr<const Policy> policy;
  std::optional<GroupWindows> windows;
  RateWindow per_policy;
  Lru<RateWindow> per_target;
  bool is_armed = true;
  std::string disarmed_because;
  uint64_t disarmed_ns = 0;
  std::array<uint64_t, 6> told_ns{};  // by Refusal: when one was last returned; 0: never
  PolicyCounters counters;
};

struct PolicyEngine::Impl {
  Impl(std::vector<std::shared_ptr<const Policy>> policies, EngineOptions given);

  void feed(const Detection& detection, const FeedContext& context, std::vector<Decision>& out);
  PolicyState* find(std::string_view name);

  // Steps of feed().
  void advance(const Detection& detection, const FeedContext& context);
  const std::vector<uint32_t>& candidates(const Detection& detection);
  void consider(PolicyState& state, const Detection& detection, const FeedContext& context, std::vector<Decision>& out);
  bool is_in_scope(const Scope& scope, const Detection& detection, const FeedContext& context) const;
  bool is_excluded(const Policy& policy, const Detection& detection, const FeedContext& context) const;
  /// Nothing if the threshold is not reached; else what reached it.
  std::optional<std::vector<std::string>> reach(PolicyState& state, const Detection& detection, std::string& group);
  void fire(PolicyState& state, const Detection& detection, const FeedContext& context, Decision decision,
            std::vector<Decision>& out);
  void plan(const Policy& policy, const Detection& detection, Decision& decision) const;
  Refusal refusal_of(PolicyState& state, const Decision& decision, std::string_view cluster, uint64_t now_ns,
                     std::string& reason);
  void refuse(PolicyState& state, Refusal refusal, std::string reason, uint64_t now_ns, Decision decision,
              std::vector<Decision>& out);
  void look_at_others(Decision& decision, bool is_real) const;
  void ask_for_approval(const Policy& policy, Mode mode, uint64_t now_ns, Decision& decision) const;
  void hold(const Decision& decision, bool is_real, uint64_t now_ns);

  Mode mode_of(const Policy& policy) const { return options.mode.value_or(policy.mode); }

  const EngineOptions options;
  std::vector<std::unique_ptr<PolicyState>> states;
  OpenDecisions open;
  Lru<RateWindow> per_cluster{1024};
  EngineCounters counters;
  uint64_t watermark_ns = 0;  // the newest event time
  uint64_t now_ns = 0;        // of the last feed
  // Of the detection that is being fed.
  uint64_t event_ns = 0;
  bool is_late = false;

  /// By rule name, for each severity: the policies that such a detection could match.
  struct ByRule {
    std::array<std::optional<std::vector<uint32_t>>, 5> by_severity;
  };
  Lru<ByRule> by_rule;
};

}  // namespace quell::respond::policy
