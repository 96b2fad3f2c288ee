#include "model/command_json.h"

#include "model/action_json.h"
#include "model/detection.h"
#include "model/detection_json.h"

namespace quell {

std::string command_to_json(const Command& command) {
  JsonWriter out;
  out.begin_object();
  out.text("action", command.action).text("target", command.target).key("params");
  write_params(out, command.params);
  out.text("reason", command.reason).text("actor", command.actor).text("idempotency_key", command.idempotency_key);
  out.integer("ttl_s", command.ttl_s).flag("force", command.force);
  out.text("policy", command.policy).integer("policy_version", command.policy_version).texts("causes", command.causes);
  out.key("approval").begin_object();
  out.integer("count", command.approval.count).text("group", command.approval.group);
  out.integer("expires_s", command.approval.expires_s).end_object();
  out.key("evidence").begin_object();
  out.texts("items", command.evidence.items).integer("budget_ms", command.evidence.budget_ms).end_object();
  out.key("detection").raw(command.detection != nullptr ? detection_to_json(*command.detection) : std::string());
  out.end_object();
  return out.take();
}

Result<Command> command_from_json(const Json& json) {
  if (json.object() == nullptr) return Error{Code::malformed, "a command is an object", {}};
  Command out;
  out.action = json.at("action").str();
  out.target = json.at("target").str();
  auto params = read_params(json.at("params"));
  if (!params) return Error{Code::malformed, params.error().message, "params"};
  out.params = std::move(*params);
  out.reason = json.at("reason").str();
  out.actor = json.at("actor").str();
  out.idempotency_key = json.at("idempotency_key").str();
  out.ttl_s = json.at("ttl_s").u64();
  out.force = json.at("force").boolean();
  out.policy = json.at("policy").str();
  out.policy_version = json.at("policy_version").u64();
  out.causes = json.at("causes").texts();
  const Json& approval = json.at("approval");
  out.approval = {static_cast<uint32_t>(approval.at("count").u64()), approval.at("group").str(),
                  approval.at("expires_s").u64()};
  out.evidence = {json.at("evidence").at("items").texts(), json.at("evidence").at("budget_ms").u64()};
  if (!json.at("detection").is_null()) {
    auto detection = detection_from_json(json.at("detection").dump());
    if (!detection) return Error{Code::malformed, detection.error().message, "detection"};
    out.detection = std::make_shared<const Detection>(std::move(*detection));
  }
  return out;
}

std::string verdict_to_json(const Verdict& verdict) {
  JsonWriter out;
  out.begin_object();
  out.text("action_id", verdict.action_id).text("actor", verdict.actor).text("reason", verdict.reason).end_object();
  return out.take();
}

Verdict verdict_from_json(const Json& json) {
  return {json.at("action_id").str(), json.at("actor").str(), json.at("reason").str()};
}

std::string stop_switch_to_json(const StopSwitch& stop) {
  JsonWriter out;
  out.begin_object();
  out.flag("is_on", stop.is_on)
      .text("actor", stop.actor)
      .text("reason", stop.reason)
      .integer("since_ns", stop.since_ns);
  out.end_object();
  return out.take();
}

StopSwitch stop_switch_from_json(const Json& json) {
  return {json.at("is_on").boolean(), json.at("actor").str(), json.at("reason").str(), json.at("since_ns").u64()};
}

}  // namespace quell
