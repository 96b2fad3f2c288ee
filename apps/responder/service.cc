#include "apps/responder/service.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "apps/responder/protocol.h"
#include "model/action_json.h"
#include "model/command_json.h"

namespace quell::responder {
namespace {

constexpr uint64_t kMaxWaitMs = 25'000;  // below the time after which an idle connection is closed

/// Takes as long for a wrong key as for the right one.
bool are_equal(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned char difference = 0;
  for (size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned char>(a[i] ^ b[i]);
  return difference == 0;
}

api::Response answer(std::string json) {
  api::Response out;
  out.body = std::move(json);
  return out;
}

api::Response answer(const Result<respond::Outcome>& outcome) {
  return outcome ? answer(outcome_to_json(*outcome)) : api::error_response(outcome.error());
}

}  // namespace

Service::Service(respond::Responder& responder, Options options)
    : responder_(responder), options_(std::move(options)) {}

api::Response Service::handle(const api::Request& request) {
  if (!request.peer.is_unix || request.peer.uid != options_.allowed_uid)
    return api::error_response(Error{
        Code::permission_denied, fmt::format("user {} is not the one this responder serves", request.peer.uid), {}});
  const auto body = Json::parse(request.body);
  if (!body) return api::error_response(body.error());
  if (options_.key.empty() || !are_equal(body->at("key").str(), options_.key))
    return api::error_response(
        Error{Code::permission_denied, "the key is not that of this start; only the quell that started it has it", {}});
  const Json& asked = body->at("asked");
  const std::string& verb = request.path;

  if (verb == "/run" || verb == "/preview") {
    const auto command = command_from_json(asked);
    if (!command) return api::error_response(command.error());
    if (verb == "/run") return answer(responder_.run(*command));
    const auto preview = responder_.preview(*command);
    return preview ? answer(preview_to_json(*preview)) : api::error_response(preview.error());
  }
  if (verb == "/undo") return answer(responder_.undo(verdict_from_json(asked)));
  if (verb == "/approve") return answer(responder_.approve(verdict_from_json(asked)));
  if (verb == "/cancel") return answer(responder_.cancel(verdict_from_json(asked)));
  if (verb == "/list") {
    const auto query = query_from_json(asked);
    if (!query) return api::error_response(query.error());
    const auto records = responder_.list(*query);
    return records ? answer(records_to_json(*records)) : api::error_response(records.error());
  }
  if (verb == "/show") {
    const auto record = responder_.show(asked.at("id").str());
    return record ? answer(action_to_json(*record)) : api::error_response(record.error());
  }
  if (verb == "/in-effect") {
    const auto standing = responder_.in_effect();
    return standing ? answer(standing_to_json(*standing)) : api::error_response(standing.error());
  }
  if (verb == "/catalogue") return answer(options_.catalogue());
  if (verb == "/stop-switch") {
    if (!asked.at("is_on").is_null())
      if (auto set = responder_.set_stop_switch(stop_switch_from_json(asked)); !set)
        return api::error_response(set.error());
    return answer(stop_switch_to_json(responder_.stop_switch()));
  }
  if (verb == "/changes") return changes(asked);
  return api::error_response(Error{Code::not_found, fmt::format("there is no verb {}", verb), {}});
}

void Service::note(const ActionRecord& record) {
  std::string json = action_to_json(record);
  const std::lock_guard lock(mutex_);
  changes_.push_back({++last_, std::move(json)});
  if (changes_.size() > options_.max_changes) changes_.pop_front();
  changed_.notify_all();
}

void Service::stop() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  changed_.notify_all();
}

/// Who has fallen behind what is remembered is told how many he missed, and reads the list.
api::Response Service::changes(const Json& asked) {
  const uint64_t after = asked.at("after").u64();
  const auto patience = std::chrono::milliseconds(std::min(asked.at("wait_ms").u64(), kMaxWaitMs));
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, patience, [&] { return stopping_ || last_ > after; });
  const uint64_t oldest = changes_.empty() ? last_ + 1 : changes_.front().number;
  JsonWriter out;
  out.begin_object();
  out.integer("last", last_).integer("missed", oldest > after + 1 ? oldest - after - 1 : 0);
  out.key("records").begin_array();
  for (const Change& change : changes_)
    if (change.number > after) out.raw(change.record);
  out.end_array().end_object();
  return answer(out.take());
}

}  // namespace quell::responder
