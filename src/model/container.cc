#include "model/container.h"

#include <iterator>

namespace quell {
std::string_view to_string(ContainerType type) {
  switch (type) {
    case ContainerType::docker: return "docker";
    case ContainerType::lxc: return "lxc";
    case ContainerType::libvirt_lxc: return "libvirt-lxc";
    case ContainerType::cri: return "cri";
    case ContainerType::containerd: return "containerd";
    case ContainerType::crio: return "cri-o";
    case ContainerType::bpm: return "bpm";
    case ContainerType::podman: return "podman";
    case ContainerType::host: return "host";
    default: return "";
  }
}

namespace {
constexpr std::string_view kMissing[] = {"",
                                         "pending",
                                         "no_runtime_socket",
                                         "permission_denied",
                                         "runtime_timeout",
                                         "runtime_error",
                                         "container_gone",
                                         "not_known_to_any_runtime",
                                         "not_a_container",
                                         "too_many_lookups"};
}  // namespace

std::string_view to_string(ContainerMissing reason) { return kMissing[static_cast<size_t>(reason)]; }

ContainerMissing parse_container_missing(std::string_view text) {
  for (size_t i = 0; i < std::size(kMissing); ++i)
    if (kMissing[i] == text) return static_cast<ContainerMissing>(i);
  return ContainerMissing::none;
}

}  // namespace quell
