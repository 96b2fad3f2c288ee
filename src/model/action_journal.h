#pragma once
// The memory of what was asked and done, as the responder needs it. A store implements it; respond/ never sees the
// store.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/action.h"

namespace quell {

struct ActionQuery {
  std::string action{};  // empty: any
  std::string target{};  // Target::str(); empty: any
  std::optional<ActionState> state{};
  bool unsettled_only = false;  // see is_unsettled()
  std::string before_id{};      // only records older than this one: the last of the previous page
  size_t limit = 100;           // at most 1000
};

/// Thread-safe. Errors: Code::io (disk full, I/O error; the message names the remedy), Code::malformed (a damaged
/// record).
class ActionJournal {
 public:
  virtual ~ActionJournal() = default;

  /// Inserts the record, or replaces the one with its id. Returns after the record is on stable storage: an effect may
  /// follow at once. On error nothing was stored.
  virtual Result<void> save_action(const ActionRecord& record) = 0;

  /// Errors: also Code::not_found.
  virtual Result<ActionRecord> find_action(std::string_view id) const = 0;

  /// The newest record with that idempotency key.
  virtual Result<std::optional<ActionRecord>> find_action_by_key(std::string_view idempotency_key) const = 0;

  /// Newest first.
  virtual Result<std::vector<ActionRecord>> list_actions(const ActionQuery& query) const = 0;

  /// A small document under a name, such as the stop switch; empty if there is none. Kept until it is replaced.
  virtual Result<std::string> setting(std::string_view name) const = 0;
  /// As durable as save_action().
  virtual Result<void> save_setting(std::string_view name, std::string_view value) = 0;

  /// Every record for which is_unsettled() holds, oldest first, without a limit: a start must see them all.
  virtual Result<std::vector<ActionRecord>> unsettled_actions() const = 0;
};

}  // namespace quell
