#include "os/container_spec.h"

#include <algorithm>

#include "base/text.h"
#include "os/json_access.h"

namespace quell::os {

Result<ContainerSpec> parse_container_spec(std::string_view text) {
  simdjson::dom::parser parser;
  const json::Value root = parser.parse(text.data(), text.size());
  if (simdjson::dom::object object; root.get(object) != simdjson::SUCCESS)
    return Error{Code::malformed, "the container's runtime spec is not a JSON object", {}};

  ContainerSpec spec;
  json::for_each_member(root["annotations"], [&](std::string_view key, const json::Value& value) {
    spec.annotations.emplace(key, json::text(value));
  });
  const json::Value process = root["process"], linux = root["linux"];
  json::for_each_element(process["env"], [&](const json::Value& value) { spec.env.push_back(json::text(value)); });
  spec.user = json::text(process["user"]["username"]);
  if (spec.user.empty()) {
    const int64_t uid = json::number(process["user"]["uid"], -1);
    if (uid >= 0) spec.user = std::to_string(uid);
  }
  json::for_each_element(root["mounts"], [&](const json::Value& mount) {
    std::vector<std::string> options;
    json::for_each_element(mount["options"], [&](const json::Value& option) { options.push_back(json::text(option)); });
    const auto has = [&](std::string_view name) {
      return std::find(options.begin(), options.end(), name) != options.end();
    };
    if (json::text(mount["type"]) != "bind" && !has("bind") && !has("rbind")) return;
    Mount out{.source = json::text(mount["source"]),
              .destination = json::text(mount["destination"]),
              .mode = {},
              .propagation = {},
              .writable = !has("ro")};
    for (const char* propagation : {"private", "rprivate", "shared", "rshared", "slave", "rslave"})
      if (has(propagation)) out.propagation = propagation;
    spec.mounts.push_back(std::move(out));
  });

  bool pid = false, network = false, ipc = false;
  json::for_each_element(linux["namespaces"], [&](const json::Value& item) {
    const std::string type = json::text(item["type"]);
    pid |= type == "pid";
    network |= type == "network";
    ipc |= type == "ipc";
  });
  spec.host_pid = !pid;
  spec.host_network = !network;
  spec.host_ipc = !ipc;

  bool admin = false, hidden = false;
  json::for_each_element(process["capabilities"]["bounding"],
                         [&](const json::Value& value) { admin |= json::text(value) == "CAP_SYS_ADMIN"; });
  const auto any = [&](const json::Value&) { hidden = true; };
  json::for_each_element(linux["maskedPaths"], any);
  json::for_each_element(linux["readonlyPaths"], any);
  spec.privileged = admin && !hidden;
  return spec;
}

}  // namespace quell::os
