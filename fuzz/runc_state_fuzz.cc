// runc's state.json holds annotations that a container's author chose: any bytes are a status or an Error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "os/runc_state.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto status = quell::os::parse_runc_state({reinterpret_cast<const char*>(data), size});
  if (!status) return 0;
  if (status->info == nullptr || status->info->full_id.empty() || status->info->name.empty()) std::abort();
  return 0;
}
