// Field numbers are those of the published runtime.v1 messages; each is named where it is read.
#include "os/cri.h"

#include "os/grpc.h"
#include "os/json_access.h"
#include "os/protobuf_wire.h"

namespace quell::os {
namespace {

constexpr uint64_t kNodeNamespace = 2;  // NamespaceMode NODE

Error malformed(const char* what) {
  return {Code::malformed, std::string("the CRI's answer to ") + what + " is not its message", {}};
}

Result<std::string> call(const UnixPeer& peer, const char* method, const ProtoWriter& message, uint32_t timeout_ms) {
  return grpc_call(peer,
                   {.method = std::string("/runtime.v1.RuntimeService/") + method,
                    .containerd_namespace = {},
                    .timeout_ms = timeout_ms},
                   message.bytes());
}

void add_entry(std::map<std::string, std::string>& map, std::string_view entry) {
  std::string key, value;
  if (read_map_entry(entry, key, value)) map.insert_or_assign(std::move(key), std::move(value));
}

/// The "info" entry of a verbose answer: JSON that containerd adds beyond the interface.
void read_info(std::string_view entry, std::string& json) {
  std::string key, value;
  if (read_map_entry(entry, key, value) && key == "info") json = std::move(value);
}

Mount read_mount(std::string_view bytes) {
  Mount mount{.source = {}, .destination = {}, .mode = {}, .propagation = "private", .writable = true};
  ProtoReader reader(bytes);
  while (reader.next()) {
    switch (reader.field()) {
      case 1: mount.destination = reader.text(); break;      // container_path
      case 2: mount.source = reader.text(); break;           // host_path
      case 3: mount.writable = reader.number() == 0; break;  // readonly
      case 5:                                                // propagation
        mount.propagation = reader.number() == 1 ? "rslave" : reader.number() == 2 ? "rshared" : "private";
        break;
    }
  }
  return mount;
}

}  // namespace

Result<CriContainer> parse_cri_container(std::string_view answer) {
  CriContainer out;
  std::string info;
  ProtoReader top(answer);
  while (top.next()) {
    if (top.field() == 2) read_info(top.bytes(), info);
    if (top.field() != 1) continue;  // status
    ProtoReader status(top.bytes());
    while (status.next()) {
      switch (status.field()) {
        case 2: {  // metadata: name 1
          ProtoReader metadata(status.bytes());
          while (metadata.next())
            if (metadata.field() == 1) out.name = metadata.text();
          break;
        }
        case 3:  // state: CREATED is 0
          out.started = status.number() != 0;
          break;
        case 4: out.created_ns = static_cast<int64_t>(status.number()); break;
        case 5: out.started_ns = static_cast<int64_t>(status.number()); break;
        case 8: {  // image: image 1
          ProtoReader image(status.bytes());
          while (image.next())
            if (image.field() == 1) out.image = image.text();
          break;
        }
        case 9: out.image_ref = status.text(); break;
        case 12: add_entry(out.labels, status.bytes()); break;
        case 14: out.mounts.push_back(read_mount(status.bytes())); break;
      }
    }
    if (!status.ok()) return malformed("ContainerStatus");
  }
  if (!top.ok()) return malformed("ContainerStatus");
  if (!info.empty()) {
    simdjson::dom::parser parser;
    const json::Value root = parser.parse(info);
    out.privileged = json::flag(root["config"]["linux"]["security_context"]["privileged"]);
    if (const int64_t uid = json::number(root["runtimeSpec"]["process"]["user"]["uid"], -1); uid >= 0)
      out.user = std::to_string(uid);
  }
  return out;
}

Result<CriSandbox> parse_cri_sandbox(std::string_view answer) {
  CriSandbox out;
  std::string info;
  ProtoReader top(answer);
  while (top.next()) {
    if (top.field() == 2) read_info(top.bytes(), info);
    if (top.field() != 1) continue;  // status
    ProtoReader status(top.bytes());
    while (status.next()) {
      switch (status.field()) {
        case 2: {  // metadata: name 1, uid 2, namespace 3
          ProtoReader metadata(status.bytes());
          while (metadata.next()) {
            if (metadata.field() == 1) out.pod_name = metadata.text();
            if (metadata.field() == 2) out.pod_uid = metadata.text();
            if (metadata.field() == 3) out.pod_namespace = metadata.text();
          }
          break;
        }
        case 3:  // state: READY is 0
          out.ready = status.number() == 0;
          break;
        case 4: out.created_ns = static_cast<int64_t>(status.number()); break;
        case 5: {  // network: ip 1
          ProtoReader network(status.bytes());
          while (network.next())
            if (network.field() == 1) out.ip = network.text();
          break;
        }
        case 6: {  // linux: namespaces 1: options 2: network 1, pid 2, ipc 3
          ProtoReader linux(status.bytes());
          while (linux.next()) {
            if (linux.field() != 1) continue;
            ProtoReader namespaces(linux.bytes());
            while (namespaces.next()) {
              if (namespaces.field() != 2) continue;
              ProtoReader options(namespaces.bytes());
              while (options.next()) {
                const bool node = options.number() == kNodeNamespace;
                if (options.field() == 1) out.host_network = node;
                if (options.field() == 2) out.host_pid = node;
                if (options.field() == 3) out.host_ipc = node;
              }
            }
          }
          break;
        }
        case 7: add_entry(out.labels, status.bytes()); break;
      }
    }
    if (!status.ok()) return malformed("PodSandboxStatus");
  }
  if (!top.ok()) return malformed("PodSandboxStatus");
  if (!info.empty()) {
    simdjson::dom::parser parser;
    simdjson::dom::element result;
    if (parser.parse(info)["cniResult"].get(result) == simdjson::SUCCESS && !result.is_null())
      out.cni_json = simdjson::minify(result);
  }
  return out;
}

Result<CriContainer> cri_container(const UnixPeer& peer, const std::string& id, uint32_t timeout_ms) {
  // ContainerStatusRequest: container_id 1, verbose 2.
  QUELL_TRY(const std::string answer,
            call(peer, "ContainerStatus", ProtoWriter().text(1, id).number(2, 1), timeout_ms));
  return parse_cri_container(answer);
}

Result<CriSandbox> cri_sandbox(const UnixPeer& peer, const std::string& id, uint32_t timeout_ms) {
  // PodSandboxStatusRequest: pod_sandbox_id 1, verbose 2.
  QUELL_TRY(const std::string answer,
            call(peer, "PodSandboxStatus", ProtoWriter().text(1, id).number(2, 1), timeout_ms));
  return parse_cri_sandbox(answer);
}

}  // namespace quell::os
