#include "model/action_json.h"

#include <fmt/format.h>

#include "base/text.h"

namespace quell {
namespace {

void write_time(JsonWriter& out, std::string_view name, uint64_t realtime_ns) {
  out.integer(std::string(name) + "_ns", realtime_ns).key(std::string(name) + "_time");
  if (realtime_ns != 0)
    out.string(iso8601_utc(realtime_ns));
  else
    out.null();
}

Target read_target(const Json& json) {
  Target target;
  target.kind = parse_entity_kind(json.at("kind").str()).value_or(EntityKind::process);
  const Json& process = json.at("process");
  target.process = {process.at("boot_id").str(), process.object() != nullptr ? process.at("pid").i64() : -1,
                    process.at("start_ticks").u64()};
  target.process_name = process.at("name").str();
  target.exepath = process.at("exepath").str();
  target.cmdline = process.at("cmdline").str();
  const Json& container = json.at("container");
  target.runtime = container.at("runtime").str();
  target.runtime_namespace = container.at("runtime_namespace").str();
  target.container_id = container.at("id").str();
  target.container_name = container.at("name").str();
  target.image = container.at("image").str();
  target.started_at = container.at("started_at").str();
  target.container_pid = container.object() != nullptr ? container.at("pid").i64() : -1;
  target.cgroup_path = json.at("cgroup_path").str();
  const Json& file = json.at("file");
  target.path = file.at("path").str();
  target.file_dev = file.at("dev").u64();
  target.file_ino = file.at("ino").u64();
  target.address = json.at("address").str();
  const Json& user = json.at("user");
  target.user = user.at("name").str();
  if (user.object() != nullptr) target.uid = static_cast<uint32_t>(user.at("uid").u64());
  target.machine_id = json.at("machine_id").str();
  return target;
}

void write_approvals(JsonWriter& out, const ActionRecord& record) {
  out.key("approval");
  if (record.approval.count == 0) {
    out.null();
    return;
  }
  out.begin_object();
  out.integer("needed", record.approval.count).text("group", record.approval.group);
  out.integer("expires_s", record.approval.expires_s);
  write_time(out, "until", record.approve_until_ns);
  out.key("given").begin_array();
  for (const Approval& approval : record.approvals) {
    out.begin_object();
    out.text("actor", approval.actor).text("comment", approval.comment);
    write_time(out, "at", approval.at_ns);
    out.end_object();
  }
  out.end_array().end_object();
}

void read_approvals(const Json& json, ActionRecord& record) {
  if (json.object() == nullptr) return;
  record.approval = {static_cast<uint32_t>(json.at("needed").u64()), json.at("group").str(),
                     json.at("expires_s").u64()};
  record.approve_until_ns = json.at("until_ns").u64();
  const Json::Array* given = json.at("given").array();
  if (given == nullptr) return;
  for (const Json& one : *given)
    record.approvals.push_back({one.at("actor").str(), one.at("at_ns").u64(), one.at("comment").str()});
}

std::string dump_or_empty(const Json& json) { return json.is_null() ? std::string() : json.dump(); }

}  // namespace

void write_target(JsonWriter& out, const Target& target) {
  out.begin_object();
  out.text("kind", to_string(target.kind)).text("ref", target.str());
  out.key("process");
  if (target.process.pid > 0) {
    out.begin_object();
    out.integer("pid", target.process.pid).integer("start_ticks", target.process.start_ticks);
    out.text("boot_id", target.process.boot_id).text("name", target.process_name).text("exepath", target.exepath);
    out.text("cmdline", target.cmdline);
    out.end_object();
  } else {
    out.null();
  }
  out.key("container");
  if (!target.container_id.empty()) {
    out.begin_object();
    out.text("id", target.container_id).text("name", target.container_name).text("image", target.image);
    out.text("runtime", target.runtime).text("runtime_namespace", target.runtime_namespace);
    out.text("started_at", target.started_at).integer("pid", target.container_pid);
    out.end_object();
  } else {
    out.null();
  }
  out.text("cgroup_path", target.cgroup_path);
  // The rarer kinds' parts are there only for them.
  if (!target.path.empty()) {
    out.key("file").begin_object();
    out.text("path", target.path).integer("dev", target.file_dev).integer("ino", target.file_ino);
    out.end_object();
  }
  if (!target.address.empty()) out.text("address", target.address);
  if (!target.user.empty()) {
    out.key("user").begin_object();
    out.text("name", target.user).integer("uid", target.uid);
    out.end_object();
  }
  if (!target.machine_id.empty()) out.text("machine_id", target.machine_id);
  out.end_object();
}

void write_params(JsonWriter& out, const ActionParams& params) {
  out.begin_object();
  for (const auto& [name, value] : params) out.text(name, value);
  out.end_object();
}

Result<ActionParams> read_params(const Json& json) {
  ActionParams out;
  if (json.is_null()) return out;
  const Json::Object* members = json.object();
  if (members == nullptr) return Error{Code::invalid_argument, "parameters are an object of texts", {}};
  for (const auto& [name, value] : *members) {
    if (!std::holds_alternative<std::string>(value.value()))
      return Error{Code::invalid_argument, fmt::format("parameter {} is not a text", name), {}};
    out.emplace(name, value.str());
  }
  return out;
}

std::string action_to_json(const ActionRecord& record) {
  const Command& command = record.command;
  JsonWriter out;
  out.begin_object();
  out.text("apiVersion", kApiVersion).text("kind", "ActionRecord").text("id", record.id).text("action", command.action);
  out.text("state", to_string(record.state)).text("state_reason", record.reason);
  out.text("actor", command.actor).text("reason", command.reason).text("requested_target", command.target);
  out.key("params");
  write_params(out, command.params);
  out.text("idempotency_key", command.idempotency_key).integer("ttl_s", command.ttl_s).flag("force", command.force);
  out.text("policy", command.policy).integer("policy_version", command.policy_version).texts("causes", command.causes);
  out.key("evidence_wish").begin_object();
  out.texts("items", command.evidence.items).integer("budget_ms", command.evidence.budget_ms).end_object();
  out.key("target");
  write_target(out, record.target);
  out.text("detection_id", record.detection_id);
  write_time(out, "requested", record.requested_ns);
  write_time(out, "finished", record.finished_ns);
  write_time(out, "expires", record.expires_ns);
  out.integer("watch_until_ns", record.watch_until_ns);
  out.text("undo_of", record.undo_of).text("undo_actor", record.undo_actor).text("undo_reason", record.undo_reason);
  out.key("preview").raw(record.preview_json);
  out.key("pre_state").raw(record.pre_state_json);
  out.key("proof").raw(record.proof_json);
  out.key("evidence").raw(record.evidence_json).key("result").raw(record.result_json);
  write_approvals(out, record);
  out.flag("was_extended", record.was_extended);
  out.key("history").begin_array();
  for (const auto& [at_ns, state] : record.history) {
    out.begin_object();
    out.text("state", to_string(state)).integer("at_ns", at_ns).text("at_time", iso8601_utc(at_ns));
    out.end_object();
  }
  out.end_array();
  out.end_object();
  return out.take();
}

Result<ActionRecord> action_from_json(std::string_view text) {
  QUELL_TRY(const Json json, Json::parse(text));
  ActionRecord record;
  record.id = json.at("id").str();
  if (json.at("apiVersion").str() != kApiVersion || record.id.empty())
    return Error{Code::malformed, fmt::format("not an action record of version {}", kApiVersion), {}};
  const auto state = parse_action_state(json.at("state").str());
  if (!state)
    return Error{Code::malformed,
                 fmt::format("action {} is in the unknown state \"{}\"; a newer Quell wrote it", record.id,
                             json.at("state").str()),
                 {}};
  record.state = *state;
  record.reason = json.at("state_reason").str();
  record.command.action = json.at("action").str();
  record.command.actor = json.at("actor").str();
  record.command.reason = json.at("reason").str();
  record.command.target = json.at("requested_target").str();
  record.command.idempotency_key = json.at("idempotency_key").str();
  record.command.ttl_s = json.at("ttl_s").u64();
  record.command.force = json.at("force").boolean();
  QUELL_TRY(record.command.params, read_params(json.at("params")));
  record.command.policy = json.at("policy").str();
  record.command.policy_version = json.at("policy_version").u64();
  record.command.causes = json.at("causes").texts();
  record.command.evidence.items = json.at("evidence_wish").at("items").texts();
  record.command.evidence.budget_ms = json.at("evidence_wish").at("budget_ms").u64();
  record.target = read_target(json.at("target"));
  record.detection_id = json.at("detection_id").str();
  record.requested_ns = json.at("requested_ns").u64();
  record.finished_ns = json.at("finished_ns").u64();
  record.expires_ns = json.at("expires_ns").u64();
  record.watch_until_ns = json.at("watch_until_ns").u64();
  record.undo_of = json.at("undo_of").str();
  record.undo_actor = json.at("undo_actor").str();
  record.undo_reason = json.at("undo_reason").str();
  record.preview_json = dump_or_empty(json.at("preview"));
  record.pre_state_json = dump_or_empty(json.at("pre_state"));
  record.proof_json = dump_or_empty(json.at("proof"));
  record.evidence_json = dump_or_empty(json.at("evidence"));
  record.result_json = dump_or_empty(json.at("result"));
  read_approvals(json.at("approval"), record);
  record.was_extended = json.at("was_extended").boolean();
  if (const Json::Array* history = json.at("history").array()) {
    for (const Json& entry : *history) {
      const auto step = parse_action_state(entry.at("state").str());
      if (!step) return Error{Code::malformed, fmt::format("action {}: unknown state in its history", record.id), {}};
      record.history.emplace_back(entry.at("at_ns").u64(), *step);
    }
  }
  return record;
}

}  // namespace quell
