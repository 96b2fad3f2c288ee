#pragma once
// What the API, the CLI and policies ask for. In process today; the same calls will cross a socket to a small
// privileged process, so everything here is plain data.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/action.h"
#include "model/action_journal.h"

namespace quell::respond {

/// A safety rule said no.
struct Refusal {
  std::string rule;     // "container_init": see guards.h
  std::string message;  // what and why
  std::string remedy;   // what to do instead; may be empty
  std::string str() const { return remedy.empty() ? message : message + "; " + remedy; }
};

/// What a command would do, computed from the machine as it is now. Nothing was changed or journaled.
struct Preview {
  Target target;
  std::optional<Refusal> refusal;  // run() would end in refused_guard
  bool already_in_effect = false;  // run() would change nothing
  bool hard = false;               // not reversible: ask twice
  ApprovalNeed approval;           // run() would wait for these
  /// One object, keys snake_case: apiVersion, kind, action, class, reversible, target, effects[], warnings[],
  /// affected[], affected_count, restart_policy, undo, ttl_s, approval, refusal, already_in_effect.
  std::string json;
};

struct Outcome {
  ActionRecord record;
  bool existing = false;  // the record is an earlier one that is still in effect: nothing was done now
};

/// Thread-safe. run() and undo() are carried out one at a time; the others do not wait for them.
class Responder {
 public:
  virtual ~Responder() = default;

  /// Errors: Code::not_found (no such action, target or detection), Code::invalid_argument (a target of the wrong kind,
  /// several matches, a TTL where there is none), Code::gone and Code::stale (the identity is no more),
  /// Code::unavailable (runtime).
  virtual Result<Preview> preview(const Command& command) = 0;

  /// Does it and returns with the immediate proof; the watch goes on and may change the record later. What was refused,
  /// stale or failed is an Outcome too (see record.state): it is on record. Errors: as preview(), where there is no
  /// identity to put on record; also Code::io: the intent could not be journaled, and nothing was done.
  virtual Result<Outcome> run(const Command& command) = 0;

  /// Restores what the action changed. Undoing what is undone is fine (existing).
  /// Errors: Code::not_found, Code::unsupported (no undo; the message names the compensation), Code::conflict (not in a
  /// state that can be undone), Code::unavailable (runtime; nothing was done), Code::io (as run()).
  virtual Result<Outcome> undo(const Verdict& request) = 0;

  /// One person's agreement to a request that waits for it. With the last one needed it is run, and the outcome is that
  /// of run(). Errors: Code::not_found, Code::conflict (it does not wait), Code::refused (who asked cannot approve, nor
  /// can one person twice), Code::io.
  virtual Result<Outcome> approve(const Verdict& verdict) = 0;

  /// Ends a request that has not taken effect. Errors: Code::not_found, Code::conflict (it has: undo it), Code::io.
  virtual Result<Outcome> cancel(const Verdict& verdict) = 0;

  /// Everything in effect, oldest first, each looked at now.
  virtual Result<std::vector<Standing>> in_effect() = 0;

  virtual StopSwitch stop_switch() = 0;
  /// Errors: Code::io: it could not be put on record; a switch that was to be turned on is on all the same.
  virtual Result<void> set_stop_switch(const StopSwitch& wanted) = 0;

  virtual Result<std::vector<ActionRecord>> list(const ActionQuery& query) = 0;
  virtual Result<ActionRecord> show(std::string_view action_id) = 0;
};

}  // namespace quell::respond
