#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "os/containerd.h"
#include "os/docker.h"
#include "os/runc_state.h"
#include "os/runtime.h"

namespace quell::os {

namespace {

// The first that is there is taken.
constexpr const char* kDockerSockets[] = {"/var/run/docker.sock", "/run/docker.sock", "/run/podman/podman.sock"};
constexpr const char* kContainerdSockets[] = {"/run/containerd/containerd.sock", "/run/k3s/containerd/containerd.sock",
                                              "/run/host-containerd/containerd.sock", "/run/k0s/containerd.sock",
                                              "/var/snap/microk8s/common/run/containerd.sock"};

template <typename Paths>
void take_first_there(const Paths& paths, std::string& socket) {
  for (const char* path : paths) {
    if (::access(path, F_OK) != 0) continue;
    socket = path;
    return;
  }
}

}  // namespace

std::vector<std::string> known_runtime_sockets() {
  std::vector<std::string> out(std::begin(kDockerSockets), std::end(kDockerSockets));
  out.insert(out.end(), std::begin(kContainerdSockets), std::end(kContainerdSockets));
  return out;
}

RuntimeSockets find_runtime_sockets() {
  RuntimeSockets sockets;
  take_first_there(kDockerSockets, sockets.docker);
  take_first_there(kContainerdSockets, sockets.containerd);
  return sockets;
}

std::vector<std::unique_ptr<Runtime>> make_runtimes(const RuntimeSockets& sockets) {
  std::vector<std::unique_ptr<Runtime>> runtimes;
  if (!sockets.docker.empty()) runtimes.push_back(std::make_unique<DockerRuntime>(sockets.docker, sockets.timeout_ms));
  if (!sockets.containerd.empty())
    runtimes.push_back(std::make_unique<ContainerdRuntime>(sockets.containerd, sockets.timeout_ms));
  return runtimes;
}

std::vector<std::unique_ptr<Runtime>> make_lookup_runtimes(const RuntimeSockets& sockets) {
  auto runtimes = make_runtimes(sockets);
  if (!sockets.runc_roots.empty()) runtimes.push_back(std::make_unique<RuncState>(sockets.runc_roots));
  return runtimes;
}

Result<ContainerStatus> Runtime::inspect_exact(const std::string& full_id) const {
  QUELL_TRY(ContainerStatus status, inspect(full_id));
  if (status.info->full_id == full_id) return status;
  return Error{Code::not_found, "another container has that name", {}};
}

namespace {
Error no_networks(std::string_view runtime) {
  return {Code::unsupported,
          fmt::format("{} keeps no networks of containers: whoever made this one (a CNI plugin, say) does", runtime),
          {}};
}
}  // namespace

Result<std::vector<NetworkEndpoint>> Runtime::networks(const std::string&) const { return no_networks(name()); }
Result<void> Runtime::disconnect_network(const std::string&, const std::string&, bool) const {
  return no_networks(name());
}
Result<NetworkEndpoint> Runtime::connect_network(const std::string&, const NetworkEndpoint&) const {
  return no_networks(name());
}

Result<FoundContainer> find_container(const std::vector<std::unique_ptr<Runtime>>& runtimes,
                                      std::string_view id_or_name) {
  if (runtimes.empty())
    return Error{
        Code::unavailable, "no container runtime is configured: set --docker-socket or --containerd-socket", {}};
  std::vector<FoundContainer> found;
  Error problem{Code::not_found, fmt::format("no container has the id or name \"{}\"", id_or_name), {}};
  std::string unreachable;
  size_t answered = 0;
  for (const auto& runtime : runtimes) {
    auto status = runtime->inspect(id_or_name);
    if (status) {
      ++answered;
      // A full id means one thing; a name may live in several runtimes.
      found.push_back({runtime.get(), std::move(*status)});
      continue;
    }
    if (status.error().code == Code::not_found) {
      ++answered;
    } else if (status.error().code == Code::invalid_argument) {
      return status.error();
    } else {
      unreachable += fmt::format("{}{}: {}", unreachable.empty() ? "" : "; ", runtime->name(), status.error().str());
      problem.code = status.error().code;
    }
  }
  if (found.size() > 1) {
    // The exact id wins over a name or prefix that matches elsewhere.
    std::erase_if(found, [&](const FoundContainer& item) {
      return item.status.info->full_id != id_or_name &&
             std::any_of(found.begin(), found.end(),
                         [&](const FoundContainer& other) { return other.status.info->full_id == id_or_name; });
    });
  }
  if (found.size() > 1)
    return Error{Code::invalid_argument,
                 fmt::format("\"{}\" means {} {} ({}) and {} {} ({}). Give the full id.", id_or_name,
                             found[0].runtime->name(), found[0].status.info->full_id, found[0].status.info->name,
                             found[1].runtime->name(), found[1].status.info->full_id, found[1].status.info->name),
                 {}};
  if (found.size() == 1) return std::move(found.front());
  if (answered == 0)
    return Error{runtimes.size() == 1 ? problem.code : Code::unavailable,
                 "no container runtime answered (" + unreachable + ")",
                 {}};
  problem.code = Code::not_found;
  if (!unreachable.empty()) problem.message += "; not asked, because it did not answer: " + unreachable;
  return problem;
}

}  // namespace quell::os
