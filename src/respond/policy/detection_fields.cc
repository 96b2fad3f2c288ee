#include "respond/policy/detection_fields.h"

#include <fmt/format.h>

#include <charconv>

namespace quell::respond::policy {
namespace {

bool put(std::string_view value, std::string& out) {
  out += value;
  return !value.empty();
}

template <std::string Container::*kMember>
bool of_container(const Detection& d, std::string& out) {
  return d.container != nullptr && put((*d.container).*kMember, out);
}

bool of_label(const Detection& d, const char* name, std::string& out) {
  const std::string* label = find_label(d, name);
  return label != nullptr && put(*label, out);
}

constexpr EntityField kFields[] = {
    {"rule", "Name of the rule.", [](const Detection& d, std::string& out) { return put(d.rule, out); }},
    {"priority", "Falco priority of the rule.",
     [](const Detection& d, std::string& out) { return put(to_string(d.priority), out); }},
    {"severity", "Severity that follows from the priority.",
     [](const Detection& d, std::string& out) { return put(to_string(d.severity()), out); }},
    {"source", "Where it came from.", [](const Detection& d, std::string& out) { return put(d.source, out); }},
    {"evt.hostname", "Host.", [](const Detection& d, std::string& out) { return put(d.hostname, out); }},
    {"proc.name", "Name of the process.",
     [](const Detection& d, std::string& out) { return put(d.process_name, out); }},
    {"proc.exepath", "Its executable.", [](const Detection& d, std::string& out) { return put(d.exepath, out); }},
    {"proc.cmdline", "Its command line.", [](const Detection& d, std::string& out) { return put(d.cmdline, out); }},
    {"proc.pid", "Its process id.",
     [](const Detection& d, std::string& out) {
       return d.process.pid >= 0 && put(fmt::format("{}", d.process.pid), out);
     }},
    {"proc.pname", "Name of its parent.",
     [](const Detection& d, std::string& out) { return !d.ancestors.empty() && put(d.ancestors[0].name, out); }},
    {"proc.pexepath", "Executable of its parent.",
     [](const Detection& d, std::string& out) { return !d.ancestors.empty() && put(d.ancestors[0].exepath, out); }},
    {"user.name", "User of the process.", [](const Detection& d, std::string& out) { return put(d.user_name, out); }},
    {"container.id", "Short id of the container; `host` outside.",
     [](const Detection& d, std::string& out) { return put(d.container_id, out); }},
    {"container.full_id", "Whole id of the container.",
     [](const Detection& d, std::string& out) { return put(d.container_full_id, out); }},
    {"container.name", "Name of the container.", of_container<&Container::name>},
    {"container.image", "Image with its tag.", of_container<&Container::image>},
    {"container.image.repository", "Image without its tag.", of_container<&Container::image_repository>},
    {"container.image.tag", "Tag of the image.", of_container<&Container::image_tag>},
    {"container.image.digest", "Digest of the image.", of_container<&Container::image_digest>},
    {"k8s.ns.name", "Kubernetes namespace.",
     [](const Detection& d, std::string& out) { return of_label(d, "io.kubernetes.pod.namespace", out); }},
    {"k8s.pod.name", "Pod.",
     [](const Detection& d, std::string& out) { return of_label(d, "io.kubernetes.pod.name", out); }},
    {"k8s.pod.uid", "Unique id of the pod.",
     [](const Detection& d, std::string& out) { return of_label(d, "io.kubernetes.pod.uid", out); }},
};

constexpr std::string_view kLabelPrefix = "container.label[";

struct VisitOutput {
  const std::function<void(std::string_view)>& visit;
  // Whether there was a value.
  bool operator()(std::monostate) const { return false; }
  bool operator()(bool value) const { return visit(value ? "true" : "false"), true; }
  bool operator()(const std::string& value) const {
    if (value.empty() || value == "<NA>") return false;  // what outputs print for a value that is not there
    return visit(value), true;
  }
  bool operator()(const std::vector<std::string>& values) const {
    for (const std::string& value : values) visit(value);
    return !values.empty();
  }
  template <typename Number>
  bool operator()(Number value) const {
    char text[32];
    const auto end = std::to_chars(text, text + sizeof text, value);
    return visit({text, static_cast<size_t>(end.ptr - text)}), true;
  }
};

}  // namespace

std::span<const EntityField> entity_fields() { return kFields; }

void for_each_value(const Detection& detection, std::string_view field,
                    const std::function<void(std::string_view)>& visit) {
  for (const auto& [name, value] : detection.output_fields) {
    if (name != field) continue;
    if (std::visit(VisitOutput{visit}, value)) return;
    break;
  }
  if (field.starts_with(kLabelPrefix) && field.ends_with(']')) {
    const std::string name(field.substr(kLabelPrefix.size(), field.size() - kLabelPrefix.size() - 1));
    if (const std::string* label = find_label(detection, name)) visit(*label);
    return;
  }
  for (const EntityField& one : kFields) {
    if (one.name != field) continue;
    std::string value;
    if (one.get(detection, value)) visit(value);
    return;
  }
}

bool first_value(const Detection& detection, std::string_view field, std::string& out) {
  bool found = false;
  for_each_value(detection, field, [&](std::string_view value) {
    if (!found) out = value;
    found = true;
  });
  return found;
}

const std::string* find_label(const Detection& detection, const std::string& name) {
  if (detection.container == nullptr) return nullptr;
  for (const auto* labels : {&detection.container->labels, &detection.container->pod_labels}) {
    if (const auto found = labels->find(name); found != labels->end()) return &found->second;
  }
  return nullptr;
}

}  // namespace quell::respond::policy
