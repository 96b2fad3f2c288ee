#include "respond/policy/decision.h"

#include <fmt/format.h>

#include "respond/policy/detection_fields.h"

namespace quell::respond::policy {
namespace {

DecisionTarget of_field(const Detection& detection, TargetKind kind, std::initializer_list<std::string_view> fields) {
  DecisionTarget out;
  out.kind = kind;
  std::string value;
  for (const std::string_view field : fields) {
    if (!first_value(detection, field, value)) continue;
    out.label = fmt::format("{}:{}", to_string(kind), value);
    // Names mean something on one host only.
    out.key = fmt::format("{}:{}:{}", to_string(kind), detection.hostname, value);
    break;
  }
  return out;
}

}  // namespace

std::string_view to_string(DecisionKind kind) {
  constexpr std::string_view kNames[] = {"observed", "requested", "run", "joined", "refused", "paged"};
  return kNames[static_cast<size_t>(kind)];
}

std::string_view to_string(Refusal reason) {
  constexpr std::string_view kNames[] = {"none", "no_target", "max_targets", "per_target", "per_policy", "per_cluster"};
  return kNames[static_cast<size_t>(reason)];
}

DecisionTarget target_of(const Detection& detection, TargetKind kind) {
  DecisionTarget out;
  out.kind = kind;
  switch (kind) {
    case TargetKind::container: {
      const std::string& id =
          detection.container_full_id.empty() ? detection.container_id : detection.container_full_id;
      if (id.empty() || detection.container_id == "host") return out;
      out.key = "container:" + id;
      out.label = "container:" + (detection.container_id.empty() ? id : detection.container_id);
      if (detection.container != nullptr) out.start = detection.container->started_at;
      return out;
    }
    case TargetKind::process:
      if (detection.process.pid < 0) return out;
      out.key = fmt::format("process:{}:{}:{}", detection.hostname, detection.process.boot_id, detection.process.pid);
      out.label = fmt::format("process:{}", detection.process.pid);
      if (detection.process.start_ticks != 0) out.start = std::to_string(detection.process.start_ticks);
      return out;
    case TargetKind::host:
      if (detection.hostname.empty()) return out;
      out.key = out.label = "host:" + detection.hostname;
      return out;
    case TargetKind::user: return of_field(detection, kind, {"user.name"});
    case TargetKind::address: return of_field(detection, kind, {"fd.rip", "fd.sip"});
    case TargetKind::file: return of_field(detection, kind, {"fd.name", "proc.exepath"});
  }
  return out;
}

void write_decision(JsonWriter& out, const Decision& decision) {
  const auto put_time = [&](std::string_view name, uint64_t ns) { out.key(name).number(ns); };
  out.begin_object().text("id", decision.id).text("kind", to_string(decision.kind));
  out.text("refusal", to_string(decision.refusal)).text("reason", decision.reason);
  out.text("policy", decision.policy->name).integer("version", decision.policy->version);
  out.text("policy_hash", decision.policy->hash).text("target", decision.target.label);
  out.text("identity", decision.target.key).text("start", decision.target.start).text("group", decision.group);
  out.texts("detections", decision.detection_ids);
  put_time("event_ns", decision.event_ns);
  put_time("decided_ns", decision.decided_ns);
  put_time("approval_expires_ns", decision.approval_expires_ns);
  out.key("actions").begin_array();
  for (const PlannedAction& action : decision.actions) {
    out.begin_object().integer("step", action.step).text("action", action.action);
    out.text("class", to_string(action.effect_class)).text("target", action.target.label);
    out.integer("ttl_s", action.ttl_ns / kSecondNs).key("params").begin_object();
    for (const auto& [name, value] : action.params) out.text(name, value);
    out.end_object();
    out.integer("approvals", action.approvals).text("joins", action.joins);
    out.text("superseded_by", action.superseded_by).end_object();
  }
  out.end_array().texts("notify", decision.notify).end_object();
}

}  // namespace quell::respond::policy
