#pragma once
// containerd over gRPC on its Unix socket: its own containers (ctr, nerdctl) and those that Kubernetes made through its
// CRI plugin. Containers that Docker keeps in the same containerd belong to the Docker runtime and are not seen here.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "os/protobuf_wire.h"
#include "os/runtime.h"
#include "os/unix_http.h"

namespace quell::os {

class ContainerdRuntime final : public Runtime {
 public:
  explicit ContainerdRuntime(std::string socket, uint32_t timeout_ms = 5000);

  std::string_view name() const override { return "containerd"; }
  bool is_present() const override { return socket_exists(peer_); }
  Result<void> ping() const override;
  Result<ContainerStatus> inspect(std::string_view id_or_name) const override;
  Result<ContainerStatus> inspect_exact(const std::string& full_id) const override;
  Result<std::vector<std::string>> list() const override;
  Result<void> pause(const std::string& id) const override;
  Result<void> unpause(const std::string& id) const override;
  /// SIGTERM to the first process, SIGKILL to all after the grace. Refuses a paused container (conflict): a frozen
  /// process cannot answer SIGTERM; use kill.
  Result<void> stop(const std::string& id, uint32_t grace_s) const override;
  /// SIGKILL to all processes; a paused container is thawed after the signal is pending, so that it dies without
  /// running.
  Result<void> kill(const std::string& id) const override;
  Result<void> start(const std::string& id) const override;
  Result<void> set_restart_policy(const std::string& id, const std::string& policy) const override;

  // Its messages, as they come from the socket.
  struct Record {  // containerd.services.containers.v1.Container
    std::string runtime_namespace, id, image, spec_json;
    std::map<std::string, std::string> labels;
    int64_t created_s = 0;
  };
  enum class TaskState : uint64_t { unknown = 0, created = 1, running = 2, stopped = 3, paused = 4, pausing = 5 };
  struct Task {
    std::string id;
    int64_t pid = -1;
    TaskState state = TaskState::unknown;
  };
  /// What is malformed leaves its default.
  static Record read_record(std::string_view bytes, const std::string& runtime_namespace);
  static Task read_task(std::string_view bytes);

 private:
  Result<std::string> call(const std::string& runtime_namespace, const char* method, const ProtoWriter& message) const;
  Result<std::vector<std::string>> namespaces() const;
  Result<std::vector<Record>> records(const std::string& runtime_namespace) const;
  /// Every container of exactly this id, one per namespace at most.
  Result<std::vector<Record>> find_exact(const std::vector<std::string>& spaces, std::string_view id) const;
  /// By id, name or prefix, in every namespace.
  Result<Record> find(std::string_view id_or_name) const;
  Result<ContainerStatus> describe(const Record& record) const;
  /// Errors: not_found when the container has no task.
  Result<Task> task(const std::string& runtime_namespace, const std::string& id) const;
  /// The record and its task, for an action. Errors: conflict when it does not run at all.
  Result<std::pair<Record, Task>> find_task(const std::string& id) const;
  Result<void> signal_task(const Record& record, int number, bool all) const;
  Result<bool> wait_stopped(const Record& record, uint64_t timeout_ms) const;
  std::string image_digest(const Record& record) const;
  /// Returns the state of a container that has no task any more, or not yet.
  ContainerStatus::State add_pod_facts(const Record& record, Container& container) const;

  static std::string display_name(const Record& record);

  const UnixPeer peer_;
  const uint32_t timeout_ms_;
};

}  // namespace quell::os
