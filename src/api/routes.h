#pragma once
// What the API offers: one row per route. The API knows no store and no responder; the program hands in what it can do
// as functions over model types, and an absent function is answered with 501.
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/http.h"
#include "base/result.h"
#include "model/action.h"
#include "model/audit_log.h"
#include "model/detection.h"
#include "model/evidence_store.h"

namespace quell::api {

enum class Permission : uint8_t {
  monitor,  // anybody who reaches the port: nothing about anybody's workload
  control,  // the Unix socket only, and there root or the user that Quell runs as
};

struct ApiServices;

struct Route {
  Method method;
  std::string_view path;  // "{id}" stands for one segment
  Permission permission;
  std::string_view summary;
  Response (*handle)(const ApiServices& services, const Request& request);
};

/// One part of the program and how it is. `reason` says why when it is not well.
struct HealthItem {
  std::string component;  // "sensor", "store"
  bool is_ready = true;   // false: /readyz answers 503
  bool is_degraded = false;
  std::string reason = {};
};
/// In which seconds the sensor lost events: what it did not see then, nobody knows.
struct Coverage {
  uint64_t since_ns = 0;                               // wall clock, start of the sensor
  uint64_t last_loss_ns = 0;                           // 0: none since
  uint64_t lost = 0;                                   // events, since the start
  std::vector<std::pair<uint64_t, uint64_t>> seconds;  // second since the epoch, events lost in it; oldest first
};
struct Health {
  std::vector<HealthItem> items;
  std::optional<Coverage> coverage = {};
};

/// The record, and whether it is an earlier one that is still in effect (nothing was done now).
struct ActionOutcome {
  ActionRecord record;
  bool is_existing = false;
};

/// Which detections are asked for.
struct DetectionFilter {
  size_t limit = 100;
  std::string rule{};       // empty: any
  std::string before_id{};  // only those stored before this one: the last of the previous page
  uint64_t since_ns = 0;
  bool oldest_first = false;
  std::string after_id{};  // only those stored after this one
};

/// Called on API threads, several at once: each function must be thread-safe.
struct ApiServices {
  std::function<Health()> health;
  std::function<std::string()> metrics;  // Prometheus text

  /// A dry run: what it would touch, as one JSON object with the guard's answer under `refusal`. Nothing journaled or
  /// done.
  std::function<Result<std::string>(const Command&)> preview_action;
  /// Returns when the outcome is known. A refusal by a guard is a record, too (state refused_guard), not an Error.
  std::function<Result<ActionOutcome>(const Command&)> run_action;
  std::function<Result<ActionOutcome>(const Verdict&)> undo_action, approve_action, cancel_action;
  std::function<Result<ActionRecord>(const std::string& id)> find_action;
  /// Newest first.
  std::function<Result<std::vector<ActionRecord>>(size_t limit)> list_actions;
  /// Oldest first.
  std::function<Result<std::vector<Standing>>()> actions_in_effect;
  /// Every action there is, as one JSON object.
  std::function<std::string()> action_catalogue;
  std::function<StopSwitch()> stop_switch;
  std::function<Result<void>(const StopSwitch&)> set_stop_switch;

  /// Reads the rule files again and answers once what they say is in force, as one JSON object. Errors: invalid_rules.
  std::function<Result<std::string>()> reload_rules;
  /// The rules in force and their exceptions, as one JSON object.
  std::function<std::string()> list_rules;

  /// Newest first.
  std::function<Result<std::vector<Detection>>(const DetectionFilter& filter)> list_detections;
  std::function<Result<Detection>(const std::string& id)> find_detection;
  /// Borrowed; null: not offered.
  const AuditLog* audit = nullptr;
  EvidenceStore* evidence = nullptr;
  /// What each rule costs, as one JSON object. Errors: not_found while no profile is taken.
  std::function<Result<std::string>()> rules_profile;
};

std::span<const Route> routes();

/// Finds the route, checks its permission and runs it. 404 names the path, 405 the methods that it takes.
Response dispatch(const ApiServices& services, const Request& request);

/// The Command that a request body asks for. Unknown keys and wrong types are errors. The actor is the peer.
Result<Command> parse_command(const Request& request);

}  // namespace quell::api
