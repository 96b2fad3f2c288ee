#pragma once
// Container runtimes, behind one interface: Docker, containerd (ctr and CRI containers), and the state that runc keeps
// of the containers nobody else knows. Calls block up to their timeout; never made on the path of events. Thread-safe.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/container.h"

namespace quell::os {

struct ContainerStatus {
  /// full_id, name, image, labels, mounts, started_at … containerd keeps no start time of its own for every container,
  /// so there started_at is "PID@START_TICKS" of the container's first process: as unique, and the same whoever asks.
  std::shared_ptr<const Container> info;
  enum class State : uint8_t { created, running, paused, exited, unknown } state = State::unknown;
  int64_t pid = -1;            // of its pid 1 on the host; -1 when not running
  std::string restart_policy;  // Docker: "no", "always", "on-failure:3", "unless-stopped"; empty elsewhere
};

/// A container's place in one network: enough to give it back as it was.
struct NetworkEndpoint {
  std::string network = {}, network_id = {};          // "backend", and its full id
  std::string ipv4 = {}, ipv6 = {}, mac = {};         // as they are; empty when the container does not run
  std::string fixed_ipv4 = {}, fixed_ipv6 = {};       // those of them that whoever connected it asked for
  std::vector<std::string> aliases = {}, links = {};  // other names of this container, of others
  std::map<std::string, std::string> driver_options = {};
  bool operator==(const NetworkEndpoint&) const = default;
};

class Runtime {
 public:
  virtual ~Runtime() = default;
  /// "docker", "containerd", "runc".
  virtual std::string_view name() const = 0;
  /// Whether there is something to ask at all: a socket, a state folder. One look at the file system.
  virtual bool is_present() const { return true; }
  /// The cheapest question that shows whether it answers. Errors: unavailable, permission_denied, timeout.
  virtual Result<void> ping() const { return {}; }
  /// By full id, unambiguous id prefix (3 characters at least), or name; containerd also takes "namespace/id". Errors:
  /// not_found, invalid_argument (several match; they are named), unavailable (socket), permission_denied, timeout.
  virtual Result<ContainerStatus> inspect(std::string_view id_or_name) const = 0;
  /// By full id alone: cheaper where names and prefixes cost a listing. Errors: as inspect().
  virtual Result<ContainerStatus> inspect_exact(const std::string& full_id) const;
  /// Full ids of running and paused containers.
  virtual Result<std::vector<std::string>> list() const = 0;

  // Each takes the full id. Errors: not_found, conflict (not in a state that allows it; e.g. already paused),
  // unavailable, timeout (then it may have happened or not: ask again).
  virtual Result<void> pause(const std::string& id) const = 0;
  virtual Result<void> unpause(const std::string& id) const = 0;
  virtual Result<void> stop(const std::string& id, uint32_t grace_s) const = 0;
  virtual Result<void> kill(const std::string& id) const = 0;
  /// Docker only; elsewhere Code::unsupported, with the reason.
  virtual Result<void> start(const std::string& id) const = 0;
  /// Docker only; elsewhere Code::unsupported.
  virtual Result<void> set_restart_policy(const std::string& id, const std::string& policy) const = 0;

  // Networks, by full id of the container. Docker only; elsewhere Code::unsupported, with the reason.

  /// Those that the container is connected to; none with a network of the host's or another container's.
  virtual Result<std::vector<NetworkEndpoint>> networks(const std::string& id) const;
  /// Takes the interface away; live flows end. `force`: also if Docker believes that the network is in trouble. Errors:
  /// not_found (no such container or network), conflict (not connected; host network), unavailable, timeout.
  virtual Result<void> disconnect_network(const std::string& id, const std::string& network, bool force) const;
  /// Connects it as `endpoint` says and returns what it became. The network is found by id, and by name where there is
  /// no id. The addresses are those of `endpoint`, unless the network's subnet was Docker's own choice: then Docker
  /// admits no wish, and whoever wants the same compares. Daemons before API 1.44 derive the MAC address themselves.
  /// Errors: not_found, conflict (connected already; an address is taken meanwhile), unavailable, timeout.
  virtual Result<NetworkEndpoint> connect_network(const std::string& id, const NetworkEndpoint& endpoint) const;
};

struct RuntimeSockets {
  std::string docker = "/var/run/docker.sock";
  std::string containerd = "/run/containerd/containerd.sock";
  /// Where runc keeps the state of containers (patterns of folders whose subfolders are container ids).
  std::vector<std::string> runc_roots = {"/run/runc", "/run/containerd/runc/*", "/run/docker/runtime-runc/*",
                                         "/run/user/*/runc"};
  uint32_t timeout_ms = 5000;  // of one request; a stop may take its grace longer
};

/// Where runtimes are known to listen: Docker and podman (its Docker API), containerd as distributions and Kubernetes
/// flavours place it.
std::vector<std::string> known_runtime_sockets();
/// The usual sockets; where one of them is not there and another known one is, that.
RuntimeSockets find_runtime_sockets();

/// Every runtime whose socket path is configured (a missing socket is found at the first call: runtimes come and go).
std::vector<std::unique_ptr<Runtime>> make_runtimes(const RuntimeSockets& sockets);
/// The same and, last, runc's state: all who can tell of a container, also those who cannot act on it.
std::vector<std::unique_ptr<Runtime>> make_lookup_runtimes(const RuntimeSockets& sockets);

/// Asks every runtime. Errors: not_found when every reachable one says so; invalid_argument when several containers
/// match, also across runtimes (they are named); unavailable when none could be reached, saying why for each.
struct FoundContainer {
  const Runtime* runtime = nullptr;
  ContainerStatus status;
};
Result<FoundContainer> find_container(const std::vector<std::unique_ptr<Runtime>>& runtimes,
                                      std::string_view id_or_name);

}  // namespace quell::os
