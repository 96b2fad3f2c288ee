#pragma once
// A detection as JSON: Falco's keys, and ours under `quell`. What stdout, the store and the API share. Keys in
// alphabetical order; nothing that a container's environment could hold as a secret.
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "model/detection.h"

namespace quell {

/// The line of Falco's text output: "HH:MM:SS.nnnnnnnnn: Priority message", local time.
std::string text_line(const Detection& detection);

/// One object without a final newline. `evt.time` is added to output_fields when the detection does not carry it.
std::string detection_to_json(const Detection& detection);

/// Reads back what detection_to_json() wrote: to_json(from_json(x)) == x. Integers that fit come back as int64_t.
/// Container env and CNI data are never written, so they come back empty. Errors: Code::malformed.
Result<Detection> detection_from_json(std::string_view json);

/// Parts that other documents share.
void write_container(JsonWriter& out, const Container& container);
Container read_container(const Json& json);

}  // namespace quell
