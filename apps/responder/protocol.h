#pragma once
// What the daemon and the responder say to each other: HTTP over a Unix socket, one JSON object each way. Every request
// carries the key of this start, which the daemon alone was given; the kernel says which user connects.
//
//   POST /run, /preview            a command                              → an outcome, a preview
//   POST /undo, /approve, /cancel  {action_id, actor, reason}             → an outcome
//   POST /list {limit, …}, /show {id}, /in-effect, /catalogue, /changes {after, wait_ms}
//   POST /stop-switch              {} to read, {is_on, actor, reason} to turn
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "respond/responder.h"

namespace quell::responder {

inline constexpr std::string_view kSocketName = "responder.sock";  // in the data directory

/// A request's body: the key and what is asked, one JSON value.
std::string envelope(std::string_view key, std::string_view asked);

std::string outcome_to_json(const respond::Outcome& outcome);
Result<respond::Outcome> outcome_from_json(std::string_view text);
std::string preview_to_json(const respond::Preview& preview);
Result<respond::Preview> preview_from_json(std::string_view text);
std::string records_to_json(const std::vector<ActionRecord>& records);
Result<std::vector<ActionRecord>> records_from_json(const Json& list);
std::string standing_to_json(const std::vector<Standing>& standing);
Result<std::vector<Standing>> standing_from_json(std::string_view text);
std::string query_to_json(const ActionQuery& query);
Result<ActionQuery> query_from_json(const Json& json);

}  // namespace quell::responder
