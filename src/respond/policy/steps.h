#pragma once
// What comes next in a decision that is being carried out: a pure function of the decision, of how its steps ended, and
// of what people said. Whoever carries it out calls it again after each answer; it remembers nothing, so it can be
// asked again after a restart.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "respond/policy/decision.h"

namespace quell::respond::policy {

struct StepOutcome {
  uint32_t step = 0;                           // PlannedAction::step, or Step::number of a notification
  ActionState state = ActionState::contained;  // settled (see is_outcome); of a notification: any
};

enum class ApprovalState : uint8_t { pending, granted, denied, timed_out };

struct NextStep {
  enum class Kind : uint8_t {
    act,     // carry out `action`, then tell how it ended
    notify,  // tell `notify`; does not wait for anybody
    wait,    // for approval
    done,    // nothing is left
  };
  Kind kind = Kind::done;
  uint32_t step = 0;
  const PlannedAction* action = nullptr;             // of the decision
  const std::vector<std::string>* notify = nullptr;  // of its policy
};

/// An action that joins another is given as `act`: it ends as the other one does. One that is superseded, that has no
/// target, or that nobody approved in time is passed over. Once the target is stale no further action runs;
/// notifications do.
NextStep next_step(const Decision& decision, std::span<const StepOutcome> outcomes, ApprovalState approval);

}  // namespace quell::respond::policy
