#pragma once
// The state that runc (and what writes the same files) keeps on disk: the only one who knows a container that was
// started without a daemon. Reads only; what acts on a container says which other way there is.
#include <string>
#include <string_view>
#include <vector>

#include "os/runtime.h"

namespace quell::os {

class RuncState final : public Runtime {
 public:
  /// Patterns of folders (glob) whose subfolders are containers: "/run/runc", "/run/containerd/runc/*".
  explicit RuncState(std::vector<std::string> roots) : roots_(std::move(roots)) {}

  std::string_view name() const override { return "runc"; }
  bool is_present() const override { return !folders().empty(); }
  Result<void> ping() const override { return {}; }
  /// By id. Name, image and labels are those of the bundle's annotations where it has any; else the name is the id, and
  /// the image is the folder that the container has as its root. Containers of containerd and Docker are told of only
  /// as far as their annotations go: their own runtimes know better. Errors: not_found, unavailable (there is no state
  /// at all).
  Result<ContainerStatus> inspect(std::string_view id) const override;
  Result<ContainerStatus> inspect_exact(const std::string& full_id) const override { return inspect(full_id); }
  Result<std::vector<std::string>> list() const override;

  // Code::unsupported, each.
  Result<void> pause(const std::string& id) const override;
  Result<void> unpause(const std::string& id) const override;
  Result<void> stop(const std::string& id, uint32_t grace_s) const override;
  Result<void> kill(const std::string& id) const override;
  Result<void> start(const std::string& id) const override;
  Result<void> set_restart_policy(const std::string& id, const std::string& policy) const override;

  /// The id of the container whose processes live in these control groups ("subsystem=path", NUL-separated); empty if
  /// there is none. A few looks at the file system, made by the engine thread for a process whose groups say nothing.
  std::string id_of_cgroups(std::string_view cgroups) const;

 private:
  std::vector<std::string> folders() const;

  const std::vector<std::string> roots_;
};

/// Fills a status from runc's state.json. Errors: malformed, not_found (a daemon's container without annotations).
Result<ContainerStatus> parse_runc_state(std::string_view json);

}  // namespace quell::os
