#include "model/container.h"

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
}  // namespace quell
