#pragma once
// Real container runtimes for tests: a private containerd (with its CRI plugin) and a private dockerd that uses it, in
// a network namespace of their own, with state, sockets and cgroups of their own. Nothing of the machine's own runtimes
// is touched.
//
//   const std::string why = ContainerEnv::missing();
//   if (!why.empty()) { std::cout << "SKIPPED: " << why << "\n"; GTEST_SKIP(); }
//   auto env = ContainerEnv::start();                       // 2 to 4 s: share one per program
//   auto id = (*env)->run_docker({.name = "web"});
//   auto runtimes = os::make_runtimes((*env)->sockets());
//
// Everything ends with the object. What a crashed run left behind is found under kRunRoot and removed by the next
// start(). One thread.
#include <sys/types.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "os/runtime.h"

namespace quell::test {

inline constexpr const char* kRunRoot = "/var/tmp/quell-env";
inline constexpr const char* kTestImage = "docker.io/quell-test/busybox:1";  // Docker leaves docker.io/ out

struct ContainerEnvOptions {
  bool docker = true;  // containerd always runs, dockerd only if wanted
  /// Path in the image and file of this machine: programs that containers shall run.
  std::vector<std::pair<std::string, std::string>> image_files = {};
};

struct RunSpec {
  std::string name;                       // Docker: name; containerd: the id itself
  std::vector<std::string> command = {};  // empty: sleeps for ever
  std::map<std::string, std::string> labels = {};
  std::vector<std::string> env = {};            // "KEY=value"
  std::vector<std::string> binds = {};          // Docker: "/host:/inside:ro"
  std::string restart_policy = {};              // Docker: "always" …
  bool privileged = false;                      // Docker and containerd
  bool host_network = false, host_pid = false;  // Docker; "host" network is that of the environment's namespace
  std::string runtime_namespace = "default";    // containerd
  /// containerd: empty for what ctr does (/NAMESPACE/ID). Docker's are always cgroup_root()/docker/ID.
  std::string cgroup = {};
};

struct PodSpec {
  std::string name, pod_namespace = "default", uid;
  std::map<std::string, std::string> labels = {};  // of the pod
  std::string container_name = "main";
  std::vector<std::string> command = {};
  bool privileged = false;
};
struct Pod {
  std::string sandbox_id, container_id;
};

class ContainerEnv {
 public:
  /// Why it cannot run here (no root, no dockerd …), in one sentence; empty when it can.
  static std::string missing(const ContainerEnvOptions& options = {});
  static Result<std::unique_ptr<ContainerEnv>> start(const ContainerEnvOptions& options = {});
  /// Removes what earlier runs whose process is gone left behind. start() calls it.
  static void remove_leftovers();
  ~ContainerEnv();

  os::RuntimeSockets sockets() const;
  const std::string& run_dir() const { return dir_; }
  /// "/quell-env-PID-N": Docker's and pods' containers live below it in every hierarchy; the scope for a test's sensor.
  const std::string& cgroup_root() const { return cgroup_root_; }
  /// Of the environment: enter by `nsenter --net=`.
  std::string netns_path() const { return "/run/netns/" + netns_; }

  /// Full id of the started container.
  Result<std::string> run_docker(const RunSpec& spec);
  Result<void> remove_docker(const std::string& id);
  /// Starts a further process in a running container and does not wait for it.
  Result<void> exec_docker(const std::string& id, const std::vector<std::string>& command);
  /// SIGKILLs dockerd and starts it again. As after a crash, it stops the containers and restarts those with a policy
  /// for it.
  Result<void> restart_docker();

  Result<std::string> run_containerd(const RunSpec& spec);
  Result<void> remove_containerd(const std::string& id, const std::string& runtime_namespace = "default");
  Result<void> exec_containerd(const std::string& id, const std::vector<std::string>& command,
                               const std::string& runtime_namespace = "default");

  /// A pod with host network (there is no CNI) and one container, by the CRI.
  Result<Pod> run_pod(const PodSpec& spec);
  Result<void> remove_pod(const Pod& pod);

  /// For tests of a daemon that hangs: whoever stops it lets it go on.
  pid_t dockerd_pid() const { return dockerd_pid_; }

 private:
  ContainerEnv() = default;
  Result<void> prepare();
  Result<void> start_containerd();
  Result<void> start_dockerd();
  Result<pid_t> start_daemon(const std::string& name, std::vector<std::string> argv);
  Result<void> wait_ready(const std::string& name, pid_t pid, bool (ContainerEnv::*ready)() const) const;
  bool containerd_ready() const;
  bool dockerd_ready() const;
  Result<std::string> docker(const std::string& method, const std::string& path, const std::string& body = {},
                             const std::string& type = "application/json") const;
  Result<std::string> cri(const std::string& method, const std::string& message) const;
  std::vector<std::string> ctr(const std::string& runtime_namespace) const;

  ContainerEnvOptions options_;
  std::string dir_, cgroup_root_, netns_;
  pid_t containerd_pid_ = -1, dockerd_pid_ = -1;
};

}  // namespace quell::test
