#pragma once
// The Kubernetes container runtime interface (CRI, runtime.v1), for what containerd's own services do not know: pods.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/container.h"
#include "os/unix_http.h"

namespace quell::os {

struct CriContainer {
  std::string name;       // of the container in its pod
  std::string image;      // as the pod asks for it
  std::string image_ref;  // as it was resolved: "repository@sha256:…" or an image id
  std::map<std::string, std::string> labels;
  std::vector<Mount> mounts;
  std::string user;
  bool privileged = false;
  int64_t created_ns = 0, started_ns = 0;
  bool started = false;  // at some time: it runs or has exited
};

struct CriSandbox {
  std::string pod_name, pod_namespace, pod_uid;
  std::map<std::string, std::string> labels;
  std::string ip;        // empty with host network
  std::string cni_json;  // result of the network plugin
  bool host_pid = false, host_network = false, host_ipc = false;
  int64_t created_ns = 0;
  bool ready = true;  // false once it was stopped
};

/// Errors: not_found; unsupported (the CRI plugin is switched off); those of grpc_call.
Result<CriContainer> cri_container(const UnixPeer& peer, const std::string& id, uint32_t timeout_ms);
Result<CriSandbox> cri_sandbox(const UnixPeer& peer, const std::string& id, uint32_t timeout_ms);

/// The messages ContainerStatusResponse and PodSandboxStatusResponse. Errors: malformed.
Result<CriContainer> parse_cri_container(std::string_view answer);
Result<CriSandbox> parse_cri_sandbox(std::string_view answer);

}  // namespace quell::os
