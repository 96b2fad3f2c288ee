// Messages of containerd and of the CRI, and the gRPC frame around them. The first byte says which.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "os/containerd.h"
#include "os/cri.h"
#include "os/grpc.h"

namespace {

using namespace quell::os;

void read_grpc(std::string_view text) {
  // "status\nmessage\nbody"
  HttpResponse response{.status = 200, .headers = {}, .body = {}};
  for (const char* name : {"grpc-status", "grpc-message"}) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) break;
    response.headers[name] = std::string(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  response.body = std::string(text);
  const auto message = parse_grpc_answer({"containerd", "/run/x.sock", "--containerd-socket"}, "/a/b", response);
  if (message ? message->size() + 5 != response.body.size() : message.error().message.empty()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 5) {
    case 0:
      if (const auto answer = parse_cri_container(bytes); !answer && answer.error().message.empty()) std::abort();
      break;
    case 1:
      if (const auto answer = parse_cri_sandbox(bytes); !answer && answer.error().message.empty()) std::abort();
      break;
    case 2:
      if (ContainerdRuntime::read_record(bytes, "default").runtime_namespace != "default") std::abort();
      break;
    case 3:
      if (static_cast<uint64_t>(ContainerdRuntime::read_task(bytes).state) > 5) std::abort();
      break;
    default: read_grpc(bytes);
  }
  return 0;
}
