// Sockets: their ends, which end is the client, and the names that follow from it.
#include "base/bytes.h"
#include "enrich/impl.h"

namespace quell::enrich {
namespace {

constexpr int64_t kInProgress = -115;  // EINPROGRESS: a non-blocking connect has begun

bool succeeded(const EventContext& context) { return context.result && *context.result >= 0; }

// Index of the parameter `tuple`, by event code; -1 if there is none.
std::array<int8_t, kEventCodeCount> make_tuple_params() {
  std::array<int8_t, kEventCodeCount> out{};
  for (uint16_t code = 0; code < kEventCodeCount; ++code) {
    const int index = kEventTable[code].param_index("tuple");
    out[code] = static_cast<int8_t>(index);
  }
  return out;
}

Param tuple_of(const Event& event) {
  static const std::array<int8_t, kEventCodeCount> kIndex = make_tuple_params();
  const int8_t index = kIndex[event.code()];
  return index < 0 ? Param{} : event.param(static_cast<size_t>(index));
}

void set_ends(Fd& fd, const TupleParam& ends) {
  fd.type = ends.type;
  if (ends.type == FdType::unix_socket) {
    fd.unix_source = ends.unix_source;
    fd.unix_dest = ends.unix_dest;
    fd.name = unix_name(ends.unix_source, ends.unix_dest, ends.path);
  } else {
    fd.tuple = ends.tuple;
    fd.name = tuple_name(ends.tuple);
  }
}

}  // namespace

void StateTables::Impl::on_socket(const Event& event) {
  if (!succeeded(context_)) return;
  constexpr uint64_t kUnix = 1, kInet = 2, kInet6 = 10, kNetlink = 16;
  constexpr uint64_t kSockCloexec = 0x80000;
  Fd fd;
  const auto type = static_cast<uint32_t>(event.param(2).u64());
  const auto protocol = static_cast<uint32_t>(event.param(3).u64());
  switch (event.param(1).u64()) {
    case kUnix: fd.type = FdType::unix_socket; break;
    case kInet: fd.type = FdType::ipv4, fd.l4 = l4_of_socket(type, protocol); break;
    case kInet6: fd.type = FdType::ipv6, fd.l4 = l4_of_socket(type, protocol); break;
    case kNetlink: fd.type = FdType::netlink; break;
    default: break;
  }
  fd.open_flags = static_cast<uint32_t>(event.param(4).u64());
  if ((fd.open_flags & kOpenCloexec) != 0 || (type & kSockCloexec) != 0) fd.flags |= kFdCloexec;
  create_fd(*context_.result, std::move(fd));
}

void StateTables::Impl::on_socketpair(const Event& event) {
  if (!succeeded(context_)) return;
  Fd fd;
  fd.type = FdType::unix_socket;
  fd.unix_source = event.param(3).u64();
  fd.unix_dest = event.param(4).u64();
  fd.flags = kFdConnected;
  fd.name = unix_name(fd.unix_source, fd.unix_dest, {});
  Fd other = fd;
  std::swap(other.unix_source, other.unix_dest);
  other.name = unix_name(other.unix_source, other.unix_dest, {});
  create_fd(event.param(1).i64(), std::move(fd));
  create_fd(event.param(2).i64(), std::move(other));
}

void StateTables::Impl::on_bind(const Event& event) {
  const auto address = parse_sockaddr(event.param(1).bytes());
  if (!succeeded(context_) || context_.fd == nullptr || !address) return;
  Fd fd = *context_.fd;
  if (address->type == FdType::unix_socket) {
    if (!fd.is_socket() && fd.type != FdType::unknown) return;
    fd.type = FdType::unix_socket;
    fd.name = address->path;
    return replace_fd(context_.fd_number, std::move(fd));
  }
  if (address->port == 0) return;  // the kernel chooses one when it is needed
  fd.type = address->type == FdType::ipv4 ? FdType::ipv4_server : FdType::ipv6_server;
  fd.role = SocketRole::server;
  fd.tuple = {.source = address->ip, .dest = {}, .source_port = address->port, .dest_port = 0};
  fd.name = endpoint_name(address->ip, address->port);
  replace_fd(context_.fd_number, std::move(fd));
}

void StateTables::Impl::on_connect(const Event& event) {
  EnterArguments* held = entry_->enter.get();
  const bool has_held = held != nullptr && held->code + 1 == event.code();
  if (has_held) held->code = 0;
  if (context_.fd == nullptr || !context_.result) return;
  const bool pending = *context_.result == kInProgress;
  if (*context_.result < 0 && !pending) {
    if (!context_.fd->is_inet() || context_.fd->has(kFdConnectFailed)) return;
    Fd fd = *context_.fd;
    fd.flags |= kFdConnectFailed;
    return replace_fd(context_.fd_number, std::move(fd));
  }

  Fd fd = *context_.fd;
  const auto given = parse_sockaddr(event.param(3).bytes());
  if (auto ends = parse_socktuple(event.param(1).bytes())) {
    if (ends->type == FdType::unix_socket) {
      set_ends(fd, *ends);
    } else {
      // A tuple whose far end is what user memory says now may have been read from there: believe what was there
      // before.
      const auto entered = has_held ? parse_sockaddr(held->address) : std::nullopt;
      if (entered && given && entered->type == ends->type && given->ip == ends->tuple.dest &&
          given->port == ends->tuple.dest_port) {
        ends->tuple.dest = entered->ip;
        ends->tuple.dest_port = entered->port;
      }
      const bool udp_server = fd.l4 == L4Proto::udp && fd.role == SocketRole::server;
      if (udp_server) {
        ends->tuple = swapped(ends->tuple);
      } else {
        fd.role = SocketRole::client;
      }
      set_ends(fd, *ends);
    }
  } else {
    const auto entered = has_held ? parse_sockaddr(held->address) : std::nullopt;
    const auto& target = entered ? entered : given;
    if (!target) return;
    if (target->type == FdType::unix_socket) {
      fd.type = FdType::unix_socket;
      fd.name = target->path;
    } else {
      fd.type = target->type;
      fd.tuple.dest = target->ip;
      fd.tuple.dest_port = target->port;
      if (fd.tuple.source.family != target->ip.family) fd.tuple.source = {};
      if (fd.role == SocketRole::none || fd.l4 == L4Proto::tcp) fd.role = SocketRole::client;
      fd.name = tuple_name(fd.tuple);
    }
  }
  if (fd.type == FdType::unix_socket && fd.role == SocketRole::none) fd.role = SocketRole::client;
  fd.flags = static_cast<uint8_t>((fd.flags & ~(kFdConnectFailed | kFdConnectPending)) | kFdConnected |
                                  (pending ? kFdConnectPending : 0));
  replace_fd(context_.fd_number, std::move(fd));
}

void StateTables::Impl::on_accept(const Event& event) {
  constexpr uint64_t kSockCloexec = 0x80000;
  if (!succeeded(context_)) return;
  const auto ends = parse_socktuple(event.param(1).bytes());
  if (!ends) {
    drop_fd(entry_->owner(), *context_.result);  // a stale entry would speak for the new socket
    context_.fd_number = *context_.result;
    return;
  }
  Fd fd;
  set_ends(fd, *ends);
  fd.role = SocketRole::server;
  fd.flags = kFdConnected;
  if (fd.is_inet()) fd.l4 = L4Proto::tcp;
  if (event.code() == ev::SOCKET_ACCEPT4_6_X && (event.param(5).u64() & kSockCloexec) != 0) fd.flags |= kFdCloexec;
  create_fd(*context_.result, std::move(fd));
}

void StateTables::Impl::on_send(const Event& event) { transfer(event, false); }

void StateTables::Impl::on_receive(const Event& event) {
  transfer(event, true);
  if (event.code() == ev::SOCKET_RECVMSG_X || event.code() == ev::SOCKET_RECVMMSG_X) received_fds(event);
}

/// Who is the server of a datagram socket that nobody has bound, connected or used before us.
SocketRole StateTables::Impl::guess_role(const Entry& owner, const SocketTuple& tuple, bool incoming) const {
  bool owns_dest = false, client_of_source = false;
  if (owner.fds) {
    owner.fds->for_each([&](int64_t, const Fd& fd) {
      if (!fd.is_inet()) return;
      if (fd.is_server() && fd.tuple.source_port == tuple.dest_port) owns_dest = true;
      if (!fd.is_server() && fd.role == SocketRole::server && fd.tuple.dest_port == tuple.dest_port) owns_dest = true;
      if (fd.role == SocketRole::client && fd.tuple.source_port == tuple.source_port) client_of_source = true;
    });
  }
  if (!owns_dest) return SocketRole::client;
  if (!client_of_source) return SocketRole::server;
  return incoming ? SocketRole::server : SocketRole::client;  // servers begin by listening, clients by asking
}

// A message on a socket carries the two ends as the kernel saw them: near to far when sent, far to near when received.
void StateTables::Impl::transfer(const Event& event, bool incoming) {
  if (!succeeded(context_)) return;
  const Fd* known = context_.fd;
  if (known != nullptr && known->l4 == L4Proto::tcp && !known->name.empty()) {
    if (!known->has(kFdConnected)) on_plain_io(event);
    return;
  }
  if (known != nullptr && !known->is_socket()) return;
  if (known == nullptr && (incoming || context_.fd_number < 0)) return;
  const auto ends = parse_socktuple(tuple_of(event).bytes());
  if (!ends) return;

  if (ends->type == FdType::unix_socket) {
    if (known != nullptr && !known->name.empty() && known->unix_source == ends->unix_source &&
        known->unix_dest == ends->unix_dest)
      return;
    Fd fd = known != nullptr ? *known : Fd{};
    set_ends(fd, *ends);
    return replace_fd(context_.fd_number, std::move(fd));
  }

  SocketRole role = known != nullptr ? known->role : SocketRole::none;
  if (role == SocketRole::none) role = guess_role(entry_->owner(), ends->tuple, incoming);
  // Always written from the client to the server.
  SocketTuple tuple = incoming == (role == SocketRole::client) ? swapped(ends->tuple) : ends->tuple;
  if (known != nullptr && !known->is_server()) {
    // An end that this message does not tell is the one told before.
    if (is_unset(tuple.source) && tuple.source_port == 0 && known->tuple.source.family == tuple.source.family)
      tuple.source = known->tuple.source, tuple.source_port = known->tuple.source_port;
    if (is_unset(tuple.dest) && tuple.dest_port == 0 && known->tuple.dest.family == tuple.dest.family)
      tuple.dest = known->tuple.dest, tuple.dest_port = known->tuple.dest_port;
    if (known->tuple == tuple && known->role == role && !known->name.empty()) return;
  }
  Fd fd = known != nullptr ? *known : Fd{};
  fd.type = ends->type;
  fd.tuple = tuple;
  fd.role = role;
  if (fd.l4 == L4Proto::unknown) fd.l4 = L4Proto::udp;
  fd.name = tuple_name(tuple);
  replace_fd(context_.fd_number, std::move(fd));
}

// Data flowed, so a TCP socket whose connect was not seen is connected. Datagram sockets are not: data say nothing
// there.
void StateTables::Impl::on_plain_io(const Event&) {
  const Fd* known = context_.fd;
  if (known == nullptr || known->l4 != L4Proto::tcp || known->is_server() || !succeeded(context_) ||
      *context_.result == 0)
    return;
  if ((known->flags & (kFdConnected | kFdConnectPending | kFdConnectFailed)) == kFdConnected) return;
  Fd fd = *known;
  fd.flags = static_cast<uint8_t>((fd.flags & ~(kFdConnectPending | kFdConnectFailed)) | kFdConnected);
  replace_fd(context_.fd_number, std::move(fd));
}

// SO_ERROR tells how a non-blocking connect ended.
void StateTables::Impl::on_getsockopt(const Event& event) {
  constexpr uint64_t kSolSocket = 1, kSoError = 4;
  constexpr uint8_t kVariantErrno = 1;
  const Fd* known = context_.fd;
  if (known == nullptr || !succeeded(context_) || !known->has(kFdConnectPending)) return;
  if (event.param(2).u64() != kSolSocket || event.param(3).u64() != kSoError) return;
  const Param value = event.param(4);
  if (value.len < 9 || value.data[0] != kVariantErrno) return;
  Fd fd = *known;
  fd.flags = static_cast<uint8_t>(fd.flags & ~kFdConnectPending);
  if (quell::load<int64_t>(value.data + 1) != 0) fd.flags |= kFdConnectFailed;
  replace_fd(context_.fd_number, std::move(fd));
}

// Descriptors that came as a message: the event has their numbers, /proc what they are.
void StateTables::Impl::received_fds(const Event& event) {
  constexpr int32_t kSolSocket = 1, kScmRights = 1;
  if (!options_.live || !options_.read_fd || !succeeded(context_)) return;
  if (context_.fd != nullptr && context_.fd->type != FdType::unix_socket) return;
  const int index = event.spec().param_index("msgcontrol");
  if (index < 0) return;
  Entry& owner = entry_->owner();
  ByteReader reader(event.param(static_cast<size_t>(index)).bytes());
  uint64_t length = 0;
  int32_t level = 0, type = 0;
  while (reader.read(length) && reader.read(level) && reader.read(type)) {
    constexpr uint64_t kHeader = 16;
    if (length < kHeader || length - kHeader > reader.left()) return;
    uint64_t left = length - kHeader;
    int32_t number = 0;
    if (level == kSolSocket && type == kScmRights) {
      for (; left >= 4 && reader.read(number); left -= 4) {
        Fd fd;
        if (number >= 0 && options_.read_fd(owner.pid, number, fd)) put_fd(owner, number, make_fd(std::move(fd)));
      }
    }
    const uint64_t padding = (8 - length % 8) % 8;
    if (!reader.skip(left) || !reader.skip(padding)) return;
  }
}

}  // namespace quell::enrich
