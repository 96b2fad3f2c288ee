// Sockets: roles, names, tuples.
#include <arpa/inet.h>

#include "world.h"

namespace quell::enrich {
namespace {

std::vector<uint8_t> inet_bytes(const char* text, int family) {
  std::vector<uint8_t> out(family == AF_INET ? 4 : 16);
  EXPECT_EQ(inet_pton(family, text, out.data()), 1) << text;
  return out;
}
void append_end(std::vector<uint8_t>& out, const char* ip, uint16_t port, int family) {
  const auto bytes = inet_bytes(ip, family);
  out.insert(out.end(), bytes.begin(), bytes.end());
  out.push_back(static_cast<uint8_t>(port & 0xFF));
  out.push_back(static_cast<uint8_t>(port >> 8));
}
std::vector<uint8_t> address(const char* ip, uint16_t port, int family = AF_INET) {
  std::vector<uint8_t> out{static_cast<uint8_t>(family)};
  append_end(out, ip, port, family);
  return out;
}
std::vector<uint8_t> tuple(const char* sip, uint16_t sport, const char* dip, uint16_t dport, int family = AF_INET) {
  std::vector<uint8_t> out{static_cast<uint8_t>(family)};
  append_end(out, sip, sport, family);
  append_end(out, dip, dport, family);
  return out;
}
std::vector<uint8_t> unix_tuple(uint64_t source, uint64_t dest, std::string_view path) {
  std::vector<uint8_t> out{AF_UNIX};
  out.resize(17);
  std::memcpy(out.data() + 1, &source, 8);
  std::memcpy(out.data() + 9, &dest, 8);
  out.insert(out.end(), path.begin(), path.end());
  out.push_back(0);
  return out;
}

struct Net : World {
  using World::World;
  const EventContext& socket(int64_t tid, int64_t fd, uint32_t domain, uint32_t type, uint32_t protocol = 0) {
    return apply(event(ev::SOCKET_SOCKET_X, tid)
                     .num<int64_t>(fd)
                     .num<uint32_t>(domain)
                     .num<uint32_t>(type)
                     .num<uint32_t>(protocol)
                     .num<uint32_t>(0)
                     .build());
  }
  const EventContext& bind(int64_t tid, int64_t fd, const std::vector<uint8_t>& addr, int64_t res = 0) {
    return apply(event(ev::SOCKET_BIND_X, tid).num<int64_t>(res).bytes(addr).num<int64_t>(fd).build());
  }
  const EventContext& connect(int64_t tid, int64_t fd, const std::vector<uint8_t>& ends,
                              const std::vector<uint8_t>& addr, int64_t res = 0) {
    return apply(event(ev::SOCKET_CONNECT_X, tid).num<int64_t>(res).bytes(ends).num<int64_t>(fd).bytes(addr).build());
  }
  const EventContext& accept(int64_t tid, int64_t fd, const std::vector<uint8_t>& ends) {
    return apply(event(ev::SOCKET_ACCEPT4_6_X, tid)
                     .num<int64_t>(fd)
                     .bytes(ends)
                     .num<uint8_t>(0)
                     .num<uint32_t>(0)
                     .num<uint32_t>(0)
                     .num<int32_t>(0)
                     .build());
  }
  const EventContext& sendto(int64_t tid, int64_t fd, const std::vector<uint8_t>& ends, int64_t res = 10) {
    return apply(event(ev::SOCKET_SENDTO_X, tid)
                     .num<int64_t>(res)
                     .empty()
                     .num<int64_t>(fd)
                     .num<uint32_t>(10)
                     .bytes(ends)
                     .build());
  }
  const EventContext& recvfrom(int64_t tid, int64_t fd, const std::vector<uint8_t>& ends, int64_t res = 10) {
    return apply(event(ev::SOCKET_RECVFROM_X, tid)
                     .num<int64_t>(res)
                     .empty()
                     .bytes(ends)
                     .num<int64_t>(fd)
                     .num<uint32_t>(10)
                     .build());
  }
};

}  // namespace

TEST(Socket, FreshOnesHaveNoName) {
  Net w;
  const auto& made = w.socket(100, 3, AF_INET, 1);
  EXPECT_EQ(made.fd->type, FdType::ipv4);
  EXPECT_EQ(made.fd->l4, L4Proto::tcp);
  EXPECT_EQ(made.fd->role, SocketRole::none);
  EXPECT_EQ(made.fd->name, "");
  EXPECT_EQ(w.socket(100, 4, AF_INET6, 2 | 0x80000).fd->l4, L4Proto::udp);
  EXPECT_TRUE(w.fd(100, 4)->has(kFdCloexec));
  EXPECT_EQ(w.socket(100, 5, AF_INET, 3, 1).fd->l4, L4Proto::raw);
  EXPECT_EQ(w.socket(100, 6, AF_INET, 2, 1).fd->l4, L4Proto::icmp);
  EXPECT_EQ(w.socket(100, 7, AF_UNIX, 1).fd->type, FdType::unix_socket);
  EXPECT_EQ(w.socket(100, 8, 16, 3).fd->type, FdType::netlink);
  EXPECT_EQ(w.socket(100, 9, 17, 3).fd->type, FdType::unknown) << "packet sockets have no kind of their own";
}

TEST(Tcp, Client) {
  Net w;
  w.socket(100, 3, AF_INET, 1);
  const auto& connected =
      w.connect(100, 3, tuple("10.0.0.1", 40000, "93.184.216.34", 443), address("93.184.216.34", 443));
  EXPECT_EQ(connected.fd->name, "10.0.0.1:40000->93.184.216.34:443");
  EXPECT_EQ(connected.fd->role, SocketRole::client);
  EXPECT_EQ(connected.fd->tuple.dest_port, 443);
  EXPECT_TRUE(connected.fd->has(kFdConnected));
  EXPECT_TRUE(connected.fd_name_changed);
  EXPECT_EQ(connected.fd_number, 3);
  const auto& sent = w.sendto(100, 3, tuple("10.0.0.1", 40000, "93.184.216.34", 443));
  EXPECT_FALSE(sent.fd_name_changed);
}

TEST(Tcp, NonBlockingConnectAndItsOutcome) {
  Net w;
  w.socket(100, 3, AF_INET, 1);
  const auto& begun = w.connect(100, 3, {}, address("1.2.3.4", 80), -115);
  EXPECT_EQ(begun.fd->name, ":0->1.2.3.4:80");
  EXPECT_TRUE(begun.fd->has(kFdConnected));
  EXPECT_TRUE(begun.fd->has(kFdConnectPending));
  std::vector<uint8_t> value{1};
  value.resize(9);
  value[1] = 111;
  const auto& told = w.apply(w.event(ev::SOCKET_GETSOCKOPT_X, 100)
                                 .num<int64_t>(0)
                                 .num<int64_t>(3)
                                 .num<uint8_t>(1)
                                 .num<uint8_t>(4)
                                 .bytes(value)
                                 .num<uint32_t>(4)
                                 .build());
  EXPECT_FALSE(told.fd->has(kFdConnectPending));
  EXPECT_TRUE(told.fd->has(kFdConnectFailed));
}

TEST(Tcp, FailedConnect) {
  Net w;
  w.socket(100, 3, AF_INET, 1);
  const auto& failed = w.connect(100, 3, {}, address("1.2.3.4", 80), -111);
  EXPECT_EQ(failed.fd->name, "");
  EXPECT_FALSE(failed.fd->has(kFdConnected));
  EXPECT_TRUE(failed.fd->has(kFdConnectFailed));
  EXPECT_FALSE(failed.fd_name_changed);
}

TEST(Tcp, Server) {
  Net w;
  w.socket(100, 3, AF_INET, 1);
  EXPECT_EQ(w.bind(100, 3, address("0.0.0.0", 8080), -13).fd->name, "");
  const auto& bound = w.bind(100, 3, address("0.0.0.0", 8080));
  EXPECT_EQ(bound.fd->type, FdType::ipv4_server);
  EXPECT_EQ(bound.fd->name, "0.0.0.0:8080");
  EXPECT_EQ(bound.fd->role, SocketRole::server);
  EXPECT_EQ(bound.fd->tuple.source_port, 8080);
  const auto& accepted = w.accept(100, 4, tuple("10.0.0.9", 51000, "10.0.0.1", 8080));
  EXPECT_EQ(accepted.fd->name, "10.0.0.9:51000->10.0.0.1:8080");
  EXPECT_EQ(accepted.fd->role, SocketRole::server);
  EXPECT_EQ(accepted.fd->l4, L4Proto::tcp);
  EXPECT_TRUE(accepted.fd->has(kFdConnected));
  EXPECT_EQ(accepted.fd_number, 4);
  const auto& refused = w.accept(100, -11, {});
  EXPECT_EQ(refused.fd_number, -1);
  EXPECT_EQ(refused.fd, nullptr);
}

TEST(Tcp, ClientThatBoundItsOwnPortFirst) {
  Net w;
  w.socket(100, 3, AF_INET, 1);
  w.bind(100, 3, address("10.0.0.1", 1023));
  const auto& connected = w.connect(100, 3, tuple("10.0.0.1", 1023, "10.0.0.2", 514), address("10.0.0.2", 514));
  EXPECT_EQ(connected.fd->type, FdType::ipv4);
  EXPECT_EQ(connected.fd->role, SocketRole::client);
}

TEST(Tcp, BindToPortZeroIsNoServer) {
  Net w;
  w.socket(100, 3, AF_INET, 1);
  EXPECT_EQ(w.bind(100, 3, address("10.0.0.1", 0)).fd->role, SocketRole::none);
}

TEST(Tcp, WhatConnectWasGivenWins) {
  Net w;
  w.socket(100, 3, AF_INET, 1);
  w.apply(w.event(ev::SOCKET_CONNECT_E, 100).num<int64_t>(3).bytes(address("6.6.6.6", 4444)).build(), true);
  EXPECT_EQ(w.connect(100, 3, tuple("10.0.0.1", 40000, "8.8.8.8", 53), address("8.8.8.8", 53)).fd->name,
            "10.0.0.1:40000->6.6.6.6:4444")
      << "a tuple that repeats user memory may come from there";
  w.socket(100, 4, AF_INET, 1);
  w.apply(w.event(ev::SOCKET_CONNECT_E, 100).num<int64_t>(4).bytes(address("6.6.6.6", 4444)).build(), true);
  EXPECT_EQ(w.connect(100, 4, tuple("10.0.0.1", 40000, "6.6.6.6", 4444), address("8.8.8.8", 53)).fd->name,
            "10.0.0.1:40000->6.6.6.6:4444")
      << "one that differs from it is the kernel's own";
}

TEST(Tcp, DataOnASocketOfUnknownStateConnectsIt) {
  Net w;
  Fd fd;
  fd.type = FdType::ipv4;
  fd.l4 = L4Proto::tcp;
  w.snapshot.fd_lists = {{100, {{3, fd}}}};
  w.reload();
  EXPECT_FALSE(w.fd(100, 3)->has(kFdConnected));
  EXPECT_TRUE(w.read(100, 3).fd->has(kFdConnected));
}

TEST(Ipv6, NamesAndMappedAddresses) {
  Net w;
  w.socket(100, 3, AF_INET6, 1);
  EXPECT_EQ(w.connect(100, 3, tuple("2001:db8::1", 40000, "2001:db8::2", 443, AF_INET6), {}).fd->name,
            "2001:db8::1:40000->2001:db8::2:443");
  w.socket(100, 4, AF_INET6, 1);
  const auto& mapped = w.connect(100, 4, tuple("::ffff:10.0.0.1", 40000, "::ffff:1.2.3.4", 80, AF_INET6), {});
  EXPECT_EQ(mapped.fd->type, FdType::ipv4);
  EXPECT_EQ(mapped.fd->name, "10.0.0.1:40000->1.2.3.4:80");
  w.socket(100, 5, AF_INET6, 1);
  EXPECT_EQ(w.bind(100, 5, address("::", 80, AF_INET6)).fd->type, FdType::ipv6_server);
  EXPECT_EQ(w.fd(100, 5)->name, ":::80");
}

TEST(Udp, ClientKeepsItselfAsSource) {
  Net w;
  w.socket(100, 3, AF_INET, 2);
  const auto& sent = w.sendto(100, 3, tuple("10.0.0.1", 5353, "8.8.8.8", 53));
  EXPECT_EQ(sent.fd->name, "10.0.0.1:5353->8.8.8.8:53");
  EXPECT_EQ(sent.fd->role, SocketRole::client);
  EXPECT_TRUE(sent.fd_name_changed);
  EXPECT_FALSE(sent.fd->has(kFdConnected)) << "datagrams connect nothing";
  const auto& answer = w.recvfrom(100, 3, tuple("8.8.8.8", 53, "10.0.0.1", 5353));
  EXPECT_EQ(answer.fd->name, "10.0.0.1:5353->8.8.8.8:53");
  EXPECT_FALSE(answer.fd_name_changed);
  EXPECT_TRUE(w.sendto(100, 3, tuple("10.0.0.1", 5353, "9.9.9.9", 53)).fd_name_changed) << "another peer";
  EXPECT_EQ(w.fd(100, 3)->name, "10.0.0.1:5353->9.9.9.9:53");
}

TEST(Udp, ServerKeepsTheClientAsSource) {
  Net w;
  w.socket(100, 3, AF_INET, 2);
  w.bind(100, 3, address("10.0.0.1", 53));
  const auto& asked = w.recvfrom(100, 3, tuple("10.0.0.7", 999, "10.0.0.1", 53));
  EXPECT_EQ(asked.fd->type, FdType::ipv4);
  EXPECT_EQ(asked.fd->role, SocketRole::server);
  EXPECT_EQ(asked.fd->name, "10.0.0.7:999->10.0.0.1:53");
  const auto& answered = w.sendto(100, 3, tuple("10.0.0.1", 53, "10.0.0.7", 999));
  EXPECT_EQ(answered.fd->name, "10.0.0.7:999->10.0.0.1:53");
  EXPECT_FALSE(answered.fd_name_changed);
  const auto& connected = w.connect(100, 3, tuple("10.0.0.1", 53, "10.0.0.8", 1000), address("10.0.0.8", 1000));
  EXPECT_EQ(connected.fd->name, "10.0.0.8:1000->10.0.0.1:53");
  EXPECT_EQ(connected.fd->role, SocketRole::server);
}

TEST(Udp, RoleOfASocketFromBeforeTheStart) {
  Net w;
  Fd listener;
  listener.type = FdType::ipv4_server;
  listener.l4 = L4Proto::udp;
  listener.tuple.source = IpAddress::v4("\x0A\x00\x00\x01");
  listener.tuple.source_port = 53;
  Fd other;
  other.type = FdType::ipv4;
  other.l4 = L4Proto::udp;
  w.snapshot.fd_lists = {{100, {{3, listener}, {4, other}, {5, other}}}};
  w.reload();
  EXPECT_EQ(w.recvfrom(100, 4, tuple("10.0.0.7", 999, "10.0.0.1", 53)).fd->role, SocketRole::server);
  const auto& client = w.recvfrom(100, 5, tuple("8.8.8.8", 53, "10.0.0.1", 7777));
  EXPECT_EQ(client.fd->role, SocketRole::client);
  EXPECT_EQ(client.fd->name, "10.0.0.1:7777->8.8.8.8:53");
}

TEST(Udp, UnknownDescriptorIsLearnedFromASend) {
  Net w;
  const auto& sent = w.sendto(100, 9, tuple("10.0.0.1", 5353, "8.8.8.8", 53));
  ASSERT_NE(sent.fd, nullptr);
  EXPECT_EQ(sent.fd->l4, L4Proto::udp);
  EXPECT_TRUE(sent.fd_name_changed);
  EXPECT_EQ(w.recvfrom(100, 10, tuple("8.8.8.8", 53, "10.0.0.1", 5353)).fd, nullptr);
  EXPECT_EQ(w.sendto(100, 11, tuple("10.0.0.1", 5353, "8.8.8.8", 53), -1).fd, nullptr);
}

TEST(Unix, NamesFromBindConnectAcceptAndPair) {
  Net w;
  w.socket(100, 3, AF_UNIX, 1);
  std::vector<uint8_t> path{AF_UNIX, '/', 's', 0};
  EXPECT_EQ(w.bind(100, 3, path).fd->name, "/s");
  w.socket(100, 4, AF_UNIX, 1);
  const auto& connected = w.connect(100, 4, unix_tuple(0xffff8800, 0xffff8801, "/run/docker.sock"), {});
  EXPECT_EQ(connected.fd->name, "ffff8800->ffff8801 /run/docker.sock");
  EXPECT_TRUE(connected.fd->has(kFdConnected));
  EXPECT_EQ(w.accept(100, 5, unix_tuple(1, 2, "/s")).fd->type, FdType::unix_socket);
  const auto& pair = w.apply(w.event(ev::SOCKET_SOCKETPAIR_X, 100)
                                 .num<int64_t>(0)
                                 .num<int64_t>(6)
                                 .num<int64_t>(7)
                                 .num<uint64_t>(0xA)
                                 .num<uint64_t>(0xB)
                                 .num<uint32_t>(1)
                                 .num<uint32_t>(1)
                                 .num<uint32_t>(0)
                                 .build());
  EXPECT_EQ(pair.fd_number, 7);
  EXPECT_EQ(w.fd(100, 6)->unix_dest, 0xBu);
  EXPECT_EQ(w.fd(100, 7)->unix_dest, 0xAu);
}

TEST(LoadedSockets, RolesFollowTheListeningPorts) {
  Net w;
  const auto inet = [](const char* sip, uint16_t sport, const char* dip, uint16_t dport) {
    Fd fd;
    fd.type = FdType::ipv4;
    fd.l4 = L4Proto::tcp;
    fd.tuple = {IpAddress::v4(inet_bytes(sip, AF_INET).data()), IpAddress::v4(inet_bytes(dip, AF_INET).data()), sport,
                dport};
    return fd;
  };
  Fd listener;
  listener.type = FdType::ipv4_server;
  listener.l4 = L4Proto::tcp;
  listener.tuple.source = IpAddress::v4(inet_bytes("0.0.0.0", AF_INET).data());
  listener.tuple.source_port = 22;
  w.snapshot.listening_ports = {80};
  w.snapshot.fd_lists = {
      {10, {{3, listener}, {4, inet("10.0.0.1", 22, "10.0.0.7", 5000)}, {5, inet("10.0.0.7", 5000, "10.0.0.1", 22)}}},
      {100, {{3, inet("10.0.0.1", 6000, "10.0.0.9", 443)}, {4, inet("10.0.0.1", 80, "10.0.0.9", 7000)}}}};
  w.reload();
  EXPECT_EQ(w.fd(10, 3)->name, "0.0.0.0:22");
  EXPECT_EQ(w.fd(10, 3)->role, SocketRole::server);
  EXPECT_EQ(w.fd(10, 4)->role, SocketRole::server);
  EXPECT_EQ(w.fd(10, 4)->name, "10.0.0.7:5000->10.0.0.1:22");
  EXPECT_EQ(w.fd(10, 5)->role, SocketRole::server) << "already turned round when the capture was written";
  EXPECT_EQ(w.fd(10, 5)->name, "10.0.0.7:5000->10.0.0.1:22");
  EXPECT_EQ(w.fd(100, 3)->role, SocketRole::client);
  EXPECT_TRUE(w.fd(100, 3)->has(kFdConnected));
  EXPECT_EQ(w.fd(100, 4)->role, SocketRole::server);
}

TEST(IsLocal, HostInterfacesAndContainers) {
  Net w;
  NetworkInterface eth;
  eth.address = IpAddress::v4(inet_bytes("10.0.0.1", AF_INET).data());
  NetworkInterface eth6;
  eth6.address = IpAddress::v6(inet_bytes("2001:db8:0:1::1", AF_INET6).data());
  w.snapshot.interfaces = {eth, eth6};
  Thread inside = process(300, 1, "web");
  inside.cgroups = kContainerCgroups;
  w.snapshot.threads.push_back(inside);
  w.reload();
  const auto v4 = [](const char* text) { return IpAddress::v4(inet_bytes(text, AF_INET).data()); };
  EXPECT_TRUE(w.tables.is_local(v4("10.0.0.1"), *w.thread(100)));
  EXPECT_FALSE(w.tables.is_local(v4("10.0.0.2"), *w.thread(100)));
  EXPECT_TRUE(w.tables.is_local(IpAddress::v6(inet_bytes("2001:db8:0:1::99", AF_INET6).data()), *w.thread(100)))
      << "the same network";
  EXPECT_FALSE(w.tables.is_local(IpAddress::v6(inet_bytes("2001:db8:0:2::1", AF_INET6).data()), *w.thread(100)));
  EXPECT_FALSE(w.tables.is_local(v4("10.0.0.1"), *w.thread(300)))
      << "its address is unknown, and no container has this one";
  auto info = std::make_shared<Container>();
  info->ip = "172.17.0.2";
  EXPECT_TRUE(w.tables.set_container_info(kContainerId, info));
  EXPECT_TRUE(w.tables.is_local(v4("172.17.0.2"), *w.thread(300)));
  EXPECT_TRUE(w.tables.is_local(v4("10.0.0.1"), *w.thread(300)));
  EXPECT_FALSE(w.tables.is_local(v4("172.17.0.2"), *w.thread(100)));
}

}  // namespace quell::enrich
