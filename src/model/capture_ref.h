#pragma once
// What the flight recorder kept of a detection's surroundings: the capture and what can be said about it without
// opening it. One document for three places: the manifest beside the capture, the detection in the store, the API.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace quell {

enum class CaptureState : uint8_t {
  recording,  // the time after the detection is not over
  complete,
  failed,  // there is no file; `note` says why
};
std::string_view to_string(CaptureState state);

struct CaptureRef {
  std::string id;  // of the detection that began it
  CaptureState state = CaptureState::recording;
  std::string path;    // absolute; where it is, or will be once complete
  std::string sha256;  // of the file, lowercase hex
  std::string note;    // why it failed, or why it ends before its time; empty when all went as asked
  std::string rule, container_id;
  uint64_t size_bytes = 0;
  uint64_t trigger_ns = 0;          // the detection's event
  uint64_t from_ns = 0, to_ns = 0;  // of the first and the last event in it
  uint64_t events = 0;              // not counting what describes the state at the start
  uint64_t lost_events = 0;         // lost on the whole machine while it was recorded: some may be missing here
  bool is_base_complete = true;     // false: of some processes the state at the start was not kept
  std::vector<std::string> also{};  // ids of further detections inside of it
};

/// One object, keys in alphabetical order.
void write_capture_ref(JsonWriter& out, const CaptureRef& ref);
std::string capture_ref_to_json(const CaptureRef& ref);
/// An object that write_capture_ref() wrote. Errors: Code::malformed.
Result<CaptureRef> read_capture_ref(const Json& json);

}  // namespace quell
