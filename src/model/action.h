#pragma once
// What we may do to an entity, and the record of what was done.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/process.h"

namespace quell {

enum class EntityKind : uint8_t { process, container, file, address, user, host };
std::string_view to_string(EntityKind kind);
std::optional<EntityKind> parse_entity_kind(std::string_view text);

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
  // file: as its process or container sees it, or the host where there is neither
  std::string path;
  uint64_t file_dev = 0, file_ino = 0;
  // address: "203.0.113.9", "2001:db8::/48", in its shortest form
  std::string address;
  // user of the host
  std::string user;
  uint32_t uid = UINT32_MAX;
  // host: with process.boot_id
  std::string machine_id;
  /// What parse_target() reads back: "process:1234@88120331", "container:3ad7b26ded6d…", "file:3ad7b26ded6d…:/tmp/x",
  /// "file:/tmp/x", "address:203.0.113.9", "user:mallory", "host:".
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

/// What an action can be told beyond its target, by name: "tree": "cgroup".
using ActionParams = std::map<std::string, std::string>;

/// Who must agree before anything is done.
struct ApprovalNeed {
  uint32_t count = 0;        // different persons, none of them the one who asks
  std::string group{};       // of whom; empty: whoever may approve
  uint64_t expires_s = 600;  // then the request ends without effect
};

/// One person's word on a request.
struct Approval {
  std::string actor;  // "uid:0 (root)"
  uint64_t at_ns = 0;
  std::string comment;
};

/// What is to be collected before a destructive effect, and how long that may delay it.
struct EvidenceWish {
  std::vector<std::string> items{};  // names of collecting actions' parts: "process_tree", "sockets" …
  uint64_t budget_ms = 0;
};

/// A request to act.
struct Command {
  std::string action;  // "container.pause"
  std::string target;  // as the user gave it: container:ID|NAME, process:PID[@START_TICKS], detection:ID …
  ActionParams params{};
  std::string reason;
  std::string actor;            // "uid:0 (root)", "policy:stolen-shell/7"
  std::string idempotency_key;  // empty: derived from action, identity and parameters
  uint64_t ttl_s = 0;           // 0: the action's default
  bool force = false;
  // What led to it.
  std::string policy{};  // name; empty: a person asks
  uint64_t policy_version = 0;
  std::vector<std::string> causes{};  // detections and incidents, by id
  // On top of what the action's class asks for.
  ApprovalNeed approval{};
  EvidenceWish evidence{};
  bool is_automatic() const { return !policy.empty(); }
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
  std::string evidence_json;   // what was collected before the effect, and what was skipped and why
  std::string result_json;     // what the effect brought: files with their hashes, who was killed
  ApprovalNeed approval;       // what this request needs in all
  std::vector<Approval> approvals;
  std::string detection_id;  // when the target came from one
  uint64_t requested_ns = 0, finished_ns = 0, expires_ns = 0;
  uint64_t approve_until_ns = 0;        // while awaiting_approval
  bool was_extended = false;            // its expiry was put off once, because it was still needed
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

/// A person's word on an action: undo it, approve it, cancel it.
struct Verdict {
  std::string action_id;
  std::string actor;  // "uid:0 (root)"
  std::string reason;
};

/// Stops everything that would take effect: policies always, persons unless they force it. Undoing goes on.
struct StopSwitch {
  bool is_on = false;
  std::string actor, reason;  // who turned it last, and why
  uint64_t since_ns = 0;
};

/// An action in effect, compared with the machine now.
struct Standing {
  ActionRecord record;
  std::string drift;  // how the machine differs from what the record says; empty if it does not
};

}  // namespace quell
