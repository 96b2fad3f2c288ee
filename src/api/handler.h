#pragma once
// What handlers of routes share: reading requests, making answers.
#include <string>
#include <string_view>
#include <vector>

#include "api/http.h"
#include "base/json.h"
#include "base/result.h"

namespace quell::api {

Response json(std::string body, int status = 200);
/// 501: the program did not hand in what would serve this.
Response not_offered(std::string_view what);
/// Items that are JSON each, as one list.
std::string item_list(const std::vector<std::string>& items);

/// ?limit=, from 1 to 1000; 100 if it is not said.
Result<size_t> limit_of(const Request& request);
/// The members of a body that must be an object; an empty body is an empty object.
Result<Json::Object> body_members(const Request& request);
Result<std::string> text_member(const std::string& key, const Json& value);
Error unknown_key(std::string_view key, const std::vector<std::string_view>& known);

/// "uid:1000 (ada) as uid:0": the person, and what he acts as.
std::string actor_of(const Peer& peer);

}  // namespace quell::api
