#include "record/audit/action_fact.h"

#include "base/json.h"
#include "base/sha256.h"
#include "base/text.h"
#include "model/action_json.h"

namespace quell::record {
namespace {

constexpr size_t kMaxTold = 4096;
constexpr size_t kMaxPart = 64 << 10;  // a larger one is its hash; the action's record has it in full
constexpr size_t kMaxReference = 4096;

std::string sha256_of(std::string_view text) {
  Sha256 sum;
  sum.update({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  return sum.finish();
}

/// Whose doing this save is.
const std::string& actor_of(const ActionRecord& record) {
  switch (record.state) {
    case ActionState::expiring:
    case ActionState::undoing:
    case ActionState::undone:
    case ActionState::undo_failed:
      if (!record.undo_actor.empty()) return record.undo_actor;
      break;
    case ActionState::awaiting_approval:
    case ActionState::authorised:
      if (!record.approvals.empty()) return record.approvals.back().actor;
      break;
    default: break;
  }
  return record.command.actor;
}

void write_approvals(JsonWriter& out, const ActionRecord& record) {
  out.key("approval").begin_object();
  out.integer("needed", record.approval.count).text("group", record.approval.group).key("given").begin_array();
  for (const Approval& approval : record.approvals) {
    out.begin_object().text("actor", approval.actor).integer("at_ns", approval.at_ns);
    out.text("comment", approval.comment).end_object();
  }
  out.end_array().end_object();
}

}  // namespace

AuditFact ActionFacts::of(const ActionRecord& record, std::string_view record_json, uint64_t seq) {
  const Command& command = record.command;
  const std::string record_hash = sha256_of(record_json);
  JsonWriter out;
  out.begin_object().text("action", command.action).text("state", to_string(record.state));
  out.text("state_reason", record.reason).text("reason", command.reason).text("asked_by", command.actor);
  out.text("requested_target", command.target).key("target");
  write_target(out, record.target);
  out.key("params");
  write_params(out, command.params);
  out.integer("ttl_s", command.ttl_s).flag("force", command.force).text("policy", command.policy);
  out.integer("policy_version", command.policy_version).texts("causes", command.causes);
  out.text("detection_id", record.detection_id).text("idempotency_key", command.idempotency_key);
  out.text("undo_of", record.undo_of).text("undo_actor", record.undo_actor).text("undo_reason", record.undo_reason);
  out.integer("requested_ns", record.requested_ns).integer("finished_ns", record.finished_ns);
  out.integer("expires_ns", record.expires_ns);
  write_approvals(out, record);

  const auto told = told_.find(record.id);
  next_ = told == told_.end() ? Told() : told->second;
  struct Part {
    std::string_view name;
    const std::string& json;
  };
  const Part parts[kParts] = {{"preview", record.preview_json},
                              {"pre_state", record.pre_state_json},
                              {"evidence", record.evidence_json},
                              {"proof", record.proof_json},
                              {"result", record.result_json}};
  for (size_t i = 0; i < kParts; ++i) {
    if (parts[i].json.empty()) continue;
    std::string hash = sha256_of(parts[i].json);
    out.key(parts[i].name).begin_object().text("sha256", hash).integer("size", parts[i].json.size());
    if (next_.seq[i] != 0 && next_.hash[i] == hash) {
      out.integer("in_entry", next_.seq[i]);
    } else if (parts[i].json.size() <= kMaxPart) {
      out.key("content").raw(parts[i].json);
      next_.hash[i] = std::move(hash);
      next_.seq[i] = seq;
    }
    out.end_object();
  }
  out.text("record_sha256", record_hash).end_object();

  AuditFact fact;
  fact.kind = record.state == ActionState::refused_guard ? AuditKind::refusal : AuditKind::action;
  fact.subject = record.id;
  fact.actor = actor_of(record).empty() ? "quell" : actor_of(record);
  fact.body_json = out.take();
  if (fact.body_json.size() > kMaxAuditBody) {
    // A command line or a list of causes without measure: the entry vouches for the record by its hash.
    next_ = {};
    out.begin_object().text("action", command.action).text("state", to_string(record.state));
    out.text("target_ref", record.target.str().substr(0, kMaxReference)).integer("record_size", record_json.size());
    out.flag("is_too_large", true).text("record_sha256", record_hash).end_object();
    fact.body_json = out.take();
  }
  return fact;
}

void ActionFacts::accept(const ActionRecord& record) {
  if (!is_unsettled(record)) {
    told_.erase(record.id);
    return;
  }
  if (told_.size() >= kMaxTold && !told_.contains(record.id)) told_.erase(told_.begin());
  told_[record.id] = std::move(next_);
}

std::string record_hash_in(std::string_view body_json) {
  const auto body = Json::parse(body_json);
  return body ? body->at("record_sha256").str() : std::string();
}

AuditFact setting_fact(std::string_view name, std::string_view value) {
  AuditFact fact;
  fact.kind = AuditKind::setting;
  fact.subject = std::string(name);
  const auto json = Json::parse(value);
  fact.actor = json ? json->at("actor").str() : std::string();
  if (fact.actor.empty()) fact.actor = "quell";
  JsonWriter out;
  out.begin_object().text("name", name);
  if (value.size() > kMaxPart)
    out.integer("size", value.size());
  else if (json)
    out.key("value").raw(value);
  else
    out.text("value", value);
  out.text("record_sha256", sha256_of(value)).end_object();
  fact.body_json = out.take();
  return fact;
}

}  // namespace quell::record
