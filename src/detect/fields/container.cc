// container.*, k8s.*: where the process runs. The id is known at once, the rest when the runtime has answered.
#include <re2/re2.h>

#include "base/text.h"
#include "detect/fields/helpers.h"

namespace quell::detect {
namespace {

using X = const Extract&;
using C = const Container&;

const Container& host() {
  static const Container entry = [] {
    Container c;
    c.type = ContainerType::host;
    c.id = c.full_id = c.name = "host";
    return c;
  }();
  return entry;
}

// The metadata that an event speaks of: its own, else that of its thread's container. Null while unknown.
const Container* info(X x) {
  if (x.context.container_event != nullptr) return x.context.container_event;
  if (x.thread() == nullptr || x.thread()->container == nullptr) return nullptr;
  const ContainerSlot& slot = *x.thread()->container;
  return slot.is_host() ? &host() : slot.info.get();
}

template <Value (*kGet)(X, C)>
Value with_info(X x, const FieldArg&) {
  const Container* found = info(x);
  return found == nullptr ? Value{} : kGet(x, *found);
}
template <std::string Container::*kField>
Value text(X x, const FieldArg&) {
  const Container* found = info(x);
  return found == nullptr ? Value{} : Value::text(found->*kField);
}
template <bool Container::*kField>
Value flag(X x, const FieldArg&) {
  const Container* found = info(x);
  return found == nullptr ? Value{} : Value::boolean(found->*kField);
}

Value id(X x, const FieldArg&) {
  if (x.context.container_event != nullptr) return Value::text(x.context.container_event->id);
  if (x.thread() == nullptr || x.thread()->container == nullptr) return {};
  const ContainerSlot& slot = *x.thread()->container;
  return Value::text(slot.is_host() ? std::string_view("host") : std::string_view(slot.id));
}

std::string mount_text(const Mount& mount) {
  return fmt::format("{}:{}:{}:{}:{}", mount.source, mount.destination, mount.mode, mount.writable ? "true" : "false",
                     mount.propagation);
}
Value mounts(X x, C c) {
  std::string out;
  for (const Mount& mount : c.mounts) {
    if (!out.empty()) out += ',';
    out += mount_text(mount);
  }
  return text_in(x, out);
}

// By number, or by a pattern searched in one side of the mounts: the first that matches.
std::optional<Finding> bind_mount(FieldRef& ref) {
  uint64_t number = 0;
  if (parse_u64(ref.arg.text, number)) {
    ref.arg.index = static_cast<int64_t>(std::min<uint64_t>(number, INT64_MAX));
    return {};
  }
  RE2::Options options;
  options.set_posix_syntax(true);
  options.set_never_nl(false);
  options.set_one_line(false);
  options.set_log_errors(false);
  auto pattern = std::make_shared<const RE2>(ref.arg.text, options);
  // Rules write globs here ("/proc*"), which are patterns by luck. One that is none matches no mount.
  if (pattern->ok()) ref.arg.pattern = std::move(pattern);
  return {};
}
const Mount* find_mount(X x, const FieldArg& a, std::string Mount::*searched) {
  const Container* found = info(x);
  if (found == nullptr) return nullptr;
  if (a.index >= 0)
    return static_cast<size_t>(a.index) < found->mounts.size() ? &found->mounts[static_cast<size_t>(a.index)] : nullptr;
  if (a.pattern == nullptr) return nullptr;
  for (const Mount& mount : found->mounts)
    if (RE2::PartialMatch(mount.*searched, *a.pattern)) return &mount;
  return nullptr;
}
template <std::string Mount::*kSearched>
Value mount_part(X x, const FieldArg& a, std::string (*render)(const Mount&)) {
  const Mount* mount = find_mount(x, a, kSearched);
  return mount == nullptr ? Value{} : text_in(x, render(*mount));
}
#define QUELL_MOUNT(searched, expression)                                                                  \
  [](X x, const FieldArg& a) {                                                                             \
    return mount_part<&Mount::searched>(x, a, [](const Mount& m) -> std::string { return (expression); }); \
  }

uint64_t start_ns(X x) { return x.thread() == nullptr ? 0 : x.thread()->pidns_init_start_ns; }

Value label(X, const std::map<std::string, std::string>& labels, const std::string& key) {
  const auto found = labels.find(key);
  return found == labels.end() ? Value{} : Value::text(found->second);
}
Value labels_text(X x, const std::map<std::string, std::string>& labels) {
  std::string out;
  for (const auto& [key, value] : labels) {
    if (key.starts_with("io.kubernetes.") || key.starts_with("annotation.")) continue;
    if (!out.empty()) out += ", ";
    out += key + ":" + value;
  }
  return text_in(x, out);
}

constexpr char kPodName[] = "io.kubernetes.pod.name";
constexpr char kPodNamespace[] = "io.kubernetes.pod.namespace";
constexpr char kPodUid[] = "io.kubernetes.pod.uid";
template <const char* kKey>
Value pod_label(X x, C c) {
  return label(x, c.labels, kKey);
}

Value pod_ip(X x, C c) {
  if (!c.ip.empty() || c.pod_sandbox_id.empty() || x.context.state == nullptr) return Value::text(c.ip);
  const ContainerSlot* sandbox = x.context.state->container(std::string_view(c.pod_sandbox_id).substr(0, 12));
  return Value::text(sandbox != nullptr && sandbox->info ? std::string_view(sandbox->info->ip) : std::string_view(""));
}

Value never(X, const FieldArg&) { return {}; }

// One row is one field, on one line.
// clang-format off
constexpr FieldSpec kFields[] = {
    {.name = "container.id", .flags = kSuggested, .scope = Scope::lineage, .get = id, .doc = "First 12 characters of the container's id; host for host processes.", .example = "container.id != host", .events = "events of a known thread, container events"},
    {.name = "container.full_id", .scope = Scope::lineage, .get = text<&Container::full_id>, .doc = "Full id of the container; host on the host.", .example = "container.full_id startswith 3ad7b26ded6d"},
    {.name = "container.name", .flags = kSuggested, .scope = Scope::lineage, .get = text<&Container::name>, .doc = "Name of the container; host on the host.", .example = "container.name startswith web-"},
    {.name = "container.image", .scope = Scope::lineage, .get = text<&Container::image>, .doc = "Image as the user wrote it.", .example = "container.image = nginx:1.27"},
    {.name = "container.image.id", .scope = Scope::lineage, .get = text<&Container::image_id>, .doc = "Id of the image.", .example = "container.image.id startswith 39286ab8a5e1"},
    {.name = "container.image.repository", .flags = kSuggested, .scope = Scope::lineage, .get = text<&Container::image_repository>, .doc = "Image without tag and digest; empty on the host.", .example = "container.image.repository = docker.io/library/nginx"},
    {.name = "container.image.tag", .flags = kSuggested, .scope = Scope::lineage, .get = text<&Container::image_tag>, .doc = "Tag of the image.", .example = "container.image.tag = latest"},
    {.name = "container.image.digest", .scope = Scope::lineage, .get = text<&Container::image_digest>, .doc = "Digest of the image in its repository.", .example = "container.image.digest startswith sha256:39286ab8a5e1"},
    {.name = "container.type", .scope = Scope::lineage, .get = with_info<[](X, C c) { return Value::text(to_string(c.type)); }>, .doc = "Kind of runtime: docker, containerd, cri-o …", .example = "container.type in (docker, containerd)"},
    {.name = "container.privileged", .type = Type::boolean, .scope = Scope::lineage, .get = flag<&Container::privileged>, .doc = "The container is privileged.", .example = "container.privileged = true"},
    {.name = "container.mounts", .scope = Scope::lineage, .get = with_info<mounts>, .doc = "All mounts as source:destination:mode:writable:propagation, separated by commas.", .example = "container.mounts contains docker.sock"},
    {.name = "container.mount", .arg = Arg::required_key, .scope = Scope::lineage, .get = QUELL_MOUNT(source, mount_text(m)), .bind = bind_mount, .doc = "One mount in that form, by number or by a pattern searched in its source.", .example = "container.mount[0] startswith /var/run"},
    {.name = "container.mount.source", .arg = Arg::required_key, .scope = Scope::lineage, .get = QUELL_MOUNT(destination, m.source), .bind = bind_mount, .doc = "Source of a mount, by number or by a pattern searched in its destination.", .example = "container.mount.source[^/host$] = /"},
    {.name = "container.mount.dest", .arg = Arg::required_key, .scope = Scope::lineage, .get = QUELL_MOUNT(source, m.destination), .bind = bind_mount, .doc = "Destination of a mount, by number or by a pattern searched in its source.", .example = "container.mount.dest[^/etc] exists"},
    {.name = "container.mount.mode", .arg = Arg::required_key, .scope = Scope::lineage, .get = QUELL_MOUNT(source, m.mode), .bind = bind_mount, .doc = "Mode of a mount, by number or by a pattern searched in its source.", .example = "container.mount.mode[^/etc] = ro"},
    {.name = "container.mount.rdwr", .arg = Arg::required_key, .scope = Scope::lineage, .get = QUELL_MOUNT(source, m.writable ? "true" : "false"), .bind = bind_mount, .doc = "true if a mount can be written, false if not; by number or by a pattern searched in its source.", .example = "container.mount.rdwr[^/etc] = true"},
    {.name = "container.mount.propagation", .arg = Arg::required_key, .scope = Scope::lineage, .get = QUELL_MOUNT(source, m.propagation), .bind = bind_mount, .doc = "Propagation of a mount, by number or by a pattern searched in its source.", .example = "container.mount.propagation[^/etc] = rprivate"},
    {.name = "container.start_ts", .type = Type::abstime, .get = [](X x, const FieldArg&) { return start_ns(x) == 0 ? Value{} : Value::number(start_ns(x)); }, .doc = "Start of the container's pid namespace.", .example = "container.start_ts > 1714558830000000000", .events = "events of a known thread"},
    {.name = "container.duration", .type = Type::reltime, .get = [](X x, const FieldArg&) { return start_ns(x) == 0 ? Value{} : Value::number(since(x, start_ns(x))); }, .doc = "Time since the container started.", .example = "container.duration < 1000000000", .events = "events of a known thread"},
    {.name = "container.ip", .scope = Scope::lineage, .get = text<&Container::ip>, .doc = "Address of the container.", .example = "container.ip startswith 172.17."},
    {.name = "container.cni.json", .scope = Scope::lineage, .get = text<&Container::cni_json>, .doc = "Network configuration of the pod sandbox.", .example = "container.cni.json contains eth0"},
    {.name = "container.host_pid", .type = Type::boolean, .scope = Scope::lineage, .get = flag<&Container::host_pid>, .doc = "Shares the host's pid namespace.", .example = "container.host_pid = true"},
    {.name = "container.host_network", .type = Type::boolean, .scope = Scope::lineage, .get = flag<&Container::host_network>, .doc = "Shares the host's network.", .example = "container.host_network = true"},
    {.name = "container.host_ipc", .type = Type::boolean, .scope = Scope::lineage, .get = flag<&Container::host_ipc>, .doc = "Shares the host's IPC.", .example = "container.host_ipc = true"},
    {.name = "container.label", .arg = Arg::required_key, .flags = kDotArgument, .scope = Scope::lineage, .get = [](X x, const FieldArg& a) { const Container* c = info(x); return c == nullptr ? Value{} : label(x, c->labels, a.text); }, .doc = "Value of one label.", .example = "container.label[app] = web"},
    {.name = "container.labels", .scope = Scope::lineage, .get = with_info<[](X x, C c) { return labels_text(x, c.labels); }>, .doc = "All labels as key:value, without those of Kubernetes itself.", .example = "container.labels contains app:web"},
    {.name = "container.healthcheck", .flags = kDeprecated, .get = never, .doc = "Always absent. Deprecated.", .example = "container.healthcheck exists", .events = "none"},
    {.name = "container.liveness_probe", .flags = kDeprecated, .get = never, .doc = "Always absent. Deprecated.", .example = "container.liveness_probe exists", .events = "none"},
    {.name = "container.readiness_probe", .flags = kDeprecated, .get = never, .doc = "Always absent. Deprecated.", .example = "container.readiness_probe exists", .events = "none"},
};

constexpr FieldSpec kPodFields[] = {
    {.name = "k8s.pod.name", .flags = kSuggested, .scope = Scope::lineage, .get = with_info<pod_label<kPodName>>, .doc = "Name of the pod.", .example = "k8s.pod.name startswith web-"},
    {.name = "k8s.ns.name", .flags = kSuggested, .scope = Scope::lineage, .get = with_info<pod_label<kPodNamespace>>, .doc = "Namespace of the pod.", .example = "k8s.ns.name = kube-system"},
    {.name = "k8s.pod.uid", .scope = Scope::lineage, .get = with_info<pod_label<kPodUid>>, .doc = "UID of the pod.", .example = "k8s.pod.uid exists"},
    {.name = "k8s.pod.id", .scope = Scope::lineage, .get = with_info<pod_label<kPodUid>>, .doc = "UID of the pod, by its older name.", .example = "k8s.pod.id exists"},
    {.name = "k8s.pod.sandbox_id", .scope = Scope::lineage, .get = with_info<[](X, C c) { return Value::text(std::string_view(c.pod_sandbox_id).substr(0, 12)); }>, .doc = "Short id of the sandbox container of the pod.", .example = "k8s.pod.sandbox_id = 3ad7b26ded6d"},
    {.name = "k8s.pod.full_sandbox_id", .scope = Scope::lineage, .get = text<&Container::pod_sandbox_id>, .doc = "Full id of the sandbox container of the pod.", .example = "k8s.pod.full_sandbox_id startswith 3ad7b26ded6d"},
    {.name = "k8s.pod.label", .arg = Arg::required_key, .flags = kDotArgument, .scope = Scope::lineage, .get = [](X x, const FieldArg& a) { const Container* c = info(x); return c == nullptr ? Value{} : label(x, c->pod_labels, a.text); }, .doc = "Value of one label of the pod.", .example = "k8s.pod.label[app] = web"},
    {.name = "k8s.pod.labels", .scope = Scope::lineage, .get = with_info<[](X x, C c) { return labels_text(x, c.pod_labels); }>, .doc = "All labels of the pod as key:value.", .example = "k8s.pod.labels contains app:web"},
    {.name = "k8s.pod.ip", .get = with_info<pod_ip>, .doc = "Address of the pod.", .example = "k8s.pod.ip startswith 10."},
    {.name = "k8s.pod.cni.json", .scope = Scope::lineage, .get = text<&Container::cni_json>, .doc = "Network configuration of the pod.", .example = "k8s.pod.cni.json contains eth0"},
#define QUELL_GONE(name_) {.name = name_, .flags = kDeprecated, .get = never, .doc = "Always absent. Deprecated.", .example = name_ " exists", .events = "none"},
#define QUELL_GONE_LABEL(name_) {.name = name_, .arg = Arg::required_key, .flags = kDeprecated | kDotArgument, .get = never, .doc = "Always absent. Deprecated.", .example = name_ "[app] exists", .events = "none"},
    QUELL_GONE("k8s.rc.name") QUELL_GONE("k8s.rc.id") QUELL_GONE_LABEL("k8s.rc.label") QUELL_GONE("k8s.rc.labels")
    QUELL_GONE("k8s.svc.name") QUELL_GONE("k8s.svc.id") QUELL_GONE_LABEL("k8s.svc.label") QUELL_GONE("k8s.svc.labels")
    QUELL_GONE("k8s.rs.name") QUELL_GONE("k8s.rs.id") QUELL_GONE_LABEL("k8s.rs.label") QUELL_GONE("k8s.rs.labels")
    QUELL_GONE("k8s.deployment.name") QUELL_GONE("k8s.deployment.id") QUELL_GONE_LABEL("k8s.deployment.label") QUELL_GONE("k8s.deployment.labels")
    QUELL_GONE("k8s.ns.id") QUELL_GONE_LABEL("k8s.ns.label") QUELL_GONE("k8s.ns.labels")
#undef QUELL_GONE_LABEL
#undef QUELL_GONE
};
// clang-format on
#undef QUELL_MOUNT

}  // namespace

FieldClass container_fields() {
  return {"container", "Containers", "events of a known thread, container events; once the runtime has answered",
          kFields};
}
FieldClass k8s_fields() {
  return {"k8s", "Kubernetes pods", "events of a known thread in a pod, once the runtime has answered", kPodFields};
}

}  // namespace quell::detect
