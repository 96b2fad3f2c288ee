#include "capture/scenario/writer.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/text.h"

namespace quell::capture::scenario {
namespace {

constexpr uint64_t kEventStepNs = 1'000'000;
constexpr uint64_t kSocketLeadNs = 1000;
constexpr uint64_t kBirthStepNs = 1000;
constexpr std::string_view kEventKeys[] = {"evt.type",          "evt.res", "evt.rawres", "evt.is_open_read",
                                           "evt.is_open_write", "process", "note",       "fds"};
constexpr std::string_view kArgPrefix = "evt.arg.";
constexpr uint32_t kSockStream = 1, kSockDgram = 2, kSockRaw = 3;
constexpr uint32_t kFamilyUnix = 1, kFamilyInet = 2, kFamilyInet6 = 10;
constexpr uint32_t kProtoTcp = 6, kProtoUdp = 17, kProtoIcmp = 1;
constexpr int64_t kInProgress = -115;

bool is(const EventSpec& spec, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), spec.name) != names.end();
}
bool is_exec(const EventSpec& spec) { return is(spec, {"execve", "execveat"}); }
bool is_open(const EventSpec& spec) { return is(spec, {"open", "openat", "openat2", "creat", "open_by_handle_at"}); }
bool is_dup(const EventSpec& spec) { return is(spec, {"dup", "dup2", "dup3"}); }
bool carries_image(const EventSpec& spec) { return spec.param_index("comm") >= 0 && spec.param_index("exe") >= 0; }

/// The current version of the event that rules call `name`: never a retired one, the exit rather than the enter.
const EventSpec* current_event(std::string_view name) {
  const EventSpec* best = nullptr;
  for (const EventCode code : event_codes_named(name)) {
    const EventSpec& spec = event_spec(code);
    if (spec.has(kEvOldVersion) || spec.has(kEvUnused)) continue;
    if (best == nullptr || spec.dir == EventDir::exit || best->dir == EventDir::enter) best = &spec;
  }
  return best;
}

std::string suggestion(std::string_view word, const std::vector<std::string_view>& candidates) {
  const std::string_view meant = nearest(word, candidates);
  return meant.empty() ? std::string{} : ": did you mean " + std::string(meant) + "?";
}

uint32_t exec_flags(const Thread& thread) {
  const FlagTable table = flag_table("execve_flags");
  uint32_t bits = 0;
  const auto add = [&](bool set, std::string_view symbol) { bits |= set ? flag_value(table, symbol).value_or(0) : 0; };
  add(thread.exe_writable, "EXE_WRITABLE");
  add(thread.exe_upper_layer, "EXE_UPPER_LAYER");
  add(thread.exe_lower_layer, "EXE_LOWER_LAYER");
  add(thread.exe_from_memfd, "EXE_FROM_MEMFD");
  return bits;
}

Bytes bytes_of(const std::string& text) { return Bytes(text.begin(), text.end()); }
Bytes number64(int64_t value) { return encode_number(ParamType::int64, static_cast<uint64_t>(value)); }
Bytes number32(uint32_t value) { return encode_number(ParamType::uint32, value); }

}  // namespace

Result<void> Writer::check_keys(const yaml::Node& entry, const EventSpec& spec) const {
  const bool declared = entry.find("process") != nullptr;
  for (const yaml::Entry& pair : entry.entries()) {
    const std::string& key = pair.key->text();
    if (std::find(std::begin(kEventKeys), std::end(kEventKeys), key) != std::end(kEventKeys)) continue;
    if (key.starts_with(kArgPrefix)) {
      const std::string_view param = std::string_view(key).substr(kArgPrefix.size());
      if (spec.param_index(param) >= 0) continue;
      std::vector<std::string_view> names;
      std::string listed;
      for (const ParamSpec& known : spec.params) {
        names.push_back(known.name);
        listed.append(listed.empty() ? "" : ", ").append(known.name);
      }
      return pair.key->error(std::string(spec.name) + " has no parameter '" + std::string(param) + "'" +
                             suggestion(param, names) + " It has " + (listed.empty() ? "none" : listed) + ".");
    }
    switch (kind_of_key(key)) {
      case KeyKind::unknown: {
        std::vector<std::string_view> names = known_keys();
        names.insert(names.end(), std::begin(kEventKeys), std::end(kEventKeys));
        return pair.key->error("unknown key '" + key + "'" + suggestion(key, names));
      }
      case KeyKind::process:
        if (declared && !is_exec(spec))
          return pair.key->error("a process from `processes` is described there; only an execve changes it");
        break;
      case KeyKind::ancestor:
      case KeyKind::container:
        if (declared) return pair.key->error("a process from `processes` is described there");
        break;
      case KeyKind::descriptor:
        if (!spec.has(kEvCreatesFd) && !spec.has(kEvUsesFd) && !spec.has(kEvDestroysFd))
          return pair.key->error(std::string(spec.name) + " works on no descriptor; name the path by evt.arg");
        break;
    }
  }
  return {};
}

Result<Actor*> Writer::actor_of(const yaml::Node& entry, const EventSpec& spec, bool failed) {
  const yaml::Node* name = entry.find("process");
  if (name == nullptr) return cast_.add({}, entry, is_exec(spec) && !failed);
  Actor* actor = cast_.find(name->text());
  if (actor == nullptr) return name->error("no process in `processes` is called '" + name->text() + "'");
  if (entry.find("fds") != nullptr) return entry.find("fds")->error("give fds where the process is described");
  if (is_exec(spec) && !failed) QUELL_CHECK(cast_.change_image(*actor, entry));
  return actor;
}

/// The return value; `given` tells whether the scenario says anything about it.
Result<int64_t> Writer::result_of(const yaml::Node& entry, const EventSpec& spec, bool& given) const {
  const yaml::Node* text = entry.find("evt.res");
  const yaml::Node* raw = entry.find("evt.rawres");
  given = text != nullptr || raw != nullptr;
  if (given && !spec.has_return_value())
    return (text != nullptr ? text : raw)->error(std::string(spec.name) + " has no return value");
  if (text != nullptr && raw != nullptr) return raw->error("evt.res says the same already");
  if (raw != nullptr) return raw->as_i64();
  if (text == nullptr) return int64_t{0};
  if (text->text() == "SUCCESS") {
    given = false;  // which success is left to the event
    return int64_t{0};
  }
  if (const auto code = errno_value(text->text())) return *code;
  return text->error("'" + text->text() + "' is neither SUCCESS nor the name of an errno");
}

void Writer::fill_image(const Thread& thread, const EventSpec& spec, Params& params) const {
  const auto number = [&](std::string_view name, uint64_t value) {
    const int at = spec.param_index(name);
    if (at >= 0) params[name] = encode_number(spec.params[static_cast<size_t>(at)].type, value);
  };
  const auto signed_number = [&](std::string_view name, int64_t value) { number(name, static_cast<uint64_t>(value)); };
  params["exe"] = encode_text(thread.exe);
  params["args"] = bytes_of(thread.args);
  params["comm"] = encode_text(thread.comm);
  params["cwd"] = encode_text(thread.cwd);
  params["cgroups"] = bytes_of(thread.cgroups);
  params["env"] = bytes_of(thread.env);
  params["trusted_exepath"] = encode_text(thread.exepath);
  params["filename"] = encode_text(thread.exepath);
  signed_number("tid", thread.tid);
  signed_number("pid", thread.pid);
  signed_number("ptid", thread.ptid);
  signed_number("vtid", thread.vtid);
  signed_number("vpid", thread.vpid);
  signed_number("pgid", thread.pgid);
  signed_number("vpgid", thread.vpgid);
  signed_number("fdlimit", thread.fdlimit);
  for (const char* counter : {"pgft_maj", "pgft_min", "vm_size", "vm_rss", "vm_swap"}) number(counter, 0);
  number("tty", thread.tty);
  number("loginuid", thread.loginuid);
  number("uid", thread.uid);
  number("gid", thread.gid);
  number("flags", is_exec(spec) ? exec_flags(thread) : 0);
  number("cap_inheritable", thread.cap_inheritable);
  number("cap_permitted", thread.cap_permitted);
  number("cap_effective", thread.cap_effective);
  number("exe_ino", thread.exe_ino);
  number("exe_ino_ctime", thread.exe_ino_ctime_ns);
  number("exe_ino_mtime", thread.exe_ino_mtime_ns);
  number("pidns_init_start_ts", thread.pidns_init_start_ns);
}

Result<void> Writer::fill_open(const yaml::Node& entry, const EventSpec& spec, Params& params) {
  const yaml::Node* path = entry.find("fd.name");
  const std::string_view path_param = spec.param_index("name") >= 0 ? "name" : "path";
  if (path == nullptr && entry.find(std::string(kArgPrefix).append(path_param)) == nullptr)
    return entry.error(std::string(spec.name) + " needs fd.name, the file that it opens");
  if (path != nullptr) params[path_param] = encode_text(path->text());
  QUELL_TRY(const bool write, entry.get_bool("evt.is_open_write", spec.name == "creat"));
  QUELL_TRY(const bool read, entry.get_bool("evt.is_open_read", !write));
  const FlagTable table = flag_table("file_flags");
  uint32_t bits = 0;
  if (read) bits |= flag_value(table, "O_RDONLY").value_or(0);
  if (write) bits |= flag_value(table, "O_WRONLY").value_or(0);
  if (spec.name == "creat") {
    params["creat_flags"] = encode_number(ParamType::flags16, 0);
  } else if (const yaml::Node* flags = entry.find("evt.arg.flags")) {
    const ParamSpec& param = spec.params[static_cast<size_t>(spec.param_index("flags"))];
    QUELL_TRY(const Bytes given, encode_param(*flags, param));
    uint32_t more = 0;
    std::memcpy(&more, given.data(), sizeof more);
    // Flags that name an access mode mean it; read is the default only where nothing is said.
    const uint32_t access = flag_value(table, "O_RDWR").value_or(0);
    const bool said = entry.find("evt.is_open_read") != nullptr || entry.find("evt.is_open_write") != nullptr;
    bits = (more & access) != 0 && !said ? more : bits | more;
    params["flags"] = number32(bits);
  } else {
    params["flags"] = number32(bits);
  }
  params["mode"] = number32(0);
  params["dev"] = number32(2049);
  params["ino"] = number64(100000 + index_);
  return {};
}

Result<void> Writer::fill_socket(const yaml::Node& entry, const EventSpec& spec, Actor& actor, Params& params,
                                 int64_t number, bool failed) {
  QUELL_TRY(const Fd fd, descriptor_of(entry));
  const bool unix_socket = fd.type == FdType::unix_socket || (fd.type == FdType::file && fd.name.starts_with('/'));
  const bool inet = fd.type == FdType::ipv4 || fd.type == FdType::ipv6;
  if (!unix_socket && !inet) {
    if (actor.open.contains(number)) return {};  // a send on a connected socket names nobody
    return entry.error(std::string(spec.name) + " needs fd.sip and fd.sport, or fd.name with the path of a socket");
  }
  if (unix_socket) {
    params["addr"] = encode_unix_address(fd.name);
    if (!failed) params["tuple"] = encode_unix_tuple(fd.name);
  } else {
    params["addr"] = encode_inet_address(fd.tuple.dest, fd.tuple.dest_port);
    if (!failed) params["tuple"] = encode_inet_tuple(fd.tuple);
  }
  const bool made_here = is(spec, {"accept", "accept4"});
  if (made_here || actor.open.contains(number)) return {};

  Params socket;
  const uint32_t family = unix_socket ? kFamilyUnix : fd.type == FdType::ipv6 ? kFamilyInet6 : kFamilyInet;
  uint32_t type = kSockStream, proto = unix_socket ? 0 : kProtoTcp;
  if (!unix_socket && fd.l4 == L4Proto::udp) type = kSockDgram, proto = kProtoUdp;
  if (!unix_socket && fd.l4 == L4Proto::icmp) type = kSockDgram, proto = kProtoIcmp;
  if (!unix_socket && fd.l4 == L4Proto::raw) type = kSockRaw, proto = 255;
  socket["fd"] = number64(number);
  socket["domain"] = number32(family);
  socket["type"] = number32(type);
  socket["proto"] = number32(proto);
  socket["flags"] = number32(0);
  ts_ns_ -= kSocketLeadNs;
  emit(ev::SOCKET_SOCKET_X, actor.now.tid, socket, -1);
  ts_ns_ += kSocketLeadNs;
  actor.open.insert(number);
  return {};
}

Result<void> Writer::fill_descriptor(const yaml::Node& entry, const EventSpec& spec, Actor& actor, Params& params,
                                     int64_t& result, bool result_given) {
  const bool failed = result_given && result < 0;
  const bool pending = result_given && result == kInProgress;
  QUELL_TRY(int64_t number, entry.get_i64("fd.num", -1));
  if (spec.name == "socket" || is_open(spec) || is(spec, {"accept", "accept4"})) {
    if (!failed) {
      if (number < 0) number = result_given ? result : actor.next_fd();
      result = number;
      actor.open.insert(number);
    }
    if (is_open(spec)) return fill_open(entry, spec, params);
    if (spec.name != "socket") return fill_socket(entry, spec, actor, params, number, failed);
    return {};
  }
  if (is_dup(spec)) {
    // dup2(old, new) answers new: whichever of the two the scenario gives decides the other.
    const yaml::Node* new_node = entry.find("evt.arg.newfd");
    if (new_node != nullptr && !result_given) {
      QUELL_TRY(result, new_node->as_i64());
    } else if (!result_given) {
      result = actor.next_fd();
    }
    if (new_node == nullptr && !failed) params["newfd"] = number64(result);
    if (const yaml::Node* old_node = entry.find("evt.arg.oldfd")) {
      QUELL_TRY(number, old_node->as_i64());
    }
  } else if (spec.has(kEvCreatesFd) && spec.has_return_value() && !failed && !result_given &&
             (spec.name == "userfaultfd" || spec.params[0].type == ParamType::fd)) {
    result = number >= 0 ? number : actor.next_fd();
    actor.open.insert(result);
  }
  if (!spec.has(kEvUsesFd)) return {};

  const ParamSpec* param = spec.fd_param >= 0 ? &spec.params[static_cast<size_t>(spec.fd_param)] : nullptr;
  if (param == nullptr) return {};
  const bool directory = param->name.find("dir") != std::string_view::npos;
  const bool described =
      entry.find("fd.name") != nullptr || entry.find("fd.sip") != nullptr || entry.find("fd.type") != nullptr;
  if (directory && !described && number < 0) return {};  // AT_FDCWD, see write()
  if (const yaml::Node* given = entry.find(std::string(kArgPrefix).append(param->name));
      given != nullptr && number < 0) {
    if (given->text() != "AT_FDCWD") {
      QUELL_TRY(number, given->as_i64());
    }
  }
  if (number < 0) number = actor.next_fd();
  params[param->name] = encode_number(param->type, static_cast<uint64_t>(number));
  if (is(spec, {"connect", "bind", "sendto", "sendmsg", "recvfrom", "recvmsg", "send", "recv"}))
    return fill_socket(entry, spec, actor, params, number, failed && !pending);
  if (described) {
    QUELL_TRY(Fd fd, descriptor_of(entry));
    if (actor.open.contains(number))
      return entry.error("descriptor " + std::to_string(number) +
                         " is open already; it cannot be described again here");
    if (actor.age_ns > 0)
      return entry.error("a process that begins within the scenario (proc.duration) opens its descriptors there, too");
    actor.fds.emplace(number, std::move(fd));
    actor.open.insert(number);
  }
  if (is_dup(spec) && !failed) actor.open.insert(result);
  if (spec.has(kEvDestroysFd) && !failed) actor.open.erase(number);
  return {};
}

void Writer::emit(EventCode code, int64_t tid, const Params& params, int32_t index) {
  EventBuilder event(code, ts_ns_, tid);
  for (const ParamSpec& spec : event_spec(code).params) {
    const auto found = params.find(spec.name);
    if (found == params.end())
      event.empty();
    else
      event.bytes(found->second);
  }
  out_.push_back({event.build(), index});
}

void Writer::write_birth(const Actor& actor) {
  const Thread* parent = cast_.thread(actor.start.ptid);
  QUELL_ASSERT(parent != nullptr);  // everybody has one, up to systemd
  const uint64_t now_ns = ts_ns_;
  ts_ns_ = std::max(kScenarioStartNs - actor.age_ns, born_until_ns_);  // two of the same age come one after the other
  const auto say = [&](EventCode code, const Thread& thread, int64_t result) {
    Params params;
    fill_image(thread, event_spec(code), params);
    params["res"] = number64(result);
    emit(code, thread.tid, params, -1);
    ts_ns_ += kBirthStepNs;
  };
  // A clone copies the program, an execve replaces it.
  Thread copy = actor.start;
  copy.comm = parent->comm;
  copy.exe = parent->exe;
  copy.args = parent->args;
  say(ev::SYSCALL_CLONE_20_X, *parent, actor.start.tid);
  say(ev::SYSCALL_CLONE_20_X, copy, 0);
  say(ev::SYSCALL_EXECVE_19_X, actor.start, 0);
  born_until_ns_ = std::exchange(ts_ns_, now_ns);
}

Result<void> Writer::write(const yaml::Node& entry) {
  if (!entry.is_map()) return entry.error("an event is a map, such as {evt.type: execve, proc.name: bash}");
  QUELL_TRY(const std::string type, entry.get_string("evt.type"));
  const EventSpec* known = current_event(type);
  const SyscallSpec* syscall = known == nullptr || known->code == ev::GENERIC_X ? syscall_by_name(type) : nullptr;
  if (known == nullptr && syscall != nullptr) known = &event_spec(ev::GENERIC_X);
  if (known == nullptr) {
    std::vector<std::string_view> names;
    for (const EventSpec& spec : kEventTable) names.push_back(spec.name);
    return entry.find("evt.type")->error("'" + type + "' is no event type" + suggestion(type, names));
  }
  const EventSpec& spec = *known;
  if (spec.source == EventClass::meta || spec.source == EventClass::plugin)
    return entry.find("evt.type")->error("a scenario cannot write '" + type + "' events", Code::unsupported);
  QUELL_CHECK(check_keys(entry, spec));
  bool result_given = false;
  QUELL_TRY(int64_t result, result_of(entry, spec, result_given));
  const bool failed = result_given && result < 0;
  QUELL_TRY(Actor * actor, actor_of(entry, spec, failed));

  Params params;
  if (carries_image(spec)) fill_image(actor->now, spec, params);
  // A path relative to nothing in particular is relative to the working directory.
  for (const ParamSpec& param : spec.params)
    if (param.type == ParamType::fd && param.name.find("dir") != std::string_view::npos)
      params[param.name] = number64(-100);
  if (spec.code == ev::GENERIC_X) {
    params["ID"] = encode_number(ParamType::syscallid, syscall->code);
    params["nativeID"] = encode_number(ParamType::uint16, static_cast<uint64_t>(syscall->x86_64));
  }
  QUELL_CHECK(fill_descriptor(entry, spec, *actor, params, result, result_given));
  if (spec.has_return_value())
    params[spec.params[0].name] = encode_number(spec.params[0].type, static_cast<uint64_t>(result));
  for (const yaml::Entry& pair : entry.entries()) {
    const std::string_view key = pair.key->text();
    if (!key.starts_with(kArgPrefix)) continue;
    const ParamSpec& param = spec.params[static_cast<size_t>(spec.param_index(key.substr(kArgPrefix.size())))];
    if (is_open(spec) && param.name == "flags") continue;  // joined with evt.is_open_*
    QUELL_TRY(params[param.name], encode_param(*pair.value, param));
  }
  // The sensor has a number for everything that is one; a descriptor that nobody named stays out.
  for (const ParamSpec& param : spec.params)
    if (const size_t width = fixed_width(param.type);
        width > 0 && width <= sizeof(uint64_t) && param.type != ParamType::fd && !params.contains(param.name))
      params[param.name] = encode_number(param.type, 0);
  emit(spec.code, actor->now.tid, params, index_++);
  ts_ns_ += kEventStepNs;
  return {};
}

}  // namespace quell::capture::scenario
