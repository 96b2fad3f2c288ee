#pragma once
// The ceremony of every action, once: resolve → preview → guard → approval → evidence → journal the intent → look again
// → effect → proof → journal the outcome → watch → expire or undo. After a crash recover() finishes or reports what the
// journal left open, by asking the machine; no effect is ever repeated blindly.
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "respond/guards.h"
#include "respond/responder.h"
#include "respond/target.h"
#include "respond/world.h"

namespace quell::respond {

struct RunnerOptions {
  GuardPolicy guards{};
  FindDetection find_detection{};
  uint64_t container_respawn_watch_ns = 10'000'000'000;  // of container.kill and container.stop
  uint64_t retry_ns = 10'000'000'000;                    // between two attempts to ask a runtime that did not answer
  /// Collects the named parts about a held subject, within the budget, and answers one JSON object: what there is, with
  /// its hashes, and what was skipped and why. Called without the runner's lock. Null: nothing is collected.
  std::function<std::string(const EvidenceWish&, const Call&, const Subject&)> collect_evidence{};
  /// At the expiry of a containment: whether what led to it still goes on. Then it is put off once, and on_extended
  /// tells a person. Both with the lock held. Null: it never does.
  std::function<bool(const ActionRecord&)> is_still_needed{};
  std::function<void(const ActionRecord&)> on_extended{};
  /// Sees every record right after it was journaled. Called with the runner's lock held: it must not call back.
  std::function<void(const ActionRecord&)> on_record{};
  /// "a-" + 16 hex digits; tests replace the randomness.
  std::function<std::string()> new_id{};
};

struct RecoveryReport {
  size_t resolved = 0;    // had been interrupted, and stand in a final state now
  size_t unresolved = 0;  // the machine could not tell yet; asked again by poll()
  size_t resumed = 0;     // in effect, waiting for their expiry again
};

class Runner final : public Responder {
 public:
  /// `world` and `journal` are borrowed and outlive the runner.
  Runner(World world, ActionJournal& journal, RunnerOptions options);
  ~Runner() override;

  /// Call once, before the first command.
  Result<RecoveryReport> recover();

  Result<Preview> preview(const Command& command) override;
  Result<Outcome> run(const Command& command) override;
  Result<Outcome> undo(const Verdict& request) override;
  Result<Outcome> approve(const Verdict& verdict) override;
  Result<Outcome> cancel(const Verdict& verdict) override;
  Result<std::vector<Standing>> in_effect() override;
  StopSwitch stop_switch() override;
  Result<void> set_stop_switch(const StopSwitch& wanted) override;
  Result<std::vector<ActionRecord>> list(const ActionQuery& query) override { return journal_.list_actions(query); }
  Result<ActionRecord> show(std::string_view action_id) override { return journal_.find_action(action_id); }

  /// Does what is due: watches, expiries, retries. Returns how long nothing further will be due, in ns (UINT64_MAX:
  /// until the next command). Time is the clock's: expiries by wall time, which a restart survives; watches by
  /// monotonic time.
  uint64_t poll();

  const World& world() const { return world_; }

  /// Called (any thread) when something may be due sooner than the last poll() said.
  void set_waker(std::function<void()> waker);

 private:
  /// An action with something still to come.
  struct Active {
    Active() = default;
    Active(const Active&) = delete;
    Active& operator=(const Active&) = delete;

    ActionRecord record;
    const ActionSpec* spec = nullptr;
    std::unique_ptr<Watcher> watcher;
    uint64_t watch_end_ns = 0, next_look_ns = 0;  // monotonic
    uint64_t retry_at_ns = 0;  // monotonic; for unknown, undoing and records that could not be journaled
    bool unsaved = false;
    std::optional<Verdict> cancelled;  // while its evidence is collected: it ends then
  };
  /// A command as far as it can be thought through without changing anything.
  struct Prepared {
    const ActionSpec* spec = nullptr;
    Resolved resolved;
    Plan plan;
    std::optional<Refusal> refusal;
    ApprovalNeed approval;
    std::string preview_json;
  };

  void wake();
  Call call(const ActionRecord& record) const { return {world_, record.id, record.command.params, record.target}; }
  Result<Prepared> prepare(const ActionRecord& record, Target* identity);
  std::optional<Refusal> refusal(const ActionSpec& spec, const Command& command, const Subject& subject,
                                 const Plan& plan) const;
  /// `lock` is held on entry and on return; not while evidence is collected or an effect waits.
  Result<Outcome> carry_out(ActionRecord record, const ActionSpec& spec, Prepared prepared,
                            std::unique_lock<std::mutex>& lock);
  /// False: the request was cancelled meanwhile, and the record says so.
  Result<bool> collect_evidence(ActionRecord& record, const ActionSpec& spec, const Subject& subject,
                                std::unique_lock<std::mutex>& lock);
  Result<Outcome> await_approval(ActionRecord record, const ActionSpec& spec);
  void conclude(ActionRecord& record, const ActionSpec& spec, const Look& look, const Result<void>& effect);
  void start_expiry(ActionRecord& record, const ActionSpec& spec, uint64_t from_ns);
  void lift_by(ActionRecord& release, const ActionSpec& spec);
  void note_automatic(const ActionRecord& record);
  Result<std::optional<ActionRecord>> find_standing(const ActionSpec& spec, const std::string& key);
  Result<Outcome> finish(ActionRecord record, ActionState state, std::string reason);

  // lifecycle.cc: what happens to a record after its immediate proof.
  Result<Outcome> undo_locked(Active& active, const std::string& actor, const std::string& reason, bool expiry);
  void carry_out_undo(Active& active);
  void settle_undo(Active& active, const Look& look, const Result<void>& effect);
  void settle_by_looking(Active& active);
  void look_on(Active& active);
  void close_interrupted_watch(Active& active);
  Result<void> recall();
  void recover_one(Active& active);
  void poll_one(Active& active);
  bool put_off_expiry(Active& active);
  uint64_t due_in(const Active& active) const;

  Result<void> save(const ActionRecord& record);
  /// For outcomes: what was done stays done when the disk is full, so the record is kept and saved again later.
  void save_or_keep(Active& active);
  Active& activate(ActionRecord record, const ActionSpec* spec);
  void settle(const std::string& id);

  uint64_t now() const { return world_.clock.realtime_ns(); }
  uint64_t ticks() const { return world_.clock.monotonic_ns(); }

  // Constant.
  const World world_;
  ActionJournal& journal_;
  const RunnerOptions options_;
  // Guarded by mutex_.
  std::mutex mutex_;
  std::map<std::string, Active> active_;  // by action id
  // Guarded by guard_mutex_, so that a preview waits for no effect.
  mutable std::mutex guard_mutex_;
  StopSwitch stop_;
  std::deque<Automatic> recent_;  // oldest first; at most kMaxRecent
  // Guarded by waker_mutex_.
  std::mutex waker_mutex_;
  std::function<void()> waker_;
};

/// One JSON object with the parts {"immediate": …, "watch": …, "undo": …}: sets one part and keeps the others.
std::string with_proof_part(const std::string& proof_json, std::string_view part, std::string_view json);

}  // namespace quell::respond
