#include "os/grpc.h"

#include <fmt/format.h>

#include "base/text.h"

namespace quell::os {
namespace {

std::string frame(std::string_view message) {
  std::string out(5, '\0');  // first byte: not compressed; then the length, big-endian
  for (int i = 0; i < 4; ++i) out[static_cast<size_t>(1 + i)] = static_cast<char>(message.size() >> (24 - 8 * i));
  return out.append(message);
}

Code code_of(uint64_t grpc_status) {
  switch (grpc_status) {
    case 1: return Code::cancelled;
    case 3:
    case 11: return Code::invalid_argument;
    case 4: return Code::timeout;
    case 5: return Code::not_found;
    case 6: return Code::already_exists;
    case 7:
    case 16: return Code::permission_denied;
    case 8: return Code::limit;
    case 9:
    case 10: return Code::conflict;
    case 12: return Code::unsupported;
    case 14: return Code::unavailable;
    default: return Code::io;  // unknown, internal, data loss: the peer's own trouble
  }
}

}  // namespace

Result<std::string> grpc_call(const UnixPeer& peer, const GrpcCall& call, std::string_view message) {
  HttpRequest request;
  request.method = "POST";
  request.path = call.method;
  request.http2 = true;
  request.timeout_ms = call.timeout_ms;
  request.headers = {"content-type: application/grpc", "te: trailers", "user-agent: quell",
                     fmt::format("grpc-timeout: {}m", call.timeout_ms)};
  if (!call.containerd_namespace.empty())
    request.headers.push_back("containerd-namespace: " + call.containerd_namespace);
  request.body = frame(message);
  QUELL_TRY(HttpResponse response, unix_http(peer, request));
  return parse_grpc_answer(peer, call.method, response);
}

Result<std::string> parse_grpc_answer(const UnixPeer& peer, const std::string& method, const HttpResponse& response) {
  const auto status = response.headers.find("grpc-status");
  uint64_t number = 0;
  if (status == response.headers.end() || !parse_u64(status->second, number))
    return Error{Code::malformed,
                 fmt::format("{} answered {} with HTTP {} and no gRPC status: is this the right socket? Set {}.",
                             peer.name, method, response.status, peer.option),
                 peer.socket};
  if (number != 0) {
    const auto text = response.headers.find("grpc-message");
    return Error{code_of(number),
                 fmt::format("{}: {}", peer.name,
                             text == response.headers.end() ? "gRPC status " + status->second
                                                            : to_valid_utf8(percent_decode(text->second))),
                 {}};
  }
  const std::string& body = response.body;
  if (body.size() < 5) return Error{Code::malformed, fmt::format("{}'s answer has no message", peer.name), method};
  uint32_t size = 0;
  for (size_t i = 1; i < 5; ++i) size = size << 8 | static_cast<uint8_t>(body[i]);
  if (body[0] != 0) return Error{Code::unsupported, fmt::format("{} compressed its answer unasked", peer.name), method};
  if (body.size() - 5 != size)
    return Error{Code::malformed, fmt::format("{}'s answer says {} bytes and has {}", peer.name, size, body.size() - 5),
                 method};
  return body.substr(5);
}

}  // namespace quell::os
