#include "api/routes.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "api/audit_routes.h"
#include "api/handler.h"
#include "base/json.h"
#include "base/text.h"
#include "base/version.h"
#include "model/action_json.h"
#include "model/command_json.h"
#include "model/detection_json.h"

namespace quell::api {
namespace {

std::string coverage_json(const Coverage& coverage) {
  JsonWriter out;
  out.begin_object();
  out.integer("last_loss_ns", coverage.last_loss_ns).integer("lost", coverage.lost);
  out.key("seconds").begin_array();
  for (const auto& [second, lost] : coverage.seconds) {
    out.begin_object();
    out.integer("lost", lost).text("time", iso8601_utc(second * 1'000'000'000));
    out.end_object();
  }
  out.end_array();
  out.text("since", iso8601_utc(coverage.since_ns));
  out.end_object();
  return out.take();
}

std::string health_json(const Health& health, bool is_ready) {
  std::string items;
  for (const HealthItem& item : health.items) {
    items +=
        fmt::format(R"({}"{}":{{"status":"{}","reason":"{}"}})", items.empty() ? "" : ",", json_escape(item.component),
                    !item.is_ready     ? "not_ready"
                    : item.is_degraded ? "degraded"
                                       : "ok",
                    json_escape(item.reason));
  }
  const bool is_degraded =
      std::any_of(health.items.begin(), health.items.end(), [](const HealthItem& item) { return item.is_degraded; });
  return fmt::format(R"({{"apiVersion":"quell/v1","status":"{}","components":{{{}}}{}}})",
                     !is_ready     ? "not_ready"
                     : is_degraded ? "degraded"
                                   : "ok",
                     items, health.coverage ? ",\"coverage\":" + coverage_json(*health.coverage) : std::string());
}

Response get_healthz(const ApiServices& services, const Request&) {
  // Alive is not ready: a process that answers is alive, whatever its parts say.
  const Health health = services.health ? services.health() : Health{};
  return json(health_json(health, true));
}

Response get_readyz(const ApiServices& services, const Request&) {
  const Health health = services.health ? services.health() : Health{};
  const bool is_ready =
      std::all_of(health.items.begin(), health.items.end(), [](const HealthItem& item) { return item.is_ready; });
  return json(health_json(health, is_ready), is_ready ? 200 : 503);
}

Response get_metrics(const ApiServices& services, const Request&) {
  if (!services.metrics) return not_offered("metrics");
  Response response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = services.metrics();
  return response;
}

Response get_version(const ApiServices&, const Request&) {
  return json(fmt::format(R"({{"apiVersion":"quell/v1","version":"{}","commit":"{}"}})", json_escape(kVersion),
                          json_escape(kCommit)));
}

Response outcome_response(const Result<ActionOutcome>& outcome) {
  if (!outcome) return error_response(outcome.error());
  return json(action_to_json(outcome->record), outcome->is_existing ? 200 : 201);
}

Response post_preview(const ApiServices& services, const Request& request) {
  if (!services.preview_action) return not_offered("actions");
  const auto command = parse_command(request);
  if (!command) return error_response(command.error());
  auto preview = services.preview_action(*command);
  if (!preview) return error_response(preview.error());
  return json(*std::move(preview));
}

Response post_action(const ApiServices& services, const Request& request) {
  if (!services.run_action) return not_offered("actions");
  const auto command = parse_command(request);
  if (!command) return error_response(command.error());
  return outcome_response(services.run_action(*command));
}

Response get_actions(const ApiServices& services, const Request& request) {
  if (!services.list_actions) return not_offered("actions");
  const auto limit = limit_of(request);
  if (!limit) return error_response(limit.error());
  const auto records = services.list_actions(*limit);
  if (!records) return error_response(records.error());
  std::vector<std::string> items;
  for (const ActionRecord& record : *records) items.push_back(action_to_json(record));
  return json(item_list(items));
}

Response get_action(const ApiServices& services, const Request& request) {
  if (!services.find_action) return not_offered("actions");
  const auto record = services.find_action(request.params.find("id")->second);
  if (!record) return error_response(record.error());
  return json(action_to_json(*record));
}

/// A person's word on the action that the path names; the body may give the reason.
Result<Verdict> verdict_of(const Request& request) {
  Verdict verdict;
  verdict.action_id = request.params.find("id")->second;
  verdict.actor = actor_of(request.peer);
  QUELL_TRY(const auto members, body_members(request));
  for (const auto& [key, value] : members) {
    if (key != "reason") return unknown_key(key, {"reason"});
    QUELL_TRY(verdict.reason, text_member(key, value));
  }
  return verdict;
}

Response post_verdict(const std::function<Result<ActionOutcome>(const Verdict&)>& service, const Request& request) {
  if (!service) return not_offered("actions");
  const auto verdict = verdict_of(request);
  return verdict ? outcome_response(service(*verdict)) : error_response(verdict.error());
}

Response post_undo(const ApiServices& services, const Request& request) {
  return post_verdict(services.undo_action, request);
}
Response post_approve(const ApiServices& services, const Request& request) {
  return post_verdict(services.approve_action, request);
}
Response post_cancel(const ApiServices& services, const Request& request) {
  return post_verdict(services.cancel_action, request);
}

Response get_in_effect(const ApiServices& services, const Request&) {
  if (!services.actions_in_effect) return not_offered("actions");
  const auto standing = services.actions_in_effect();
  if (!standing) return error_response(standing.error());
  std::vector<std::string> items;
  for (const Standing& one : *standing)
    items.push_back(fmt::format(R"({{"action":{},"drift":"{}"}})", action_to_json(one.record), json_escape(one.drift)));
  return json(item_list(items));
}

Response get_catalogue(const ApiServices& services, const Request&) {
  if (!services.action_catalogue) return not_offered("actions");
  return json(services.action_catalogue());
}

Response get_stop_switch(const ApiServices& services, const Request&) {
  if (!services.stop_switch) return not_offered("actions");
  return json(stop_switch_to_json(services.stop_switch()));
}

Response put_stop_switch(const ApiServices& services, const Request& request) {
  if (!services.set_stop_switch) return not_offered("actions");
  StopSwitch wanted;
  wanted.actor = actor_of(request.peer);
  bool is_said = false;
  const auto members = body_members(request);
  if (!members) return error_response(members.error());
  for (const auto& [key, value] : *members) {
    if (key == "is_on") {
      const auto* flag = std::get_if<bool>(&value.value());
      if (flag == nullptr) return error_response(Error{Code::invalid_argument, "true or false is expected", key});
      wanted.is_on = *flag;
      is_said = true;
    } else if (key == "reason") {
      const auto text = text_member(key, value);
      if (!text) return error_response(text.error());
      wanted.reason = *text;
    } else {
      return error_response(unknown_key(key, {"is_on", "reason"}));
    }
  }
  if (!is_said) return error_response(Error{Code::invalid_argument, "say true or false", "is_on"});
  if (auto set = services.set_stop_switch(wanted); !set) return error_response(set.error());
  return get_stop_switch(services, request);
}

Response get_detections(const ApiServices& services, const Request& request) {
  if (!services.list_detections) return not_offered("detections");
  const auto limit = limit_of(request);
  if (!limit) return error_response(limit.error());
  DetectionFilter filter{.limit = *limit};
  const auto text = [&](const char* name) {
    const auto it = request.query.find(name);
    return it == request.query.end() ? std::string() : it->second;
  };
  filter.rule = text("rule");
  filter.before_id = text("before");
  filter.after_id = text("after");
  const std::string order = text("order");
  if (!order.empty() && order != "oldest" && order != "newest")
    return error_response(Error{Code::invalid_argument, "oldest or newest is expected", "order"});
  filter.oldest_first = order == "oldest";
  if (const std::string since = text("since_ns"); !since.empty() && !parse_u64(since, filter.since_ns)) {
    return error_response(
        Error{Code::invalid_argument, "a number of nanoseconds since the epoch is expected", "since_ns"});
  }
  const auto detections = services.list_detections(filter);
  if (!detections) return error_response(detections.error());
  std::vector<std::string> items;
  for (const Detection& detection : *detections) items.push_back(detection_to_json(detection));
  return json(item_list(items));
}

Response get_detection(const ApiServices& services, const Request& request) {
  if (!services.find_detection) return not_offered("detections");
  const auto found = services.find_detection(request.params.find("id")->second);
  if (!found) return error_response(found.error());
  return json(detection_to_json(*found));
}

Response get_rules(const ApiServices& services, const Request&) {
  if (!services.list_rules) return not_offered("rules");
  return json(services.list_rules());
}

Response post_reload(const ApiServices& services, const Request&) {
  if (!services.reload_rules) return not_offered("rules");
  auto reloaded = services.reload_rules();
  if (!reloaded) return error_response(reloaded.error());
  return json(*std::move(reloaded));
}

Response get_rules_profile(const ApiServices& services, const Request&) {
  if (!services.rules_profile) return not_offered("profiles of rules");
  auto profile = services.rules_profile();
  if (!profile) return error_response(profile.error());
  return json(*std::move(profile));
}

constexpr Route kRoutes[] = {
    {Method::get, "/healthz", Permission::monitor, "The process is alive; parts that run degraded say why.",
     get_healthz},
    {Method::get, "/readyz", Permission::monitor, "200 when every part serves, else 503 with reasons.", get_readyz},
    {Method::get, "/metrics", Permission::monitor, "Counters and histograms as Prometheus text.", get_metrics},
    {Method::get, "/version", Permission::monitor, "Version and commit of this binary.", get_version},
    {Method::post, "/v1/actions/preview", Permission::control, "Dry run: targets, effects, guard, undo plan.",
     post_preview},
    {Method::post, "/v1/actions", Permission::control, "Runs an action and answers with its record.", post_action},
    {Method::get, "/v1/actions", Permission::control, "Action records, newest first; ?limit=.", get_actions},
    {Method::get, "/v1/actions/in-effect", Permission::control,
     "What is in effect now, each compared with the machine.", get_in_effect},
    {Method::get, "/v1/actions/catalogue", Permission::control,
     "Every action: class, parameters, what is missing here.", get_catalogue},
    {Method::get, "/v1/actions/{id}", Permission::control, "One action record.", get_action},
    {Method::post, "/v1/actions/{id}/approve", Permission::control,
     "One person's agreement; the last one needed runs the action.", post_approve},
    {Method::post, "/v1/actions/{id}/cancel", Permission::control, "Ends a request that has not taken effect.",
     post_cancel},
    {Method::get, "/v1/stop-switch", Permission::control, "Whether everything is stopped, by whom and why.",
     get_stop_switch},
    {Method::put, "/v1/stop-switch", Permission::control, "Turns the stop switch: {\"is_on\": true, \"reason\": …}.",
     put_stop_switch},
    {Method::post, "/v1/actions/{id}/undo", Permission::control, "Undoes an action and answers with the undo's record.",
     post_undo},
    {Method::get, "/v1/rules", Permission::control, "The rules in force and their exceptions.", get_rules},
    {Method::post, "/v1/rules/reload", Permission::control,
     "Reads the rule files again; answers once they are in force.", post_reload},
    {Method::get, "/v1/detections", Permission::control,
     "Detections, newest first; ?limit=, ?rule=, ?since_ns=, ?before=ID, ?order=oldest, ?after=ID.", get_detections},
    {Method::get, "/v1/detections/{id}", Permission::control, "One detection.", get_detection},
    {Method::get, "/v1/audit", Permission::control,
     "Audit entries, oldest first; ?after_seq=, ?limit=, ?kind=, ?subject=, ?actor=.", get_audit},
    {Method::get, "/v1/audit/head", Permission::control, "The signed end of the audit log, to be stored elsewhere.",
     get_audit_head},
    {Method::get, "/v1/evidence", Permission::control,
     "The catalogue of evidence, newest first; ?limit=, ?action=, ?kind=, ?before=ID.", get_evidence_list},
    {Method::get, "/v1/evidence/{id}", Permission::control, "One catalogue entry.", get_evidence},
    {Method::get, "/v1/evidence/{id}/content", Permission::control,
     "The content, audited; ?offset=, ?length= (at most 16 MiB in one answer).", get_evidence_content},
    {Method::post, "/v1/evidence/{id}/export", Permission::control,
     "Where the object lies, for a copy on this machine; audited as an export.", post_evidence_export},
    {Method::post, "/v1/evidence/{id}/hold", Permission::control, "Sets the legal hold: never deleted.",
     post_evidence_hold},
    {Method::post, "/v1/evidence/{id}/release", Permission::control, "Lifts the legal hold.", post_evidence_release},
    {Method::get, "/v1/rules/profile", Permission::control, "What each rule costs; needs `up --profile`.",
     get_rules_profile},
};

bool matches(std::string_view pattern, std::string_view path, Request& request) {
  const auto want = split(pattern, '/');
  const auto have = split(path, '/');
  if (want.size() != have.size()) return false;
  for (size_t i = 0; i < want.size(); ++i) {
    const bool is_param = want[i].size() > 2 && want[i].front() == '{';
    if (is_param ? have[i].empty() : want[i] != have[i]) return false;
    if (is_param) request.params[std::string(want[i].substr(1, want[i].size() - 2))] = have[i];
  }
  return true;
}

}  // namespace

std::span<const Route> routes() { return kRoutes; }

Result<Command> parse_command(const Request& request) {
  static const std::vector<std::string_view> kKnown = {"action", "target", "reason", "idempotency_key",
                                                       "ttl_s",  "force",  "params", "evidence"};
  Command command;
  command.actor = actor_of(request.peer);
  QUELL_TRY(const auto members, body_members(request));
  for (const auto& [key, value] : members) {
    if (key == "action") {
      QUELL_TRY(command.action, text_member(key, value));
    } else if (key == "target") {
      QUELL_TRY(command.target, text_member(key, value));
    } else if (key == "reason") {
      QUELL_TRY(command.reason, text_member(key, value));
    } else if (key == "idempotency_key") {
      QUELL_TRY(command.idempotency_key, text_member(key, value));
    } else if (key == "ttl_s") {
      const auto* number = std::get_if<int64_t>(&value.value());
      if (number == nullptr || *number < 0)
        return Error{Code::invalid_argument, "a whole number of seconds is expected", key};
      command.ttl_s = static_cast<uint64_t>(*number);
    } else if (key == "params") {
      auto params = read_params(value);
      if (!params) return Error{Code::invalid_argument, params.error().message, key};
      command.params = std::move(*params);
    } else if (key == "evidence") {
      const auto* budget = std::get_if<int64_t>(&value.at("budget_ms").value());
      if (value.object() == nullptr || value.at("items").array() == nullptr || (budget != nullptr && *budget < 0))
        return Error{Code::invalid_argument, "an object is expected: items (texts) and budget_ms", key};
      command.evidence = {value.at("items").texts(), budget != nullptr ? static_cast<uint64_t>(*budget) : 0};
    } else if (key == "force") {
      const auto* flag = std::get_if<bool>(&value.value());
      if (flag == nullptr) return Error{Code::invalid_argument, "true or false is expected", key};
      command.force = *flag;
    } else {
      return unknown_key(key, kKnown);
    }
  }
  if (command.action.empty())
    return Error{Code::invalid_argument, "name the action, such as \"container.pause\"", "action"};
  if (command.target.empty()) {
    return Error{Code::invalid_argument, "name the target: container:ID, process:PID or detection:ID", "target"};
  }
  return command;
}

Response dispatch(const ApiServices& services, const Request& incoming) {
  Request request = incoming;
  std::string allowed;
  for (const Route& route : kRoutes) {
    if (!matches(route.path, incoming.path, request)) continue;
    if (route.method != request.method) {
      allowed += fmt::format("{}{}", allowed.empty() ? "" : ", ", to_string(route.method));
      continue;
    }
    if (route.permission == Permission::control) {
      if (!request.peer.is_unix) {
        return error_response(403, to_string(Code::permission_denied),
                              "this is served on the Unix socket in the data directory only", request.path);
      }
      if (request.peer.uid != 0 && request.peer.uid != geteuid()) {
        return error_response(
            403, to_string(Code::permission_denied),
            fmt::format("user {} may not control this quell; root and user {} may", request.peer.uid, geteuid()),
            request.path);
      }
    }
    return route.handle(services, request);
  }
  if (!allowed.empty()) {
    Response response = error_response(
        405, "method_not_allowed",
        fmt::format("{} is not possible here; possible: {}", to_string(request.method), allowed), request.path);
    response.allow = allowed;
    return response;
  }
  return error_response(404, to_string(Code::not_found), "there is nothing under this path", request.path);
}

}  // namespace quell::api
