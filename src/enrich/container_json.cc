#include "enrich/container_json.h"

#include <fmt/format.h>
#include <simdjson.h>

#include "base/text.h"

namespace quell::enrich {
namespace {

namespace dom = simdjson::dom;

// Reads keys of one JSON object into fields; remembers the first key whose type is wrong.
class Fields {
 public:
  explicit Fields(dom::object object) : object_(object) {}

  void text(std::string_view key, std::string& out) {
    dom::element value;
    std::string_view view;
    if (!present(key, value)) return;
    value.get(view) == simdjson::SUCCESS ? void(out = view) : wrong(key, "a text");
  }
  void flag(std::string_view key, bool& out) {
    dom::element value;
    if (present(key, value) && value.get(out) != simdjson::SUCCESS) wrong(key, "true or false");
  }
  template <typename T>
  void number(std::string_view key, T& out) {
    dom::element value;
    int64_t number = 0;
    if (!present(key, value)) return;
    value.get(number) == simdjson::SUCCESS ? void(out = static_cast<T>(number)) : wrong(key, "a whole number");
  }
  void map(std::string_view key, std::map<std::string, std::string>& out) {
    dom::element value;
    dom::object entries;
    if (!present(key, value)) return;
    if (value.get(entries) != simdjson::SUCCESS) return wrong(key, "an object of texts");
    for (const auto& [name, entry] : entries) {
      std::string_view view;
      if (entry.get(view) != simdjson::SUCCESS) return wrong(key, "an object of texts");
      out.emplace(name, view);
    }
  }
  template <typename Visit>
  void list(std::string_view key, Visit&& visit) {
    dom::element value;
    dom::array items;
    if (!present(key, value)) return;
    if (value.get(items) != simdjson::SUCCESS) return wrong(key, "a list");
    for (const dom::element item : items)
      if (!visit(item)) return wrong(key, "a list of entries of one form");
  }
  const std::string& complaint() const { return complaint_; }

 private:
  bool present(std::string_view key, dom::element& out) {
    return object_[key].get(out) == simdjson::SUCCESS && !out.is_null();
  }
  void wrong(std::string_view key, std::string_view expected) {
    if (complaint_.empty()) complaint_ = fmt::format("key `{}` of a container must be {}", key, expected);
  }

  dom::object object_;
  std::string complaint_;
};

Error malformed(std::string message) { return Error{Code::malformed, std::move(message), {}}; }

void add_text(std::string& out, std::string_view key, std::string_view value) {
  fmt::format_to(std::back_inserter(out), "{}\"{}\":\"{}\"", out.back() == '{' ? "" : ",", key, json_escape(value));
}

void add_raw(std::string& out, std::string_view key, std::string_view value) {
  fmt::format_to(std::back_inserter(out), "{}\"{}\":{}", out.back() == '{' ? "" : ",", key, value);
}

std::string json_map(const std::map<std::string, std::string>& entries) {
  std::string out = "{";
  for (const auto& [key, value] : entries) add_text(out, json_escape(key), value);
  return out += '}';
}

}  // namespace

Result<Container> parse_container_json(std::string_view text) {
  while (!text.empty() && text.back() == '\0') text.remove_suffix(1);
  if (text.empty()) return malformed("container metadata is empty");
  // One per thread: it keeps its buffers between calls.
  thread_local dom::parser parser;
  dom::object root, object;
  if (const auto error = parser.parse(text.data(), text.size()).get(root))
    return malformed(fmt::format("container metadata is not a JSON object: {}", simdjson::error_message(error)));
  if (root["container"].get(object) != simdjson::SUCCESS)
    return malformed("container metadata has no object under the key `container`");

  Container c;
  Fields fields(object);
  fields.number("type", c.type);
  fields.text("id", c.id);
  fields.text("full_id", c.full_id);
  fields.text("name", c.name);
  fields.text("image", c.image);
  fields.text("imageid", c.image_id);
  fields.text("imagerepo", c.image_repository);
  fields.text("imagetag", c.image_tag);
  fields.text("imagedigest", c.image_digest);
  fields.text("User", c.user);
  fields.text("ip", c.ip);
  fields.text("cni_json", c.cni_json);
  fields.text("pod_sandbox_id", c.pod_sandbox_id);
  fields.text("started_at", c.started_at);
  fields.text("runtime_namespace", c.runtime_namespace);
  fields.map("labels", c.labels);
  fields.map("pod_sandbox_labels", c.pod_labels);
  fields.flag("privileged", c.privileged);
  fields.flag("host_pid", c.host_pid);
  fields.flag("host_network", c.host_network);
  fields.flag("host_ipc", c.host_ipc);
  fields.flag("is_pod_sandbox", c.is_pod_sandbox);
  fields.number("created_time", c.created_s);
  fields.list("env", [&](dom::element item) {
    std::string_view view;
    if (item.get(view) != simdjson::SUCCESS) return false;
    c.env.emplace_back(view);
    return true;
  });
  std::string mount_complaint;
  fields.list("Mounts", [&](dom::element item) {
    dom::object entry;
    if (item.get(entry) != simdjson::SUCCESS) return false;
    Fields of_mount(entry);
    Mount mount;
    of_mount.text("Source", mount.source);
    of_mount.text("Destination", mount.destination);
    of_mount.text("Mode", mount.mode);
    of_mount.flag("RW", mount.writable);
    of_mount.text("Propagation", mount.propagation);
    if (!of_mount.complaint().empty()) return mount_complaint = of_mount.complaint(), false;
    c.mounts.push_back(std::move(mount));
    return true;
  });
  if (!mount_complaint.empty()) return malformed(mount_complaint);
  if (!fields.complaint().empty()) return malformed(fields.complaint());
  return c;
}

std::string container_json(const Container& c) {
  std::string out = "{";
  add_raw(out, "type", fmt::to_string(static_cast<unsigned>(c.type)));
  add_text(out, "id", c.id);
  add_text(out, "full_id", c.full_id);
  add_text(out, "name", c.name);
  add_text(out, "image", c.image);
  add_text(out, "imageid", c.image_id);
  add_text(out, "imagerepo", c.image_repository);
  add_text(out, "imagetag", c.image_tag);
  add_text(out, "imagedigest", c.image_digest);
  add_text(out, "User", c.user);
  add_text(out, "ip", c.ip);
  add_text(out, "cni_json", c.cni_json);
  add_text(out, "pod_sandbox_id", c.pod_sandbox_id);
  if (!c.started_at.empty()) add_text(out, "started_at", c.started_at);
  if (!c.runtime_namespace.empty()) add_text(out, "runtime_namespace", c.runtime_namespace);
  add_raw(out, "labels", json_map(c.labels));
  add_raw(out, "pod_sandbox_labels", json_map(c.pod_labels));
  const auto add_flag = [&](std::string_view key, bool value) { add_raw(out, key, value ? "true" : "false"); };
  add_flag("privileged", c.privileged);
  add_flag("host_pid", c.host_pid);
  add_flag("host_network", c.host_network);
  add_flag("host_ipc", c.host_ipc);
  add_flag("is_pod_sandbox", c.is_pod_sandbox);
  add_raw(out, "created_time", fmt::to_string(c.created_s));

  std::string env = "[";
  for (const std::string& entry : c.env) env += fmt::format("{}\"{}\"", env.size() == 1 ? "" : ",", json_escape(entry));
  add_raw(out, "env", env + "]");
  std::string mounts = "[";
  for (const Mount& mount : c.mounts) {
    std::string entry = "{";
    add_text(entry, "Source", mount.source);
    add_text(entry, "Destination", mount.destination);
    add_text(entry, "Mode", mount.mode);
    add_raw(entry, "RW", mount.writable ? "true" : "false");
    add_text(entry, "Propagation", mount.propagation);
    mounts += (mounts.size() == 1 ? "" : ",") + entry + "}";
  }
  add_raw(out, "Mounts", mounts + "]");
  return "{\"container\":" + out + "}}";
}

}  // namespace quell::enrich
