#include "os/docker.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "os/container_names.h"
#include "os/json_access.h"
#include "os/proc_fs.h"

namespace quell::os {
namespace {

/// How long a lookup waits for an answer about one container before it looks elsewhere.
constexpr uint32_t kPatienceMs = 300;
/// Docker runs programs to tell about itself.
constexpr uint32_t kInfoMs = 1000;
/// Names of an image change seldom; many containers have the same.
constexpr std::chrono::seconds kImageLifetime{60};
constexpr size_t kMaxImages = 256;

std::string error_text(const HttpResponse& response) {
  simdjson::dom::parser parser;
  std::string text = json::text(parser.parse(response.body)["message"]);
  return text.empty() ? fmt::format("HTTP {}", response.status) : to_valid_utf8(text);
}

ContainerStatus::State state_of(std::string_view text) {
  using State = ContainerStatus::State;
  if (text == "running" || text == "restarting") return State::running;
  if (text == "paused") return State::paused;
  if (text == "created") return State::created;
  if (text == "exited" || text == "dead" || text == "removing") return State::exited;
  return State::unknown;
}

/// "HostConfig.NetworkMode" of a container that shares another's network; empty otherwise.
std::string network_owner(std::string_view inspect_json) {
  simdjson::dom::parser parser;
  const std::string mode =
      json::text(parser.parse(inspect_json.data(), inspect_json.size())["HostConfig"]["NetworkMode"]);
  constexpr std::string_view kPrefix = "container:";
  return mode.starts_with(kPrefix) ? mode.substr(kPrefix.size()) : std::string();
}

std::string ip_of(const json::Value& settings) {
  std::string ip = json::text(settings["IPAddress"]);
  json::for_each_member(settings["Networks"], [&](std::string_view, const json::Value& network) {
    if (ip.empty()) ip = json::text(network["IPAddress"]);
  });
  return ip;
}

/// Adds what only the image knows: its digest, and its name when the container was made from an id.
void add_image_facts(const DockerRuntime::ImageNames& image, Container& container) {
  for (const ImageName& name : image.tags) {
    if (!container.image_repository.empty()) break;
    container.image_repository = name.repository;
    container.image_tag = name.tag;
  }
  for (const ImageName& name : image.digests) {
    if (!container.image_digest.empty() ||
        (!container.image_repository.empty() && name.repository != container.image_repository))
      continue;
    container.image_digest = name.digest;
    if (container.image_repository.empty()) container.image_repository = name.repository;
  }
}

/// What the API and the daemon's own file have in common. There a container's mounts are a list, here they have names.
ContainerStatus status_of(std::string full_id, const json::Value& root, const json::Value& host) {
  auto container = std::make_shared<Container>();
  container->full_id = std::move(full_id);
  container->type = ContainerType::docker;
  container->id = container->full_id.substr(0, 12);
  container->name = json::text(root["Name"]);
  if (container->name.starts_with('/')) container->name.erase(0, 1);

  const json::Value config = root["Config"], state = root["State"];
  container->image = json::text(config["Image"]);
  container->image_id = json::text(root["Image"]);
  if (container->image_id.starts_with("sha256:")) container->image_id.erase(0, 7);
  // An image given by (part of) its id has no repository in its name.
  if (container->image.empty() || !container->image_id.starts_with(container->image)) {
    ImageName image = split_image_name(container->image);
    container->image_repository = std::move(image.repository);
    container->image_tag = std::move(image.tag);
    container->image_digest = std::move(image.digest);
  }
  container->user = json::text(config["User"]);
  container->ip = ip_of(root["NetworkSettings"]);
  json::for_each_member(config["Labels"], [&](std::string_view key, const json::Value& value) {
    container->labels.emplace(key, json::text(value));
  });
  json::for_each_element(config["Env"], [&](const json::Value& value) { container->env.push_back(json::text(value)); });
  const auto add_mount = [&](const json::Value& mount) {
    container->mounts.push_back({.source = json::text(mount["Source"]),
                                 .destination = json::text(mount["Destination"]),
                                 .mode = json::text(mount["Mode"]),
                                 .propagation = json::text(mount["Propagation"]),
                                 .writable = json::flag(mount["RW"])});
  };
  json::for_each_element(root["Mounts"], add_mount);
  json::for_each_member(root["MountPoints"], [&](std::string_view, const json::Value& mount) { add_mount(mount); });
  container->privileged = json::flag(host["Privileged"]);
  container->host_pid = json::text(host["PidMode"]) == "host";
  container->host_network = json::text(host["NetworkMode"]) == "host";
  container->host_ipc = json::text(host["IpcMode"]) == "host";
  // The Kubernetes adapter for Docker marks its pods' sandboxes so.
  const auto label = [&](const char* key) {
    const auto found = container->labels.find(key);
    return found == container->labels.end() ? std::string() : found->second;
  };
  container->is_pod_sandbox = label("io.kubernetes.docker.type") == "podsandbox";
  container->pod_sandbox_id = label("io.kubernetes.sandbox.id");
  container->created_s = parse_rfc3339_s(json::text(root["Created"]));
  container->started_at = json::text(state["StartedAt"]);

  ContainerStatus status;
  status.state = state_of(json::text(state["Status"]));
  if (const int64_t pid = json::number(state["Pid"], 0); pid > 0) status.pid = pid;
  status.restart_policy = json::text(host["RestartPolicy"]["Name"]);
  if (status.restart_policy.empty()) status.restart_policy = "no";
  const int64_t retries = json::number(host["RestartPolicy"]["MaximumRetryCount"], 0);
  if (status.restart_policy == "on-failure" && retries > 0) status.restart_policy += fmt::format(":{}", retries);
  status.info = std::move(container);
  return status;
}

}  // namespace

Error docker_error(const HttpResponse& response) {
  const std::string text = error_text(response);
  const auto says = [&](std::string_view part) { return text.find(part) != std::string::npos; };
  Code code = Code::io;
  switch (response.status) {
    case 304: return {Code::conflict, "Docker: the container is in that state already", {}};
    case 400: code = Code::invalid_argument; break;
    case 403: code = Code::permission_denied; break;
    case 404: code = Code::not_found; break;
    case 409: code = Code::conflict; break;
    case 501: code = Code::unsupported; break;
    case 503: code = Code::unavailable; break;
    default:
      if (says("is not paused") || says("is not running") || says("is paused")) code = Code::conflict;
      if (says("No such container")) code = Code::not_found;
  }
  return {code, "Docker: " + text, {}};
}

Result<ContainerStatus> parse_docker_inspect(std::string_view text) {
  simdjson::dom::parser parser;
  const json::Value root = parser.parse(text.data(), text.size());
  std::string id = json::text(root["Id"]);
  if (!id.empty()) return status_of(std::move(id), root, root["HostConfig"]);
  return Error{
      Code::malformed, "Docker's answer about a container is not the JSON object with an Id that its API promises", {}};
}

Result<ContainerStatus> parse_docker_files(std::string_view config, std::string_view host_config) {
  simdjson::dom::parser parser, host_parser;
  const json::Value root = parser.parse(config.data(), config.size());
  const json::Value host = host_parser.parse(host_config.data(), host_config.size());
  std::string id = json::text(root["ID"]);
  simdjson::dom::object object;
  if (id.empty() || host.get(object) != simdjson::SUCCESS)
    return Error{Code::malformed, "Docker's files of a container are not the JSON objects that it writes", {}};
  ContainerStatus status = status_of(std::move(id), root, host);
  const json::Value state = root["State"];
  status.state = json::flag(state["Paused"])    ? ContainerStatus::State::paused
                 : json::flag(state["Running"]) ? ContainerStatus::State::running
                                                : ContainerStatus::State::unknown;
  return status;
}

DockerRuntime::DockerRuntime(std::string socket, uint32_t timeout_ms)
    : peer_{.name = "Docker", .socket = std::move(socket), .option = "--docker-socket"}, timeout_ms_(timeout_ms) {}

Result<HttpResponse> DockerRuntime::call(const std::string& method, const std::string& path, const std::string& json,
                                         uint32_t timeout_ms) const {
  HttpRequest request;
  request.method = method;
  request.timeout_ms = timeout_ms == 0 ? timeout_ms_ : timeout_ms;
  if (!json.empty()) request.headers.push_back("Content-Type: application/json");
  request.body = json;
  request.path = versioned_.load(std::memory_order_relaxed) ? "/v1.41" + path : path;
  QUELL_TRY(HttpResponse response, unix_http(peer_, request));
  if (response.status == 400 && request.path != path && error_text(response).find("too old") != std::string::npos) {
    versioned_.store(false, std::memory_order_relaxed);
    request.path = path;
    return unix_http(peer_, request);
  }
  return response;
}

Result<void> DockerRuntime::act(const std::string& id, const std::string& verb, const std::string& json,
                                uint32_t timeout_ms) const {
  QUELL_TRY(const HttpResponse response,
            call("POST", fmt::format("/containers/{}/{}", percent_encode(id), verb), json, timeout_ms));
  if (response.status == 200 || response.status == 204) return {};
  return docker_error(response);
}

Result<ContainerStatus> DockerRuntime::inspect_id(const std::string& id, uint32_t timeout_ms) const {
  QUELL_TRY(const HttpResponse response,
            call("GET", fmt::format("/containers/{}/json", percent_encode(id)), {}, timeout_ms));
  if (response.status != 200) return docker_error(response);
  QUELL_TRY(ContainerStatus status, parse_docker_inspect(response.body));
  auto container = std::make_shared<Container>(*status.info);
  // The container's own facts stand also when its image was removed meanwhile.
  if (const auto image = image_names(container->image_id, timeout_ms)) add_image_facts(*image, *container);
  if (const std::string owner = network_owner(response.body); container->ip.empty() && !owner.empty()) {
    simdjson::dom::parser parser;
    const auto other = call("GET", fmt::format("/containers/{}/json", percent_encode(owner)), {}, timeout_ms);
    if (other && other->status == 200) container->ip = ip_of(parser.parse(other->body)["NetworkSettings"]);
  }
  status.info = std::move(container);
  return status;
}

/// Null if Docker does not tell.
std::shared_ptr<const DockerRuntime::ImageNames> DockerRuntime::image_names(const std::string& id,
                                                                            uint32_t timeout_ms) const {
  if (id.empty()) return {};
  const auto now = std::chrono::steady_clock::now();
  {
    std::lock_guard lock(mutex_);
    const auto known = images_.find(id);
    if (known != images_.end() && now < known->second.expires) return known->second.names;
  }
  const auto response = call("GET", fmt::format("/images/sha256:{}/json", percent_encode(id)), {}, timeout_ms);
  if (!response || response->status != 200) return {};
  simdjson::dom::parser parser;
  const json::Value image = parser.parse(response->body);
  auto names = std::make_shared<ImageNames>();
  const auto read = [&](const char* key, std::vector<ImageName>& out) {
    json::for_each_element(image[key],
                           [&](const json::Value& name) { out.push_back(split_image_name(json::text(name))); });
  };
  read("RepoTags", names->tags);
  read("RepoDigests", names->digests);
  std::lock_guard lock(mutex_);
  if (images_.size() >= kMaxImages) images_.clear();
  images_[id] = {names, now + kImageLifetime};
  return names;
}

/// Where the daemon keeps a folder for each container; empty if it does not tell or we may not look.
std::string DockerRuntime::containers_folder() const {
  {
    std::lock_guard lock(mutex_);
    if (folder_) return *folder_;
  }
  const auto response = call("GET", "/info", {}, std::min(kInfoMs, timeout_ms_));
  if (!response || response->status != 200) return {};
  simdjson::dom::parser parser;
  std::string folder = json::text(parser.parse(response->body)["DockerRootDir"]) + "/containers";
  if (::access(folder.c_str(), R_OK | X_OK) != 0) folder.clear();
  std::lock_guard lock(mutex_);
  folder_ = folder;
  return folder;
}

Result<ContainerStatus> DockerRuntime::read_files(const std::string& folder, const std::string& id) const {
  QUELL_TRY(const std::string config, read_small_file(fmt::format("{}/{}/config.v2.json", folder, id)));
  QUELL_TRY(const std::string host_config, read_small_file(fmt::format("{}/{}/hostconfig.json", folder, id)));
  QUELL_TRY(ContainerStatus status, parse_docker_files(config, host_config));
  if (const auto image = image_names(status.info->image_id, kPatienceMs)) {
    auto container = std::make_shared<Container>(*status.info);
    add_image_facts(*image, *container);
    status.info = std::move(container);
  }
  return status;
}

Result<ContainerStatus> DockerRuntime::inspect(std::string_view id_or_name) const {
  if (is_full_hex_id(id_or_name)) return inspect_id(std::string(id_or_name), timeout_ms_);
  // Docker itself resolves names and prefixes, but takes prefixes of any length and does not name the candidates.
  QUELL_TRY(const HttpResponse response, call("GET", "/containers/json?all=1"));
  if (response.status != 200) return docker_error(response);
  simdjson::dom::parser parser;
  std::vector<Candidate> candidates;
  json::for_each_element(parser.parse(response.body), [&](const json::Value& item) {
    Candidate candidate{.id = json::text(item["Id"]), .name = {}};
    json::for_each_element(item["Names"], [&](const json::Value& name) {
      // Links add names like "/other/alias"; a container's own has one slash.
      const std::string text = json::text(name);
      if (text.rfind('/') == 0) candidate.name = text.substr(1);
    });
    candidates.push_back(std::move(candidate));
  });
  if (id_or_name.starts_with('/')) id_or_name.remove_prefix(1);
  QUELL_TRY(const std::string id, resolve_candidate(id_or_name, candidates));
  return inspect_id(id, timeout_ms_);
}

Result<ContainerStatus> DockerRuntime::inspect_exact(const std::string& full_id) const {
  // Docker answers for no container while it starts, stops or removes it, which takes seconds on a busy machine. What
  // it was told to run is in a file by then.
  const std::string folder = is_full_hex_id(full_id) ? containers_folder() : std::string();
  auto status = inspect_id(full_id, folder.empty() ? timeout_ms_ : std::min(kPatienceMs, timeout_ms_));
  if (!status && status.error().code == Code::timeout && !folder.empty()) {
    status = read_files(folder, full_id);
    if (!status) status = inspect_id(full_id, timeout_ms_);
  }
  // Docker itself takes names and prefixes here, too; a full id is what it tries first.
  if (status && status->info->full_id != full_id)
    return Error{Code::not_found, fmt::format("Docker has no container with the id \"{}\"", full_id), {}};
  return status;
}

Result<void> DockerRuntime::ping() const {
  HttpRequest request;
  request.path = "/_ping";
  request.timeout_ms = timeout_ms_;
  QUELL_TRY(const HttpResponse response, unix_http(peer_, request));
  if (response.status == 200) return {};
  return docker_error(response);
}

Result<std::vector<std::string>> DockerRuntime::list() const {
  QUELL_TRY(const HttpResponse response, call("GET", "/containers/json"));
  if (response.status != 200) return docker_error(response);
  simdjson::dom::parser parser;
  std::vector<std::string> ids;
  json::for_each_element(parser.parse(response.body),
                         [&](const json::Value& item) { ids.push_back(json::text(item["Id"])); });
  return ids;
}

Result<void> DockerRuntime::pause(const std::string& id) const { return act(id, "pause"); }
Result<void> DockerRuntime::unpause(const std::string& id) const { return act(id, "unpause"); }
Result<void> DockerRuntime::stop(const std::string& id, uint32_t grace_s) const {
  return act(id, fmt::format("stop?t={}", grace_s), {}, timeout_ms_ + grace_s * 1000);
}
Result<void> DockerRuntime::kill(const std::string& id) const { return act(id, "kill?signal=KILL"); }
Result<void> DockerRuntime::start(const std::string& id) const { return act(id, "start"); }

Result<void> DockerRuntime::set_restart_policy(const std::string& id, const std::string& policy) const {
  std::string_view name = policy;
  uint64_t retries = 0;
  if (const size_t colon = name.find(':'); colon != std::string_view::npos) {
    if (name.substr(0, colon) != "on-failure" || !parse_u64(name.substr(colon + 1), retries) || retries > 1'000'000)
      name = {};
    else
      name = name.substr(0, colon);
  }
  if (name != "no" && name != "always" && name != "unless-stopped" && name != "on-failure")
    return Error{
        Code::invalid_argument,
        fmt::format("\"{}\" is not a restart policy: use no, always, unless-stopped, on-failure or on-failure:N",
                    policy),
        {}};
  return act(id, "update", fmt::format(R"({{"RestartPolicy":{{"Name":"{}","MaximumRetryCount":{}}}}})", name, retries));
}

}  // namespace quell::os
