#pragma once
// A detection as JSON: Falco's keys, and ours under `quell`. What stdout, the store and the API share. Keys in
// alphabetical order; nothing that a container's environment could hold as a secret.
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "model/detection.h"

namespace quell {

/// What is shown of a detection: Falco's switches time_format_iso_8601 and json_include_*_property. What is stored is
/// always whole, which is the default.
struct DetectionStyle {
  bool iso8601_time = false;  // in front of the line, and evt.time.iso8601 instead of evt.time in output_fields
  bool has_output = true, has_tags = true, has_output_fields = true;
  bool has_message = false;  // the line without time and priority
};

/// The line of Falco's text output: "HH:MM:SS.nnnnnnnnn: Priority message", local time; or
/// "YYYY-MM-DDTHH:MM:SS.nnnnnnnnn+0000: Priority message", UTC.
std::string text_line(const Detection& detection, const DetectionStyle& style = {});

/// One object without a final newline. The time of the event is added to output_fields unless it is there.
void write_detection(JsonWriter& out, const Detection& detection, const DetectionStyle& style = {});
std::string detection_to_json(const Detection& detection);

/// Reads back what detection_to_json() wrote: to_json(from_json(x)) == x. Integers that fit come back as int64_t.
/// Container env and CNI data are never written, so they come back empty. Errors: Code::malformed.
Result<Detection> detection_from_json(std::string_view json);

/// Parts that other documents share.
void write_container(JsonWriter& out, const Container& container);
Container read_container(const Json& json);

}  // namespace quell
