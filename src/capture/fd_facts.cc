#include "capture/fd_facts.h"

#include <fmt/format.h>

namespace quell::capture {
namespace {

IpAddress unmapped(const IpAddress& address) { return IpAddress::v4(address.bytes.data() + 12); }

// A program that talks IPv4 through an IPv6 socket is talking IPv4: rules compare addresses, not socket families.
void unmap(Fd& fd) {
  if (fd.type == FdType::ipv6 && fd.tuple.source.is_v4_mapped() && fd.tuple.dest.is_v4_mapped()) {
    fd.type = FdType::ipv4;
    fd.tuple.source = unmapped(fd.tuple.source);
    fd.tuple.dest = unmapped(fd.tuple.dest);
  } else if (fd.type == FdType::ipv6_server && fd.tuple.source.is_v4_mapped()) {
    fd.type = FdType::ipv4_server;
    fd.tuple.source = unmapped(fd.tuple.source);
  }
}

}  // namespace

std::string endpoint_name(const IpAddress& address, uint16_t port) { return fmt::format("{}:{}", address.str(), port); }

void complete_fd(Fd& fd) {
  unmap(fd);
  if (fd.is_server()) {
    fd.role = SocketRole::server;
    fd.name = endpoint_name(fd.tuple.source, fd.tuple.source_port);
  } else if (fd.is_inet()) {
    fd.name =
        endpoint_name(fd.tuple.source, fd.tuple.source_port) + "->" + endpoint_name(fd.tuple.dest, fd.tuple.dest_port);
    if (fd.l4 == L4Proto::tcp) fd.flags |= kFdConnected;
  } else if (fd.type == FdType::unix_socket) {
    fd.role = fd.name.empty() ? SocketRole::client : SocketRole::server;
  }
  if (fd.open_flags & kOpenCloexec) fd.flags |= kFdCloexec;
  if (fd.open_flags & kOpenUpperLayer) fd.flags |= kFdUpperLayer;
  if (fd.open_flags & kOpenLowerLayer) fd.flags |= kFdLowerLayer;
}

}  // namespace quell::capture
