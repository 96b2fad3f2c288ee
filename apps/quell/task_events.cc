#include "apps/quell/task_events.h"

#include <linux/in.h>
#include <sys/socket.h>

#include <optional>

#include "model/event.h"

namespace quell::cli {
namespace {

std::vector<uint8_t> task_event(const Thread& thread, uint64_t ts_ns, uint64_t boot_ns) {
  std::string argv = thread.exe;
  argv += '\0';
  argv += thread.args;
  const auto list = [](const std::string& text) {
    return std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  };
  const uint32_t flags = (thread.exe_writable ? 1U : 0U) | (thread.exe_upper_layer ? 2U : 0U) |
                         (thread.exe_from_memfd ? 4U : 0U) | (thread.exe_lower_layer ? 8U : 0U);
  EventBuilder event(ev::ITER_TASK_E, ts_ns, thread.tid);
  event.num(static_cast<int32_t>(thread.ptid))
      .num(static_cast<int32_t>(thread.pgid))
      .num(static_cast<int32_t>(thread.vpgid));
  event.num(static_cast<int32_t>(thread.sid)).text(thread.comm).bytes(list(argv)).text(thread.exepath).num(flags);
  event.bytes(list(thread.env)).text(thread.cwd).num(static_cast<uint64_t>(thread.fdlimit));
  event.num(thread.uid).num(thread.gid);
  event.num(thread.cap_permitted).num(thread.cap_effective).num(thread.cap_inheritable);
  event.num(thread.exe_ino).num(thread.exe_ino_ctime_ns).num(thread.exe_ino_mtime_ns);
  event.num(thread.vm_size_kb).num(thread.vm_rss_kb).num(thread.vm_swap_kb);
  event.num(thread.page_faults_major).num(thread.page_faults_minor);
  event.num(static_cast<int32_t>(thread.vpid)).num(static_cast<int32_t>(thread.vtid));
  if (thread.pidns_init_start_ns > boot_ns) {
    event.num(thread.pidns_init_start_ns - boot_ns);
  } else {
    event.empty();
  }
  event.bytes(list(thread.cgroups)).text(thread.root).num(thread.clone_ns).num(thread.tty).num(thread.loginuid);
  return event.build();
}

/// Type and protocol as socket(2) takes them.
std::pair<uint16_t, uint16_t> socket_kind(L4Proto protocol) {
  switch (protocol) {
    case L4Proto::tcp: return {SOCK_STREAM, IPPROTO_TCP};
    case L4Proto::udp: return {SOCK_DGRAM, IPPROTO_UDP};
    case L4Proto::icmp: return {SOCK_RAW, IPPROTO_ICMP};
    case L4Proto::raw: return {SOCK_RAW, IPPROTO_RAW};
    default: return {0, 0};
  }
}

std::vector<uint8_t> inet_event(const Fd& fd, int32_t number, int64_t tid, uint64_t ts_ns) {
  const bool v6 = fd.type == FdType::ipv6 || fd.type == FdType::ipv6_server;
  const size_t width = v6 ? 16 : 4;
  const auto [type, protocol] = socket_kind(fd.l4);
  // The event speaks of this end and the other; a server's tuple has the client first.
  const bool is_accepted = fd.role == SocketRole::server && !fd.is_server();
  const IpAddress& local = is_accepted ? fd.tuple.dest : fd.tuple.source;
  const IpAddress& remote = is_accepted ? fd.tuple.source : fd.tuple.dest;
  EventBuilder event(v6 ? ev::ITER_TASK_FILE_SOCKET_INET6_E : ev::ITER_TASK_FILE_SOCKET_INET_E, ts_ns, tid);
  event.num(number).num(type).num(protocol).raw(local.bytes.data(), width);
  event.num(is_accepted ? fd.tuple.dest_port : fd.tuple.source_port).raw(remote.bytes.data(), width);
  event.num(is_accepted ? fd.tuple.source_port : fd.tuple.dest_port).num(fd.ino);
  return event.build();
}

std::optional<std::vector<uint8_t>> fd_event(const Fd& fd, int64_t wide_number, int64_t tid, uint64_t ts_ns) {
  const auto number = static_cast<int32_t>(wide_number);
  const auto with_path = [&](EventCode code) {
    return EventBuilder(code, ts_ns, tid).num(number).text(fd.name).num(fd.ino).build();
  };
  switch (fd.type) {
    case FdType::file:
      return EventBuilder(ev::ITER_TASK_FILE_REGULAR_E, ts_ns, tid)
          .num(number)
          .text(fd.name)
          .num(fd.open_flags)
          .num(fd.dev)
          .num(fd.ino)
          .build();
    case FdType::directory: return with_path(ev::ITER_TASK_FILE_DIRECTORY_E);
    case FdType::fifo: return with_path(ev::ITER_TASK_FILE_PIPE_E);
    case FdType::memfd: return with_path(ev::ITER_TASK_FILE_MEMFD_E);
    case FdType::ipv4:
    case FdType::ipv6:
    case FdType::ipv4_server:
    case FdType::ipv6_server: return inet_event(fd, number, tid, ts_ns);
    case FdType::unix_socket:
      return EventBuilder(ev::ITER_TASK_FILE_SOCKET_UNIX_E, ts_ns, tid)
          .num(number)
          .num(uint16_t{SOCK_STREAM})
          .num(uint16_t{0})
          .num(fd.unix_source)
          .text(fd.name)
          .num(fd.ino)
          .build();
    case FdType::netlink:
      return EventBuilder(ev::ITER_TASK_FILE_SOCKET_NETLINK_E, ts_ns, tid)
          .num(number)
          .num(uint16_t{SOCK_RAW})
          .num(uint16_t{0})
          .num(fd.ino)
          .build();
    default: return {};
  }
}

}  // namespace

std::vector<std::vector<uint8_t>> task_events(const Thread& thread, const std::vector<std::pair<int64_t, Fd>>& fds,
                                              uint64_t ts_ns, uint64_t boot_ns) {
  std::vector<std::vector<uint8_t>> events;
  events.push_back(task_event(thread, ts_ns, boot_ns));
  for (const auto& [number, fd] : fds) {
    if (auto event = fd_event(fd, number, thread.tid, ts_ns)) events.push_back(*std::move(event));
  }
  return events;
}

}  // namespace quell::cli
