#pragma once
// What we may do to an entity, and the record of what was done.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/process.h"

namespace quell {

enum class EntityKind : uint8_t { process, container };

/// What an action acts on. The identity was read when the target was resolved and is checked again on the acting
/// handle.
struct Target {
  EntityKind kind = EntityKind::process;
  // process
  ProcessId process;
  std::string process_name, exepath, cmdline;
  // container (of the process too, when it is in one)
  std::string runtime;            // "docker", "containerd", "cri"
  std::string runtime_namespace;  // containerd: "k8s.io"
  std::string container_id;       // full id, as the runtime knows it
  std::string container_name, image;
  std::string started_at;      // as the runtime says it; part of the identity
  int64_t container_pid = -1;  // pid 1 of the container on the host
  std::string cgroup_path;     // relative to the cgroup mount
  /// "process:1234@88120331", "container:3ad7b26ded6d…".
  std::string str() const;
};

enum class ActionState : uint8_t {
  requested,
  authorised,
  awaiting_approval,
  preflight,
  evidence,
  executing,
  executed,
  verifying,
  contained,
  partially_contained,
  not_contained,
  failed,
  unknown,
  expiring,
  undoing,
  undone,
  undo_failed,
  refused_guard,
  stale_target,
  cancelled,
  expired_request,
  already_in_effect
};
std::string_view to_string(ActionState state);
std::optional<ActionState> parse_action_state(std::string_view text);
/// No further transition happens by itself.
bool is_final(ActionState state);
/// What was asked for holds: contained, undone, or was so already.
bool is_success(ActionState state);

/// A request to act.
struct Command {
  std::string action;  // "container.pause"
  std::string target;  // as the user gave it: container:ID|NAME, process:PID[@START_TICKS], detection:ID
  std::string reason;
  std::string actor;            // "uid:0 (root)"
  std::string idempotency_key;  // empty: derived from action, identity and epoch
  uint64_t ttl_s = 0;           // 0: the action's default
  bool force = false;
};

struct ActionRecord {
  std::string id;  // "a-" + 16 hex digits
  Command command;
  Target target;
  ActionState state = ActionState::requested;
  std::string reason;          // why the state is what it is, for refusals and failures
  std::string preview_json;    // as it was shown
  std::string pre_state_json;  // what undo restores
  std::string proof_json;      // what was seen from outside
  std::string detection_id;    // when the target came from one
  uint64_t requested_ns = 0, finished_ns = 0, expires_ns = 0;
  uint64_t watch_until_ns = 0;          // the effect is still watched for being evaded until then; 0: the watch is over
  std::string undo_of;                  // the action that this one undoes
  std::string undo_actor, undo_reason;  // who undid this one and why; actor "ttl" when it expired
  /// Every transition: wall time and state.
  std::vector<std::pair<uint64_t, ActionState>> history;
};

/// The responder still has something to do about it: not final, unknown, watched, or waiting for its expiry.
bool is_unsettled(const ActionRecord& record);
/// The effect stands, as far as the record knows.
bool is_in_effect(const ActionRecord& record);

}  // namespace quell
