#include "capture/scenario/cast.h"

#include <algorithm>

#include "base/text.h"
#include "capture/scenario/capabilities.h"
#include "capture/scenario/scenario.h"
#include "model/capabilities.h"

namespace quell::capture::scenario {
namespace {

constexpr size_t kCommLimit = 15;  // what the kernel keeps of a name
constexpr uint64_t kHourNs = 3600ull * 1'000'000'000ull;
constexpr uint64_t kMaxAgeNs = 365 * 24 * kHourNs;
constexpr uint32_t kFirstUserId = 1000;

/// NUL-separated, with the final NUL, from a text (split at spaces) or a sequence.
Result<std::string> list_of(const yaml::Node& node) {
  std::string out;
  if (node.is_sequence()) {
    QUELL_TRY(const std::vector<std::string> parts, node.as_strings());
    for (const std::string& part : parts) out.append(part).push_back('\0');
    return out;
  }
  QUELL_TRY(const std::string text, node.as_string());
  for (const std::string_view part : split(text, ' '))
    if (!part.empty()) out.append(part).push_back('\0');
  return out;
}

template <auto Member>
Result<void> set_text(Thread& thread, const yaml::Node& node) {
  QUELL_TRY(thread.*Member, node.as_string());
  return {};
}
template <auto Member>
Result<void> set_signed(Thread& thread, const yaml::Node& node) {
  QUELL_TRY(thread.*Member, node.as_i64());
  return {};
}
template <auto Member>
Result<void> set_u32(Thread& thread, const yaml::Node& node) {
  QUELL_TRY(const uint64_t value, node.as_u64());
  if (value > UINT32_MAX) return node.error("is larger than 32 bits hold");
  thread.*Member = static_cast<uint32_t>(value);
  return {};
}
template <auto Member>
Result<void> set_u64(Thread& thread, const yaml::Node& node) {
  QUELL_TRY(thread.*Member, node.as_u64());
  return {};
}
template <auto Member>
Result<void> set_bool(Thread& thread, const yaml::Node& node) {
  QUELL_TRY(thread.*Member, node.as_bool());
  return {};
}

Result<void> set_args(Thread& thread, const yaml::Node& node) {
  QUELL_TRY(thread.args, list_of(node));
  return {};
}
Result<void> set_cmdline(Thread& thread, const yaml::Node& node) {
  QUELL_TRY(const std::string text, node.as_string());
  const size_t space = text.find(' ');
  thread.comm = text.substr(0, space);
  thread.args.clear();
  if (space == std::string::npos) return {};
  for (const std::string_view part : split(std::string_view(text).substr(space + 1), ' '))
    if (!part.empty()) thread.args.append(part).push_back('\0');
  return {};
}
Result<void> set_env(Thread& thread, const yaml::Node& node) {
  thread.env.clear();
  if (!node.is_map()) {
    QUELL_TRY(thread.env, list_of(node));
    return {};
  }
  for (const yaml::Entry& entry : node.entries()) {
    QUELL_TRY(const std::string value, entry.value->as_string());
    thread.env.append(entry.key->text()).append("=").append(value).push_back('\0');
  }
  return {};
}
Result<void> set_cwd(Thread& thread, const yaml::Node& node) {
  QUELL_TRY(thread.cwd, node.as_string());
  if (!thread.cwd.ends_with('/')) thread.cwd.push_back('/');
  return {};
}
Result<void> set_pid(Thread& thread, const yaml::Node& node) {
  QUELL_TRY(thread.pid, node.as_i64());
  if (thread.pid < 2) return node.error("a process needs a number above 1, which is systemd's");
  thread.tid = thread.pid;
  return {};
}

struct ProcessKey {
  std::string_view name;
  Result<void> (*set)(Thread&, const yaml::Node&);
};
/// Applied in this order, so that the narrower key wins over proc.cmdline.
constexpr ProcessKey kProcessKeys[] = {
    {"proc.cmdline", set_cmdline},
    {"proc.name", set_text<&Thread::comm>},
    {"proc.exe", set_text<&Thread::exe>},
    {"proc.exepath", set_text<&Thread::exepath>},
    {"proc.args", set_args},
    {"proc.env", set_env},
    {"proc.cwd", set_cwd},
    {"proc.tty", set_u32<&Thread::tty>},
    {"proc.pid", set_pid},
    {"proc.vpid", set_signed<&Thread::vpid>},
    {"proc.sid", set_signed<&Thread::sid>},
    {"proc.pgid", set_signed<&Thread::pgid>},
    {"proc.vpgid", set_signed<&Thread::vpgid>},
    {"proc.is_exe_writable", set_bool<&Thread::exe_writable>},
    {"proc.is_exe_upper_layer", set_bool<&Thread::exe_upper_layer>},
    {"proc.is_exe_lower_layer", set_bool<&Thread::exe_lower_layer>},
    {"proc.is_exe_from_memfd", set_bool<&Thread::exe_from_memfd>},
    {"proc.exe_ino", set_u64<&Thread::exe_ino>},
    {"proc.exe_ino.ctime", set_u64<&Thread::exe_ino_ctime_ns>},
    {"proc.exe_ino.mtime", set_u64<&Thread::exe_ino_mtime_ns>},
    {"user.uid", set_u32<&Thread::uid>},
    {"user.loginuid", set_u32<&Thread::loginuid>},
    {"group.gid", set_u32<&Thread::gid>},
};
constexpr std::string_view kSpecialProcessKeys[] = {"user.name", "proc.duration", "thread.cap_permitted",
                                                    "thread.cap_effective"};
constexpr std::string_view kAncestorKeys[] = {"parent",        "proc.pname",    "proc.pexepath", "proc.pcmdline",
                                              "proc.aname[1]", "proc.aname[2]", "proc.aname[3]", "proc.aname[4]",
                                              "proc.aname[5]", "proc.aname[6]", "proc.aname[7]"};
constexpr std::string_view kContainerKeys[] = {
    "container.id",   "container.name",       "container.image",        "container.image.repository",
    "container.type", "container.privileged", "container.image.tag",    "container.mounts",
    "container.ip",   "container.host_pid",   "container.host_network", "k8s.pod.name",
    "k8s.ns.name"};
constexpr std::string_view kDescriptorKeys[] = {"fd.num",   "fd.name", "fd.type",  "fd.sip",
                                                "fd.sport", "fd.cip",  "fd.cport", "fd.l4proto"};

template <typename Range>
bool has(const Range& range, std::string_view key) {
  return std::find(std::begin(range), std::end(range), key) != std::end(range);
}

struct ContainerTypeName {
  std::string_view name;
  ContainerType type;
};
constexpr ContainerTypeName kContainerTypes[] = {{"docker", ContainerType::docker},
                                                 {"podman", ContainerType::podman},
                                                 {"cri", ContainerType::cri},
                                                 {"containerd", ContainerType::containerd},
                                                 {"cri-o", ContainerType::crio}};

Result<Mount> mount_of(const yaml::Node& node) {
  QUELL_TRY(const std::string text, node.as_string());
  const auto parts = split(text, ':');
  if (parts.size() < 2 || parts.size() > 3 || (parts.size() == 3 && parts[2] != "ro" && parts[2] != "rw"))
    return node.error("a mount is source:destination, with :ro or :rw after it if you like");
  Mount mount{std::string(parts[0]), std::string(parts[1]), "", "rprivate", parts.size() == 2 || parts[2] == "rw"};
  return mount;
}

/// Sets `field` once: a second, different value is a contradiction between two events.
Result<void> settle(std::string& field, const std::string& value, const yaml::Node& node) {
  if (!field.empty() && field != value) return node.error("says '" + value + "', but it was '" + field + "' before");
  field = value;
  return {};
}

}  // namespace

int64_t Actor::next_fd() const {
  int64_t number = 3;
  while (open.contains(number)) ++number;
  return number;
}

KeyKind kind_of_key(std::string_view key) {
  for (const ProcessKey& row : kProcessKeys)
    if (row.name == key) return KeyKind::process;
  if (has(kSpecialProcessKeys, key)) return KeyKind::process;
  if (has(kAncestorKeys, key)) return KeyKind::ancestor;
  if (has(kContainerKeys, key)) return KeyKind::container;
  if (has(kDescriptorKeys, key)) return KeyKind::descriptor;
  return KeyKind::unknown;
}

const std::vector<std::string_view>& known_keys() {
  static const std::vector<std::string_view> keys = [] {
    std::vector<std::string_view> all;
    for (const ProcessKey& row : kProcessKeys) all.push_back(row.name);
    all.insert(all.end(), std::begin(kSpecialProcessKeys), std::end(kSpecialProcessKeys));
    all.insert(all.end(), std::begin(kAncestorKeys), std::end(kAncestorKeys));
    all.insert(all.end(), std::begin(kContainerKeys), std::end(kContainerKeys));
    all.insert(all.end(), std::begin(kDescriptorKeys), std::end(kDescriptorKeys));
    return all;
  }();
  return keys;
}
Cast::Cast() {
  Thread init;
  init.tid = init.pid = init.vtid = init.vpid = init.sid = init.pgid = init.vpgid = 1;
  init.ptid = 0;
  init.comm = "systemd";
  init.exe = "/sbin/init";
  init.exepath = "/usr/lib/systemd/systemd";
  init.uid = init.gid = 0;
  init.clone_ns = kScenarioStartNs - 24 * kHourNs;
  init.cwd = init.root = "/";
  init.fdlimit = 1024;
  init.cap_permitted = init.cap_effective = kAllCapabilities;
  place(init, {});
  others_.push_back(init);
  users_.push_back({0, 0, "root", "/root", "/bin/bash"});
  pids_.insert(1);
}

/// Puts the thread into the container's cgroup and process namespace, or on the host.
void Cast::place(Thread& thread, const std::string& container) const {
  thread.cgroups.clear();
  for (const std::string_view subsystem : {"cpuset", "cpu", "memory", "pids"}) {
    thread.cgroups.append(subsystem).append("=/");
    if (container.empty())
      thread.cgroups.append("system.slice");
    else
      thread.cgroups.append("docker/").append(containers_.at(container).full_id);
    thread.cgroups.push_back('\0');
  }
  if (container.empty()) {
    if (thread.vpid < 0) thread.vpid = thread.pid;
  } else {
    // Numbers inside start at 2: 1 is the container's first process, which a scenario names by proc.vpid.
    if (thread.vpid < 0) thread.vpid = thread.pid - 998;
    thread.pidns_init_start_ns = kScenarioStartNs - kHourNs;
  }
  thread.vtid = thread.vpid;
  if (thread.sid < 0) thread.sid = thread.vpid;
  if (thread.vpgid < 0) thread.vpgid = thread.vpid;
  if (thread.pgid < 0) thread.pgid = thread.pid;
}

Thread& Cast::spawn(const Thread& image, const Thread& parent, const std::string& container) {
  Thread thread = image;
  while (pids_.contains(next_pid_)) ++next_pid_;
  thread.tid = thread.pid = next_pid_++;
  pids_.insert(thread.pid);
  thread.ptid = parent.pid;
  place(thread, container);
  others_.push_back(std::move(thread));
  return others_.back();
}

Thread& Cast::shim() {
  if (shim_ != nullptr) return *shim_;
  Thread image = others_.front();
  image.comm = "containerd-shim";
  image.exe = image.exepath = "/usr/bin/containerd-shim-runc-v2";
  image.vpid = image.vtid = image.sid = image.pgid = image.vpgid = -1;
  shim_ = &spawn(image, others_.front(), {});
  return *shim_;
}

Result<void> Cast::set_image(Thread& thread, const yaml::Node& map) {
  for (const ProcessKey& row : kProcessKeys) {
    const yaml::Node* value = map.find(row.name);
    if (value == nullptr) continue;
    QUELL_CHECK(row.set(thread, *value));
  }
  if (thread.comm.empty() && !thread.exepath.empty())
    thread.comm = thread.exepath.substr(thread.exepath.rfind('/') + 1).substr(0, kCommLimit);
  if (thread.comm.empty())
    return map.error("says nothing about its process: give proc.name, or process with a name from `processes`");
  if (thread.comm.size() > kCommLimit)
    return map.error("'" + thread.comm + "' is longer than the " + std::to_string(kCommLimit) +
                     " characters that the kernel keeps of a name");
  if (thread.exepath.empty()) thread.exepath = "/usr/bin/" + thread.comm;
  if (thread.exe.empty()) thread.exe = thread.comm;
  return {};
}

Result<void> Cast::set_user(Thread& thread, const yaml::Node& map, const std::string& container) {
  const yaml::Node* name = map.find("user.name");
  if (name == nullptr) return {};
  QUELL_TRY(const std::string text, name->as_string());
  if (map.find("user.uid") == nullptr) thread.uid = thread.gid = text == "root" ? 0 : kFirstUserId;
  if (thread.uid == 0 && text == "root") return {};
  const User user{thread.uid, thread.gid, text, "/home/" + text, "/bin/bash"};
  if (container.empty()) {
    for (const User& known : users_)
      if (known.uid == user.uid) {
        if (known.name == user.name) return {};
        return name->error("user " + std::to_string(user.uid) + " is called " + known.name + " already: give user.uid");
      }
    users_.push_back(user);
    return {};
  }
  for (const ContainerUser& known : container_users_)
    if (known.container == container && known.user.uid == user.uid) {
      if (known.user.name == user.name) return {};
      return name->error("user " + std::to_string(user.uid) + " is called " + known.user.name +
                         " already: give user.uid");
    }
  container_users_.push_back({container, user});
  return {};
}

/// The short id of the container that the keys of `map` name, its metadata noted; empty for the host.
Result<std::string> Cast::set_container(const yaml::Node& map) {
  const yaml::Node* id_node = map.find("container.id");
  if (id_node == nullptr || id_node->text() == "host") {
    for (const std::string_view key : kContainerKeys)
      if (key != "container.id" && map.find(key) != nullptr)
        return map.find(key)->error(std::string(key) + " needs container.id");
    return std::string{};
  }
  const std::string& id = id_node->text();
  if (id.size() != 12 || id.find_first_not_of("0123456789abcdef") != std::string::npos)
    return id_node->error("'" + id + "' is no container id: write 12 hexadecimal digits, or host");
  if (!containers_.contains(id)) {
    container_order_.push_back(id);
    Container fresh;
    fresh.id = id;
    fresh.full_id = id + std::string(52, '0');
    fresh.type = ContainerType::docker;
    containers_.emplace(id, fresh);
  }
  Container& container = containers_.at(id);
  struct TextKey {
    std::string_view key;
    std::string Container::*field;
  };
  for (const TextKey& row : {TextKey{"container.name", &Container::name}, TextKey{"container.ip", &Container::ip},
                             TextKey{"container.image.repository", &Container::image_repository},
                             TextKey{"container.image.tag", &Container::image_tag}})
    if (const yaml::Node* value = map.find(row.key)) QUELL_CHECK(settle(container.*row.field, value->text(), *value));
  if (const yaml::Node* image = map.find("container.image")) {
    const std::string& text = image->text();
    const size_t colon = text.rfind(':');
    const bool tagged = colon != std::string::npos && text.find('/', colon) == std::string::npos;
    QUELL_CHECK(settle(container.image_repository, text.substr(0, tagged ? colon : std::string::npos), *image));
    if (tagged) QUELL_CHECK(settle(container.image_tag, text.substr(colon + 1), *image));
  }
  struct FlagKey {
    std::string_view key;
    bool Container::*field;
  };
  for (const FlagKey& row :
       {FlagKey{"container.privileged", &Container::privileged}, FlagKey{"container.host_pid", &Container::host_pid},
        FlagKey{"container.host_network", &Container::host_network}})
    if (const yaml::Node* value = map.find(row.key)) {
      QUELL_TRY(container.*row.field, value->as_bool());
    }
  if (const yaml::Node* type = map.find("container.type")) {
    const auto* row = std::find_if(std::begin(kContainerTypes), std::end(kContainerTypes),
                                   [&](const ContainerTypeName& name) { return name.name == type->text(); });
    if (row == std::end(kContainerTypes))
      return type->error("'" + type->text() + "' is no runtime: docker, podman, cri, containerd or cri-o");
    container.type = row->type;
  }
  if (const yaml::Node* pod = map.find("k8s.pod.name")) container.labels["io.kubernetes.pod.name"] = pod->text();
  if (const yaml::Node* space = map.find("k8s.ns.name"))
    container.labels["io.kubernetes.pod.namespace"] = space->text();
  if (const yaml::Node* mounts = map.find("container.mounts")) {
    container.mounts.clear();
    if (!mounts->is_sequence()) return mounts->error("container.mounts is a sequence of source:destination");
    for (const yaml::Node* item : mounts->items()) {
      QUELL_TRY(Mount mount, mount_of(*item));
      container.mounts.push_back(std::move(mount));
    }
  }
  return id;
}

Result<Thread*> Cast::make_parent(const yaml::Node& map, const Thread& child, const std::string& container) {
  if (const yaml::Node* parent = map.find("parent")) {
    Actor* actor = find(parent->text());
    if (actor == nullptr)
      return parent->error("no process in `processes` before this one is called '" + parent->text() + "'");
    return &actor->start;
  }
  std::vector<std::string> names;  // parent first
  for (int level = 1; level <= 7; ++level) {
    const yaml::Node* node = map.find("proc.aname[" + std::to_string(level) + "]");
    if (level == 1 && map.find("proc.pname") != nullptr) node = map.find("proc.pname");
    if (node == nullptr) continue;
    if (static_cast<size_t>(level) != names.size() + 1)
      return node->error("the ancestors between are missing: proc.aname[" + std::to_string(names.size() + 1) + "]");
    if (node->text().empty() || node->text().size() > kCommLimit)
      return node->error("'" + node->text() + "' is no process name: 1 to " + std::to_string(kCommLimit) +
                         " characters");
    names.push_back(node->text());
  }
  for (const char* key : {"proc.pexepath", "proc.pcmdline"})
    if (map.find(key) != nullptr && names.empty()) return map.find(key)->error(std::string(key) + " needs proc.pname");

  Thread* parent = container.empty() ? &others_.front() : &shim();
  size_t level = names.size();
  if (level > 0 && names.back() == parent->comm) --level;  // the anchor itself was named
  for (; level > 0; --level) {
    Thread image;
    image.comm = image.exe = names[level - 1];
    image.exepath = "/usr/bin/" + image.comm;
    image.uid = child.uid;
    image.gid = child.gid;
    image.clone_ns = kScenarioStartNs - kHourNs;
    image.cwd = image.root = "/";
    image.fdlimit = 1024;
    if (level == 1) {
      if (const yaml::Node* path = map.find("proc.pexepath")) image.exepath = path->text();
      if (const yaml::Node* line = map.find("proc.pcmdline")) {
        QUELL_CHECK(set_cmdline(image, *line));
        image.comm = names[0];
      }
    }
    // Engines live on the host even when they work for a container.
    const bool outside = image.comm.starts_with("containerd") || image.comm == "runc" || image.comm == "dockerd";
    parent = &spawn(image, *parent, outside ? std::string{} : container);
  }
  return parent;
}

Result<void> Cast::set_descriptors(Actor& actor, const yaml::Node& map) {
  const yaml::Node* list = map.find("fds");
  if (list == nullptr) return {};
  if (!list->is_sequence()) return list->error("fds is a sequence of maps with fd.num and the other fd keys");
  for (const yaml::Node* item : list->items()) {
    if (!item->is_map()) return item->error("a descriptor is a map with fd.num and the other fd keys");
    for (const yaml::Entry& entry : item->entries())
      if (kind_of_key(entry.key->text()) != KeyKind::descriptor)
        return entry.key->error("'" + entry.key->text() +
                                "' says nothing about a descriptor: use fd.num, fd.name, fd.type, " +
                                "fd.sip, fd.sport, fd.cip, fd.cport, fd.l4proto");
    QUELL_TRY(const int64_t number, item->get_i64("fd.num"));
    QUELL_TRY(Fd fd, descriptor_of(*item));
    if (number < 0 || !actor.open.insert(number).second)
      return item->error("descriptor number negative or given twice");
    actor.fds.emplace(number, std::move(fd));
  }
  return {};
}

Result<Actor*> Cast::add(std::string id, const yaml::Node& map, bool by_exec) {
  Thread image;
  image.uid = image.gid = 0;
  image.cwd = image.root = "/";
  image.fdlimit = 1024;
  image.clone_ns = kScenarioStartNs - 1'000'000'000ull;
  QUELL_CHECK(set_image(image, map));
  QUELL_TRY(std::string container, set_container(map));
  if (const yaml::Node* named = map.find("parent"); named != nullptr && map.find("container.id") == nullptr)
    if (const Actor* actor = find(named->text())) container = actor->container;
  QUELL_CHECK(set_user(image, map, container));
  QUELL_CHECK(set_capabilities(image, map));
  QUELL_TRY(const uint64_t age_ns, map.get_u64("proc.duration", 0));
  if (age_ns > kMaxAgeNs) return map.find("proc.duration")->error("is more than a year ago");
  QUELL_TRY(Thread * parent, make_parent(map, image, container));
  if (image.pid < 0) {
    while (pids_.contains(next_pid_)) ++next_pid_;
    image.tid = image.pid = next_pid_++;
  }
  if (!pids_.insert(image.pid).second) return map.error("process number " + std::to_string(image.pid) + " is taken");
  image.ptid = parent->pid;
  place(image, container);

  Actor actor;
  actor.id = std::move(id);
  actor.container = container;
  actor.now = image;
  actor.start = image;
  actor.age_ns = age_ns;
  if (by_exec) {
    // What fork left behind: the parent's program under a number of its own.
    Thread& before = actor.start;
    before.comm = parent->comm;
    before.exe = parent->exe;
    before.exepath = parent->exepath;
    before.args = parent->args;
    before.env.clear();
    before.exe_writable = before.exe_upper_layer = before.exe_lower_layer = before.exe_from_memfd = false;
    before.exe_ino = before.exe_ino_ctime_ns = before.exe_ino_mtime_ns = 0;
  }
  QUELL_CHECK(set_descriptors(actor, map));
  if (age_ns > 0 && !actor.fds.empty())
    return map.error("a process that begins within the scenario (proc.duration) opens its descriptors there, too");
  actors_.push_back(std::move(actor));
  return &actors_.back();
}

Actor* Cast::find(std::string_view id) {
  for (Actor& actor : actors_)
    if (!actor.id.empty() && actor.id == id) return &actor;
  return nullptr;
}

Result<void> Cast::change_image(Actor& actor, const yaml::Node& map) {
  Thread& thread = actor.now;
  thread.comm.clear();
  thread.exe.clear();
  thread.exepath.clear();
  thread.args.clear();
  thread.exe_writable = thread.exe_upper_layer = thread.exe_lower_layer = thread.exe_from_memfd = false;
  thread.exe_ino = thread.exe_ino_ctime_ns = thread.exe_ino_mtime_ns = 0;
  return set_image(thread, map);
}

std::vector<const Actor*> Cast::born() const {
  std::vector<const Actor*> out;
  for (const Actor& actor : actors_)
    if (actor.age_ns > 0) out.push_back(&actor);
  std::stable_sort(out.begin(), out.end(), [](const Actor* a, const Actor* b) { return a->age_ns > b->age_ns; });
  return out;
}

const Thread* Cast::thread(int64_t tid) const {
  for (const Thread& thread : others_)
    if (thread.tid == tid) return &thread;
  for (const Actor& actor : actors_)
    if (actor.start.tid == tid) return &actor.start;
  return nullptr;
}

Snapshot Cast::snapshot() const {
  Snapshot out;
  out.machine.cpu_count = 2;
  out.machine.memory_bytes = 4ull << 30;
  out.machine.max_pid = 4194304;
  out.machine.hostname = "scenario";
  out.machine.boot_ns = kScenarioStartNs - 24 * kHourNs;
  out.users = users_;
  out.groups = {{0, "root"}};
  out.interfaces.push_back({"lo", *parse_ip("127.0.0.1"), *parse_ip("255.0.0.0"), *parse_ip("127.255.255.255"), 0});
  out.interfaces.push_back({"eth0", *parse_ip("10.0.0.5"), *parse_ip("255.255.255.0"), *parse_ip("10.0.0.255"), 0});
  for (const Thread& thread : others_) out.threads.push_back(thread);
  for (const Actor& actor : actors_) {
    if (actor.age_ns == 0) out.threads.push_back(actor.start);
    if (actor.fds.empty()) continue;
    Snapshot::FdList list;
    list.tid = actor.start.tid;
    list.fds.assign(actor.fds.begin(), actor.fds.end());
    out.fd_lists.push_back(std::move(list));
  }
  return out;
}

}  // namespace quell::capture::scenario
