#pragma once
// HTTP over a Unix socket, one blocking call at a time. Thread-safe.
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quell::os {

/// Who listens, in the words that an operator needs when nobody answers.
struct UnixPeer {
  std::string name;    // "Docker"
  std::string socket;  // path
  std::string option;  // "--docker-socket": where the path is set
};

struct HttpRequest {
  std::string method = "GET";
  std::string path;                       // with the query, percent-encoded
  std::vector<std::string> headers = {};  // "name: value"
  std::string body = {};
  bool http2 = false;  // with prior knowledge, as gRPC wants it
  uint32_t timeout_ms = 5000;
  size_t response_limit = size_t{64} << 20;
};

struct HttpResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case; trailers too
  std::string body = {};
};

/// Errors: unavailable (no socket, nobody listens), permission_denied, timeout, limit, io.
Result<HttpResponse> unix_http(const UnixPeer& peer, const HttpRequest& request);

/// Whether there is a file at the peer's path; nothing is said about who listens.
bool socket_exists(const UnixPeer& peer);

/// `text` as one part of a path or query.
std::string percent_encode(std::string_view text);
std::string percent_decode(std::string_view text);

}  // namespace quell::os
