// What Docker answers about a container, the OCI spec that containerd keeps, the state that runc keeps. Whatever the
// bytes: an error or a container whose ids keep their promise.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "os/container_names.h"
#include "os/container_spec.h"
#include "os/docker.h"
#include "os/runc_state.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quell::os;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto status = parse_docker_inspect(text)) {
    if (status->info == nullptr || !status->info->full_id.starts_with(status->info->id)) std::abort();
  } else if (status.error().message.empty()) {
    std::abort();
  }
  if (const auto status = parse_docker_files(text, text); !status && status.error().message.empty()) std::abort();
  if (const auto networks = parse_docker_networks(text)) {
    // What is sent back stays one line, whatever the names were: no raw control character gets into it.
    for (const NetworkEndpoint& endpoint : *networks)
      if (docker_connect_body("id", endpoint, true).find('\n') != std::string::npos) std::abort();
  } else if (networks.error().message.empty()) {
    std::abort();
  }
  if (const auto state = parse_runc_state(text); state ? state->info == nullptr : state.error().message.empty())
    std::abort();
  if (const auto spec = parse_container_spec(text); !spec && spec.error().message.empty()) std::abort();
  const ImageName image = split_image_name(text);
  if (image.repository.size() + image.tag.size() + image.digest.size() > size + 6) std::abort();  // "latest"
  parse_rfc3339_s(text);
  if (percent_decode(percent_encode(text)) != text || percent_decode(text).size() > size) std::abort();
  return 0;
}
