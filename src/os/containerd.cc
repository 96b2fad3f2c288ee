// Field numbers are those of containerd's published v1 services; each is named where it is used.
#include "os/containerd.h"

#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "os/container_names.h"
#include "os/container_spec.h"
#include "os/cri.h"
#include "os/grpc.h"
#include "os/proc_fs.h"

namespace quell::os {
namespace {

constexpr const char* kContainersGet = "/containerd.services.containers.v1.Containers/Get";
constexpr const char* kContainersList = "/containerd.services.containers.v1.Containers/List";
constexpr const char* kTasksGet = "/containerd.services.tasks.v1.Tasks/Get";
constexpr const char* kTasksList = "/containerd.services.tasks.v1.Tasks/List";
constexpr const char* kTasksPause = "/containerd.services.tasks.v1.Tasks/Pause";
constexpr const char* kTasksResume = "/containerd.services.tasks.v1.Tasks/Resume";
constexpr const char* kTasksKill = "/containerd.services.tasks.v1.Tasks/Kill";
constexpr const char* kNamespacesList = "/containerd.services.namespaces.v1.Namespaces/List";
constexpr const char* kImagesGet = "/containerd.services.images.v1.Images/Get";

// Labels and annotations that containerd's CRI plugin writes.
constexpr const char* kKindLabel = "io.cri-containerd.kind";  // "container", "sandbox"
constexpr const char* kPodName = "io.kubernetes.pod.name";
constexpr const char* kPodNamespace = "io.kubernetes.pod.namespace";
constexpr const char* kPodUid = "io.kubernetes.pod.uid";
constexpr const char* kContainerName = "io.kubernetes.container.name";
constexpr const char* kNerdctlName = "nerdctl/name";

/// Docker keeps its containers and plugins in namespaces of these names.
bool belongs_to_docker(std::string_view runtime_namespace) {
  return runtime_namespace == "moby" || runtime_namespace == "plugins.moby";
}

std::string value_of(const std::map<std::string, std::string>& map, const std::string& key) {
  const auto found = map.find(key);
  return found == map.end() ? std::string() : found->second;
}

Error malformed(const char* method) {
  return {Code::malformed, "containerd's answer is not the message of its service", method};
}

}  // namespace

ContainerdRuntime::ContainerdRuntime(std::string socket, uint32_t timeout_ms)
    : peer_{.name = "containerd", .socket = std::move(socket), .option = "--containerd-socket"},
      timeout_ms_(timeout_ms) {}

Result<std::string> ContainerdRuntime::call(const std::string& runtime_namespace, const char* method,
                                            const ProtoWriter& message) const {
  return grpc_call(peer_, {.method = method, .containerd_namespace = runtime_namespace, .timeout_ms = timeout_ms_},
                   message.bytes());
}

ContainerdRuntime::Record ContainerdRuntime::read_record(std::string_view bytes, const std::string& runtime_namespace) {
  Record record;
  record.runtime_namespace = runtime_namespace;
  ProtoReader reader(bytes);
  while (reader.next()) {
    switch (reader.field()) {
      case 1: record.id = reader.text(); break;
      case 2: {  // labels
        std::string key, value;
        if (read_map_entry(reader.bytes(), key, value))
          record.labels.insert_or_assign(std::move(key), std::move(value));
        break;
      }
      case 3: record.image = reader.text(); break;
      case 5: {  // spec, an Any: value 2 is JSON
        ProtoReader any(reader.bytes());
        while (any.next())
          if (any.field() == 2) record.spec_json = any.text();
        break;
      }
      case 8: {  // created_at: seconds 1
        ProtoReader time(reader.bytes());
        while (time.next())
          if (time.field() == 1) record.created_s = static_cast<int64_t>(time.number());
        break;
      }
    }
  }
  return record;
}

ContainerdRuntime::Task ContainerdRuntime::read_task(std::string_view bytes) {
  Task task;
  ProtoReader reader(bytes);
  while (reader.next()) {
    switch (reader.field()) {
      // A list fills `id` 2, an answer about one exec process `container_id` 1 too.
      case 1: task.id = reader.text(); break;
      case 2:
        if (task.id.empty()) task.id = reader.text();
        break;
      case 3:
        if (reader.number() > 0) task.pid = static_cast<int64_t>(reader.number());
        break;
      case 4:
        if (reader.number() <= 5) task.state = static_cast<TaskState>(reader.number());
        break;
    }
  }
  return task;
}

std::string ContainerdRuntime::display_name(const Record& record) {
  if (std::string name = value_of(record.labels, kContainerName); !name.empty()) return name;
  if (std::string name = value_of(record.labels, kNerdctlName); !name.empty()) return name;
  return {};
}

Result<std::vector<std::string>> ContainerdRuntime::namespaces() const {
  QUELL_TRY(const std::string answer, call({}, kNamespacesList, {}));
  std::vector<std::string> names;
  ProtoReader reader(answer);
  while (reader.next()) {
    if (reader.field() != 1) continue;
    ProtoReader item(reader.bytes());
    while (item.next())
      if (item.field() == 1 && !belongs_to_docker(item.bytes())) names.push_back(item.text());
  }
  if (!reader.ok()) return malformed(kNamespacesList);
  return names;
}

Result<std::vector<ContainerdRuntime::Record>> ContainerdRuntime::records(const std::string& runtime_namespace) const {
  QUELL_TRY(const std::string answer, call(runtime_namespace, kContainersList, {}));
  std::vector<Record> out;
  ProtoReader reader(answer);
  while (reader.next())
    if (reader.field() == 1) out.push_back(read_record(reader.bytes(), runtime_namespace));
  if (!reader.ok()) return malformed(kContainersList);
  return out;
}

Result<std::vector<ContainerdRuntime::Record>> ContainerdRuntime::find_exact(const std::vector<std::string>& spaces,
                                                                             std::string_view id) const {
  std::vector<Record> exact;
  for (const std::string& space : spaces) {
    auto answer = call(space, kContainersGet, ProtoWriter().text(1, id));
    if (!answer) {
      // An id of impossible form is refused as an argument; it may be a name.
      if (answer.error().code == Code::not_found || answer.error().code == Code::invalid_argument) continue;
      return answer.error();
    }
    ProtoReader reader(*answer);
    while (reader.next())
      if (reader.field() == 1) exact.push_back(read_record(reader.bytes(), space));
    if (!reader.ok()) return malformed(kContainersGet);
  }
  return exact;
}

Result<ContainerdRuntime::Record> ContainerdRuntime::find(std::string_view query) const {
  QUELL_TRY(std::vector<std::string> spaces, namespaces());
  // "namespace/id" says which, where the same id lives in several namespaces (ctr's ids are free text).
  if (const size_t slash = query.find('/'); slash != std::string_view::npos) {
    std::erase_if(spaces, [&](const std::string& space) { return space != query.substr(0, slash); });
    query = query.substr(slash + 1);
  }
  QUELL_TRY(std::vector<Record> exact, find_exact(spaces, query));
  if (exact.size() == 1) return std::move(exact.front());

  std::vector<Record> all = std::move(exact);
  if (all.empty()) {
    for (const std::string& space : spaces) {
      QUELL_TRY(std::vector<Record> some, records(space));
      std::move(some.begin(), some.end(), std::back_inserter(all));
    }
  }
  std::vector<Candidate> candidates;
  for (const Record& record : all) candidates.push_back({.id = record.id, .name = display_name(record)});
  auto chosen = resolve_candidate(query, candidates);
  if (!chosen && all.size() > 1 && all[0].id == query)
    return Error{
        Code::invalid_argument,
        fmt::format("\"{0}\" is the id of {1} containers, in the namespaces {2} and {3}: give {2}/{0} or {3}/{0}.",
                    query, all.size(), all[0].runtime_namespace, all[1].runtime_namespace),
        {}};
  if (!chosen) return chosen.error();
  std::vector<Record*> matching;
  for (Record& record : all)
    if (record.id == *chosen) matching.push_back(&record);
  return std::move(*matching.front());
}

Result<ContainerdRuntime::Task> ContainerdRuntime::task(const std::string& runtime_namespace,
                                                        const std::string& id) const {
  QUELL_TRY(const std::string answer, call(runtime_namespace, kTasksGet, ProtoWriter().text(1, id)));
  Task out;
  ProtoReader reader(answer);
  while (reader.next())
    if (reader.field() == 1) out = read_task(reader.bytes());
  if (!reader.ok()) return malformed(kTasksGet);
  return out;
}

std::string ContainerdRuntime::image_digest(const Record& record) const {
  if (record.image.empty()) return {};
  const auto answer = call(record.runtime_namespace, kImagesGet, ProtoWriter().text(1, record.image));
  if (!answer) return {};  // the image may have been removed meanwhile
  std::string digest;
  ProtoReader top(*answer);
  while (top.next()) {
    if (top.field() != 1) continue;  // image
    ProtoReader image(top.bytes());
    while (image.next()) {
      if (image.field() != 3) continue;  // target
      ProtoReader target(image.bytes());
      while (target.next())
        if (target.field() == 2) digest = target.text();
    }
  }
  return digest;
}

ContainerStatus::State ContainerdRuntime::add_pod_facts(const Record& record, Container& container) const {
  using State = ContainerStatus::State;
  State state = State::unknown;
  if (!container.is_pod_sandbox) {
    if (auto status = cri_container(peer_, record.id, timeout_ms_)) {
      container.name = status->name;
      // The CRI plugin deletes the task when it ends: without one, whether it ever started decides.
      state = status->started ? State::exited : State::created;
      if (!status->image.empty() && !status->image.starts_with("sha256:")) container.image = status->image;
      container.image_id = status->image_ref;
      for (auto& [key, value] : status->labels) container.labels.insert_or_assign(key, value);
      container.mounts = std::move(status->mounts);
      container.privileged = status->privileged;
    }
  }
  const std::string sandbox_id = container.is_pod_sandbox ? record.id : container.pod_sandbox_id;
  if (sandbox_id.empty()) return state;
  auto sandbox = cri_sandbox(peer_, sandbox_id, timeout_ms_);
  if (!sandbox) return state;
  if (container.is_pod_sandbox) state = sandbox->ready ? State::created : State::exited;
  container.pod_labels = std::move(sandbox->labels);
  container.ip = sandbox->ip;
  container.cni_json = std::move(sandbox->cni_json);
  // The spec of a pod's container always names the sandbox's namespaces; whether those are the host's is known here
  // only.
  container.host_network = sandbox->host_network;
  container.host_ipc = sandbox->host_ipc;
  container.labels.emplace(kPodName, sandbox->pod_name);
  container.labels.emplace(kPodNamespace, sandbox->pod_namespace);
  container.labels.emplace(kPodUid, sandbox->pod_uid);
  return state;
}

Result<ContainerStatus> ContainerdRuntime::inspect(std::string_view id_or_name) const {
  QUELL_TRY(const Record record, find(id_or_name));
  return describe(record);
}

Result<ContainerStatus> ContainerdRuntime::inspect_exact(const std::string& full_id) const {
  QUELL_TRY(const std::vector<std::string> spaces, namespaces());
  QUELL_TRY(const std::vector<Record> found, find_exact(spaces, full_id));
  if (found.empty()) return Error{Code::not_found, fmt::format("no container has the id \"{}\"", full_id), {}};
  if (found.size() > 1)
    return Error{Code::invalid_argument,
                 fmt::format("\"{}\" is the id of containers in the namespaces {} and {}", full_id,
                             found[0].runtime_namespace, found[1].runtime_namespace),
                 {}};
  return describe(found.front());
}

Result<void> ContainerdRuntime::ping() const {
  QUELL_TRY(const std::string answer, call({}, kNamespacesList, {}));
  return {};
}

Result<ContainerStatus> ContainerdRuntime::describe(const Record& record) const {
  auto container = std::make_shared<Container>();
  container->full_id = record.id;
  container->id = short_id(record.id);
  container->runtime_namespace = record.runtime_namespace;
  container->labels = record.labels;
  container->name = display_name(record).empty() ? record.id : display_name(record);
  container->image = record.image;
  container->created_s = record.created_s;
  ContainerSpec spec;
  if (auto parsed = parse_container_spec(record.spec_json)) spec = std::move(*parsed);
  container->env = std::move(spec.env);
  container->mounts = std::move(spec.mounts);
  container->user = spec.user;
  container->privileged = spec.privileged;
  container->host_pid = spec.host_pid;
  container->host_network = spec.host_network;
  container->host_ipc = spec.host_ipc;

  auto without_task = ContainerStatus::State::created;
  const std::string kind = value_of(record.labels, kKindLabel);
  container->type = kind.empty() ? ContainerType::containerd : ContainerType::cri;
  if (container->type == ContainerType::cri) {
    container->is_pod_sandbox = kind == "sandbox";
    // The annotations say most of it also while the CRI plugin does not answer.
    const auto annotation = [&](const char* key) { return value_of(spec.annotations, key); };
    container->pod_sandbox_id = annotation("io.kubernetes.cri.sandbox-id");
    if (std::string name = annotation("io.kubernetes.cri.container-name"); !name.empty()) container->name = name;
    if (std::string name = annotation("io.kubernetes.cri.image-name"); !name.empty()) container->image = name;
    for (const auto& [label, key] : {std::pair{kPodName, "io.kubernetes.cri.sandbox-name"},
                                     std::pair{kPodNamespace, "io.kubernetes.cri.sandbox-namespace"},
                                     std::pair{kPodUid, "io.kubernetes.cri.sandbox-uid"}})
      if (std::string value = annotation(key); !value.empty()) container->labels.emplace(label, value);
    without_task = add_pod_facts(record, *container);
  }
  const ImageName image = split_image_name(container->image);
  container->image_repository = image.repository;
  container->image_tag = image.tag;
  container->image_digest = image.digest.empty() ? image_digest(record) : image.digest;
  if (const size_t at = container->image_id.find("sha256:"); at != std::string::npos)
    container->image_id.erase(0, at + 7);

  ContainerStatus status;
  status.state = without_task;
  auto running = task(record.runtime_namespace, record.id);
  if (!running && running.error().code != Code::not_found) return running.error();
  if (running) {
    using State = ContainerStatus::State;
    switch (running->state) {
      case TaskState::created: status.state = State::created; break;
      case TaskState::running: status.state = State::running; break;
      case TaskState::stopped: status.state = State::exited; break;
      case TaskState::paused:
      case TaskState::pausing: status.state = State::paused; break;
      default: status.state = State::unknown;
    }
    if (status.state != State::exited) status.pid = running->pid;
    if (status.pid > 0)
      if (auto stat = read_proc_stat(status.pid))
        container->started_at = fmt::format("{}@{}", status.pid, stat->start_ticks);
  }
  status.info = std::move(container);
  return status;
}

Result<std::vector<std::string>> ContainerdRuntime::list() const {
  QUELL_TRY(const std::vector<std::string> spaces, namespaces());
  std::vector<std::string> ids;
  for (const std::string& space : spaces) {
    QUELL_TRY(const std::string answer, call(space, kTasksList, {}));
    ProtoReader reader(answer);
    while (reader.next()) {
      if (reader.field() != 1) continue;
      Task item = read_task(reader.bytes());
      if (item.state == TaskState::running || item.state == TaskState::paused || item.state == TaskState::pausing)
        ids.push_back(std::move(item.id));
    }
    if (!reader.ok()) return malformed(kTasksList);
  }
  return ids;
}

Result<std::pair<ContainerdRuntime::Record, ContainerdRuntime::Task>> ContainerdRuntime::find_task(
    const std::string& id) const {
  QUELL_TRY(Record record, find(id));
  auto found = task(record.runtime_namespace, record.id);
  if (!found && found.error().code == Code::not_found)
    return Error{Code::conflict, fmt::format("container {} does not run", record.id), {}};
  if (!found) return found.error();
  if (found->state == TaskState::stopped)
    return Error{Code::conflict, fmt::format("container {} has exited already", record.id), {}};
  return std::pair{std::move(record), std::move(*found)};
}

Result<void> ContainerdRuntime::pause(const std::string& id) const {
  QUELL_TRY(const auto found, find_task(id));
  const auto& [record, state] = found;
  if (state.state == TaskState::paused || state.state == TaskState::pausing)
    return Error{Code::conflict, fmt::format("container {} is paused already", record.id), {}};
  auto answer = call(record.runtime_namespace, kTasksPause, ProtoWriter().text(1, record.id));
  if (!answer) return answer.error();
  return {};
}

Result<void> ContainerdRuntime::unpause(const std::string& id) const {
  QUELL_TRY(const auto found, find_task(id));
  const auto& [record, state] = found;
  if (state.state != TaskState::paused && state.state != TaskState::pausing)
    return Error{Code::conflict, fmt::format("container {} is not paused", record.id), {}};
  auto answer = call(record.runtime_namespace, kTasksResume, ProtoWriter().text(1, record.id));
  if (!answer) return answer.error();
  return {};
}

Result<void> ContainerdRuntime::signal_task(const Record& record, int number, bool all) const {
  // KillRequest: container_id 1, signal 3, all 4.
  auto answer = call(record.runtime_namespace, kTasksKill,
                     ProtoWriter().text(1, record.id).number(3, static_cast<uint64_t>(number)).number(4, all ? 1 : 0));
  if (answer) return {};
  // It exited between our question and the signal: what was wanted.
  if (answer.error().code == Code::not_found) return {};
  return answer.error();
}

Result<bool> ContainerdRuntime::wait_stopped(const Record& record, uint64_t timeout_ms) const {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  for (;;) {
    const auto now_task = task(record.runtime_namespace, record.id);
    if (!now_task && now_task.error().code == Code::not_found) return true;
    if (!now_task) return now_task.error();
    if (now_task->state == TaskState::stopped) return true;
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

Result<void> ContainerdRuntime::stop(const std::string& id, uint32_t grace_s) const {
  QUELL_TRY(const auto found, find_task(id));
  const auto& [record, state] = found;
  if (state.state == TaskState::paused || state.state == TaskState::pausing)
    return Error{
        Code::conflict,
        fmt::format("container {} is paused and could not react to SIGTERM: kill it, or unpause it first", record.id),
        {}};
  QUELL_CHECK(signal_task(record, SIGTERM, false));
  QUELL_TRY(const bool stopped, wait_stopped(record, uint64_t{grace_s} * 1000));
  if (stopped) return {};
  return kill(record.runtime_namespace + "/" + record.id);
}

Result<void> ContainerdRuntime::kill(const std::string& id) const {
  QUELL_TRY(const auto found, find_task(id));
  const auto& [record, state] = found;
  QUELL_CHECK(signal_task(record, SIGKILL, true));
  if (state.state == TaskState::paused || state.state == TaskState::pausing) {
    // The v1 freezer holds a killed process until it thaws; the signal comes first when it does. runc may have thawed
    // already.
    (void)call(record.runtime_namespace, kTasksResume, ProtoWriter().text(1, record.id));
  }
  QUELL_TRY(const bool stopped, wait_stopped(record, timeout_ms_));
  if (stopped) return {};
  return Error{
      Code::timeout,
      fmt::format("container {} was sent SIGKILL and has not exited after {} ms: a process may hang in the kernel",
                  record.id, timeout_ms_),
      {}};
}

Result<void> ContainerdRuntime::start(const std::string& id) const {
  QUELL_TRY(const Record record, find(id));
  return Error{
      Code::unsupported,
      fmt::format("containerd keeps no recipe to start {} again: whoever made it (kubelet, nerdctl, ctr) has to "
                  "prepare its file system and streams anew. Start it there.",
                  record.id),
      {}};
}

Result<void> ContainerdRuntime::set_restart_policy(const std::string& id, const std::string&) const {
  QUELL_TRY(const Record record, find(id));
  return Error{
      Code::unsupported,
      fmt::format("containerd has no restart policy for {}: its maker (kubelet, nerdctl) decides. Change it there.",
                  record.id),
      {}};
}

}  // namespace quell::os
