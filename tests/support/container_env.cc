#include "support/container_env.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/text.h"
#include "os/grpc.h"
#include "os/proc_fs.h"
#include "os/protobuf_wire.h"
#include "os/unix_http.h"
#include "support/command.h"
#include "support/container_env_cleanup.h"
#include "support/image_archive.h"

namespace quell::test {
namespace fs = std::filesystem;
using os::ProtoReader;
using os::ProtoWriter;

namespace {

constexpr uint32_t kCallTimeoutMs = 30000;  // the machine may be busy with other things
constexpr std::chrono::seconds kStartTimeout{60};

Result<void> write_file(const std::string& path, const std::string& text) {
  std::ofstream out(path);
  out << text;
  out.close();
  if (!out) return Error{Code::io, "cannot write", path};
  return {};
}

std::string json_list(const std::vector<std::string>& items) {
  std::string out = "[";
  for (const std::string& item : items) out += fmt::format("{}\"{}\"", out.size() > 1 ? "," : "", json_escape(item));
  return out + "]";
}

std::string last_lines(const std::string& path) {
  std::ifstream in(path);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  return text.size() > 1500 ? text.substr(text.size() - 1500) : text;
}

/// The first string field of that number.
std::string text_field(std::string_view message, uint32_t field) {
  ProtoReader reader(message);
  while (reader.next())
    if (reader.field() == field) return reader.text();
  return {};
}

}  // namespace

std::string ContainerEnv::missing(const ContainerEnvOptions& options) {
  if (::geteuid() != 0) return "container tests need root";
  std::vector<std::string> programs = {"containerd", "ctr", "runc", "ip", "nsenter", "busybox"};
  if (options.docker) programs.push_back("dockerd");
  for (const std::string& program : programs)
    if (!have_program(program))
      return program + " is not installed (Debian: docker.io containerd runc busybox-static iproute2)";
  return {};
}

Result<std::unique_ptr<ContainerEnv>> ContainerEnv::start(const ContainerEnvOptions& options) {
  remove_leftovers();
  std::unique_ptr<ContainerEnv> env(new ContainerEnv());
  env->options_ = options;
  // On failure the destructor removes what was made so far.
  QUELL_CHECK(env->prepare());
  QUELL_CHECK(env->start_containerd());
  if (options.docker) QUELL_CHECK(env->start_dockerd());
  return env;
}

ContainerEnv::~ContainerEnv() {
  if (dir_.empty()) return;
  remove_environment(dir_);
  for (const pid_t pid : {containerd_pid_, dockerd_pid_})
    if (pid > 0) ::waitpid(pid, nullptr, 0);
}

os::RuntimeSockets ContainerEnv::sockets() const {
  return {.docker = options_.docker ? dir_ + "/d.sock" : std::string(), .containerd = dir_ + "/c.sock"};
}

Result<void> ContainerEnv::prepare() {
  static int count = 0;
  const std::string name = fmt::format("{}-{}", ::getpid(), count++);
  // Short paths: a Unix socket's has 107 bytes at most, and the daemons append their own.
  dir_ = std::string(kRunRoot) + "/" + name;
  cgroup_root_ = "/quell-env-" + name;
  netns_ = "quell-env-" + name;
  std::error_code error;
  fs::create_directories(dir_, error);
  if (error) return Error{Code::io, "cannot make the folder: " + error.message(), dir_};
  QUELL_TRY(const os::ProcStat self, os::read_proc_stat(::getpid()));
  QUELL_CHECK(write_file(dir_ + "/owner.pid", fmt::format("{} {}\n", ::getpid(), self.start_ticks)));
  QUELL_CHECK(write_file(dir_ + "/name", name + "\n"));
  if (!fs::exists("/run/containerd")) QUELL_CHECK(write_file(dir_ + "/made-run-containerd", ""));

  QUELL_TRY(std::string ignored, run_command({"ip", "netns", "add", netns_}));
  QUELL_TRY(ignored, run_command({"nsenter", "--net=" + netns_path(), "ip", "link", "set", "lo", "up"}));
  return write_image_archive(dir_ + "/image.tar", options_.image_files);
}

Result<pid_t> ContainerEnv::start_daemon(const std::string& name, std::vector<std::string> argv) {
  // nsenter becomes the daemon, so its pid is the daemon's. (`ip netns exec` would remount /sys and hide the cgroups.)
  argv.insert(argv.begin(), {"nsenter", "--net=" + netns_path()});
  QUELL_TRY(const pid_t pid, start_program(argv, dir_ + "/" + name + ".log"));
  QUELL_TRY(const os::ProcStat stat, os::read_proc_stat(pid));
  QUELL_CHECK(write_file(dir_ + "/" + name + ".pid", fmt::format("{} {}\n", pid, stat.start_ticks)));
  return pid;
}

Result<void> ContainerEnv::wait_ready(const std::string& name, pid_t pid, bool (ContainerEnv::*ready)() const) const {
  const auto deadline = std::chrono::steady_clock::now() + kStartTimeout;
  while (!(this->*ready)()) {
    int status = 0;
    const bool exited = ::waitpid(pid, &status, WNOHANG) == pid;
    if (exited || std::chrono::steady_clock::now() > deadline)
      return Error{Code::unavailable,
                   fmt::format("{} {}: {}", name, exited ? "ended early" : "did not come up in 60 s",
                               last_lines(dir_ + "/" + name + ".log")),
                   {}};
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return {};
}

bool ContainerEnv::containerd_ready() const {
  // The CRI plugin is the last to come up.
  return os::grpc_call({.name = "containerd", .socket = dir_ + "/c.sock", .option = "-"},
                       {.method = "/runtime.v1.RuntimeService/Version", .timeout_ms = 2000}, "")
      .has_value();
}

bool ContainerEnv::dockerd_ready() const {
  const auto answer = os::unix_http({.name = "Docker", .socket = dir_ + "/d.sock", .option = "-"},
                                    {.path = "/_ping", .timeout_ms = 2000});
  return answer && answer->status == 200;
}

Result<void> ContainerEnv::start_containerd() {
  // restrict_oom_score_adj: pods ask for a negative score, which needs CAP_SYS_RESOURCE.
  QUELL_CHECK(write_file(dir_ + "/containerd.toml", fmt::format(R"(version = 2
root = "{0}/cr"
state = "{0}/cs"
oom_score = 0
[grpc]
  address = "{0}/c.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{1}"
  disable_tcp_service = true
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{0}/cni/bin"
  conf_dir = "{0}/cni/conf"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  Root = "{0}/runc"
)",
                                                                dir_, kTestImage)));
  QUELL_TRY(containerd_pid_, start_daemon("containerd", {"containerd", "--config", dir_ + "/containerd.toml"}));
  QUELL_CHECK(wait_ready("containerd", containerd_pid_, &ContainerEnv::containerd_ready));
  for (const char* space : {"default", "k8s.io"}) {
    std::vector<std::string> argv = ctr(space);
    argv.insert(argv.end(), {"images", "import", dir_ + "/image.tar"});
    QUELL_TRY(const std::string ignored, run_command(argv));
  }
  return {};
}

Result<void> ContainerEnv::start_dockerd() {
  QUELL_CHECK(write_file(dir_ + "/docker.json", "{}\n"));  // not the machine's own settings
  QUELL_TRY(dockerd_pid_,
            start_daemon("dockerd", {"dockerd", "--data-root", dir_ + "/dr", "--exec-root", dir_ + "/dx", "--pidfile",
                                     dir_ + "/docker-own.pid", "--host", "unix://" + dir_ + "/d.sock", "--containerd",
                                     dir_ + "/c.sock", "--config-file", dir_ + "/docker.json", "--iptables=false",
                                     "--ip6tables=false", "--cgroup-parent", cgroup_root_ + "/docker"}));
  QUELL_CHECK(wait_ready("dockerd", dockerd_pid_, &ContainerEnv::dockerd_ready));
  std::ifstream in(dir_ + "/image.tar", std::ios::binary);
  const std::string image((std::istreambuf_iterator<char>(in)), {});
  QUELL_TRY(const std::string ignored, docker("POST", "/images/load?quiet=1", image, "application/x-tar"));
  return {};
}

Result<std::string> ContainerEnv::docker(const std::string& method, const std::string& path, const std::string& body,
                                         const std::string& type) const {
  QUELL_TRY(os::HttpResponse response, os::unix_http({.name = "Docker", .socket = dir_ + "/d.sock", .option = "-"},
                                                     {.method = method,
                                                      .path = "/v1.41" + path,
                                                      .headers = {"Content-Type: " + type},
                                                      .body = body,
                                                      .timeout_ms = kCallTimeoutMs}));
  if (response.status >= 300)
    return Error{Code::io, fmt::format("{} {}: HTTP {} {}", method, path, response.status, response.body), {}};
  return std::move(response.body);
}

Result<std::string> ContainerEnv::run_docker(const RunSpec& spec) {
  std::string labels;
  for (const auto& [key, value] : spec.labels)
    labels += fmt::format("{}\"{}\":\"{}\"", labels.empty() ? "" : ",", json_escape(key), json_escape(value));
  std::string_view image = kTestImage;
  image.remove_prefix(std::string_view("docker.io/").size());
  const std::string body = fmt::format(
      R"({{"Image":"{}",{}"Env":{},"Labels":{{{}}},"HostConfig":{{"Binds":{},"Privileged":{},"NetworkMode":"{}","PidMode":"{}",)"
      R"("RestartPolicy":{{"Name":"{}"}}}}}})",
      image, spec.command.empty() ? std::string() : "\"Cmd\":" + json_list(spec.command) + ",", json_list(spec.env),
      labels, json_list(spec.binds), spec.privileged, spec.host_network ? "host" : "default",
      spec.host_pid ? "host" : "", spec.restart_policy);
  QUELL_TRY(const std::string created,
            docker("POST", "/containers/create?name=" + os::percent_encode(spec.name), body));
  const size_t at = created.find("\"Id\":\"");
  if (at == std::string::npos) return Error{Code::malformed, "no id in " + created, {}};
  const std::string id = created.substr(at + 6, 64);
  QUELL_TRY(const std::string ignored, docker("POST", "/containers/" + id + "/start"));
  return id;
}

Result<void> ContainerEnv::remove_docker(const std::string& id) {
  QUELL_TRY(const std::string ignored, docker("DELETE", "/containers/" + os::percent_encode(id) + "?force=1&v=1"));
  return {};
}

Result<void> ContainerEnv::exec_docker(const std::string& id, const std::vector<std::string>& command) {
  QUELL_TRY(const std::string created, docker("POST", "/containers/" + os::percent_encode(id) + "/exec",
                                              fmt::format(R"({{"Cmd":{}}})", json_list(command))));
  const size_t at = created.find("\"Id\":\"");
  if (at == std::string::npos) return Error{Code::malformed, "no id in " + created, {}};
  QUELL_TRY(const std::string ignored,
            docker("POST", "/exec/" + created.substr(at + 6, 64) + "/start", R"({"Detach":true})"));
  return {};
}

Result<void> ContainerEnv::restart_docker() {
  ::kill(dockerd_pid_, SIGKILL);
  ::waitpid(dockerd_pid_, nullptr, 0);
  dockerd_pid_ = -1;
  fs::remove(dir_ + "/docker-own.pid");
  return start_dockerd();
}

std::vector<std::string> ContainerEnv::ctr(const std::string& runtime_namespace) const {
  return {"ctr", "--address", dir_ + "/c.sock", "--namespace", runtime_namespace};
}

Result<std::string> ContainerEnv::run_containerd(const RunSpec& spec) {
  std::vector<std::string> argv = ctr(spec.runtime_namespace);
  argv.insert(argv.end(), {"run", "--detach", "--runc-root", dir_ + "/runc", "--fifo-dir", dir_ + "/fifo"});
  for (const auto& [key, value] : spec.labels) argv.insert(argv.end(), {"--label", key + "=" + value});
  for (const std::string& item : spec.env) argv.insert(argv.end(), {"--env", item});
  if (spec.privileged) argv.push_back("--privileged");
  if (!spec.cgroup.empty()) argv.insert(argv.end(), {"--cgroup", spec.cgroup});
  argv.insert(argv.end(), {kTestImage, spec.name});
  argv.insert(argv.end(), spec.command.begin(), spec.command.end());
  QUELL_TRY(const std::string ignored, run_command(argv));
  return spec.name;
}

Result<void> ContainerEnv::exec_containerd(const std::string& id, const std::vector<std::string>& command,
                                           const std::string& runtime_namespace) {
  static int count = 0;
  std::vector<std::string> argv = ctr(runtime_namespace);
  argv.insert(argv.end(), {"tasks", "exec", "--detach", "--fifo-dir", dir_ + "/fifo", "--exec-id",
                           fmt::format("exec-{}", count++), id});
  argv.insert(argv.end(), command.begin(), command.end());
  QUELL_TRY(const std::string ignored, run_command(argv));
  return {};
}

Result<void> ContainerEnv::remove_containerd(const std::string& id, const std::string& runtime_namespace) {
  std::vector<std::string> task = ctr(runtime_namespace), container = task;
  task.insert(task.end(), {"tasks", "rm", "--force", id});
  container.insert(container.end(), {"containers", "rm", id});
  (void)run_command(task);  // there is none when it never ran
  QUELL_TRY(const std::string ignored, run_command(container));
  return {};
}

Result<std::string> ContainerEnv::cri(const std::string& method, const std::string& message) const {
  return os::grpc_call({.name = "containerd", .socket = dir_ + "/c.sock", .option = "-"},
                       {.method = "/runtime.v1.RuntimeService/" + method, .timeout_ms = kCallTimeoutMs}, message);
}

Result<Pod> ContainerEnv::run_pod(const PodSpec& spec) {
  // NamespaceOption: network 1 = NODE (2), as there is no network plugin.
  const ProtoWriter namespaces = ProtoWriter().number(1, 2);
  // PodSandboxConfig: metadata 1 {name 1, uid 2, namespace 3}, labels 6, linux 8 {cgroup_parent 1, security_context 2
  // {namespace_options 1, privileged 6}}. The kubelet adds these labels to what the pod has.
  ProtoWriter config;
  config.message(1, ProtoWriter().text(1, spec.name).text(2, spec.uid).text(3, spec.pod_namespace));
  std::map<std::string, std::string> labels = spec.labels;
  labels["io.kubernetes.pod.name"] = spec.name;
  labels["io.kubernetes.pod.namespace"] = spec.pod_namespace;
  labels["io.kubernetes.pod.uid"] = spec.uid;
  for (const auto& [key, value] : labels) config.entry(6, key, value);
  config.message(8, ProtoWriter()
                        .text(1, fmt::format("{}/kubepods/besteffort/pod{}", cgroup_root_, spec.uid))
                        .message(2, ProtoWriter().message(1, namespaces).number(6, spec.privileged ? 1 : 0)));
  QUELL_TRY(const std::string sandbox, cri("RunPodSandbox", ProtoWriter().message(1, config).bytes()));
  Pod pod;
  pod.sandbox_id = text_field(sandbox, 1);

  // ContainerConfig: metadata 1 {name 1}, image 2 {image 1}, command 3, labels 9, linux 15 {security_context 2
  // {privileged 2, namespace_options 3}}.
  ProtoWriter container;
  container.message(1, ProtoWriter().text(1, spec.container_name)).message(2, ProtoWriter().text(1, kTestImage));
  for (const std::string& argument : spec.command) container.element(3, argument);
  std::map<std::string, std::string> own = {{"io.kubernetes.container.name", spec.container_name},
                                            {"io.kubernetes.pod.name", spec.name},
                                            {"io.kubernetes.pod.namespace", spec.pod_namespace},
                                            {"io.kubernetes.pod.uid", spec.uid}};
  for (const auto& [key, value] : own) container.entry(9, key, value);
  container.message(15,
                    ProtoWriter().message(2, ProtoWriter().number(2, spec.privileged ? 1 : 0).message(3, namespaces)));
  QUELL_TRY(
      const std::string created,
      cri("CreateContainer", ProtoWriter().text(1, pod.sandbox_id).message(2, container).message(3, config).bytes()));
  pod.container_id = text_field(created, 1);
  QUELL_TRY(const std::string ignored, cri("StartContainer", ProtoWriter().text(1, pod.container_id).bytes()));
  return pod;
}

Result<void> ContainerEnv::remove_pod(const Pod& pod) {
  // Removing a sandbox stops and removes its containers.
  QUELL_TRY(std::string ignored, cri("StopPodSandbox", ProtoWriter().text(1, pod.sandbox_id).bytes()));
  QUELL_TRY(ignored, cri("RemovePodSandbox", ProtoWriter().text(1, pod.sandbox_id).bytes()));
  return {};
}

}  // namespace quell::test
