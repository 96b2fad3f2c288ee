#include "model/capture_ref.h"

namespace quell {

std::string_view to_string(CaptureState state) {
  switch (state) {
    case CaptureState::recording: return "recording";
    case CaptureState::complete: return "complete";
    case CaptureState::failed: return "failed";
  }
  return {};
}

void write_capture_ref(JsonWriter& out, const CaptureRef& ref) {
  out.begin_object();
  out.texts("also", ref.also).text("container_id", ref.container_id).integer("events", ref.events);
  out.integer("from_ns", ref.from_ns).text("id", ref.id).flag("is_base_complete", ref.is_base_complete);
  out.integer("lost_events", ref.lost_events).text("note", ref.note).text("path", ref.path).text("rule", ref.rule);
  out.text("sha256", ref.sha256).integer("size_bytes", ref.size_bytes).text("state", to_string(ref.state));
  out.integer("to_ns", ref.to_ns).integer("trigger_ns", ref.trigger_ns);
  out.end_object();
}

std::string capture_ref_to_json(const CaptureRef& ref) {
  JsonWriter out;
  write_capture_ref(out, ref);
  return out.take();
}

Result<CaptureRef> read_capture_ref(const Json& json) {
  CaptureRef ref;
  ref.id = json.at("id").str();
  if (ref.id.empty()) return Error{Code::malformed, "not the description of a capture: there is no id", {}};
  bool has_state = false;
  for (const CaptureState state : {CaptureState::recording, CaptureState::complete, CaptureState::failed}) {
    if (json.at("state").str() != to_string(state)) continue;
    ref.state = state;
    has_state = true;
  }
  if (!has_state) return Error{Code::malformed, "the capture's state is none that is known", ref.id};
  ref.path = json.at("path").str();
  ref.sha256 = json.at("sha256").str();
  ref.note = json.at("note").str();
  ref.rule = json.at("rule").str();
  ref.container_id = json.at("container_id").str();
  ref.size_bytes = json.at("size_bytes").u64();
  ref.trigger_ns = json.at("trigger_ns").u64();
  ref.from_ns = json.at("from_ns").u64();
  ref.to_ns = json.at("to_ns").u64();
  ref.events = json.at("events").u64();
  ref.lost_events = json.at("lost_events").u64();
  ref.is_base_complete = json.at("is_base_complete").boolean();
  ref.also = json.at("also").texts();
  return ref;
}

}  // namespace quell
