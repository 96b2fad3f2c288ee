#include "api/audit_routes.h"

#include <fmt/format.h>

#include "api/handler.h"
#include "base/text.h"
#include "model/action_json.h"
#include "model/audit_json.h"
#include "model/evidence_json.h"

namespace quell::api {
namespace {

std::string text_of(const Request& request, std::string_view name) {
  const auto it = request.query.find(name);
  return it == request.query.end() ? std::string() : it->second;
}

Result<uint64_t> number_of(const Request& request, std::string_view name, uint64_t otherwise) {
  const std::string text = text_of(request, name);
  uint64_t value = otherwise;
  if (text.empty() || parse_u64(text, value)) return value;
  return Error{Code::invalid_argument, fmt::format("\"{}\" is no number", text), std::string(name)};
}

const std::string& id_of(const Request& request) { return request.params.find("id")->second; }

Response set_hold(const ApiServices& services, const Request& request, bool is_held) {
  if (services.evidence == nullptr) return not_offered("evidence");
  const auto members = body_members(request);
  if (!members) return error_response(members.error());
  std::string reason;
  for (const auto& [key, value] : *members) {
    if (key != "reason") return error_response(unknown_key(key, {"reason"}));
    auto text = text_member(key, value);
    if (!text) return error_response(text.error());
    reason = std::move(*text);
  }
  const auto item = services.evidence->set_hold(id_of(request), is_held, actor_of(request.peer), reason);
  return item ? json(evidence_to_json(*item)) : error_response(item.error());
}

}  // namespace

Response get_audit(const ApiServices& services, const Request& request) {
  if (services.audit == nullptr) return not_offered("an audit log");
  const auto limit = limit_of(request);
  if (!limit) return error_response(limit.error());
  const auto after_seq = number_of(request, "after_seq", 0);
  if (!after_seq) return error_response(after_seq.error());
  AuditQuery query;
  query.after_seq = *after_seq;
  query.limit = *limit;
  query.kind = text_of(request, "kind");
  query.subject = text_of(request, "subject");
  query.actor = text_of(request, "actor");
  const auto entries = services.audit->audit_entries(query);
  if (!entries) return error_response(entries.error());
  std::vector<std::string> items;
  for (const AuditEntry& entry : *entries) items.push_back(audit_entry_to_json(entry));
  return json(item_list(items));
}

Response get_audit_head(const ApiServices& services, const Request&) {
  if (services.audit == nullptr) return not_offered("an audit log");
  const auto head = services.audit->audit_head();
  return head ? json(audit_head_to_json(*head)) : error_response(head.error());
}

Response get_evidence_list(const ApiServices& services, const Request& request) {
  if (services.evidence == nullptr) return not_offered("evidence");
  const auto limit = limit_of(request);
  if (!limit) return error_response(limit.error());
  EvidenceQuery query;
  query.limit = *limit;
  query.action_id = text_of(request, "action");
  query.before_id = text_of(request, "before");
  if (const std::string kind = text_of(request, "kind"); !kind.empty()) {
    query.kind = parse_evidence_kind(kind);
    if (!query.kind)
      return error_response(Error{Code::invalid_argument, fmt::format("\"{}\" is no kind of evidence", kind), "kind"});
  }
  const auto found = services.evidence->list(query);
  if (!found) return error_response(found.error());
  std::vector<std::string> items;
  for (const EvidenceItem& item : *found) items.push_back(evidence_to_json(item));
  return json(item_list(items));
}

Response get_evidence(const ApiServices& services, const Request& request) {
  if (services.evidence == nullptr) return not_offered("evidence");
  const auto item = services.evidence->find(id_of(request));
  return item ? json(evidence_to_json(*item)) : error_response(item.error());
}

Response get_evidence_content(const ApiServices& services, const Request& request) {
  if (services.evidence == nullptr) return not_offered("evidence");
  const auto offset = number_of(request, "offset", 0);
  if (!offset) return error_response(offset.error());
  const auto length = number_of(request, "length", UINT64_MAX);
  if (!length) return error_response(length.error());
  auto content = services.evidence->read(id_of(request), actor_of(request.peer), *offset, *length);
  if (!content) return error_response(content.error());
  // Whatever it is, nobody shall show or run it by its own word.
  Response response;
  response.content_type = "application/octet-stream";
  response.body = std::move(*content);
  return response;
}

Response post_evidence_export(const ApiServices& services, const Request& request) {
  if (services.evidence == nullptr) return not_offered("evidence");
  const auto path = services.evidence->hand_out(id_of(request), actor_of(request.peer), "exported");
  if (!path) return error_response(path.error());
  JsonWriter out;
  out.begin_object().text("apiVersion", kApiVersion).text("path", *path).text("actor", actor_of(request.peer));
  out.end_object();
  return json(out.take());
}

Response post_evidence_hold(const ApiServices& services, const Request& request) {
  return set_hold(services, request, true);
}
Response post_evidence_release(const ApiServices& services, const Request& request) {
  return set_hold(services, request, false);
}

}  // namespace quell::api
