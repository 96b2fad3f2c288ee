#pragma once
// An action record as JSON, for the store, the API and `quell action show -o json`. Keys snake_case, versioned.
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "model/action.h"

namespace quell {

inline constexpr std::string_view kApiVersion = "quell/v1";

/// One object without a final newline. Times are both ISO 8601 UTC (to read) and ns since the epoch (to compute).
std::string action_to_json(const ActionRecord& record);

/// Reads back what action_to_json() wrote; equal records give equal texts. Errors: Code::malformed (not ours, or an
/// unknown state: written by a newer version).
Result<ActionRecord> action_from_json(std::string_view json);

void write_target(JsonWriter& out, const Target& target);
void write_params(JsonWriter& out, const ActionParams& params);
/// An object of texts, or null. Errors: Code::invalid_argument.
Result<ActionParams> read_params(const Json& json);

}  // namespace quell
