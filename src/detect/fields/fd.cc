// fd.*, fdlist.*: the descriptor that the event works on.
#include <set>

#include "detect/domains.h"
#include "detect/fields/helpers.h"

namespace quell::detect {

std::string_view fd_type_name(const Fd& fd) {
  switch (fd.type) {
    case FdType::file: return "file";
    case FdType::directory: return "directory";
    case FdType::ipv4:
    case FdType::ipv4_server: return "ipv4";
    case FdType::ipv6:
    case FdType::ipv6_server: return "ipv6";
    case FdType::unix_socket: return "unix";
    case FdType::fifo: return "pipe";
    case FdType::event: return "event";
    case FdType::signalfd: return "signalfd";
    case FdType::eventpoll: return "eventpoll";
    case FdType::inotify: return "inotify";
    case FdType::timerfd: return "timerfd";
    case FdType::netlink: return "netlink";
    case FdType::bpf: return "bpf";
    case FdType::userfaultfd: return "userfaultfd";
    case FdType::io_uring: return "io_uring";
    case FdType::memfd: return "memfd";
    case FdType::pidfd: return "pidfd";
    default: return "<NA>";
  }
}

char fd_type_char(const Fd& fd) {
  switch (fd.type) {
    case FdType::file: return 'f';
    case FdType::directory: return 'd';
    case FdType::ipv4:
    case FdType::ipv4_server: return '4';
    case FdType::ipv6:
    case FdType::ipv6_server: return '6';
    case FdType::unix_socket:
    case FdType::userfaultfd: return 'u';
    case FdType::fifo: return 'p';
    case FdType::event: return 'e';
    case FdType::signalfd: return 's';
    case FdType::eventpoll: return 'l';
    case FdType::inotify: return 'i';
    case FdType::timerfd: return 't';
    case FdType::netlink: return 'n';
    case FdType::bpf: return 'b';
    case FdType::io_uring: return 'r';
    case FdType::memfd: return 'm';
    case FdType::pidfd: return 'P';
    case FdType::unsupported: return 'X';
    case FdType::unknown: return 'o';
  }
  return '?';
}

std::string_view l4_name(L4Proto l4) {
  switch (l4) {
    case L4Proto::tcp: return "tcp";
    case L4Proto::udp: return "udp";
    case L4Proto::icmp: return "icmp";
    case L4Proto::raw: return "raw";
    default: return "<NA>";
  }
}

namespace {

using X = const Extract&;

bool has_fd_fields(X x) { return x.context.has_fd_class && x.thread() != nullptr; }

// Without an entry (a failed open, a descriptor from before the start) the name comes from the event.
Value name_from_event(X x, bool raw) {
  const Event& event = x.event();
  if (event.spec().dir == EventDir::enter) return {};
  switch (event.code()) {
    case ev::SYSCALL_OPEN_X:
    case ev::SYSCALL_CREAT_X:
    case ev::SOCKET_ACCEPT_5_X:
    case ev::SOCKET_ACCEPT4_6_X:
    case ev::SOCKET_CONNECT_X:
      if (!event.carries(1)) return Value::text("");
      return raw ? Value::text(event.param(1).text()) : text_in(x, param_text(x, 1));
    case ev::SYSCALL_OPENAT_2_X:
    case ev::SYSCALL_OPENAT2_X: {
      const std::string_view name = event.param(2).text();
      if (name.empty()) return {};
      if (raw) return Value::text(name);
      const std::string_view directory = name[0] == '/' ? std::string_view{} : directory_of(x, event.param(1).i64());
      if (name[0] != '/' && directory.empty()) return {};
      return path_in(x, directory, name);
    }
    case ev::SYSCALL_OPEN_BY_HANDLE_AT_X: {
      const std::string_view path = event.param(3).text();
      if (path.empty() || path[0] == '/') return raw || path.empty() ? Value::text(path) : path_in(x, "", path);
      return path_in(x, x.thread()->group().cwd, path);
    }
    default: return Value::text("");
  }
}

Value name_raw(X x, const FieldArg&) {
  if (!has_fd_fields(x)) return {};
  return x.context.fd != nullptr ? Value::text(x.context.fd->given_name()) : name_from_event(x, true);
}

Value directory(X x, const FieldArg& a) {
  if (!has_fd_fields(x)) return {};
  const Fd* fd = x.context.fd;
  if (fd != nullptr && fd->type == FdType::directory) return Value::text(fd->name);
  if (fd != nullptr && !fd->is_file()) return {};
  const Value name = fd_name(x, a);
  if (name.is_absent()) return {};
  const std::string_view path = name.str();
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos || slash == 0) return Value::text("/");
  return Value::text(slash + 1 == path.size() ? path : path.substr(0, slash));
}

Value filename(X x, const FieldArg&) {
  if (!has_fd_fields(x) || x.context.fd == nullptr || !x.context.fd->is_file()) return {};
  const std::string_view path = x.context.fd->name;
  return Value::text(path.substr(path.rfind('/') + 1));
}

Value type(X x, const FieldArg&) {
  return has_fd_fields(x) && x.context.fd != nullptr ? Value::text(fd_type_name(*x.context.fd)) : Value{};
}

Value type_char(X x, const FieldArg&) {
  if (!has_fd_fields(x)) return {};
  static constexpr char kChars[] = "fd46upeslitnbrmPXo?";
  const auto one = [](char c) {
    const char* at = std::strchr(kChars, c);
    return Value::text({at == nullptr ? &kChars[sizeof kChars - 2] : at, 1});
  };
  if (x.context.fd != nullptr) return one(fd_type_char(*x.context.fd));
  const std::string_view name = x.event().spec().name;
  if (name == "openat" || name == "openat2" || name == "creat") return one('f');
  if (name == "socket" || name == "accept" || name == "accept4") return one('4');
  if (name == "pipe") return one('p');
  if (name == "eventfd") return one('e');
  if (name == "signalfd") return one('s');
  if (name == "timerfd_create") return one('t');
  if (name == "inotify_init") return one('i');
  return one('o');
}

// Connected inet sockets: which end is meant. Servers have one end, their own.
enum class End { client, server, local, remote };
struct Endpoint {
  const IpAddress* ip = nullptr;
  uint16_t port = 0;
};

Endpoint endpoint(X x, End end) {
  if (!has_fd_fields(x) || x.context.fd == nullptr || !x.context.fd->is_inet()) return {};
  const Fd& fd = *x.context.fd;
  if (fd.is_server()) {
    if (end != End::server) return {};
    return {fd.role == SocketRole::none ? nullptr : &fd.tuple.source, fd.tuple.source_port};
  }
  if (fd.role == SocketRole::none) return {};
  const Endpoint source{&fd.tuple.source, fd.tuple.source_port};
  const Endpoint dest{&fd.tuple.dest, fd.tuple.dest_port};
  switch (end) {
    case End::client: return source;
    case End::server: return dest;
    case End::local: return x.context.state->is_local(fd.tuple.source, *x.thread()) ? source : dest;
    case End::remote: return x.context.state->is_local(fd.tuple.source, *x.thread()) ? dest : source;
  }
  return {};
}
template <End kEnd>
Value ip_of(X x, const FieldArg&) {
  const Endpoint found = endpoint(x, kEnd);
  return found.ip == nullptr ? Value{} : Value::ip(found.ip);
}
template <End kEnd>
Value port_of(X x, const FieldArg&) {
  const Endpoint found = endpoint(x, kEnd);
  // A listening socket's port is known before its role is.
  if (found.ip == nullptr && found.port == 0) return {};
  return Value::number(found.port);
}
template <End kEnd>
Value proto_of(X x, const FieldArg&) {
  if (kEnd == End::server && has_fd_fields(x) && x.context.fd != nullptr && x.context.fd->is_server())
    return Value::text("");
  const Endpoint found = endpoint(x, kEnd);
  if (found.ip == nullptr) return {};
  return format_in(x, "{}", found.port);
}

Value both(X x, const Value& first, const Value& second) {
  Value* items = x.arena.values(2);
  items[0] = first;
  items[1] = second;
  return Value::list(items, 2);
}
Value either_ip(X x, const FieldArg&) {
  if (!has_fd_fields(x) || x.context.fd == nullptr) return {};
  // Any descriptor satisfies `exists`; without an address nothing else holds.
  if (!x.context.fd->is_inet()) return Value::list(nullptr, 0);
  const Fd& fd = *x.context.fd;
  if (fd.is_server()) return both(x, Value::ip(&fd.tuple.source), Value{});
  return both(x, Value::ip(&fd.tuple.source), Value::ip(&fd.tuple.dest));
}
Value either_port(X x, const FieldArg&) {
  if (!has_fd_fields(x) || x.context.fd == nullptr || !x.context.fd->is_inet()) return {};
  const Fd& fd = *x.context.fd;
  if (fd.is_server()) return both(x, Value::number(fd.tuple.source_port), Value{});
  return both(x, Value::number(fd.tuple.source_port), Value::number(fd.tuple.dest_port));
}
// In outputs: a name of the rules' domain table that has this address.
template <End kEnd>
Value domain_of(X x, const FieldArg&) {
  const Endpoint found = endpoint(x, kEnd);
  if (found.ip == nullptr || x.domains == nullptr) return {};
  const std::string name = x.domains->name_of(*found.ip);
  return name.empty() ? Value{} : text_in(x, name);
}

Value sock_family(X x, const FieldArg&) {
  if (!has_fd_fields(x) || x.context.fd == nullptr) return {};
  if (x.context.fd->is_inet()) return Value::text("ip");
  return x.context.fd->type == FdType::unix_socket ? Value::text("unix") : Value{};
}

Value is_server(X x, const FieldArg&) {
  if (!has_fd_fields(x) || x.context.fd == nullptr) return {};
  const Fd& fd = *x.context.fd;
  if (fd.is_server()) return Value::boolean(true);
  if (!fd.is_inet()) return Value::boolean(false);
  return Value::boolean(x.context.state->is_local(fd.tuple.dest, *x.thread()));
}

Value from_entry(X x, Value (*get)(X, const Fd&)) {
  return has_fd_fields(x) && x.context.fd != nullptr ? get(x, *x.context.fd) : Value{};
}
#define QUELL_FD(expression)                              \
  [](X x, const FieldArg&) {                              \
    return from_entry(x, [](X e, const Fd& fd) -> Value { \
      (void)e;                                            \
      return (expression);                                \
    });                                                   \
  }

std::string_view container_id(X x) {
  const ContainerSlot* slot = x.thread()->container;
  return slot == nullptr || slot->is_host() ? std::string_view{} : std::string_view(slot->id);
}

Value types(X x, const FieldArg& a) {
  if (!has_fd_fields(x) || !x.thread()->group().fds) return {};
  const FdTable& table = *x.thread()->group().fds;
  if (a.given) {
    const Fd* fd = table.find(a.index);
    if (fd == nullptr) return {};
    Value* item = x.arena.values(1);
    *item = Value::text(fd_type_name(*fd));
    return Value::list(item, 1);
  }
  std::set<std::string_view> names;
  table.for_each([&](int64_t, const Fd& fd) { names.insert(fd_type_name(fd)); });
  Value* items = x.arena.values(names.size());
  size_t count = 0;
  for (const std::string_view one : names) items[count++] = Value::text(one);
  return Value::list(items, count);
}

// poll and ppoll: the descriptors of their list, each printed by `print`.
Value fd_list(X x, void (*print)(std::string&, int64_t, const Fd*)) {
  const EventCode code = x.event().code();
  if (code != ev::SYSCALL_POLL_X && code != ev::SYSCALL_PPOLL_X) return {};
  const int index = x.event().spec().param_index("fds");
  if (index < 0 || x.thread() == nullptr) return {};
  const auto bytes = x.event().param(static_cast<size_t>(index)).bytes();
  if (bytes.size() < 2) return {};
  std::string out;
  const uint16_t count = load<uint16_t>(bytes.data());
  for (size_t i = 0, at = 2; i < count && at + 10 <= bytes.size(); ++i, at += 10) {
    const int64_t number = load<int64_t>(&bytes[at]);
    const auto& table = x.thread()->group().fds;
    std::string one;
    print(one, number, table ? table->find(number) : nullptr);
    if (one.empty()) continue;
    if (!out.empty()) out += ',';
    out += one;
  }
  return text_in(x, out);
}
template <int kWhich>
void socket_end(std::string& out, int64_t, const Fd* fd) {
  if (fd == nullptr || (fd->type != FdType::ipv4 && fd->type != FdType::ipv6)) return;
  switch (kWhich) {
    case 0: out = fd->tuple.source.str(); break;
    case 1: out = fd->tuple.dest.str(); break;
    case 2: out = std::to_string(fd->tuple.source_port); break;
    default: out = std::to_string(fd->tuple.dest_port); break;
  }
}

constexpr uint8_t kFd = kNeedsFdClass;
constexpr uint8_t kEnds = kNeedsFdClass | kFilterOnly | kNoTransformers | kNoRightSide;
constexpr uint8_t kDomain = kNeedsFdClass | kNoTransformers | kNoRightSide;

// One row is one field, on one line.
// clang-format off
constexpr FieldSpec kFields[] = {
    {.name = "fd.num", .type = Type::int64, .flags = kFd, .get = [](X x, const FieldArg&) { return has_fd_fields(x) ? Value::integer(x.context.fd_number) : Value{}; }, .doc = "Number of the descriptor, -1 when its creation failed.", .example = "fd.num >= 0"},
    {.name = "fd.type", .flags = kFd, .get = type, .doc = "Kind of descriptor: file, directory, ipv4, ipv6, unix, pipe, event, signalfd, eventpoll, inotify, timerfd, netlink, bpf, userfaultfd, io_uring, memfd, pidfd.", .example = "fd.type in (ipv4, ipv6)"},
    {.name = "fd.typechar", .flags = kFd, .get = type_char, .doc = "Kind of descriptor as one character; a guess by the event when the descriptor is not known.", .example = "fd.typechar = f"},
    {.name = "fd.name", .flags = kFd, .get = fd_name, .doc = "Absolute path, connection (10.0.0.7:41000->203.0.113.9:443) or socket path; empty if the descriptor is not known and the event does not tell.", .example = "fd.name startswith /etc/"},
    {.name = "fd.nameraw", .flags = kFd, .get = name_raw, .doc = "Path as the program gave it.", .example = "fd.nameraw contains ../"},
    {.name = "fd.directory", .flags = kFd, .get = directory, .doc = "Directory part of the path; files and directories only.", .example = "fd.directory = /etc"},
    {.name = "fd.filename", .flags = kFd, .get = filename, .doc = "File part of the path; files only.", .example = "fd.filename = shadow"},
    {.name = "fd.ip", .type = Type::ip, .flags = kEnds, .several = Several::either_end, .get = either_ip, .doc = "Address of either end of the connection; != wants both to differ.", .example = "fd.ip = 169.254.169.254"},
    {.name = "fd.cip", .type = Type::ip, .flags = kFd, .get = ip_of<End::client>, .doc = "Client address.", .example = "fd.cip = 10.0.0.7"},
    {.name = "fd.sip", .type = Type::ip, .flags = kFd, .get = ip_of<End::server>, .doc = "Server address.", .example = "fd.sip = 169.254.169.254"},
    {.name = "fd.lip", .type = Type::ip, .flags = kFd, .get = ip_of<End::local>, .doc = "Local address.", .example = "fd.lip = 127.0.0.1"},
    {.name = "fd.rip", .type = Type::ip, .flags = kFd, .get = ip_of<End::remote>, .doc = "Remote address.", .example = "fd.rip != 127.0.0.1"},
    {.name = "fd.port", .type = Type::port, .flags = kEnds, .several = Several::either_end, .get = either_port, .doc = "Port of either end of the connection; != wants both to differ.", .example = "fd.port in (ssh, 2222)"},
    {.name = "fd.cport", .type = Type::port, .flags = kFd, .get = port_of<End::client>, .doc = "Client port.", .example = "fd.cport < 1024"},
    {.name = "fd.sport", .type = Type::port, .flags = kFd, .get = port_of<End::server>, .doc = "Server port.", .example = "fd.sport = 443"},
    {.name = "fd.lport", .type = Type::port, .flags = kFd, .get = port_of<End::local>, .doc = "Local port.", .example = "fd.lport = 4444"},
    {.name = "fd.rport", .type = Type::port, .flags = kFd, .get = port_of<End::remote>, .doc = "Remote port.", .example = "fd.rport in (3333, 14444)"},
    {.name = "fd.proto", .type = Type::port, .flags = kEnds, .several = Several::either_end, .get = either_port, .doc = "Port of either end, as fd.port.", .example = "fd.proto = https"},
    {.name = "fd.cproto", .flags = kFd, .get = proto_of<End::client>, .doc = "Client port as text.", .example = "fd.cproto = 4444"},
    {.name = "fd.sproto", .flags = kFd, .get = proto_of<End::server>, .doc = "Server port as text.", .example = "fd.sproto = 443"},
    {.name = "fd.lproto", .flags = kFd, .get = proto_of<End::local>, .doc = "Local port as text.", .example = "fd.lproto = 22"},
    {.name = "fd.rproto", .flags = kFd, .get = proto_of<End::remote>, .doc = "Remote port as text.", .example = "fd.rproto = 443"},
    {.name = "fd.net", .type = Type::net, .flags = kEnds, .several = Several::either_end, .get = either_ip, .doc = "Network of the address of either end; != wants both outside.", .example = "fd.net = 10.0.0.0/8"},
    {.name = "fd.cnet", .type = Type::net, .flags = kEnds, .get = ip_of<End::client>, .doc = "Network of the client address.", .example = "fd.cnet in (10.0.0.0/8, 192.168.0.0/16)"},
    {.name = "fd.snet", .type = Type::net, .flags = kEnds, .get = ip_of<End::server>, .doc = "Network of the server address.", .example = "fd.snet = 169.254.0.0/16"},
    {.name = "fd.lnet", .type = Type::net, .flags = kEnds, .get = ip_of<End::local>, .doc = "Network of the local address.", .example = "fd.lnet = 10.0.0.0/8"},
    {.name = "fd.rnet", .type = Type::net, .flags = kEnds, .get = ip_of<End::remote>, .doc = "Network of the remote address.", .example = "fd.rnet = 10.0.0.0/8"},
    {.name = "fd.cip.name", .flags = kDomain, .get = ip_of<End::client>, .print = domain_of<End::client>, .doc = "Domain name that the client address belongs to: rules name it, the name is looked up in the background (live only).", .example = "fd.cip.name = gateway.example.org"},
    {.name = "fd.sip.name", .flags = kDomain, .get = ip_of<End::server>, .print = domain_of<End::server>, .doc = "Domain name that the server address belongs to, as fd.cip.name.", .example = "fd.sip.name in (pool.example.org, c2.example.org)"},
    {.name = "fd.lip.name", .flags = kDomain, .get = ip_of<End::local>, .print = domain_of<End::local>, .doc = "Domain name that the local address belongs to, as fd.cip.name.", .example = "fd.lip.name = web.example.org"},
    {.name = "fd.rip.name", .flags = kDomain, .get = ip_of<End::remote>, .print = domain_of<End::remote>, .doc = "Domain name that the remote address belongs to, as fd.cip.name.", .example = "fd.rip.name = api.example.org"},
    {.name = "fd.l4proto", .flags = kFd, .get = QUELL_FD(Value::text(l4_name(fd.l4))), .doc = "tcp, udp, icmp or raw; the text <NA> for other descriptors.", .example = "fd.l4proto = tcp"},
    {.name = "fd.sockfamily", .flags = kFd, .get = sock_family, .doc = "ip or unix.", .example = "fd.sockfamily = ip"},
    {.name = "fd.is_server", .type = Type::boolean, .flags = kFd, .get = is_server, .doc = "This end is the server.", .example = "fd.is_server = true"},
    {.name = "fd.connected", .type = Type::boolean, .flags = kFd, .get = QUELL_FD(Value::boolean(fd.has(kFdConnected))), .doc = "The socket is connected.", .example = "fd.connected = true"},
    {.name = "fd.name_changed", .type = Type::boolean, .flags = kFd, .get = [](X x, const FieldArg&) { return has_fd_fields(x) && x.context.fd != nullptr ? Value::boolean(x.context.fd_name_changed) : Value{}; }, .doc = "This event changed the descriptor's name.", .example = "fd.name_changed = true"},
    {.name = "fd.uid", .flags = kFd, .get = [](X x, const FieldArg&) { return has_fd_fields(x) && x.context.fd != nullptr ? format_in(x, "{}{}", x.event().tid(), x.context.fd_number) : Value{}; }, .doc = "Thread id followed by the descriptor number.", .example = "fd.uid = 47113"},
    {.name = "fd.containername", .flags = kFd, .get = [](X x, const FieldArg& a) { const Value name = fd_name(x, a); return name.is_absent() ? Value{} : format_in(x, "{}:{}", container_id(x), name.str()); }, .doc = "Container id and name of the descriptor.", .example = "fd.containername startswith 3ad7b26ded6d:/etc/"},
    {.name = "fd.containerdirectory", .flags = kFd, .get = [](X x, const FieldArg& a) { const Value name = directory(x, a); return name.is_absent() ? Value{} : format_in(x, "{}:{}", container_id(x), name.str()); }, .doc = "Container id and directory of the descriptor.", .example = "fd.containerdirectory = 3ad7b26ded6d:/etc"},
    {.name = "fd.dev", .type = Type::int32, .flags = kFd, .get = QUELL_FD(Value::integer(fd.dev)), .doc = "Device number of the file.", .example = "fd.dev = 64769"},
    {.name = "fd.dev.major", .type = Type::int32, .flags = kFd, .get = QUELL_FD(Value::integer((fd.dev & 0xfff00) >> 8)), .doc = "Major device number.", .example = "fd.dev.major = 253"},
    {.name = "fd.dev.minor", .type = Type::int32, .flags = kFd, .get = QUELL_FD(Value::integer((fd.dev & 0xff) + ((fd.dev >> 12) & 0xfff00))), .doc = "Minor device number.", .example = "fd.dev.minor = 1"},
    {.name = "fd.ino", .type = Type::int64, .flags = kFd, .get = QUELL_FD(Value::integer(static_cast<int64_t>(fd.ino))), .doc = "Inode.", .example = "fd.ino = 131073"},
    {.name = "fd.types", .is_list = true, .arg = Arg::optional_index, .flags = kNeedsFdClass | kNoRightSide, .get = types, .doc = "Kinds of all open descriptors of the process; with N the kind of descriptor N.", .example = "fd.types intersects (ipv4, ipv6)"},
    {.name = "fd.is_upper_layer", .type = Type::boolean, .flags = kFd, .get = QUELL_FD(Value::boolean(fd.has(kFdUpperLayer))), .doc = "The file was added or changed after the container started.", .example = "fd.is_upper_layer = true"},
    {.name = "fd.is_lower_layer", .type = Type::boolean, .flags = kFd, .get = QUELL_FD(Value::boolean(fd.has(kFdLowerLayer))), .doc = "The file comes from the image.", .example = "fd.is_lower_layer = true"},
};

constexpr FieldSpec kListFields[] = {
    {.name = "fdlist.nums", .get = [](X x, const FieldArg&) { return fd_list(x, [](std::string& out, int64_t n, const Fd*) { out = std::to_string(n); }); }, .doc = "Numbers of the descriptors of a poll call, separated by commas.", .example = "fdlist.nums contains 7"},
    {.name = "fdlist.names", .get = [](X x, const FieldArg&) { return fd_list(x, [](std::string& out, int64_t, const Fd* fd) { out = fd == nullptr || fd->name.empty() ? "<NA>" : fd->name; }); }, .doc = "Names of the descriptors of a poll call, separated by commas.", .example = "fdlist.names contains docker.sock"},
    {.name = "fdlist.cips", .get = [](X x, const FieldArg&) { return fd_list(x, socket_end<0>); }, .doc = "Client addresses of their sockets.", .example = "fdlist.cips contains 10.0.0.7"},
    {.name = "fdlist.sips", .get = [](X x, const FieldArg&) { return fd_list(x, socket_end<1>); }, .doc = "Server addresses of their sockets.", .example = "fdlist.sips contains 169.254.169.254"},
    {.name = "fdlist.cports", .get = [](X x, const FieldArg&) { return fd_list(x, socket_end<2>); }, .doc = "Client ports of their sockets.", .example = "fdlist.cports contains 4444"},
    {.name = "fdlist.sports", .get = [](X x, const FieldArg&) { return fd_list(x, socket_end<3>); }, .doc = "Server ports of their sockets.", .example = "fdlist.sports contains 443"},
};
// clang-format on
#undef QUELL_FD

}  // namespace

Value fd_name(const Extract& x, const FieldArg&) {
  if (!has_fd_fields(x)) return {};
  return x.context.fd != nullptr ? Value::text(x.context.fd->name) : name_from_event(x, false);
}

FieldClass fd_fields() { return {"fd", "Descriptors", "events that create, use or close a descriptor", kFields}; }
FieldClass fd_list_fields() { return {"fdlist", "Descriptors of a poll", "poll, ppoll", kListFields}; }

}  // namespace quell::detect
