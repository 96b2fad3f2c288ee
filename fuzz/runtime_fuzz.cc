// What container runtimes and /proc tell, from sockets and files that containers have a hand in: any bytes are an
// answer or an Error, never more. The first byte chooses the reader.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "os/container_names.h"
#include "os/container_spec.h"
#include "os/docker.h"
#include "os/proc_fs.h"
#include "os/protobuf_wire.h"
#include "os/runc_state.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quell::os;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 8) {
    case 0: (void)parse_docker_inspect(text); break;
    case 1: (void)parse_container_spec(text); break;
    case 2: (void)parse_runc_state(text); break;
    case 3: (void)parse_proc_stat(text); break;
    case 4: (void)parse_proc_cgroup(text); break;
    case 5: (void)parse_cgroup_mounts(text); break;
    case 6: {
      ProtoReader reader(text);
      while (reader.next()) (void)reader.bytes();
      break;
    }
    default: (void)split_image_name(text), (void)parse_rfc3339_s(text); break;
  }
  return 0;
}
