#pragma once
// Decisions that hold: made, and neither released nor run out. What suppresses repeats, counts targets and tells one
// policy that another acts already.
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "respond/policy/decision.h"

namespace quell::respond::policy {

struct OpenAction {
  std::string action;
  EffectClass effect_class = EffectClass::soft;
  DecisionTarget target;
};

struct OpenDecision {
  std::string id, policy;
  bool is_real = true;  // false: of a policy that only observes
  DecisionTarget target;
  std::vector<OpenAction> actions;
  uint64_t until_ns = 0;
};

/// One thread.
class OpenDecisions {
 public:
  explicit OpenDecisions(size_t capacity) : capacity_(capacity) {}

  /// Beyond the capacity the oldest one is forgotten.
  void add(OpenDecision decision);
  /// False if there is none of that id.
  bool release(std::string_view id);
  void expire(uint64_t now_ns);

  /// That of the policy for this very target; null if there is none.
  const OpenDecision* find(std::string_view policy, const DecisionTarget& target) const;
  /// Calls `visit(decision, action)` for every action on the target.
  template <typename Visit>
  void for_each_on(const DecisionTarget& target, Visit&& visit) const {
    const auto found = by_target_.find(target.key);
    if (found == by_target_.end()) return;
    for (const uint64_t number : found->second) {
      const OpenDecision& open = open_.at(number);
      for (const OpenAction& action : open.actions)
        if (action.target.is_same(target)) visit(open, action);
    }
  }
  /// Different targets of the policy.
  size_t targets_of(std::string_view policy) const;
  bool holds(std::string_view policy, const std::string& target_key) const;
  /// Different targets of all policies.
  size_t target_count() const { return by_target_.size(); }
  size_t size() const { return open_.size(); }
  uint64_t forgotten() const { return forgotten_; }
  const std::map<uint64_t, OpenDecision>& all() const { return open_; }

 private:
  void remove(uint64_t number);
  static std::set<std::string> keys_of(const OpenDecision& decision);

  const size_t capacity_;
  uint64_t next_ = 0;
  std::map<uint64_t, OpenDecision> open_;  // by age
  std::set<std::pair<uint64_t, uint64_t>> by_until_;
  std::unordered_map<std::string, std::vector<uint64_t>> by_target_;
  std::map<std::string, std::map<std::string, uint32_t>, std::less<>> by_policy_;  // primary target keys, counted
  uint64_t forgotten_ = 0;
};

}  // namespace quell::respond::policy
