#pragma once
// The Docker Engine API over its Unix socket, version 1.41 and later.
#include <atomic>
#include <memory>
#include <string>
#include <vector>

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
  Result<ContainerStatus> inspect_exact(const std::string& full_id) const override;
  Result<std::vector<std::string>> list() const override;
  Result<void> pause(const std::string& id) const override;
  Result<void> unpause(const std::string& id) const override;
  Result<void> stop(const std::string& id, uint32_t grace_s) const override;
  Result<void> kill(const std::string& id) const override;
  Result<void> start(const std::string& id) const override;
  /// "no", "always", "unless-stopped", "on-failure", "on-failure:N". Errors: invalid_argument for any other.
  Result<void> set_restart_policy(const std::string& id, const std::string& policy) const override;

 private:
  Result<HttpResponse> call(const std::string& method, const std::string& path, const std::string& json = {},
                            uint32_t extra_ms = 0) const;
  Result<void> act(const std::string& id, const std::string& verb, const std::string& json = {},
                   uint32_t extra_ms = 0) const;
  Result<ContainerStatus> inspect_id(const std::string& id) const;

  const UnixPeer peer_;
  const uint32_t timeout_ms_;
  // A daemon too new for 1.41 answers paths without a version.
  mutable std::atomic<bool> versioned_{true};
};

/// Fills a status from the JSON of /containers/ID/json. Errors: malformed.
Result<ContainerStatus> parse_docker_inspect(std::string_view json);

}  // namespace quell::os
