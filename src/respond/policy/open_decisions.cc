#include "respond/policy/open_decisions.h"

#include <algorithm>

namespace quell::respond::policy {

std::set<std::string> OpenDecisions::keys_of(const OpenDecision& decision) {
  std::set<std::string> out = {decision.target.key};
  for (const OpenAction& action : decision.actions) out.insert(action.target.key);
  return out;
}

void OpenDecisions::add(OpenDecision decision) {
  if (open_.size() >= capacity_) {
    ++forgotten_;
    remove(open_.begin()->first);
  }
  const uint64_t number = next_++;
  by_until_.emplace(decision.until_ns, number);
  for (const std::string& key : keys_of(decision)) by_target_[key].push_back(number);
  ++by_policy_[decision.policy][decision.target.key];
  open_.emplace(number, std::move(decision));
}

void OpenDecisions::remove(uint64_t number) {
  const auto found = open_.find(number);
  const OpenDecision& decision = found->second;
  by_until_.erase({decision.until_ns, number});
  for (const std::string& key : keys_of(decision)) {
    const auto numbers = by_target_.find(key);
    std::erase(numbers->second, number);
    if (numbers->second.empty()) by_target_.erase(numbers);
  }
  const auto policy = by_policy_.find(decision.policy);
  const auto target = policy->second.find(decision.target.key);
  if (--target->second == 0) policy->second.erase(target);
  if (policy->second.empty()) by_policy_.erase(policy);
  open_.erase(found);
}

bool OpenDecisions::release(std::string_view id) {
  const auto found = std::find_if(open_.begin(), open_.end(), [&](const auto& entry) { return entry.second.id == id; });
  if (found == open_.end()) return false;
  remove(found->first);
  return true;
}

void OpenDecisions::expire(uint64_t now_ns) {
  while (!by_until_.empty() && by_until_.begin()->first <= now_ns) remove(by_until_.begin()->second);
}

const OpenDecision* OpenDecisions::find(std::string_view policy, const DecisionTarget& target) const {
  const auto found = by_target_.find(target.key);
  if (found == by_target_.end()) return nullptr;
  for (const uint64_t number : found->second) {
    const OpenDecision& open = open_.at(number);
    if (open.policy == policy && open.target.is_same(target)) return &open;
  }
  return nullptr;
}

size_t OpenDecisions::targets_of(std::string_view policy) const {
  const auto found = by_policy_.find(policy);
  return found == by_policy_.end() ? 0 : found->second.size();
}

bool OpenDecisions::holds(std::string_view policy, const std::string& target_key) const {
  const auto found = by_policy_.find(policy);
  return found != by_policy_.end() && found->second.count(target_key) != 0;
}

}  // namespace quell::respond::policy
