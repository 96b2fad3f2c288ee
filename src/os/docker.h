#pragma once
// The Docker Engine API over its Unix socket, version 1.41 and later.
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "os/container_names.h"
#include "os/runtime.h"
#include "os/unix_http.h"

namespace quell::os {

class DockerRuntime final : public Runtime {
 public:
  explicit DockerRuntime(std::string socket, uint32_t timeout_ms = 5000);

  std::string_view name() const override { return "docker"; }
  bool is_present() const override { return socket_exists(peer_); }
  Result<void> ping() const override;
  Result<ContainerStatus> inspect(std::string_view id_or_name) const override;
  /// A container that Docker does not answer for at once is told of from its files, where they can be read: all but its
  /// address then.
  Result<ContainerStatus> inspect_exact(const std::string& full_id) const override;
  Result<std::vector<std::string>> list() const override;
  Result<void> pause(const std::string& id) const override;
  Result<void> unpause(const std::string& id) const override;
  Result<void> stop(const std::string& id, uint32_t grace_s) const override;
  Result<void> kill(const std::string& id) const override;
  Result<void> start(const std::string& id) const override;
  /// "no", "always", "unless-stopped", "on-failure", "on-failure:N". Errors: invalid_argument for any other.
  Result<void> set_restart_policy(const std::string& id, const std::string& policy) const override;
  Result<std::vector<NetworkEndpoint>> networks(const std::string& id) const override;
  Result<void> disconnect_network(const std::string& id, const std::string& network, bool force) const override;
  Result<NetworkEndpoint> connect_network(const std::string& id, const NetworkEndpoint& endpoint) const override;

  struct ImageNames {
    std::vector<ImageName> tags, digests;
  };

 private:
  struct KnownImage {
    std::shared_ptr<const ImageNames> names;
    std::chrono::steady_clock::time_point expires;
  };

  // A timeout of 0 is the usual one.
  Result<HttpResponse> call(const std::string& method, const std::string& path, const std::string& json = {},
                            uint32_t timeout_ms = 0) const;
  Result<void> act(const std::string& id, const std::string& verb, const std::string& json = {},
                   uint32_t timeout_ms = 0) const;
  Result<ContainerStatus> inspect_id(const std::string& id, uint32_t timeout_ms) const;
  Result<ContainerStatus> read_files(const std::string& folder, const std::string& id) const;
  std::shared_ptr<const ImageNames> image_names(const std::string& id, uint32_t timeout_ms) const;
  std::string containers_folder() const;

  const UnixPeer peer_;
  const uint32_t timeout_ms_;
  // A daemon too new for 1.41 answers paths without a version.
  mutable std::atomic<bool> versioned_{true};

  mutable std::mutex mutex_;
  mutable std::map<std::string, KnownImage> images_;  // by id
  mutable std::optional<std::string> folder_;         // of the containers, once Docker told; empty: not to be read
};

/// What a refusal means, by Docker's status codes as its API document and its habits (a 500 for what is a conflict)
/// give them.
Error docker_error(const HttpResponse& response);

/// The networks in the JSON of /containers/ID/json, by name. Errors: malformed.
Result<std::vector<NetworkEndpoint>> parse_docker_networks(std::string_view json);
/// The body of a request to connect a container as it was; `with_addresses`: also with addresses that Docker had
/// chosen.
std::string docker_connect_body(const std::string& id, const NetworkEndpoint& endpoint, bool with_addresses);

/// Fills a status from the JSON of /containers/ID/json. Errors: malformed.
Result<ContainerStatus> parse_docker_inspect(std::string_view json);
/// The same from the files that the daemon keeps of a container, config.v2.json and hostconfig.json. Errors: malformed.
Result<ContainerStatus> parse_docker_files(std::string_view config, std::string_view host_config);

}  // namespace quell::os
