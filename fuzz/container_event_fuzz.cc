// The JSON that container events carry, and the paths that name containers. What is understood is written back the
// same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "enrich/cgroup_id.h"
#include "enrich/container_json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quell::enrich;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto container = parse_container_json(text)) {
    const std::string written = container_json(*container);
    const auto again = parse_container_json(written);
    if (!again || container_json(*again) != written) std::abort();
  } else if (container.error().message.empty()) {
    std::abort();
  }
  if (const auto match = match_cgroup_path(text);
      match && (match->id.empty() || match->full_id.size() < match->id.size()))
    std::abort();
  match_cgroups(text);
  return 0;
}
