#include "model/action.h"

#include <iterator>

namespace quell {
namespace {
constexpr std::string_view kStates[] = {
    "requested",       "authorised",       "awaiting_approval", "preflight",    "evidence",
    "executing",       "executed",         "verifying",         "contained",    "partially_contained",
    "not_contained",   "failed",           "unknown",           "expiring",     "undoing",
    "undone",          "undo_failed",      "refused_guard",     "stale_target", "cancelled",
    "expired_request", "already_in_effect"};
constexpr std::string_view kKinds[] = {"process", "container", "file", "address", "user", "host"};
}  // namespace

std::string_view to_string(EntityKind kind) { return kKinds[static_cast<size_t>(kind)]; }

std::optional<EntityKind> parse_entity_kind(std::string_view text) {
  for (size_t i = 0; i < std::size(kKinds); ++i)
    if (kKinds[i] == text) return static_cast<EntityKind>(i);
  return {};
}

std::string_view to_string(ActionState state) { return kStates[static_cast<size_t>(state)]; }

std::optional<ActionState> parse_action_state(std::string_view text) {
  for (size_t i = 0; i < std::size(kStates); ++i)
    if (kStates[i] == text) return static_cast<ActionState>(i);
  return {};
}

bool is_final(ActionState state) {
  switch (state) {
    case ActionState::requested:
    case ActionState::authorised:
    case ActionState::awaiting_approval:
    case ActionState::preflight:
    case ActionState::evidence:
    case ActionState::executing:
    case ActionState::executed:
    case ActionState::verifying:
    case ActionState::expiring:
    case ActionState::undoing: return false;
    default: return true;
  }
}

bool is_success(ActionState state) {
  return state == ActionState::contained || state == ActionState::undone || state == ActionState::already_in_effect;
}

bool is_in_effect(const ActionRecord& record) {
  return record.state == ActionState::contained || record.state == ActionState::partially_contained;
}

bool is_unsettled(const ActionRecord& record) {
  if (!is_final(record.state) || record.state == ActionState::unknown) return true;
  return is_in_effect(record) && (record.expires_ns != 0 || record.watch_until_ns != 0);
}

std::string Target::str() const {
  const auto with_start = [this](std::string out) {
    out += std::to_string(process.pid);
    if (process.start_ticks != 0) out += "@" + std::to_string(process.start_ticks);
    return out;
  };
  switch (kind) {
    case EntityKind::process: return with_start("process:");
    case EntityKind::container: return "container:" + container_id;
    case EntityKind::file:
      if (!container_id.empty()) return "file:" + container_id + ":" + path;
      return process.pid > 0 ? with_start("file:") + ":" + path : "file:" + path;
    case EntityKind::address: return "address:" + address;
    case EntityKind::user: return "user:" + user;
    case EntityKind::host: return "host:" + machine_id;
  }
  return {};
}

}  // namespace quell
