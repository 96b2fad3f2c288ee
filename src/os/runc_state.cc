#include "os/runc_state.h"

#include <fmt/format.h>
#include <glob.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <span>

#include "model/process.h"
#include "os/container_names.h"
#include "os/json_access.h"
#include "os/proc_fs.h"

namespace quell::os {
namespace fs = std::filesystem;

namespace {

// In the order in which they are believed.
constexpr const char* kNameKeys[] = {"io.kubernetes.cri.container-name", "nerdctl/name",
                                     "org.opencontainers.image.title"};
constexpr const char* kImageKeys[] = {"io.kubernetes.cri.image-name", "org.opencontainers.image.ref.name"};
constexpr std::pair<const char*, const char*> kPodKeys[] = {
    {"io.kubernetes.pod.name", "io.kubernetes.cri.sandbox-name"},
    {"io.kubernetes.pod.namespace", "io.kubernetes.cri.sandbox-namespace"},
    {"io.kubernetes.pod.uid", "io.kubernetes.cri.sandbox-uid"}};
constexpr std::string_view kBundleKey = "bundle";
// containerd's shim keeps its bundles below such a folder; Docker's containers are containerd's, too.
constexpr std::string_view kDaemonBundle = "/io.containerd.runtime.";

/// An id is one name in a folder; anything else would lead out of it.
bool is_plain_name(std::string_view id) {
  return !id.empty() && id.size() <= 255 && id != "." && id != ".." && id.find('/') == std::string_view::npos &&
         id.find('\0') == std::string_view::npos;
}

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

Error unsupported(const std::string& id) {
  return {Code::unsupported,
          fmt::format("{} was started by runc alone and no daemon manages it: use `runc` itself, or process.kill", id),
          {}};
}

std::string first_of(const std::map<std::string, std::string>& labels, std::span<const char* const> keys) {
  for (const char* key : keys)
    if (const auto found = labels.find(key); found != labels.end() && !found->second.empty()) return found->second;
  return {};
}

}  // namespace

Result<ContainerStatus> parse_runc_state(std::string_view text) {
  simdjson::dom::parser parser;
  const json::Value root = parser.parse(text.data(), text.size());
  auto container = std::make_shared<Container>();
  container->full_id = json::text(root["id"]);
  if (container->full_id.empty())
    return Error{Code::malformed, "runc's state of a container is not the JSON object with an id that it writes", {}};
  container->id = short_id(container->full_id);
  container->type = ContainerType::custom;
  const json::Value config = root["config"];
  std::string bundle;
  json::for_each_element(config["labels"], [&](const json::Value& item) {
    const std::string label = json::text(item);
    const size_t equals = label.find('=');
    if (equals == std::string::npos) return;
    std::string key = label.substr(0, equals), value = label.substr(equals + 1);
    if (key == kBundleKey)
      bundle = std::move(value);
    else
      container->labels.emplace(std::move(key), std::move(value));
  });
  const bool is_daemons = bundle.find(kDaemonBundle) != std::string::npos;
  container->name = first_of(container->labels, kNameKeys);
  container->image = first_of(container->labels, kImageKeys);
  if (is_daemons && (container->name.empty() || container->image.empty()))
    return Error{Code::not_found, "runc's state names neither container nor image: a daemon keeps them", {}};
  for (const auto& [label, key] : kPodKeys)
    if (const auto found = container->labels.find(key); found != container->labels.end())
      container->labels.emplace(label, found->second);
  if (container->name.empty()) container->name = container->full_id;
  if (container->image.empty()) {
    container->image = json::text(config["rootfs"]);
  } else {
    ImageName image = split_image_name(container->image);
    container->image_repository = std::move(image.repository);
    container->image_tag = std::move(image.tag);
    container->image_digest = std::move(image.digest);
  }

  // No namespace of that kind, or one that was there before: then whose, only its link tells.
  bool pid = false, network = false, ipc = false;
  json::for_each_element(config["namespaces"], [&](const json::Value& item) {
    const std::string type = json::text(item["type"]);
    pid |= type == "NEWPID";
    network |= type == "NEWNET";
    ipc |= type == "NEWIPC";
  });
  container->host_pid = !pid;
  container->host_network = !network;
  container->host_ipc = !ipc;
  bool admin = false, hidden = false;
  json::for_each_element(config["capabilities"]["Bounding"],
                         [&](const json::Value& value) { admin |= json::text(value) == "CAP_SYS_ADMIN"; });
  const auto any = [&](const json::Value&) { hidden = true; };
  json::for_each_element(config["mask_paths"], any);
  json::for_each_element(config["readonly_paths"], any);
  container->privileged = admin && !hidden;
  json::for_each_element(config["mounts"], [&](const json::Value& mount) {
    constexpr int64_t kBind = 4096, kReadOnly = 1;
    const int64_t flags = json::number(mount["flags"], 0);
    if (json::text(mount["device"]) != "bind" && (flags & kBind) == 0) return;
    container->mounts.push_back({.source = json::text(mount["source"]),
                                 .destination = json::text(mount["destination"]),
                                 .mode = {},
                                 .propagation = {},
                                 .writable = (flags & kReadOnly) == 0});
  });
  container->created_s = parse_rfc3339_s(json::text(root["created"]));

  ContainerStatus status;
  status.pid = json::number(root["init_process_pid"], -1);
  const auto start = static_cast<uint64_t>(json::number(root["init_process_start"], 0));
  container->started_at = fmt::format("{}@{}", status.pid, start);
  const auto stat = status.pid > 0 ? read_proc_stat(status.pid) : Result<ProcStat>(Error{Code::gone, {}, {}});
  const bool lives = stat && stat->start_ticks == start && stat->state != 'Z';
  status.state = lives ? ContainerStatus::State::running : ContainerStatus::State::exited;
  if (!lives) status.pid = -1;
  status.info = std::move(container);
  return status;
}

std::vector<std::string> RuncState::folders() const {
  std::vector<std::string> out;
  for (const std::string& root : roots_) {
    glob_t found{};
    if (::glob(root.c_str(), GLOB_NOSORT, nullptr, &found) == 0)
      for (size_t i = 0; i < found.gl_pathc; ++i) out.emplace_back(found.gl_pathv[i]);
    ::globfree(&found);
  }
  return out;
}

Result<ContainerStatus> RuncState::inspect(std::string_view id) const {
  const auto roots = folders();
  if (roots.empty()) return Error{Code::unavailable, "runc keeps no state here", {}};
  if (is_plain_name(id)) {
    for (const std::string& root : roots) {
      const auto text = read_small_file(fmt::format("{}/{}/state.json", root, id));
      if (!text) continue;
      // Its folder says what is meant: a state that was being written, or a name that is another's, is nobody's.
      auto status = parse_runc_state(*text);
      if (status && status->info->full_id == id) return status;
    }
  }
  return Error{Code::not_found, fmt::format("runc keeps no state of a container \"{}\"", id), {}};
}

Result<std::vector<std::string>> RuncState::list() const {
  std::vector<std::string> ids;
  for (const std::string& root : folders()) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(root, error)) {
      const std::string id = entry.path().filename();
      const auto status = inspect(id);
      if (status && status->state == ContainerStatus::State::running) ids.push_back(id);
    }
  }
  return ids;
}

std::string RuncState::id_of_cgroups(std::string_view cgroups) const {
  // "/a/ID", and systemd's "/a.slice/runc-ID.scope".
  std::vector<std::string> candidates;
  const auto add = [&](std::string_view name) {
    if (is_plain_name(name) && std::find(candidates.begin(), candidates.end(), name) == candidates.end())
      candidates.emplace_back(name);
  };
  for_each_part(cgroups, [&](std::string_view part) {
    std::string_view name = part.substr(part.rfind('/') + 1);
    if (part.find('/') == std::string_view::npos || name.empty()) return;
    constexpr std::string_view kScope = ".scope";
    if (name.ends_with(kScope)) {
      name.remove_suffix(kScope.size());
      if (const size_t dash = name.find('-'); dash != std::string_view::npos) add(name.substr(dash + 1));
    }
    add(name);
  });
  if (candidates.empty()) return {};
  for (const std::string& root : folders())
    for (const std::string& id : candidates)
      if (exists(fmt::format("{}/{}/state.json", root, id)) || exists(fmt::format("{}/{}/exec.fifo", root, id)))
        return id;
  return {};
}

Result<void> RuncState::pause(const std::string& id) const { return unsupported(id); }
Result<void> RuncState::unpause(const std::string& id) const { return unsupported(id); }
Result<void> RuncState::stop(const std::string& id, uint32_t) const { return unsupported(id); }
Result<void> RuncState::kill(const std::string& id) const { return unsupported(id); }
Result<void> RuncState::start(const std::string& id) const { return unsupported(id); }
Result<void> RuncState::set_restart_policy(const std::string& id, const std::string&) const { return unsupported(id); }

}  // namespace quell::os
