#include "respond/runner.h"

#include <fmt/format.h>
#include <random>

#include "base/log.h"
#include "base/text.h"
#include "respond/actions/all.h"
#include "respond/transitions.h"

namespace quell::respond {
namespace {

constexpr std::string_view kVerbRule = "verb";  // the rule that an action's own refusal goes by
constexpr uint64_t kMaxTtlS = 30 * 24 * 3600;
constexpr size_t kMaxText = 1000;    // of reason, actor and key
constexpr size_t kMaxRecent = 4096;  // automatic actions that rates look back on

std::string random_id() {
  std::random_device source;
  const uint64_t value = (uint64_t{source()} << 32) | source();
  return fmt::format("a-{:016x}", value);
}

bool is_among(std::string_view name, std::string_view names) {
  for (const std::string_view one : split(names, '|'))
    if (one == name) return true;
  return false;
}

std::string identity_of(const Target& target) {
  switch (target.kind) {
    case EntityKind::process:
      return fmt::format("{}/{}@{}", target.process.boot_id, target.process.pid, target.process.start_ticks);
    case EntityKind::container: return fmt::format("{}/{}@{}", target.runtime, target.container_id, target.started_at);
    case EntityKind::file: return fmt::format("{}#{}:{}", target.str(), target.file_dev, target.file_ino);
    default: return target.str();
  }
}

/// The same request is the same action while that stands: same verb, same identity, same parameters.
std::string derived_key(const ActionSpec& spec, const ActionRecord& record) {
  std::string key = fmt::format("auto:{}:{}", spec.name, identity_of(record.target));
  for (const auto& [name, value] : record.command.params) key += fmt::format("&{}={}", name, value);
  return key;
}

Result<const ActionSpec*> spec_of(const std::string& name) {
  if (const ActionSpec* spec = find_action_spec(name)) return spec;
  std::vector<std::string_view> names;
  for (const ActionSpec* spec : kActions) names.push_back(spec->name);
  const std::string_view near = nearest(name, names);
  return Error{Code::not_found,
               near.empty() ? fmt::format("there is no action \"{}\"; there are: {}", name, fmt::join(names, ", "))
                            : fmt::format("there is no action \"{}\"; did you mean {}?", name, near),
               {}};
}

Result<void> check_command(const Command& command, const ActionSpec& spec) {
  if (command.ttl_s != 0 && spec.default_ttl_s == 0)
    return Error{Code::invalid_argument, fmt::format("{} does not expire, so it takes no TTL", spec.name), {}};
  if (command.ttl_s > kMaxTtlS)
    return Error{Code::invalid_argument, fmt::format("a TTL of {} s is more than 30 days", command.ttl_s), {}};
  if (command.reason.size() > kMaxText || command.actor.size() > kMaxText || command.idempotency_key.size() > kMaxText)
    return Error{Code::invalid_argument, fmt::format("reason, actor and key hold at most {} bytes each", kMaxText), {}};
  return {};
}

uint64_t ttl_of(const Command& command, const ActionSpec& spec) {
  return command.ttl_s != 0 ? command.ttl_s : spec.default_ttl_s;
}

// Whether the request may have been carried out although no answer came.
bool is_uncertain(Code code) { return code == Code::timeout || code == Code::unavailable || code == Code::io; }

}  // namespace

Runner::Runner(World world, ActionJournal& journal, RunnerOptions options)
    : world_(std::move(world)), journal_(journal), options_([&] {
        if (!options.new_id) options.new_id = random_id;
        return std::move(options);
      }()) {}

Runner::~Runner() = default;

Call Runner::call(const ActionRecord& record) const {
  const ActionSpec* spec = find_action_spec(record.command.action);
  return {world_, record.id, record.command.params, record.target, spec != nullptr ? ttl_of(record.command, *spec) : 0};
}

std::optional<Refusal> Runner::refusal(const ActionSpec& spec, const Command& command, const Subject& subject,
                                       const Plan& plan) const {
  const std::lock_guard lock(guard_mutex_);
  return check_guards({world_, options_.guards, spec, subject, plan.affected, command, stop_, recent_});
}

Result<Runner::Prepared> Runner::prepare(const ActionRecord& record, Target* identity) {
  Prepared out;
  const Command& command = record.command;
  QUELL_TRY(out.spec, spec_of(command.action));
  if (out.spec->missing != nullptr)
    if (const auto why = out.spec->missing(world_))
      return Error{Code::unsupported, fmt::format("{} is not possible here: {}", out.spec->name, *why), {}};
  QUELL_TRY(out.resolved, resolve(world_, *out.spec, command, options_.find_detection, identity));
  const Subject& subject = out.resolved.subject;
  const Call verb{world_, record.id, command.params, subject.target, ttl_of(command, *out.spec)};
  auto planned = out.spec->plan(verb, subject, out.plan);
  // What the verb itself will not touch is refused like what a guard protects: on record.
  if (!planned && planned.error().code != Code::refused) return std::move(planned).error();
  out.refusal = planned ? refusal(*out.spec, command, subject, out.plan)
                        : Refusal{std::string(kVerbRule), planned.error().message, {}};
  out.approval = approval_need(options_.guards, *out.spec, command);
  out.preview_json =
      plan_to_json(*out.spec, subject, out.plan, command, ttl_of(command, *out.spec), out.approval, out.refusal);
  return out;
}

Result<Preview> Runner::preview(const Command& command) {
  QUELL_TRY(const ActionSpec* spec, spec_of(command.action));
  QUELL_CHECK(check_command(command, *spec));
  ActionRecord record;
  record.id = options_.new_id();
  record.command = command;
  QUELL_TRY(record.command.params, complete_params(*spec, command.params));
  if (spec->by_undo) {
    QUELL_TRY(const ActionRecord lifted, find_lifted(*spec, command));
    Subject subject;
    subject.target = lifted.target;
    Plan plan;
    plan.effects.push_back(
        fmt::format("undoes action {} ({} by {})", lifted.id, lifted.command.action, lifted.command.actor));
    plan.undo = std::string(spec->undo_doc);
    return Preview{lifted.target, {}, false, false, {}, plan_to_json(*spec, subject, plan, command, 0, {}, {})};
  }
  QUELL_TRY(Prepared prepared, prepare(record, nullptr));
  return Preview{prepared.resolved.subject.target,
                 std::move(prepared.refusal),
                 prepared.plan.already_in_effect,
                 prepared.spec->effect_class >= ActionClass::hard,
                 prepared.approval,
                 std::move(prepared.preview_json)};
}

Result<void> Runner::save(const ActionRecord& record) {
  QUELL_CHECK(journal_.save_action(record));
  if (options_.on_record) options_.on_record(record);
  return {};
}

Result<Outcome> Runner::finish(ActionRecord record, ActionState state, std::string reason) {
  advance(record, state, world_.clock, std::move(reason));
  QUELL_CHECK(save(record));
  return Outcome{std::move(record), false};
}

// The record that makes a new one needless: same key, and still standing as far as the journal and the machine say.
Result<std::optional<ActionRecord>> Runner::find_standing(const ActionSpec& spec, const std::string& key) {
  QUELL_TRY(std::optional<ActionRecord> found, journal_.find_action_by_key(key));
  if (!found || (!is_in_effect(*found) && is_final(found->state) && found->state != ActionState::unknown))
    return std::optional<ActionRecord>();
  if (!is_in_effect(*found)) return found;
  // The journal remembers; only the machine knows. A pause that somebody else lifted must not pass for one that stands.
  const auto pre_state = Json::parse(found->pre_state_json);
  const Look look = spec.look(call(*found), pre_state ? *pre_state : Json());
  if (look.seen == Seen::in_effect || look.seen == Seen::cannot_tell) return found;
  advance(*found, ActionState::undone, world_.clock, "lifted by somebody else: " + look.note);
  found->expires_ns = found->watch_until_ns = 0;
  QUELL_CHECK(save(*found));
  settle(found->id);
  return std::optional<ActionRecord>();
}

Result<ActionRecord> Runner::find_lifted(const ActionSpec& spec, const Command& command) {
  QUELL_TRY(const TargetRef ref, parse_target(command.target));
  for (const ActionState state : {ActionState::contained, ActionState::partially_contained, ActionState::undo_failed}) {
    ActionQuery query;
    query.action = spec.lifts;
    query.state = state;
    query.limit = 1000;
    QUELL_TRY(const std::vector<ActionRecord> standing, journal_.list_actions(query));
    for (const ActionRecord& record : standing)
      if (record.command.action == spec.lifts &&
          (record.target.str() == command.target || record.command.target == command.target))
        return record;
  }
  return Error{Code::not_found, fmt::format("no {} of ours stands on {}", spec.lifts, command.target), {}};
}

Result<Outcome> Runner::run(const Command& command) {
  if (const ActionSpec* spec = find_action_spec(command.action); spec != nullptr && spec->by_undo) {
    QUELL_CHECK(check_command(command, *spec));
    QUELL_TRY(const ActionRecord record, find_lifted(*spec, command));
    return undo({record.id, command.actor, command.reason});
  }
  Result<Outcome> out = [&]() -> Result<Outcome> {
    std::unique_lock lock(mutex_);
    QUELL_TRY(const ActionSpec* spec, spec_of(command.action));
    QUELL_CHECK(check_command(command, *spec));

    // A repeated request is answered from the journal even when its target cannot be resolved any more.
    if (!command.idempotency_key.empty()) {
      QUELL_TRY(std::optional<ActionRecord> standing, find_standing(*spec, command.idempotency_key));
      if (standing && (standing->command.action != command.action || standing->command.target != command.target))
        return Error{Code::conflict,
                     fmt::format("the idempotency key belongs to action {} ({} on {}); use another one", standing->id,
                                 standing->command.action, standing->command.target),
                     {}};
      if (standing) return Outcome{std::move(*standing), true};
    }

    ActionRecord record;
    record.id = options_.new_id();
    record.command = command;
    QUELL_TRY(record.command.params, complete_params(*spec, command.params));
    record.requested_ns = now();
    record.history.emplace_back(record.requested_ns, ActionState::requested);

    Result<Prepared> prepared = prepare(record, &record.target);
    if (!command.evidence.items.empty() && !options_.collect_evidence)
      return Error{Code::unsupported, "this quell collects no evidence before an action; ask without it", "evidence"};
    if (!prepared) {
      const Error error = std::move(prepared).error();
      const bool identified = record.target.process.start_ticks != 0 || !record.target.container_id.empty();
      if (!identified || (error.code != Code::gone && error.code != Code::stale)) return error;
      record.command.idempotency_key =
          command.idempotency_key.empty() ? derived_key(*spec, record) : command.idempotency_key;
      QUELL_TRY(std::optional<ActionRecord> standing, find_standing(*spec, record.command.idempotency_key));
      if (standing) return Outcome{std::move(*standing), true};
      if (error.code == Code::stale) return finish(std::move(record), ActionState::stale_target, error.message);
      return finish(std::move(record), ActionState::already_in_effect, "already_gone: " + error.message);
    }
    record.detection_id = prepared->resolved.detection_id;
    record.preview_json = prepared->preview_json;
    record.pre_state_json = prepared->plan.pre_state_json;
    if (record.command.idempotency_key.empty()) {
      record.command.idempotency_key = derived_key(*spec, record);
      QUELL_TRY(std::optional<ActionRecord> standing, find_standing(*spec, record.command.idempotency_key));
      if (standing) return Outcome{std::move(*standing), true};
    }
    record.approval = prepared->approval;
    if (record.approval.count > 0 && !prepared->refusal && !prepared->plan.already_in_effect)
      return await_approval(std::move(record), *spec);
    return carry_out(std::move(record), *spec, std::move(*prepared), lock);
  }();
  wake();
  return out;
}

Result<Outcome> Runner::carry_out(ActionRecord record, const ActionSpec& spec, Prepared prepared,
                                  std::unique_lock<std::mutex>& lock) {
  advance(record, ActionState::preflight, world_.clock);
  if (prepared.refusal) {
    const std::string reason = prepared.refusal->rule + ": " + prepared.refusal->str();
    return finish(std::move(record), ActionState::refused_guard, reason);
  }
  if (prepared.plan.already_in_effect)
    return finish(std::move(record), ActionState::already_in_effect, prepared.plan.already_reason);

  if (!record.command.evidence.items.empty() && options_.collect_evidence) {
    QUELL_TRY(const bool goes_on, collect_evidence(record, spec, prepared.resolved.subject, lock));
    if (!goes_on) return Outcome{std::move(record), false};
  }

  // The intent. From here on a crash leaves a record to resolve; without it nothing is done.
  advance(record, ActionState::executing, world_.clock);
  if (auto saved = save(record); !saved) {
    Error error = std::move(saved).error();
    error.message = "the intent could not be journaled, so nothing was done: " + error.message;
    return error;
  }

  // The last look before the effect: writing the intent took time, and a container or a process can be another one
  // since.
  Result<Subject> held = reopen(world_, record.target);
  if (!held) {
    const Error error = std::move(held).error();
    if (error.code == Code::stale) return finish(std::move(record), ActionState::stale_target, error.message);
    if (error.code == Code::gone)
      return finish(std::move(record), ActionState::already_in_effect, "already_gone: " + error.message);
    return finish(std::move(record), ActionState::failed, "nothing was done: " + error.str());
  }
  prepared.plan = {};
  if (auto planned = spec.plan(call(record), *held, prepared.plan); !planned)
    return planned.error().code == Code::refused
               ? finish(std::move(record), ActionState::refused_guard,
                        fmt::format("{}: {}", kVerbRule, planned.error().message))
               : finish(std::move(record), ActionState::failed, "nothing was done: " + planned.error().str());
  if (const auto refused = refusal(spec, record.command, *held, prepared.plan)) {
    const std::string reason = refused->rule + ": " + refused->str();
    return finish(std::move(record), ActionState::refused_guard, reason);
  }
  if (prepared.plan.already_in_effect)
    return finish(std::move(record), ActionState::already_in_effect, prepared.plan.already_reason);

  note_automatic(record);
  std::unique_ptr<Watcher> watcher = spec.watch != nullptr ? spec.watch(call(record), *held, prepared.plan) : nullptr;
  // The journaled intent answers who repeats the request; a kill must not wait for the end of a stop's grace.
  if (spec.effect_waits) lock.unlock();
  Result<std::string> brought = spec.effect(call(record), *held, prepared.plan);
  if (spec.effect_waits) lock.lock();
  if (brought) {
    record.result_json = *brought;
    advance(record, ActionState::executed, world_.clock);
  }
  const Look look = spec.prove(call(record), *held, prepared.plan, record.result_json);
  conclude(record, spec, look, brought ? Result<void>() : Result<void>(std::move(brought).error()));

  Active& active = activate(std::move(record), &spec);
  if (is_in_effect(active.record) && watcher != nullptr && spec.watch_ns != 0) {
    const bool respawn = spec.watch == watch_container_respawn;
    const uint64_t watch_ns = respawn ? options_.container_respawn_watch_ns : spec.watch_ns;
    watcher->begin(world_);
    active.watcher = std::move(watcher);
    active.watch_end_ns = ticks() + watch_ns;
    active.next_look_ns = ticks() + std::min(watch_ns, spec.watch_every_ns);
    active.record.watch_until_ns = now() + watch_ns;
  }
  if (spec.releases && active.record.state == ActionState::undone) lift_by(active.record, spec);
  save_or_keep(active);
  Outcome out{active.record, false};
  if (!active.unsaved && !is_unsettled(active.record)) settle(active.record.id);
  return out;
}

// From what the machine says after the effect, whatever the effect itself answered, to a state.
void Runner::conclude(ActionRecord& record, const ActionSpec& spec, const Look& look, const Result<void>& effect) {
  record.proof_json = with_proof_part(record.proof_json, "immediate", look.proof);
  const auto to_verifying = [&] {
    if (record.state == ActionState::executing) advance(record, ActionState::executed, world_.clock);
    if (record.state != ActionState::verifying) advance(record, ActionState::verifying, world_.clock);
  };
  const std::string why = effect ? look.note : effect.error().str();
  switch (look.seen) {
    case Seen::in_effect:
      to_verifying();
      advance(record, spec.releases ? ActionState::undone : ActionState::contained, world_.clock, look.note);
      start_expiry(record, spec, now());
      return;
    case Seen::ended:
      to_verifying();
      advance(record, ActionState::already_in_effect, world_.clock, "already_gone: " + look.note);
      return;
    case Seen::replaced:
      to_verifying();
      // A kill that was answered by a restart did hit; a pause did not.
      advance(record,
              spec.effect_class == ActionClass::hard ? ActionState::partially_contained : ActionState::stale_target,
              world_.clock, look.note);
      return;
    case Seen::cannot_tell:
      if (record.state != ActionState::unknown)
        advance(record, ActionState::unknown, world_.clock, effect ? look.note : effect.error().str());
      return;
    case Seen::changed:
    case Seen::not_in_effect: break;
  }
  const uint64_t settled_at = record.requested_ns + spec.settle_ns;
  if (!effect && is_uncertain(effect.error().code) && now() < settled_at) {
    // No answer is not "no": the runtime may still carry it out.
    if (record.state != ActionState::unknown) advance(record, ActionState::unknown, world_.clock, why);
    return;
  }
  // failed: we were told so. not_contained: we looked, and it is not there.
  if (!effect && !is_uncertain(effect.error().code) && effect.error().code != Code::cancelled) {
    advance(record, ActionState::failed, world_.clock, why);
  } else {
    to_verifying();
    advance(record, ActionState::not_contained, world_.clock, why);
  }
  if (spec.put_back != nullptr) {
    const auto pre_state = Json::parse(record.pre_state_json);
    const auto put_back = spec.put_back(call(record), pre_state ? *pre_state : Json());
    if (!put_back) record.reason += "; what had been changed could not be put back: " + put_back.error().str();
  }
}

void Runner::start_expiry(ActionRecord& record, const ActionSpec& spec, uint64_t from_ns) {
  const uint64_t ttl_s = ttl_of(record.command, spec);
  if (ttl_s != 0 && is_in_effect(record)) record.expires_ns = from_ns + ttl_s * 1'000'000'000;
}

// Our own containments of the target that was just released have nothing left to expire.
void Runner::lift_by(ActionRecord& release, const ActionSpec& spec) {
  std::vector<std::string> lifted;
  for (auto& [id, active] : active_) {
    ActionRecord& held = active.record;
    const bool is_its =
        is_among(active.spec->name, spec.lifts) &&
        (held.target.kind == EntityKind::container ? held.target.container_id == release.target.container_id
                                                   : held.target.str() == release.target.str());
    if (!is_its || !is_in_effect(held)) continue;
    advance(held, ActionState::undone, world_.clock, "lifted by action " + release.id);
    held.expires_ns = held.watch_until_ns = 0;
    held.undo_actor = release.command.actor;
    held.undo_reason = release.command.reason;
    release.undo_of = id;
    active.watcher.reset();
    save_or_keep(active);
    if (!active.unsaved) lifted.push_back(id);
  }
  for (const std::string& id : lifted) settle(id);
}

// What took effect by itself, or was about to, counts against the rates.
void Runner::note_automatic(const ActionRecord& record) {
  if (!record.command.is_automatic()) return;
  const std::lock_guard lock(guard_mutex_);
  if (recent_.size() >= kMaxRecent) recent_.pop_front();
  recent_.push_back({now(), record.command.policy, record.target.str()});
}

Runner::Active& Runner::activate(ActionRecord record, const ActionSpec* spec) {
  Active& active = active_[record.id];
  active.record = std::move(record);
  active.spec = spec;
  if (spec->keep_alive != nullptr) active.keep_alive_at_ns = ticks() + spec->keep_alive_ns;
  if (active.record.state == ActionState::unknown)
    active.retry_at_ns = ticks() + std::min(options_.retry_ns, std::max<uint64_t>(spec->settle_ns, 1));
  return active;
}

void Runner::settle(const std::string& id) { active_.erase(id); }

void Runner::save_or_keep(Active& active) {
  if (auto saved = save(active.record); !saved) {
    if (!active.unsaved)
      log::error("respond", "the outcome of action {} ({}) could not be journaled and is kept in memory: {}",
                 active.record.id, to_string(active.record.state), saved.error().str());
    active.unsaved = true;
    active.retry_at_ns = ticks() + options_.retry_ns;
    return;
  }
  active.unsaved = false;
}

void Runner::wake() {
  const std::lock_guard lock(waker_mutex_);
  if (waker_) waker_();
}

void Runner::set_waker(std::function<void()> waker) {
  const std::lock_guard lock(waker_mutex_);
  waker_ = std::move(waker);
}

std::string with_proof_part(const std::string& proof_json, std::string_view part, std::string_view json) {
  Json::Object parts;
  if (const auto before = Json::parse(proof_json); before && before->object() != nullptr) parts = *before->object();
  std::erase_if(parts, [&](const auto& member) { return member.first == part; });
  auto value = Json::parse(json);
  parts.emplace_back(std::string(part), value ? std::move(*value) : Json());
  return Json(std::move(parts)).dump();
}

}  // namespace quell::respond
