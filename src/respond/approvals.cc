// A request before it takes effect: it waits for people's agreement, collects evidence, is cancelled; and the switch
// that stops everything.
#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "model/command_json.h"
#include "respond/actions/all.h"
#include "respond/runner.h"
#include "respond/transitions.h"

namespace quell::respond {
namespace {

constexpr std::string_view kStopSetting = "stop_switch";
constexpr uint64_t kSecondNs = 1'000'000'000;

/// Who it is, whatever he acts as: "uid:1000 (ada) as uid:0" is uid:1000 (ada).
std::string_view person(std::string_view actor) { return actor.substr(0, actor.find(" as ")); }

}  // namespace

Result<Outcome> Runner::await_approval(ActionRecord record, const ActionSpec& spec) {
  advance(record, ActionState::awaiting_approval, world_.clock,
          fmt::format("waits for {} of {}", record.approval.count == 1 ? "one" : std::to_string(record.approval.count),
                      record.approval.group.empty() ? "those who may approve" : record.approval.group));
  record.approve_until_ns = now() + record.approval.expires_s * kSecondNs;
  QUELL_CHECK(save(record));
  Outcome out{record, false};
  activate(std::move(record), &spec);
  return out;
}

Result<Outcome> Runner::approve(const Verdict& verdict) {
  Result<Outcome> out = [&]() -> Result<Outcome> {
    std::unique_lock lock(mutex_);
    const auto found = active_.find(verdict.action_id);
    if (found == active_.end() || found->second.record.state != ActionState::awaiting_approval) {
      QUELL_TRY(const ActionRecord record, journal_.find_action(verdict.action_id));
      return Error{Code::conflict,
                   fmt::format("action {} is {}: it waits for no approval", record.id, to_string(record.state)),
                   {}};
    }
    const ActionSpec& spec = *found->second.spec;
    ActionRecord record = found->second.record;
    ActionRecord waiting = record;
    if (now() >= record.approve_until_ns)
      return Error{Code::conflict, fmt::format("the request {} has expired; ask for it again", record.id), {}};
    if (person(verdict.actor) == person(record.command.actor))
      return Error{Code::refused, "who asked for an action cannot approve it; another person has to", {}};
    if (std::any_of(record.approvals.begin(), record.approvals.end(),
                    [&](const Approval& given) { return person(given.actor) == person(verdict.actor); }))
      return Error{Code::refused, fmt::format("{} has approved it already; another person has to", verdict.actor), {}};
    record.approvals.push_back({verdict.actor, now(), verdict.reason});
    if (record.approvals.size() < record.approval.count) {
      record.reason = fmt::format("approved by {} of {}", record.approvals.size(), record.approval.count);
      QUELL_CHECK(save(record));
      found->second.record = record;
      return Outcome{std::move(record), false};
    }
    // Everything is looked at anew: the request may have waited for minutes.
    Result<Subject> held = reopen(world_, record.target);
    settle(record.id);
    advance(record, ActionState::authorised, world_.clock, "approved");
    if (!held) {
      const Error error = std::move(held).error();
      if (error.code == Code::stale) {
        advance(record, ActionState::preflight, world_.clock);
        return finish(std::move(record), ActionState::stale_target, error.message);
      }
      advance(record, ActionState::preflight, world_.clock);
      if (error.code == Code::gone)
        return finish(std::move(record), ActionState::already_in_effect, "already_gone: " + error.message);
      return finish(std::move(record), ActionState::failed, "nothing was done: " + error.str());
    }
    Prepared prepared;
    prepared.spec = &spec;
    prepared.resolved.subject = std::move(*held);
    if (auto planned = spec.plan(call(record), prepared.resolved.subject, prepared.plan); !planned) {
      advance(record, ActionState::preflight, world_.clock);
      return finish(std::move(record), ActionState::failed, "nothing was done: " + planned.error().str());
    }
    prepared.refusal = refusal(spec, record.command, prepared.resolved.subject, prepared.plan);
    record.pre_state_json = prepared.plan.pre_state_json;
    Result<Outcome> done = carry_out(std::move(record), spec, std::move(prepared), lock);
    // The disk refused the intent, so nothing was done: the request still stands in the journal, and can be approved
    // again.
    if (!done) activate(std::move(waiting), &spec);
    return done;
  }();
  wake();
  return out;
}

Result<Outcome> Runner::cancel(const Verdict& verdict) {
  const std::lock_guard lock(mutex_);
  const auto found = active_.find(verdict.action_id);
  if (found == active_.end()) {
    QUELL_TRY(const ActionRecord record, journal_.find_action(verdict.action_id));
    if (record.state == ActionState::cancelled) return Outcome{record, true};
    return Error{Code::conflict,
                 fmt::format("action {} is {}: there is nothing to cancel{}", record.id, to_string(record.state),
                             is_in_effect(record) ? "; undo it" : ""),
                 {}};
  }
  Active& active = found->second;
  if (active.record.state == ActionState::evidence) {
    active.cancelled = verdict;  // who collects looks at it
    return Outcome{active.record, false};
  }
  if (active.record.state != ActionState::awaiting_approval)
    return Error{Code::conflict,
                 fmt::format("action {} is {}: it is too late to cancel it; undo it", active.record.id,
                             to_string(active.record.state)),
                 {}};
  ActionRecord record = active.record;
  QUELL_TRY(Outcome out,
            finish(std::move(record), ActionState::cancelled,
                   fmt::format("by {}{}{}", verdict.actor, verdict.reason.empty() ? "" : ": ", verdict.reason)));
  settle(verdict.action_id);
  return out;
}

Result<bool> Runner::collect_evidence(ActionRecord& record, const ActionSpec& spec, const Subject& subject,
                                      std::unique_lock<std::mutex>& lock) {
  advance(record, ActionState::evidence, world_.clock);
  QUELL_CHECK(save(record));
  // While it is collected, others must find it: who repeats the request, and who cancels it.
  activate(record, &spec);
  lock.unlock();
  std::string evidence = options_.collect_evidence(record.command.evidence, call(record), subject);
  lock.lock();
  const std::optional<Verdict> cancelled = active_.at(record.id).cancelled;
  settle(record.id);
  record.evidence_json = std::move(evidence);
  if (!cancelled) return true;
  QUELL_TRY(Outcome out, finish(record, ActionState::cancelled,
                                fmt::format("by {}{}{}", cancelled->actor, cancelled->reason.empty() ? "" : ": ",
                                            cancelled->reason)));
  record = std::move(out.record);
  return false;
}

Result<std::vector<Standing>> Runner::in_effect() {
  const std::lock_guard lock(mutex_);
  std::vector<Standing> out;
  // Containments without an end are settled as far as we go, so the journal is asked, not only who waits.
  for (const ActionState state : {ActionState::contained, ActionState::partially_contained}) {
    ActionQuery query;
    query.state = state;
    query.limit = 1000;
    QUELL_TRY(std::vector<ActionRecord> page, journal_.list_actions(query));
    for (ActionRecord& record : page) {
      const ActionSpec* spec = find_action_spec(record.command.action);
      if (spec == nullptr || spec->undo == nullptr) continue;
      if (const auto active = active_.find(record.id); active != active_.end()) record = active->second.record;
      const auto pre_state = Json::parse(record.pre_state_json);
      const Look look = spec->look(call(record), pre_state ? *pre_state : Json());
      Standing standing{std::move(record), {}};
      if (look.seen != Seen::in_effect) standing.drift = look.note.empty() ? "not in effect any more" : look.note;
      out.push_back(std::move(standing));
    }
  }
  std::sort(out.begin(), out.end(),
            [](const Standing& a, const Standing& b) { return a.record.requested_ns < b.record.requested_ns; });
  return out;
}

StopSwitch Runner::stop_switch() {
  const std::lock_guard lock(guard_mutex_);
  return stop_;
}

Result<void> Runner::set_stop_switch(const StopSwitch& wanted) {
  const std::lock_guard lock(guard_mutex_);
  StopSwitch next = wanted;
  next.since_ns = now();
  // On at once, whatever the disk says; off only once that is on record.
  if (next.is_on) stop_ = next;
  QUELL_CHECK(journal_.save_setting(kStopSetting, stop_switch_to_json(next)));
  stop_ = std::move(next);
  log::warn("respond", "the stop switch is {}, turned by {}{}{}", stop_.is_on ? "on" : "off", stop_.actor,
            stop_.reason.empty() ? "" : ": ", stop_.reason);
  return {};
}

/// What a start has to remember besides the open actions: the switch, and what came by itself lately.
Result<void> Runner::recall() {
  const std::lock_guard lock(guard_mutex_);
  QUELL_TRY(const std::string text, journal_.setting(kStopSetting));
  if (!text.empty()) {
    QUELL_TRY(const Json json, Json::parse(text));
    stop_ = stop_switch_from_json(json);
  }
  uint64_t window_s = 0;
  for (const Rate& rate : {options_.guards.per_machine, options_.guards.per_policy, options_.guards.per_target})
    window_s = std::max(window_s, rate.window_s);
  ActionQuery query;
  query.limit = 1000;
  QUELL_TRY(const std::vector<ActionRecord> latest, journal_.list_actions(query));
  recent_.clear();
  for (const ActionRecord& record : latest) {
    const bool took_effect = std::any_of(record.history.begin(), record.history.end(),
                                         [](const auto& step) { return step.second == ActionState::executing; });
    if (record.command.is_automatic() && took_effect && record.requested_ns + window_s * kSecondNs > now())
      recent_.push_front({record.requested_ns, record.command.policy, record.target.str()});
  }
  return {};
}

}  // namespace quell::respond
