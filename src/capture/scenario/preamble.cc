// Container metadata as a runtime's answer puts it into a capture, and the users of containers.
#include "base/text.h"
#include "capture/scenario/cast.h"
#include "model/event.h"

namespace quell::capture::scenario {
namespace {

constexpr uint64_t kStepNs = 1000;

std::string quoted(std::string_view text) { return '"' + json_escape(text) + '"'; }

std::string container_json(const Container& container) {
  const std::string name = container.name.empty() ? "app" : container.name;
  const std::string repository = container.image_repository.empty() ? "app" : container.image_repository;
  const std::string tag = container.image_tag.empty() ? "latest" : container.image_tag;
  std::string out = "{\"container\":{\"type\":" + std::to_string(static_cast<unsigned>(container.type));
  const auto text = [&](std::string_view key, std::string_view value) {
    out.append(",").append(quoted(key)).append(":").append(quoted(value));
  };
  const auto flag = [&](std::string_view key, bool value) {
    out.append(",").append(quoted(key)).append(value ? ":true" : ":false");
  };
  text("id", container.id);
  text("full_id", container.full_id);
  text("name", name);
  text("image", repository + ":" + tag);
  text("imageid", std::string(64, 'a'));
  text("imagerepo", repository);
  text("imagetag", tag);
  text("imagedigest", "");
  text("User", "");
  text("ip", container.ip.empty() ? "172.17.0.2" : container.ip);
  flag("privileged", container.privileged);
  flag("host_pid", container.host_pid);
  flag("host_network", container.host_network);
  flag("host_ipc", container.host_ipc);
  flag("is_pod_sandbox", false);
  out += ",\"labels\":{";
  bool first = true;
  for (const auto& [key, value] : container.labels) {
    out.append(first ? "" : ",").append(quoted(key)).append(":").append(quoted(value));
    first = false;
  }
  out += "},\"Mounts\":[";
  first = true;
  for (const Mount& mount : container.mounts) {
    out.append(first ? "{" : ",{").append("\"Source\":").append(quoted(mount.source));
    text("Destination", mount.destination);
    text("Mode", mount.mode);
    flag("RW", mount.writable);
    text("Propagation", mount.propagation);
    out += "}";
    first = false;
  }
  out += "]}}";
  return out;
}

}  // namespace

std::vector<std::vector<uint8_t>> Cast::preamble(uint64_t first_event_ns) const {
  uint64_t ts_ns = first_event_ns - kStepNs * (container_order_.size() + container_users_.size());
  std::vector<std::vector<uint8_t>> out;
  for (const std::string& id : container_order_) {
    const std::string json = container_json(containers_.at(id));
    EventBuilder event(ev::ASYNCEVENT_E, ts_ns, 0);
    event.num(uint32_t{0}).text("container").raw(json.data(), json.size());
    out.push_back(event.build());
    ts_ns += kStepNs;
  }
  for (const ContainerUser& entry : container_users_) {
    EventBuilder event(ev::USER_ADDED_E, ts_ns, 0);
    event.num(entry.user.uid).num(entry.user.gid).text(entry.user.name).text(entry.user.home).text(entry.user.shell);
    event.text(entry.container);
    out.push_back(event.build());
    ts_ns += kStepNs;
  }
  return out;
}

}  // namespace quell::capture::scenario
