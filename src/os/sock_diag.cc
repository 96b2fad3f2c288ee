#include "os/sock_diag.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <sys/socket.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <map>
#include <thread>

#include "base/text.h"

namespace quell::os {
namespace {

constexpr size_t kReceiveBytes = 64 * 1024;
constexpr int kAttempts = 3;  // at a listing that changed while it was read

Error diag_error(int number, std::string_view step) {
  if (number == EPERM || number == EACCES)
    return {Code::permission_denied, fmt::format("not allowed to {}: CAP_NET_ADMIN is needed", step), {}};
  if (number == ENOENT || number == EINVAL || number == EPROTONOSUPPORT || number == EOPNOTSUPP)
    return {
        Code::unsupported,
        fmt::format("this kernel cannot {}: CONFIG_INET_DIAG, CONFIG_INET_UDP_DIAG and CONFIG_INET_DIAG_DESTROY are "
                    "needed",
                    step),
        {}};
  return errno_error(number, fmt::format("cannot {}", step));
}

IpAddress address_of(uint8_t family, const __be32* words) {
  const IpAddress address = family == AF_INET ? IpAddress::v4(words) : IpAddress::v6(words);
  return address.is_v4_mapped() ? IpAddress::v4(address.bytes.data() + 12) : address;
}

/// Copies what is there of a kernel struct that may be shorter or longer than ours.
template <typename T>
T copy_struct(std::span<const uint8_t> bytes) {
  T out{};
  std::memcpy(&out, bytes.data(), std::min(bytes.size(), sizeof out));
  return out;
}

bool matches(const Flow& flow, const FlowFilter& filter) {
  if (filter.inodes && !filter.inodes->contains(flow.inode)) return false;
  // What is not connected has no remote address: "::" and "0.0.0.0" match no prefix, not even the widest.
  if (filter.remote && (flow.remote_port == 0 || !filter.remote->contains(IpPrefix::of(flow.remote)))) return false;
  return true;
}

class DiagSocket {
 public:
  static Result<DiagSocket> open(const NetNamespace& ns) {
    int fd = -1, number = 0;
    QUELL_CHECK(ns.run([&] {
      fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
      number = errno;
    }));
    if (fd < 0) return diag_error(number, "ask the kernel for sockets");
    return DiagSocket(Descriptor(fd));
  }
  static Result<DiagSocket> open_here() {
    const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (fd < 0) return diag_error(errno, "ask the kernel for sockets");
    return DiagSocket(Descriptor(fd));
  }

  Result<Flows> list(const FlowFilter& filter) {
    for (int attempt = 1;; ++attempt) {
      Flows flows;
      bool changed = false;
      for (const uint8_t family : {AF_INET, AF_INET6}) {
        if (filter.tcp) QUELL_CHECK(dump(family, Flow::Protocol::tcp, filter, flows, changed));
        if (filter.udp) QUELL_CHECK(dump(family, Flow::Protocol::udp, filter, flows, changed));
      }
      if (!changed || attempt == kAttempts) return flows;
    }
  }

  /// errno of the kernel's answer.
  int destroy(const Flow& flow) {
    Request request =
        make_request(SOCK_DESTROY, NLM_F_REQUEST | NLM_F_ACK, flow.ipv6_socket ? AF_INET6 : AF_INET, flow.protocol);
    inet_diag_sockid& id = request.body.id;
    id.idiag_sport = htons(flow.local_port);
    id.idiag_dport = htons(flow.remote_port);
    put_address(flow, flow.local, id.idiag_src);
    put_address(flow, flow.remote, id.idiag_dst);
    id.idiag_if = flow.interface;
    id.idiag_cookie[0] = static_cast<uint32_t>(flow.cookie);
    id.idiag_cookie[1] = static_cast<uint32_t>(flow.cookie >> 32);
    if (const int error = send(request); error != 0) return error;
    int answer = EIO;
    const auto take = [&](const nlmsghdr& header, std::span<const uint8_t> payload) {
      if (header.nlmsg_type != NLMSG_ERROR) return true;
      answer = -copy_struct<nlmsgerr>(payload).error;
      return false;
    };
    if (const int error = receive(take); error != 0) return error;
    return answer;
  }

 private:
  struct Request {
    nlmsghdr header;
    inet_diag_req_v2 body;
  };

  explicit DiagSocket(Descriptor fd) : fd_(std::move(fd)) {}

  static Request make_request(uint16_t type, uint16_t flags, int family, Flow::Protocol protocol) {
    Request request{};
    request.header.nlmsg_len = sizeof request;
    request.header.nlmsg_type = type;
    request.header.nlmsg_flags = flags;
    request.body.sdiag_family = static_cast<uint8_t>(family);
    request.body.sdiag_protocol = protocol == Flow::Protocol::tcp ? IPPROTO_TCP : IPPROTO_UDP;
    request.body.idiag_states = UINT32_MAX;
    return request;
  }

  static void put_address(const Flow& flow, const IpAddress& address, __be32* words) {
    auto* bytes = reinterpret_cast<uint8_t*>(words);
    if (flow.ipv6_socket && address.family == 4) {
      bytes[10] = bytes[11] = 0xFF;
      std::memcpy(bytes + 12, address.bytes.data(), 4);
    } else {
      std::memcpy(bytes, address.bytes.data(), address.family == 4 ? 4 : 16);
    }
  }

  int send(Request& request) {
    request.header.nlmsg_seq = ++sequence_;
    sockaddr_nl kernel{};
    kernel.nl_family = AF_NETLINK;
    for (;;) {
      if (::sendto(fd_.get(), &request, sizeof request, 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) >=
          0)
        return 0;
      if (errno != EINTR) return errno;
    }
  }

  /// Calls take(header, payload) for each message that answers the last request until it says false.
  template <typename Take>
  int receive(Take&& take) {
    if (buffer_.empty()) buffer_.resize(kReceiveBytes);
    for (;;) {
      const ssize_t size = ::recv(fd_.get(), buffer_.data(), buffer_.size(), 0);
      if (size < 0 && errno == EINTR) continue;
      if (size <= 0) return size < 0 ? errno : EIO;
      std::span<const uint8_t> left(buffer_.data(), static_cast<size_t>(size));
      while (left.size() >= sizeof(nlmsghdr)) {
        const auto header = copy_struct<nlmsghdr>(left);
        if (header.nlmsg_len < sizeof header || header.nlmsg_len > left.size()) return EIO;
        if (header.nlmsg_seq == sequence_ && !take(header, left.subspan(NLMSG_HDRLEN, header.nlmsg_len - NLMSG_HDRLEN)))
          return 0;
        left = left.subspan(std::min<size_t>(NLMSG_ALIGN(header.nlmsg_len), left.size()));
      }
    }
  }

  Result<void> dump(int family, Flow::Protocol protocol, const FlowFilter& filter, Flows& flows, bool& changed) {
    Request request = make_request(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, family, protocol);
    if (protocol == Flow::Protocol::tcp) request.body.idiag_ext = 1 << (INET_DIAG_INFO - 1);
    int answer = 0;
    Result<void> outcome;
    const auto take = [&](const nlmsghdr& header, std::span<const uint8_t> payload) {
      if ((header.nlmsg_flags & NLM_F_DUMP_INTR) != 0) changed = true;
      if (header.nlmsg_type == NLMSG_DONE) return false;
      if (header.nlmsg_type == NLMSG_ERROR) {
        answer = -copy_struct<nlmsgerr>(payload).error;
        return false;
      }
      auto flow = parse_diag_message(payload, protocol);
      if (!flow)
        outcome = flow.error();
      else if (matches(*flow, filter)) {
        if (flows.list.size() < kMaxFlows)
          flows.list.push_back(std::move(*flow));
        else
          ++flows.left_out;
      }
      return true;
    };
    int error = send(request);
    if (error == 0) error = receive(take);
    if (error == 0) error = answer;
    if (error != 0) return diag_error(error, "list sockets");
    return outcome;
  }

  Descriptor fd_;
  uint32_t sequence_ = 0;
  std::vector<uint8_t> buffer_;
};

Result<Destroyed> destroy_all(DiagSocket& socket, const FlowFilter& filter) {
  QUELL_TRY(Flows flows, socket.list(filter));
  Destroyed out;
  // What waits in a listener's queue ends with it, so they go first: nothing is accepted meanwhile.
  constexpr uint8_t kListen = 10;
  std::stable_partition(flows.list.begin(), flows.list.end(), [](const Flow& flow) { return flow.state == kListen; });
  for (Flow& flow : flows.list) {
    const int error = socket.destroy(flow);
    if (error == 0 || error == ENOENT)
      out.done.push_back(std::move(flow));
    else
      out.failed.push_back({std::move(flow), diag_error(error, "end a socket")});
  }
  if (flows.left_out > 0)
    out.unreached.push_back(fmt::format("{} further sockets: at most {} are ended at once", flows.left_out, kMaxFlows));
  return out;
}

/// The sockets among the open files of a process: inode, and the kernel's name of the protocol ("TCP", "UNIX-STREAM").
Result<std::map<uint64_t, std::string>> sockets_of(int64_t pid) {
  namespace fs = std::filesystem;
  std::map<uint64_t, std::string> sockets;
  std::error_code error;
  const std::string folder = fmt::format("/proc/{}/fd", pid);
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    char target[64];
    const ssize_t size = ::readlink(it->path().c_str(), target, sizeof target);
    std::string_view text(target, size < 0 ? 0 : static_cast<size_t>(size));
    uint64_t inode = 0;
    if (!text.starts_with("socket:[") || !text.ends_with(']') || !parse_u64(text.substr(8, text.size() - 9), inode))
      continue;
    char name[32];
    const ssize_t length = ::getxattr(it->path().c_str(), "system.sockprotoname", name, sizeof name);
    sockets[inode] = length > 0 ? std::string(name, ::strnlen(name, static_cast<size_t>(length))) : std::string();
  }
  if (error == std::errc::no_such_file_or_directory || error == std::errc::no_such_process)
    return Error{Code::gone, fmt::format("process {} does not exist any more", pid), {}};
  if (error) return errno_error(error.value(), "cannot list the open files of a process", folder);
  return sockets;
}

bool stays_on_the_machine(std::string_view protocol) {
  return protocol.starts_with("UNIX") || protocol == "NETLINK" || protocol == "ALG" || protocol.starts_with("KCM");
}

}  // namespace

std::string Flow::str() const {
  const auto end = [](const IpAddress& address, uint16_t port) {
    return address.family == 6 ? fmt::format("[{}]:{}", address.str(), port)
                               : fmt::format("{}:{}", address.str(), port);
  };
  return fmt::format("{} {} -> {}", protocol == Protocol::tcp ? "tcp" : "udp", end(local, local_port),
                     end(remote, remote_port));
}

Result<Flow> parse_diag_message(std::span<const uint8_t> payload, Flow::Protocol protocol) {
  if (payload.size() < sizeof(inet_diag_msg))
    return Error{Code::truncated, "the kernel's description of a socket ends too early",
                 std::to_string(payload.size())};
  const auto message = copy_struct<inet_diag_msg>(payload);
  if (message.idiag_family != AF_INET && message.idiag_family != AF_INET6)
    return Error{Code::malformed, fmt::format("a socket of family {} is neither IPv4 nor IPv6", message.idiag_family),
                 "0"};
  Flow flow;
  flow.protocol = protocol;
  flow.ipv6_socket = message.idiag_family == AF_INET6;
  flow.state = message.idiag_state;
  flow.local = address_of(message.idiag_family, message.id.idiag_src);
  flow.remote = address_of(message.idiag_family, message.id.idiag_dst);
  flow.local_port = ntohs(message.id.idiag_sport);
  flow.remote_port = ntohs(message.id.idiag_dport);
  flow.interface = message.id.idiag_if;
  flow.uid = message.idiag_uid;
  flow.inode = message.idiag_inode;
  flow.cookie = message.id.idiag_cookie[0] | uint64_t{message.id.idiag_cookie[1]} << 32;
  std::span<const uint8_t> left = payload.subspan(NLMSG_ALIGN(sizeof(inet_diag_msg)));
  while (left.size() >= sizeof(rtattr)) {
    const auto attribute = copy_struct<rtattr>(left);
    if (attribute.rta_len < sizeof attribute || attribute.rta_len > left.size())
      return Error{Code::truncated, "an attribute in the kernel's description of a socket ends too early",
                   std::to_string(payload.size() - left.size())};
    const auto body = left.subspan(RTA_LENGTH(0), attribute.rta_len - RTA_LENGTH(0));
    if (attribute.rta_type == INET_DIAG_INFO && protocol == Flow::Protocol::tcp &&
        body.size() >= offsetof(tcp_info, tcpi_bytes_retrans) + sizeof(uint64_t)) {
      const auto info = copy_struct<tcp_info>(body);
      flow.bytes = FlowBytes{.sent = info.tcpi_bytes_sent,
                             .retransmitted = info.tcpi_bytes_retrans,
                             .acked = info.tcpi_bytes_acked,
                             .received = info.tcpi_bytes_received};
    }
    left = left.subspan(std::min<size_t>(RTA_ALIGN(attribute.rta_len), left.size()));
  }
  return flow;
}

Result<Flows> list_flows(const NetNamespace& ns, const FlowFilter& filter) {
  QUELL_TRY(DiagSocket socket, DiagSocket::open(ns));
  return socket.list(filter);
}

Result<Motion> watch_flows(const NetNamespace& ns, const FlowFilter& filter, uint64_t window_ns) {
  QUELL_TRY(DiagSocket socket, DiagSocket::open(ns));
  FlowFilter tcp = filter;
  tcp.udp = false;
  QUELL_TRY(const Flows before, socket.list(tcp));
  std::this_thread::sleep_for(std::chrono::nanoseconds(window_ns));
  QUELL_TRY(const Flows after, socket.list(tcp));
  std::map<uint64_t, const Flow*> first, last;
  for (const Flow& flow : before.list) first[flow.cookie] = &flow;
  for (const Flow& flow : after.list) last[flow.cookie] = &flow;
  Motion motion;
  const auto add = [&](const Flow& flow, const FlowBytes& from, bool ended) {
    FlowMotion one{.flow = flow, .ended = ended, .acked = 0, .received = 0};
    if (flow.bytes) one.acked = flow.bytes->acked - from.acked, one.received = flow.bytes->received - from.received;
    motion.moved_bytes += one.acked + one.received;
    motion.flows.push_back(std::move(one));
  };
  for (const auto& [cookie, flow] : first) {
    if (const auto later = last.find(cookie); later != last.end())
      add(*later->second, flow->bytes.value_or(FlowBytes{}), false);
    else
      add(*flow, flow->bytes.value_or(FlowBytes{}), true);
  }
  for (const auto& [cookie, flow] : last)
    if (!first.contains(cookie)) add(*flow, {}, false);
  return motion;
}

Result<void> probe_sock_destroy() {
  const Descriptor victim(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (!victim || ::bind(victim.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(victim.get(), 1) != 0 || ::getsockname(victim.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
    return errno_error(errno, "cannot make a socket to try ending it on");
  QUELL_TRY(DiagSocket socket, DiagSocket::open_here());
  Flow flow;
  flow.local = IpAddress::v4(&address.sin_addr);
  flow.local_port = ntohs(address.sin_port);
  flow.remote = IpAddress::v4("\0\0\0");
  flow.cookie = UINT64_MAX;  // INET_DIAG_NOCOOKIE: whatever socket is there
  if (const int error = socket.destroy(flow); error != 0) return diag_error(error, "end sockets of others");
  return {};
}

Result<Destroyed> destroy_sockets(const NetNamespace& ns, const FlowFilter& filter) {
  QUELL_TRY(DiagSocket socket, DiagSocket::open(ns));
  return destroy_all(socket, filter);
}

Result<Destroyed> destroy_process_sockets(const NetNamespace& ns, int64_t pid) {
  QUELL_TRY(const auto sockets, sockets_of(pid));
  FlowFilter filter;
  filter.inodes.emplace();
  for (const auto& [inode, protocol] : sockets) filter.inodes->insert(inode);
  QUELL_TRY(Destroyed out, destroy_sockets(ns, filter));
  std::set<uint64_t> known;
  for (const Flow& flow : out.done) known.insert(flow.inode);
  for (const auto& failure : out.failed) known.insert(failure.flow.inode);
  for (const auto& [inode, protocol] : sockets)
    if (!known.contains(inode) && !stays_on_the_machine(protocol))
      out.unreached.push_back(fmt::format("{} socket {}", protocol.empty() ? "unknown" : protocol, inode));
  return out;
}

}  // namespace quell::os
