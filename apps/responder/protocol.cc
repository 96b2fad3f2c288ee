#include "apps/responder/protocol.h"

#include "model/action_json.h"

namespace quell::responder {

std::string envelope(std::string_view key, std::string_view asked) {
  JsonWriter out;
  out.begin_object();
  out.text("key", key).key("asked").raw(asked).end_object();
  return out.take();
}

std::string outcome_to_json(const respond::Outcome& outcome) {
  JsonWriter out;
  out.begin_object();
  out.key("record").raw(action_to_json(outcome.record)).flag("existing", outcome.existing).end_object();
  return out.take();
}

Result<respond::Outcome> outcome_from_json(std::string_view text) {
  QUELL_TRY(const Json json, Json::parse(text));
  QUELL_TRY(ActionRecord record, action_from_json(json.at("record").dump()));
  return respond::Outcome{std::move(record), json.at("existing").boolean()};
}

// Everything but the document is in the document; the target travels in a record, which can be read back.
std::string preview_to_json(const respond::Preview& preview) {
  ActionRecord carrier;
  carrier.id = "preview";
  carrier.target = preview.target;
  JsonWriter out;
  out.begin_object();
  out.key("target").raw(action_to_json(carrier)).key("document").raw(preview.json);
  out.flag("already_in_effect", preview.already_in_effect).flag("hard", preview.hard);
  out.key("approval").begin_object();
  out.integer("count", preview.approval.count).text("group", preview.approval.group);
  out.integer("expires_s", preview.approval.expires_s).end_object();
  out.key("refusal");
  if (preview.refusal) {
    out.begin_object();
    out.text("rule", preview.refusal->rule).text("message", preview.refusal->message);
    out.text("remedy", preview.refusal->remedy).end_object();
  } else {
    out.null();
  }
  out.end_object();
  return out.take();
}

Result<respond::Preview> preview_from_json(std::string_view text) {
  QUELL_TRY(const Json json, Json::parse(text));
  QUELL_TRY(ActionRecord carrier, action_from_json(json.at("target").dump()));
  respond::Preview out;
  out.target = std::move(carrier.target);
  out.already_in_effect = json.at("already_in_effect").boolean();
  out.hard = json.at("hard").boolean();
  const Json& approval = json.at("approval");
  out.approval = {static_cast<uint32_t>(approval.at("count").u64()), approval.at("group").str(),
                  approval.at("expires_s").u64()};
  const Json& refusal = json.at("refusal");
  if (refusal.object() != nullptr)
    out.refusal = respond::Refusal{refusal.at("rule").str(), refusal.at("message").str(), refusal.at("remedy").str()};
  out.json = json.at("document").dump();
  return out;
}

std::string records_to_json(const std::vector<ActionRecord>& records) {
  JsonWriter out;
  out.begin_array();
  for (const ActionRecord& record : records) out.raw(action_to_json(record));
  out.end_array();
  return out.take();
}

Result<std::vector<ActionRecord>> records_from_json(const Json& list) {
  std::vector<ActionRecord> out;
  if (list.array() == nullptr) return Error{Code::malformed, "no list of records", {}};
  for (const Json& one : *list.array()) {
    QUELL_TRY(ActionRecord record, action_from_json(one.dump()));
    out.push_back(std::move(record));
  }
  return out;
}

std::string standing_to_json(const std::vector<Standing>& standing) {
  JsonWriter out;
  out.begin_array();
  for (const Standing& one : standing) {
    out.begin_object();
    out.key("record").raw(action_to_json(one.record)).text("drift", one.drift).end_object();
  }
  out.end_array();
  return out.take();
}

Result<std::vector<Standing>> standing_from_json(std::string_view text) {
  QUELL_TRY(const Json json, Json::parse(text));
  if (json.array() == nullptr) return Error{Code::malformed, "no list of what is in effect", {}};
  std::vector<Standing> out;
  for (const Json& one : *json.array()) {
    QUELL_TRY(ActionRecord record, action_from_json(one.at("record").dump()));
    out.push_back({std::move(record), one.at("drift").str()});
  }
  return out;
}

std::string query_to_json(const ActionQuery& query) {
  JsonWriter out;
  out.begin_object();
  out.text("action", query.action).text("target", query.target).text("before_id", query.before_id);
  out.text("state", query.state ? to_string(*query.state) : "").flag("unsettled_only", query.unsettled_only);
  out.integer("limit", query.limit).end_object();
  return out.take();
}

Result<ActionQuery> query_from_json(const Json& json) {
  ActionQuery out;
  out.action = json.at("action").str();
  out.target = json.at("target").str();
  out.before_id = json.at("before_id").str();
  if (const std::string state = json.at("state").str(); !state.empty()) {
    out.state = parse_action_state(state);
    if (!out.state) return Error{Code::invalid_argument, "there is no such state", "state"};
  }
  out.unsettled_only = json.at("unsettled_only").boolean();
  out.limit = json.at("limit").u64();
  return out;
}

}  // namespace quell::responder
