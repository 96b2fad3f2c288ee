#include "respond/transitions.h"

#include <initializer_list>

#include "base/assert.h"

namespace quell::respond {
namespace {

using enum ActionState;

constexpr uint32_t bit(ActionState state) { return uint32_t{1} << static_cast<unsigned>(state); }

struct Row {
  constexpr Row(ActionState state, std::initializer_list<ActionState> states) : from(state) {
    for (const ActionState next : states) to |= bit(next);
  }
  ActionState from;
  uint32_t to = 0;
};

// clang-format off
constexpr Row kRows[] = {
    {requested,         {authorised, awaiting_approval, preflight, refused_guard, stale_target, already_in_effect, cancelled,
                         expired_request, failed}},
    {authorised,        {awaiting_approval, preflight, cancelled, expired_request}},
    {awaiting_approval, {authorised, preflight, cancelled, expired_request}},
    {preflight,         {evidence, executing, refused_guard, stale_target, already_in_effect, cancelled, failed}},
    {evidence,          {executing, refused_guard, stale_target, already_in_effect, cancelled, failed}},
    // The identity and the guards are checked once more behind the intent, so refusals can follow it.
    {executing,         {executed, failed, unknown, refused_guard, stale_target, already_in_effect}},
    {executed,          {verifying, unknown}},
    {verifying,         {contained, partially_contained, not_contained, unknown, stale_target, already_in_effect, undone}},
    // A watch can find evasion; somebody else can lift a containment (undone without our undoing).
    {contained,           {partially_contained, expiring, undoing, undone}},
    {partially_contained, {expiring, undoing, undone}},
    {not_contained,       {undoing}},
    {unknown,             {verifying, undoing}},
    {expiring,          {undoing, undone, undo_failed}},
    {undoing,           {undone, undo_failed}},
    {undo_failed,       {undoing}},
    {undone, {}}, {failed, {}}, {refused_guard, {}}, {stale_target, {}}, {cancelled, {}}, {expired_request, {}},
    {already_in_effect, {}},
};
// clang-format on

}  // namespace

bool may_follow(ActionState from, ActionState to) {
  for (const Row& row : kRows)
    if (row.from == from) return (row.to & bit(to)) != 0;
  return false;
}

void advance(ActionRecord& record, ActionState to, const Clock& clock, std::string reason) {
  QUELL_ASSERT(may_follow(record.state, to));
  record.state = to;
  if (!reason.empty()) record.reason = std::move(reason);
  const uint64_t now = clock.realtime_ns();
  record.history.emplace_back(now, to);
  if (is_final(to)) record.finished_ns = now;
}

}  // namespace quell::respond
