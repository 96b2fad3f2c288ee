#pragma once
// A request and its answer, as handlers see them. Nothing of the HTTP library shows.
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace quell::api {

enum class Method : uint8_t { get, post, put, delete_, other };
std::string_view to_string(Method method);

/// Who asks. On the Unix socket the kernel says so; on TCP nobody does.
struct Peer {
  bool is_unix = false;
  uint32_t uid = UINT32_MAX;
  int64_t pid = -1;
  /// Who logged in, whoever he became since (sudo, su); UINT32_MAX: unknown, or nobody did.
  uint32_t login_uid = UINT32_MAX;
};

struct Request {
  Method method = Method::get;
  std::string path;                                        // percent-decoded, without the query
  std::map<std::string, std::string, std::less<>> query;   // decoded; of a repeated name, the last
  std::map<std::string, std::string, std::less<>> params;  // {id} of the route
  std::string body;
  Peer peer;
};

struct Response {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  std::string allow;  // for 405: the methods that the path takes
};

/// Called on a worker thread, several at once; may block. An exception becomes a 500.
using Handler = std::function<Response(const Request&)>;

/// {"error":{"code":…,"message":…,"where":…}} with the status that fits the code.
Response error_response(const Error& error);
Response error_response(int status, std::string_view code, std::string_view message, std::string_view where = {});

/// Splits "/a/b?x=1&y=2" and decodes both. Errors: malformed (a bad percent sequence, a NUL byte).
Result<void> parse_request_target(std::string_view text, Request& out);

}  // namespace quell::api
