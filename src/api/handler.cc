#include "api/handler.h"

#include <fmt/format.h>
#include <pwd.h>

#include "base/text.h"

namespace quell::api {
namespace {

constexpr size_t kDefaultLimit = 100;
constexpr size_t kMaxLimit = 1000;

std::string user_name(uint32_t uid) {
  char buffer[4096];
  passwd entry{};
  passwd* found = nullptr;
  getpwuid_r(uid, &entry, buffer, sizeof buffer, &found);
  return found != nullptr ? found->pw_name : std::string();
}

}  // namespace

Response json(std::string body, int status) {
  Response response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

Response not_offered(std::string_view what) {
  return error_response(Error{Code::unsupported, fmt::format("this quell does not offer {}", what), {}});
}

Result<size_t> limit_of(const Request& request) {
  const auto it = request.query.find("limit");
  if (it == request.query.end()) return kDefaultLimit;
  uint64_t limit = 0;
  if (!parse_u64(it->second, limit) || limit == 0 || limit > kMaxLimit) {
    return Error{Code::invalid_argument,
                 fmt::format("\"{}\" is no number of items; give one from 1 to {}", it->second, kMaxLimit), "limit"};
  }
  return static_cast<size_t>(limit);
}

std::string item_list(const std::vector<std::string>& items) {
  return fmt::format(R"({{"apiVersion":"quell/v1","items":[{}]}})", fmt::join(items, ","));
}

// The person, not the hat: two administrators who both act as root are two.
std::string actor_of(const Peer& peer) {
  const uint32_t person = peer.login_uid != UINT32_MAX ? peer.login_uid : peer.uid;
  const std::string name = user_name(person);
  std::string out = fmt::format("uid:{}", person);
  if (!name.empty()) out += fmt::format(" ({})", name);
  if (person != peer.uid) out += fmt::format(" as uid:{}", peer.uid);
  return out;
}

Result<std::string> text_member(const std::string& key, const Json& value) {
  const auto* text = std::get_if<std::string>(&value.value());
  if (text == nullptr) return Error{Code::invalid_argument, "a text is expected", key};
  return *text;
}

Result<Json::Object> body_members(const Request& request) {
  if (request.body.empty()) return Json::Object{};
  QUELL_TRY(const Json body, Json::parse(request.body));
  if (body.object() == nullptr) return Error{Code::invalid_argument, "the body must be a JSON object", "body"};
  return *body.object();
}

Error unknown_key(std::string_view key, const std::vector<std::string_view>& known) {
  const std::string_view near = nearest(key, known);
  return {Code::invalid_argument,
          near.empty() ? fmt::format("unknown key; known are {}", fmt::join(known, ", "))
                       : fmt::format("unknown key; did you mean \"{}\"?", near),
          std::string(key)};
}

}  // namespace quell::api
