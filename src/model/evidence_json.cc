#include "model/evidence_json.h"

#include "base/json.h"
#include "base/text.h"
#include "model/action_json.h"

namespace quell {
namespace {

struct KindName {
  EvidenceKind kind;
  std::string_view name;
};
constexpr KindName kKinds[] = {
    {EvidenceKind::process_tree, "process_tree"},
    {EvidenceKind::sockets, "sockets"},
    {EvidenceKind::open_files, "open_files"},
    {EvidenceKind::memory, "memory"},
    {EvidenceKind::file, "file"},
    {EvidenceKind::logs, "logs"},
    {EvidenceKind::layer_diff, "layer_diff"},
    {EvidenceKind::capture, "capture"},
    {EvidenceKind::triage, "triage"},
    {EvidenceKind::other, "other"},
    {EvidenceKind::orphan, "orphan"},
};

}  // namespace

std::string_view to_string(EvidenceKind kind) {
  for (const KindName& row : kKinds)
    if (row.kind == kind) return row.name;
  return "other";
}

std::optional<EvidenceKind> parse_evidence_kind(std::string_view text) {
  for (const KindName& row : kKinds)
    if (row.name == text) return row.kind;
  return std::nullopt;
}

std::string evidence_to_json(const EvidenceItem& item) {
  JsonWriter out;
  out.begin_object().text("apiVersion", kApiVersion).text("kind", "Evidence").text("id", item.id);
  out.text("sha256", item.sha256).integer("size", item.size);
  out.text("evidence_kind", to_string(item.origin.kind)).text("name", item.origin.name);
  out.text("media_type", item.origin.media_type).text("action_id", item.origin.action_id);
  out.text("detection_id", item.origin.detection_id).text("incident_id", item.origin.incident_id);
  out.text("collector", item.origin.collector).text("tool_version", item.origin.tool_version);
  out.text("collected_by", item.origin.actor).text("host", item.host);
  out.integer("begun_ns", item.begun_ns).text("begun_time", iso8601_utc(item.begun_ns));
  out.integer("ended_ns", item.ended_ns).text("ended_time", iso8601_utc(item.ended_ns));
  out.integer("begun_monotonic_ns", item.begun_monotonic_ns).integer("ended_monotonic_ns", item.ended_monotonic_ns);
  out.key("clock");
  if (item.clock.is_known) {
    out.begin_object().flag("is_synchronised", item.clock.is_synchronised).integer("offset_ns", item.clock.offset_ns);
    out.integer("estimated_error_ns", item.clock.estimated_error_ns).integer("max_error_ns", item.clock.max_error_ns);
    out.end_object();
  } else {
    out.null();
  }
  out.texts("errors", item.errors).texts("skipped", item.skipped).flag("is_held", item.is_held);
  out.text("hold_actor", item.hold_actor).text("hold_reason", item.hold_reason);
  out.flag("is_deleting", item.is_deleting).end_object();
  return out.take();
}

Result<EvidenceItem> evidence_from_json(std::string_view text) {
  QUELL_TRY(const Json json, Json::parse(text));
  EvidenceItem item;
  item.id = json.at("id").str();
  const auto kind = parse_evidence_kind(json.at("evidence_kind").str());
  if (item.id.empty() || !kind || json.at("kind").str() != "Evidence")
    return Error{Code::malformed, "not a catalogue entry of evidence, or a newer Quell's", item.id};
  item.sha256 = json.at("sha256").str();
  item.size = json.at("size").u64();
  item.origin.kind = *kind;
  item.origin.name = json.at("name").str();
  item.origin.media_type = json.at("media_type").str();
  item.origin.action_id = json.at("action_id").str();
  item.origin.detection_id = json.at("detection_id").str();
  item.origin.incident_id = json.at("incident_id").str();
  item.origin.collector = json.at("collector").str();
  item.origin.tool_version = json.at("tool_version").str();
  item.origin.actor = json.at("collected_by").str();
  item.host = json.at("host").str();
  item.begun_ns = json.at("begun_ns").u64();
  item.ended_ns = json.at("ended_ns").u64();
  item.begun_monotonic_ns = json.at("begun_monotonic_ns").u64();
  item.ended_monotonic_ns = json.at("ended_monotonic_ns").u64();
  if (const Json& clock = json.at("clock"); clock.object() != nullptr)
    item.clock = {true, clock.at("is_synchronised").boolean(), clock.at("offset_ns").i64(),
                  clock.at("estimated_error_ns").u64(), clock.at("max_error_ns").u64()};
  item.errors = json.at("errors").texts();
  item.skipped = json.at("skipped").texts();
  item.is_held = json.at("is_held").boolean();
  item.hold_actor = json.at("hold_actor").str();
  item.hold_reason = json.at("hold_reason").str();
  item.is_deleting = json.at("is_deleting").boolean();
  return item;
}

}  // namespace quell
