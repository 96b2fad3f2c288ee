#pragma once
// Containers and what is known about them.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/fd.h"

namespace quell {

/// Numbers as container events in captures carry them.
enum class ContainerType : uint16_t {
  docker = 0,
  lxc = 1,
  libvirt_lxc = 2,
  mesos = 3,
  rkt = 4,
  custom = 5,
  cri = 6,
  containerd = 7,
  crio = 8,
  bpm = 9,
  static_ = 10,
  podman = 11,
  host = 65534,
  unknown = 65535
};
/// What container.type prints ("docker", "cri-o"); empty for unknown.
std::string_view to_string(ContainerType type);

/// Why a container's metadata is absent. What to_string() says stands in `container_missing_reason` of every detection.
enum class ContainerMissing : uint8_t {
  none,                      // it is there, or there is no container
  pending,                   // the runtimes are still being asked
  no_runtime_socket,         // no runtime listens where we look
  permission_denied,         // one listens, and we may not ask it
  runtime_timeout,           // one listens, and did not answer in time
  runtime_error,             // one answered with what we cannot read
  container_gone,            // it had ended before any runtime could tell of it
  not_known_to_any_runtime,  // processes live in it, and every runtime says that it has no such container
  not_a_container,           // a host's process in a control group whose name is like a container's
  too_many_lookups,          // more containers at once than are asked for
};
std::string_view to_string(ContainerMissing reason);
/// ContainerMissing::none for any other text.
ContainerMissing parse_container_missing(std::string_view text);

struct Mount {
  std::string source, destination, mode, propagation;
  bool writable = false;
};

/// Metadata from the runtime or a capture. Immutable: a newer answer replaces it.
struct Container {
  ContainerType type = ContainerType::unknown;
  std::string id;       // the short id that container.id shows (12 characters for most runtimes)
  std::string full_id;  // as the runtime knows it
  std::string name;
  std::string image, image_id, image_repository, image_tag, image_digest;
  std::string user, ip, cni_json;
  std::map<std::string, std::string> labels;
  std::vector<std::string> env;
  std::vector<Mount> mounts;
  bool privileged = false, host_pid = false, host_network = false, host_ipc = false;
  bool is_pod_sandbox = false;
  std::string pod_sandbox_id;
  std::map<std::string, std::string> pod_labels;
  int64_t created_s = 0;
  std::string started_at;         // as the runtime says it; part of the identity that actions re-check
  std::string runtime_namespace;  // containerd: "k8s.io", "default"
};

/// A container that some thread lives in. `info` is null until metadata arrives, and is replaced when newer arrives.
/// Owned by the container table; lives while a thread refers to it.
struct ContainerSlot {
  std::string id;
  std::string full_id;                                // 64 hex digits, or the runtime's free text
  std::string cgroup_path;                            // where it was seen
  ContainerType type_guess = ContainerType::unknown;  // by the form of the cgroup path
  uint64_t first_seen_ns = 0;
  int64_t first_pid = -1;  // the process in which it was first seen
  std::shared_ptr<const Container> info;
  mutable uint32_t flight_ring = 0;  // the flight recorder's: where this container's events are kept; 0: nowhere yet
  bool is_host() const { return full_id.empty(); }
};

}  // namespace quell
