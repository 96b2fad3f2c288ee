#include "apps/responder/remote.h"

#include <fmt/format.h>

#include "api/client.h"
#include "apps/responder/protocol.h"
#include "model/action_json.h"
#include "model/command_json.h"

namespace quell::responder {

Result<std::string> RemoteResponder::call(std::string_view verb, std::string_view asked, uint64_t timeout_ms) const {
  QUELL_TRY(const api::Client client, api::Client::open(options_.socket, timeout_ms));
  auto answer = client.call(api::Method::post, verb, envelope(options_.key, asked));
  if (answer || answer.error().code != Code::unavailable) return answer;
  return Error{Code::unavailable, "the responder does not answer, so nothing can be done; `quell doctor` says more",
               options_.socket};
}

Result<std::string> RemoteResponder::with_detection(const Command& command) const {
  constexpr std::string_view kKind = "detection:";
  if (!command.target.starts_with(kKind) || command.detection != nullptr || !options_.find_detection)
    return command_to_json(command);
  QUELL_TRY(Detection detection, options_.find_detection(command.target.substr(kKind.size())));
  Command whole = command;
  whole.detection = std::make_shared<const Detection>(std::move(detection));
  return command_to_json(whole);
}

Result<respond::Preview> RemoteResponder::preview(const Command& command) {
  QUELL_TRY(const std::string asked, with_detection(command));
  QUELL_TRY(const std::string answer, call("/preview", asked, options_.timeout_ms));
  return preview_from_json(answer);
}

Result<respond::Outcome> RemoteResponder::run(const Command& command) {
  QUELL_TRY(const std::string asked, with_detection(command));
  QUELL_TRY(const std::string answer, call("/run", asked, options_.timeout_ms));
  return outcome_from_json(answer);
}

Result<respond::Outcome> RemoteResponder::undo(const Verdict& request) {
  QUELL_TRY(const std::string answer, call("/undo", verdict_to_json(request), options_.timeout_ms));
  return outcome_from_json(answer);
}

Result<respond::Outcome> RemoteResponder::approve(const Verdict& verdict) {
  QUELL_TRY(const std::string answer, call("/approve", verdict_to_json(verdict), options_.timeout_ms));
  return outcome_from_json(answer);
}

Result<respond::Outcome> RemoteResponder::cancel(const Verdict& verdict) {
  QUELL_TRY(const std::string answer, call("/cancel", verdict_to_json(verdict), options_.timeout_ms));
  return outcome_from_json(answer);
}

Result<std::vector<ActionRecord>> RemoteResponder::list(const ActionQuery& query) {
  QUELL_TRY(const std::string answer, call("/list", query_to_json(query), options_.timeout_ms));
  QUELL_TRY(const Json json, Json::parse(answer));
  return records_from_json(json);
}

Result<ActionRecord> RemoteResponder::show(std::string_view action_id) {
  JsonWriter asked;
  asked.begin_object().text("id", action_id).end_object();
  QUELL_TRY(const std::string answer, call("/show", asked.take(), options_.timeout_ms));
  return action_from_json(answer);
}

Result<std::vector<Standing>> RemoteResponder::in_effect() {
  QUELL_TRY(const std::string answer, call("/in-effect", "{}", options_.timeout_ms));
  return standing_from_json(answer);
}

StopSwitch RemoteResponder::stop_switch() {
  constexpr uint64_t kPatienceMs = 2'000;
  const auto answer = call("/stop-switch", "{}", kPatienceMs);
  if (!answer) return {true, "quell", answer.error().message, 0};
  const auto json = Json::parse(*answer);
  return json ? stop_switch_from_json(*json) : StopSwitch{true, "quell", json.error().message, 0};
}

Result<void> RemoteResponder::set_stop_switch(const StopSwitch& wanted) {
  QUELL_TRY(const std::string answer, call("/stop-switch", stop_switch_to_json(wanted), options_.timeout_ms));
  return {};
}

Result<std::string> RemoteResponder::catalogue() { return call("/catalogue", "{}", options_.timeout_ms); }

Result<RemoteResponder::Changes> RemoteResponder::changes(uint64_t after, uint64_t wait_ms) {
  JsonWriter asked;
  asked.begin_object().integer("after", after).integer("wait_ms", wait_ms).end_object();
  QUELL_TRY(const std::string answer, call("/changes", asked.take(), wait_ms + 5'000));
  QUELL_TRY(const Json json, Json::parse(answer));
  Changes out;
  out.last = json.at("last").u64();
  out.missed = json.at("missed").u64();
  QUELL_TRY(out.records, records_from_json(json.at("records")));
  return out;
}

}  // namespace quell::responder
