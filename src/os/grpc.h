#pragma once
// Unary gRPC calls over a Unix socket: HTTP/2 with prior knowledge and the five-byte message frame. Thread-safe.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "os/unix_http.h"

namespace quell::os {

struct GrpcCall {
  std::string method;                     // "/containerd.services.tasks.v1.Tasks/Get"
  std::string containerd_namespace = {};  // empty: none is sent
  uint32_t timeout_ms = 5000;
};

/// The answer's message. HTTP 200 means nothing here: the grpc-status trailer decides. Errors besides those of
/// unix_http, by that status: not_found, already_exists, conflict (failed precondition), permission_denied,
/// invalid_argument, timeout, unsupported (no such service), unavailable, limit, cancelled, io; malformed when the
/// answer is no gRPC.
Result<std::string> grpc_call(const UnixPeer& peer, const GrpcCall& call, std::string_view message);

/// The message in an HTTP answer to `method`. Errors: those of grpc_call that a peer can cause.
Result<std::string> parse_grpc_answer(const UnixPeer& peer, const std::string& method, const HttpResponse& response);

}  // namespace quell::os
