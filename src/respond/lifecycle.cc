// What happens to an action after its immediate proof: the watch, the expiry, the undo, and what a restart finds.
#include <fmt/format.h>
#include <algorithm>

#include "base/log.h"
#include "respond/actions/all.h"
#include "respond/runner.h"
#include "respond/transitions.h"

namespace quell::respond {
namespace {

Json pre_state_of(const ActionRecord& record) {
  auto json = Json::parse(record.pre_state_json);
  return json ? std::move(*json) : Json();
}

std::string watch_result(const Watcher& watcher, uint64_t watch_ns, const std::optional<std::string>& evaded) {
  JsonWriter out;
  out.begin_object();
  out.flag("held", !evaded).integer("watched_ns", watch_ns).key("seen").raw(watcher.describe());
  if (evaded) out.text("evaded", *evaded);
  out.end_object();
  return out.take();
}

}  // namespace

Result<Outcome> Runner::undo(const Verdict& request) {
  Result<Outcome> out = [&]() -> Result<Outcome> {
    const std::lock_guard lock(mutex_);
    ActionRecord record;
    if (const auto found = active_.find(request.action_id); found != active_.end()) {
      record = found->second.record;
    } else {
      QUELL_TRY(record, journal_.find_action(request.action_id));
    }
    if (record.state == ActionState::undone) return Outcome{std::move(record), true};
    const ActionSpec* spec = find_action_spec(record.command.action);
    if (spec == nullptr)
      return Error{Code::unsupported, fmt::format("this version of Quell does not know {}", record.command.action), {}};
    if (spec->undo == nullptr)
      return Error{Code::unsupported,
                   fmt::format("{} cannot be undone{}", spec->name,
                               spec->compensation != nullptr
                                   ? "; instead: " + spec->compensation(record.target, pre_state_of(record))
                                   : ""),
                   {}};
    if (record.state != ActionState::undoing && !may_follow(record.state, ActionState::undoing))
      return Error{Code::conflict,
                   fmt::format("action {} is {}: there is nothing to undo", record.id, to_string(record.state)),
                   {}};
    const bool was_active = active_.contains(record.id);
    const std::string id = record.id;
    Active& active = was_active ? active_.at(id) : activate(std::move(record), spec);
    Result<Outcome> undone = undo_locked(active, request.actor, request.reason, false);
    if (!undone && !was_active) settle(id);
    return undone;
  }();
  wake();
  return out;
}

Result<Outcome> Runner::undo_locked(Active& active, const std::string& actor, const std::string& reason, bool expiry) {
  ActionRecord& record = active.record;
  const Look look = active.spec->look(call(record), pre_state_of(record));
  if (look.seen == Seen::cannot_tell)
    return Error{Code::unavailable, "nothing was changed: " + look.note + "; try again when it answers", {}};

  ActionRecord intent = record;
  intent.undo_actor = actor;
  intent.undo_reason = reason;
  if (expiry) advance(intent, ActionState::expiring, world_.clock);
  if (intent.state != ActionState::undoing) advance(intent, ActionState::undoing, world_.clock);
  intent.watch_until_ns = 0;
  if (auto saved = save(intent); !saved) {
    Error error = std::move(saved).error();
    error.message = "the intent to undo could not be journaled, so nothing was changed: " + error.message;
    return error;
  }
  record = std::move(intent);
  active.watcher.reset();
  if (look.seen == Seen::in_effect)
    carry_out_undo(active);
  else
    settle_undo(active, look, Result<void>());
  Outcome out{record, false};
  if (!active.unsaved && !is_unsettled(record)) settle(out.record.id);
  return out;
}

void Runner::carry_out_undo(Active& active) {
  const Result<void> effect = active.spec->undo(call(active.record), pre_state_of(active.record));
  // What an undo brings about is that the effect is not there any more; a runtime's answer may come a moment early.
  constexpr uint64_t kPatienceNs = 2'000'000'000, kLookEveryNs = 20'000'000;
  const uint64_t deadline = ticks() + kPatienceNs;
  Look look = active.spec->look(call(active.record), pre_state_of(active.record));
  while (effect && look.seen == Seen::in_effect && ticks() < deadline) {
    world_.sleep(kLookEveryNs);
    look = active.spec->look(call(active.record), pre_state_of(active.record));
  }
  settle_undo(active, look, effect);
}

// From undoing to its end, by what the machine says.
void Runner::settle_undo(Active& active, const Look& look, const Result<void>& effect) {
  ActionRecord& record = active.record;
  const bool expired = record.undo_actor == "ttl";
  record.proof_json = with_proof_part(record.proof_json, "undo", look.proof);
  switch (look.seen) {
    case Seen::not_in_effect:
      advance(record, ActionState::undone, world_.clock, expired ? "expired" : "undone on request");
      break;
    case Seen::changed:
      advance(record, ActionState::undo_failed, world_.clock,
              "undo_conflict: " + look.note + "; nothing was changed: look, and decide by hand");
      break;
    case Seen::ended:
    case Seen::replaced:
      // For an expiry that is as good; a person who asked to restore something must hear that it could not be restored.
      if (expired)
        advance(record, ActionState::undone, world_.clock, "expired: " + look.note);
      else
        advance(record, ActionState::undo_failed, world_.clock,
                "undo_conflict: " + look.note + "; nothing was changed");
      break;
    case Seen::in_effect:
    case Seen::cannot_tell: {
      const bool lost_answer =
          look.seen == Seen::cannot_tell ||
          (!effect && (effect.error().code == Code::timeout || effect.error().code == Code::unavailable));
      const std::string why =
          effect ? (look.note.empty() ? "the effect is still there" : look.note) : effect.error().str();
      if (lost_answer) {
        record.reason = "the undo was not answered and is looked at again: " + why;
        active.retry_at_ns = ticks() + options_.retry_ns;
      } else {
        advance(record, ActionState::undo_failed, world_.clock, why);
      }
      break;
    }
  }
  if (is_final(record.state)) record.expires_ns = record.watch_until_ns = 0;
  save_or_keep(active);
}

// An intent without an outcome, or an outcome that could not be told: the machine is asked, and nothing is done again.
void Runner::settle_by_looking(Active& active) {
  ActionRecord& record = active.record;
  const ActionSpec& spec = *active.spec;
  const Look look = spec.look(call(record), pre_state_of(record));
  const bool may_still_come = look.seen == Seen::not_in_effect && now() < record.requested_ns + spec.settle_ns;
  if (look.seen == Seen::cannot_tell || may_still_come) {
    if (record.state != ActionState::unknown) {
      advance(record, ActionState::unknown, world_.clock,
              look.seen == Seen::cannot_tell ? look.note : "no answer was seen, and it may still take effect");
      save_or_keep(active);
    }
    active.retry_at_ns =
        ticks() + (may_still_come ? std::min(options_.retry_ns, record.requested_ns + spec.settle_ns - now())
                                  : options_.retry_ns);
    return;
  }
  const Error lost{Code::cancelled, "Quell stopped between the intent and the effect; the effect is not there", {}};
  const bool was_unknown = record.state == ActionState::unknown;
  conclude(record, spec, look, look.seen == Seen::in_effect ? Result<void>() : Result<void>(lost));
  if (look.seen == Seen::in_effect) {
    record.reason = was_unknown ? "found in effect when it could be asked" : "found in effect after a restart of Quell";
    start_expiry(record, spec, record.requested_ns);
  }
  save_or_keep(active);
}

// A restart, or a look in between, ended what the watcher compared with: say so, and look once.
void Runner::close_interrupted_watch(Active& active) {
  ActionRecord& record = active.record;
  const Look look = active.spec->look(call(record), pre_state_of(record));
  record.watch_until_ns = 0;
  JsonWriter out;
  out.begin_object();
  out.flag("interrupted", true).flag("held", look.seen == Seen::in_effect).key("seen").raw(look.proof).end_object();
  record.proof_json = with_proof_part(record.proof_json, "watch", out.take());
  if (look.seen == Seen::replaced && record.state == ActionState::contained)
    advance(record, ActionState::partially_contained, world_.clock, look.note);
  save_or_keep(active);
}

void Runner::look_on(Active& active) {
  ActionRecord& record = active.record;
  const bool last = ticks() >= active.watch_end_ns;
  const std::optional<std::string> evaded = active.watcher->evaded(world_, last);
  if (!evaded && !last) {
    active.next_look_ns = std::min(ticks() + active.spec->watch_every_ns, active.watch_end_ns);
    return;
  }
  const uint64_t started_ns = record.finished_ns;
  record.proof_json =
      with_proof_part(record.proof_json, "watch", watch_result(*active.watcher, now() - started_ns, evaded));
  record.watch_until_ns = 0;
  active.watcher.reset();
  if (evaded && record.state == ActionState::contained)
    advance(record, ActionState::partially_contained, world_.clock, *evaded);
  save_or_keep(active);
}

Result<RecoveryReport> Runner::recover() {
  const std::lock_guard lock(mutex_);
  QUELL_TRY(const std::vector<ActionRecord> open, journal_.unsettled_actions());
  QUELL_CHECK(recall());
  RecoveryReport report;
  for (const ActionRecord& record : open) {
    const ActionSpec* spec = find_action_spec(record.command.action);
    if (spec == nullptr) {
      log::warn("respond", "action {} is {} and of a kind that this version does not know ({}); it is left alone",
                record.id, to_string(record.state), record.command.action);
      ++report.unresolved;
      continue;
    }
    Active& active = activate(record, spec);
    recover_one(active);
    const ActionRecord& after = active.record;
    if (!is_final(after.state) || after.state == ActionState::unknown)
      ++report.unresolved;
    else if (is_in_effect(record))
      ++report.resumed;
    else
      ++report.resolved;
    log::info("respond", "action {} ({} on {}) was {}, is {}", after.id, after.command.action, after.target.str(),
              to_string(record.state), to_string(after.state));
    if (!active.unsaved && !is_unsettled(after)) settle(record.id);
  }
  return report;
}

void Runner::recover_one(Active& active) {
  ActionRecord& record = active.record;
  switch (record.state) {
    case ActionState::requested:
    case ActionState::authorised:
    case ActionState::preflight:
    case ActionState::evidence:
      advance(record, ActionState::cancelled, world_.clock, "Quell stopped before anything was done");
      save_or_keep(active);
      return;
    case ActionState::awaiting_approval: return;
    case ActionState::executing:
    case ActionState::executed:
    case ActionState::verifying:
    case ActionState::unknown: settle_by_looking(active); return;
    case ActionState::expiring: advance(record, ActionState::undoing, world_.clock); [[fallthrough]];
    case ActionState::undoing: {
      // Finished, not repeated: it is undone again only where the machine says that it was not undone.
      const Look look = active.spec->look(call(record), pre_state_of(record));
      if (look.seen == Seen::in_effect)
        carry_out_undo(active);
      else
        settle_undo(active, look, Result<void>());
      return;
    }
    default:
      if (record.watch_until_ns != 0) close_interrupted_watch(active);
      return;
  }
}

void Runner::poll_one(Active& active) {
  ActionRecord& record = active.record;
  if (active.unsaved) {
    if (ticks() >= active.retry_at_ns) save_or_keep(active);
    return;
  }
  if (record.state == ActionState::unknown) {
    if (ticks() >= active.retry_at_ns) settle_by_looking(active);
    return;
  }
  if (record.state == ActionState::undoing) {
    if (ticks() >= active.retry_at_ns) recover_one(active);
    return;
  }
  if (record.state == ActionState::awaiting_approval) {
    if (now() < record.approve_until_ns) return;
    advance(record, ActionState::expired_request, world_.clock, "nobody approved it in time");
    save_or_keep(active);
    return;
  }
  if (!is_in_effect(record)) return;
  if (record.watch_until_ns != 0) {
    if (active.watcher == nullptr)
      close_interrupted_watch(active);
    else if (ticks() >= active.next_look_ns)
      look_on(active);
    if (active.unsaved) return;
  }
  if (record.expires_ns != 0 && now() >= record.expires_ns && ticks() >= active.retry_at_ns) {
    if (put_off_expiry(active)) return;
    // undo_locked() may settle the record; nothing of it is touched afterwards.
    const std::string id = record.id;
    if (auto undone = undo_locked(active, "ttl", "the time to live has passed", true); !undone) {
      log::warn("respond", "action {} has expired but could not be undone yet: {}", id, undone.error().str());
      active.retry_at_ns = ticks() + options_.retry_ns;
    }
  }
}

// Once, and by its own length: what it was for still goes on, and a person is told.
bool Runner::put_off_expiry(Active& active) {
  ActionRecord& record = active.record;
  if (record.was_extended || !options_.is_still_needed || !options_.is_still_needed(record)) return false;
  record.was_extended = true;
  start_expiry(record, *active.spec, now());
  record.reason = "extended once: what it was for still goes on";
  save_or_keep(active);
  if (options_.on_extended) options_.on_extended(record);
  return true;
}

uint64_t Runner::due_in(const Active& active) const {
  const ActionRecord& record = active.record;
  const auto until = [](uint64_t due, uint64_t now_ns) { return due > now_ns ? due - now_ns : 0; };
  if (active.unsaved || record.state == ActionState::unknown || record.state == ActionState::undoing)
    return until(active.retry_at_ns, ticks());
  uint64_t due = UINT64_MAX;
  if (record.state == ActionState::awaiting_approval) return until(record.approve_until_ns, now());
  if (record.watch_until_ns != 0) due = std::min(due, until(active.next_look_ns, ticks()));
  if (record.expires_ns != 0)
    due = std::min(due, std::max(until(record.expires_ns, now()), until(active.retry_at_ns, ticks())));
  return due;
}

uint64_t Runner::poll() {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> ids;
  for (const auto& [id, active] : active_) ids.push_back(id);
  for (const std::string& id : ids) {
    const auto found = active_.find(id);
    if (found == active_.end()) continue;
    poll_one(found->second);
    if (const auto left = active_.find(id);
        left != active_.end() && !left->second.unsaved && !is_unsettled(left->second.record))
      settle(id);
  }
  uint64_t due = UINT64_MAX;
  for (const auto& [id, active] : active_) due = std::min(due, due_in(active));
  return due;
}

}  // namespace quell::respond
