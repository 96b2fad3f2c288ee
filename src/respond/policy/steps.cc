#include "respond/policy/steps.h"

#include <algorithm>
#include <optional>

namespace quell::respond::policy {
namespace {

class Walk {
 public:
  Walk(const Decision& decision, std::span<const StepOutcome> outcomes, ApprovalState approval)
      : decision_(decision), outcomes_(outcomes), approval_(approval) {}

  /// The first step that has not ended; nothing if all have.
  std::optional<NextStep> over(const std::vector<Step>& steps) {
    for (const Step& step : steps) {
      if (step.kind == Step::Kind::when) {
        const bool fits = last_ && std::find(step.verified.begin(), step.verified.end(), *last_) != step.verified.end();
        if (!fits) continue;
        if (auto found = over(step.then)) return found;
      } else if (step.kind == Step::Kind::notify) {
        if (outcome_of(step.number) == nullptr)
          return NextStep{NextStep::Kind::notify, step.number, nullptr, &step.notify};
      } else if (auto found = act(step)) {
        return found;
      }
    }
    return {};
  }

 private:
  std::optional<NextStep> act(const Step& step) {
    if (const StepOutcome* outcome = outcome_of(step.number)) {
      last_ = outcome->state;
      is_stale_ = is_stale_ || outcome->state == ActionState::stale_target;
      return {};
    }
    const auto planned = std::find_if(decision_.actions.begin(), decision_.actions.end(),
                                      [&](const PlannedAction& action) { return action.step == step.number; });
    if (is_stale_ || planned == decision_.actions.end() || planned->target.empty() || !planned->superseded_by.empty())
      return {};
    if (planned->approvals > 0 && approval_ != ApprovalState::granted) {
      if (approval_ == ApprovalState::pending) return NextStep{NextStep::Kind::wait, step.number, &*planned, nullptr};
      const bool runs_unasked = approval_ == ApprovalState::timed_out && decision_.policy->approval &&
                                decision_.policy->approval->soft_only_on_timeout &&
                                planned->effect_class <= EffectClass::soft;
      if (!runs_unasked) return {};
    }
    return NextStep{NextStep::Kind::act, step.number, &*planned, nullptr};
  }

  const StepOutcome* outcome_of(uint32_t step) const {
    const auto found =
        std::find_if(outcomes_.begin(), outcomes_.end(), [&](const StepOutcome& one) { return one.step == step; });
    return found == outcomes_.end() ? nullptr : &*found;
  }

  const Decision& decision_;
  std::span<const StepOutcome> outcomes_;
  ApprovalState approval_;
  std::optional<ActionState> last_;  // of the action that ran last
  bool is_stale_ = false;
};

}  // namespace

NextStep next_step(const Decision& decision, std::span<const StepOutcome> outcomes, ApprovalState approval) {
  const bool acts = decision.kind == DecisionKind::observed || decision.kind == DecisionKind::requested ||
                    decision.kind == DecisionKind::run || decision.kind == DecisionKind::joined;
  if (!acts) return {};
  // A request that was turned down is over; of one that nobody answered the policy says what is left.
  if (decision.kind == DecisionKind::requested && approval == ApprovalState::denied) return {};
  return Walk(decision, outcomes, approval).over(decision.policy->steps).value_or(NextStep{});
}

}  // namespace quell::respond::policy
