#pragma once
// Requests and answers of the responder as JSON: they cross a socket.
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "model/action.h"

namespace quell {

/// Whole, with its detection.
std::string command_to_json(const Command& command);
/// Errors: Code::malformed.
Result<Command> command_from_json(const Json& json);

std::string verdict_to_json(const Verdict& verdict);
Verdict verdict_from_json(const Json& json);

std::string stop_switch_to_json(const StopSwitch& stop);
StopSwitch stop_switch_from_json(const Json& json);

}  // namespace quell
