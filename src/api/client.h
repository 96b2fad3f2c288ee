#pragma once
// The CLI's side of the API: one request over a Unix socket or a loopback address.
#include <cstdint>
#include <string>
#include <string_view>

#include "api/http.h"
#include "base/result.h"

namespace quell::api {

class Client {
 public:
  /// `server` is "unix:/path/quell.sock", a path that begins with '/', or "http://127.0.0.1:7555".
  /// Errors: invalid_argument.
  static Result<Client> open(std::string_view server, uint64_t timeout_ms = 60'000);

  /// The body of a 2xx answer. Any other answer becomes the Error that it carries.
  /// Errors besides: unavailable (nobody listens there), permission_denied (the socket is not ours), timeout,
  /// malformed.
  Result<std::string> call(Method method, std::string_view target, std::string_view body = {}) const;

 private:
  Client(std::string unix_path, std::string base, uint64_t timeout_ms);
  std::string unix_path_;
  std::string base_;  // "http://quell" for the Unix socket
  uint64_t timeout_ms_;
};

}  // namespace quell::api
