#include "apps/quell/history.h"

#include <fmt/format.h>

#include <filesystem>

#include "apps/quell/server_call.h"
#include "base/json.h"
#include "model/detection_json.h"

namespace quell::cli {
namespace {

constexpr size_t kPage = 1000;

std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '-' || c == '_' || c == '.') {
      out += c;
    } else {
      out += fmt::format("%{:02X}", byte);
    }
  }
  return out;
}

}  // namespace

Result<History> History::open(const Globals& globals) {
  History history(globals);
  if (!globals.server.empty()) return history;
  std::error_code error;
  const std::string folder = globals.data_dir_or_default();
  if (std::filesystem::exists(folder + "/" + std::string(kControlSocketName), error)) {
    const auto answer = call_server(globals, api::Method::get, "/version");
    if (answer) return history;
    // A socket that nobody listens on is what a crash leaves.
    if (answer.error().code != Code::unavailable) return answer.error();
  }
  if (!std::filesystem::exists(folder + "/detections.db", error)) {
    return Error{error ? Code::permission_denied : Code::not_found,
                 "no detections are stored here; name the data directory of a `quell up` with --data-dir", folder};
  }
  QUELL_TRY(std::unique_ptr<record::Store> store, record::open_store({.data_dir = folder}));
  history.store_ = std::move(store);
  return history;
}

Result<Detection> History::find(const std::string& id) const {
  if (store_) return store_->detection(id);
  QUELL_TRY(const std::string answer,
            call_server(*globals_, api::Method::get, "/v1/detections/" + percent_encoded(id)));
  return detection_from_json(answer);
}

Result<std::vector<Detection>> History::page(const std::string& rule, uint64_t since_ns,
                                             const std::string& before_id) const {
  if (store_) {
    record::DetectionQuery query;
    query.rule = rule;
    query.since_ns = since_ns;
    query.before_id = before_id;
    query.limit = kPage;
    return store_->detections(query);
  }
  QUELL_TRY(const std::string answer,
            call_server(*globals_, api::Method::get,
                        fmt::format("/v1/detections?limit={}&rule={}&since_ns={}&before={}", kPage,
                                    percent_encoded(rule), since_ns, percent_encoded(before_id))));
  return read_list(answer);
}

Result<std::vector<Detection>> History::oldest_first(uint64_t since_ns, const std::string& after_id) const {
  if (store_) {
    record::DetectionQuery query;
    query.since_ns = since_ns;
    query.oldest_first = true;
    query.after_id = after_id;
    query.limit = kPage;
    return store_->detections(query);
  }
  QUELL_TRY(const std::string answer,
            call_server(*globals_, api::Method::get,
                        fmt::format("/v1/detections?limit={}&order=oldest&since_ns={}&after={}", kPage, since_ns,
                                    percent_encoded(after_id))));
  return read_list(answer);
}

Result<std::vector<Detection>> History::read_list(const std::string& answer) {
  QUELL_TRY(const Json json, Json::parse(answer));
  if (json.at("items").array() == nullptr)
    return Error{Code::malformed, "the server's answer is no list of detections", {}};
  std::vector<Detection> out;
  for (const Json& item : *json.at("items").array()) {
    QUELL_TRY(Detection detection, detection_from_json(item.dump()));
    out.push_back(std::move(detection));
  }
  return out;
}

Result<std::vector<Detection>> History::of_rule(const std::string& rule, uint64_t since_ns, size_t limit) const {
  std::vector<Detection> out;
  for (std::string before_id; out.size() < limit;) {
    QUELL_TRY(std::vector<Detection> more, page(rule, since_ns, before_id));
    if (more.empty()) break;
    before_id = more.back().id;
    const bool is_last = more.size() < kPage;
    for (Detection& detection : more) {
      if (out.size() < limit) out.push_back(std::move(detection));
    }
    if (is_last) break;
  }
  return out;
}

}  // namespace quell::cli
