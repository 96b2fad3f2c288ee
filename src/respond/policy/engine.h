#pragma once
// The one evaluator of policies: live, dry run, unit test and back-test feed it the same detections and get the same
// decisions. It has no clock, reads nothing and does nothing; what it decides is carried out by whoever asked.
//
//   PolicyEngine engine(policies, {.config = config});
//   std::vector<Decision> decisions;
//   engine.feed(detection, {.now_ns = now}, decisions);
//
// For each policy a detection goes through: match, confidence, scope, exclude → threshold → suppression of what holds
// already → maxTargets → limits → what others do on the target → mode.
//
// Time. Windows of thresholds slide over event time (Detection::kernel_ns). Detections may come out of order by up to
// EngineOptions::lateness_ns: within it the answer is the same as of looking at the whole history; beyond it a
// detection is counted as late and counts towards no threshold. An event time more than that in front of `now` is taken
// for `now` plus that. Limits, approvals, expiry and how long decisions hold go by `now`. A clock that goes back by
// more than the lateness empties the windows, and is counted.
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/detection.h"
#include "respond/policy/decision.h"
#include "respond/policy/open_decisions.h"
#include "respond/policy/policy.h"

namespace quell::respond::policy {

/// What is in effect or under way besides the engine's own decisions: by people, or by decisions that it has forgotten.
class InEffect {
 public:
  struct Held {
    std::string id, action;
    EffectClass effect_class = EffectClass::soft;
    std::string start;  // of the target, as DecisionTarget::start; empty: unknown
  };
  virtual ~InEffect() = default;
  /// Appends every action that holds on the target.
  virtual void held_on(std::string_view target_key, std::vector<Held>& out) const = 0;
  /// Appends the keys of all targets on which actions of the policy hold.
  virtual void targets_of(std::string_view policy, std::vector<std::string>& out) const = 0;
};

struct EngineOptions {
  PolicyConfig config{};
  uint64_t lateness_ns = 10 * kSecondNs;
  /// How long a decision without a TTL suppresses the next one on the same target, unless it is released before.
  uint64_t hold_ns = 600 * kSecondNs;
  const InEffect* in_effect = nullptr;  // null: nothing else is; borrowed
  std::optional<Mode> mode{};           // instead of what the policies say: back-tests and unit tests
  /// Limits are counted and reported, but a policy that exceeds one goes on: back-tests.
  bool never_disarm = false;
  size_t max_groups = 16'384;   // of one policy
  size_t max_entries = 4'096;   // of one group
  size_t max_targets = 16'384;  // of one policy, for perTarget limits
  size_t max_open = 65'536;     // decisions that hold
  size_t max_rules = 4'096;     // rule names whose policies are remembered
};

struct FeedContext {
  uint64_t now_ns = 0;
  double confidence = 1;
  const std::map<std::string, std::string>* labels = nullptr;  // of the host and whatever else is known; may be null
  std::string_view cluster{};                                  // empty: the configuration's
};

/// Per policy. Every matching detection ends in exactly one of the numbers from `low_confidence` on.
struct PolicyCounters {
  uint64_t matched = 0;
  uint64_t low_confidence = 0, out_of_scope = 0, excluded = 0, disarmed = 0;
  uint64_t late = 0, ungrouped = 0, below_threshold = 0;  // ungrouped: has none of a groupBy or distinct field
  uint64_t suppressed = 0;                                // its target is held already
  uint64_t refused = 0;
  uint64_t fired = 0;  // observed, requested, run
  uint64_t joined = 0;
  uint64_t untold = 0;  // of `refused`: not returned, because the same was less than a minute ago
  uint64_t groups_forgotten = 0, entries_forgotten = 0, rates_forgotten = 0;  // for room
};

struct EngineCounters {
  uint64_t feeds = 0;
  uint64_t clock_went_back = 0;
  uint64_t open_forgotten = 0;  // decisions that held, for room
};

struct PolicyStatus {
  std::string name;
  uint64_t version = 0;
  Mode mode = Mode::observe;
  bool is_armed = true;
  std::string disarmed_because;
  uint64_t disarmed_ns = 0;
  bool has_expired = false;  // at the last feed
  size_t open_targets = 0;
  PolicyCounters counters;
};

/// One thread.
class PolicyEngine {
 public:
  /// The policies' names must be different (an assertion).
  PolicyEngine(std::vector<std::shared_ptr<const Policy>> policies, EngineOptions options);
  ~PolicyEngine();
  PolicyEngine(PolicyEngine&&) noexcept;
  PolicyEngine& operator=(PolicyEngine&&) noexcept;

  /// Appends what the policies decide, in their order. A page follows the refusal that it is about in place of it.
  void feed(const Detection& detection, const FeedContext& context, std::vector<Decision>& out);

  /// The decision holds no longer: undone, cancelled, not approved, failed. Its target may fire again. False if the
  /// engine does not know it (any more).
  bool release(std::string_view decision_id);
  /// Lets the policy act again; its windows start empty. Errors: not_found, conflict (it is armed).
  Result<void> arm(std::string_view policy);
  /// Errors: not_found, conflict (it is disarmed already).
  Result<void> disarm(std::string_view policy, std::string reason, uint64_t now_ns);

  std::vector<PolicyStatus> status() const;
  EngineCounters counters() const;
  /// Different targets that decisions hold now.
  size_t open_targets() const;
  /// The same of one policy; 0 if there is none of that name.
  size_t open_targets(std::string_view policy) const;

  /// Windows, limits, what holds and what is disarmed, as one JSON object.
  std::string save() const;
  /// Takes over what save() wrote, by policy name: what holds, limits and disarming always, windows only if the policy
  /// still says the same. Policies that are gone are left out. Errors: malformed; the engine is as before then.
  Result<void> restore(std::string_view json);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace quell::respond::policy
