#pragma once
// What a policy decided about a detection: by itself it does nothing. Owns its values.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/action.h"
#include "model/detection.h"
#include "respond/policy/policy.h"

namespace quell::respond::policy {

/// An entity with its identity. Two are the same if their keys are and none of the starts contradicts the other: a
/// container's start is not always known with its first detection.
struct DecisionTarget {
  TargetKind kind = TargetKind::container;
  std::string key;    // "container:FULL_ID", "process:BOOT:PID", "host:NAME"; empty: there is none
  std::string start;  // of container or process; empty: unknown
  std::string label;  // "container:3ad7b26ded6d", for people and tests
  bool empty() const { return key.empty(); }
  bool is_same(const DecisionTarget& other) const {
    return key == other.key && (start == other.start || start.empty() || other.start.empty());
  }
};

/// The detection's entity of that kind; empty if it has none (a container action on the host).
DecisionTarget target_of(const Detection& detection, TargetKind kind);

enum class DecisionKind : uint8_t {
  observed,   // the policy only observes: this is what it would do
  requested,  // waits for approval until approval_expires_ns
  run,        // to be done now
  joined,     // all of it is in effect or under way already: this becomes one more cause of it
  refused,    // by the engine, for `refusal`
  paged,      // people must be told: the policy disarmed itself
};
std::string_view to_string(DecisionKind kind);

enum class Refusal : uint8_t { none, no_target, max_targets, per_target, per_policy, per_cluster };
std::string_view to_string(Refusal reason);

struct PlannedAction {
  uint32_t step = 0;  // Step::number
  std::string action;
  EffectClass effect_class = EffectClass::soft;
  DecisionTarget target;  // empty: the detection has none of that kind, so the step is passed over
  uint64_t ttl_ns = 0;
  ActionParams params{};
  uint8_t approvals = 0;      // people who must agree first
  std::string joins;          // the decision or action that does the same already; empty: none
  std::string superseded_by;  // the decision or action of a higher class on this target; empty: none
};

struct Decision {
  std::string id;  // "pd-" + 16 hex digits; the same detection gives the same id again
  DecisionKind kind = DecisionKind::run;
  Refusal refusal = Refusal::none;
  std::string reason;  // one sentence, for people
  std::shared_ptr<const Policy> policy;
  DecisionTarget target;                   // what limits and suppression are about
  std::string group;                       // "container.id=3ad7b26ded6d"; empty without groupBy
  std::vector<std::string> detection_ids;  // what reached the threshold, oldest first, at most kMaxCauses
  uint64_t event_ns = 0;                   // of the last detection
  uint64_t decided_ns = 0;
  uint64_t approval_expires_ns = 0;    // 0: nobody is asked
  std::vector<PlannedAction> actions;  // of all steps, by number
  std::vector<std::string> notify;     // of a page
};
inline constexpr size_t kMaxCauses = 32;

/// One object, keys in a fixed order.
void write_decision(JsonWriter& out, const Decision& decision);

}  // namespace quell::respond::policy
