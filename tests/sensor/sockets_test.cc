// Sockets, reads, writes and waits, as the sensor reports them.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include <fmt/format.h>

#include "needs_sensor.h"

namespace quell::capture::test {
namespace {

uint32_t ip_at(Param param, size_t offset) { return ntohl(load<uint32_t>(param.data + offset)); }
uint16_t port_at(Param param, size_t offset) { return load<uint16_t>(param.data + offset); }
std::string bytes_of(Param param) { return {reinterpret_cast<const char*>(param.data), param.len}; }

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}
template <typename T>
const sockaddr* generic(const T& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

TEST(SensorSockets, TcpServerAndClient) {
  NEEDS_SENSOR();
  Sandbox box({"listen", "shutdown", "setsockopt", "getsockopt"});
  int ports[2];
  ASSERT_EQ(pipe(ports), 0);
  const Events events = box.run([&] {
    const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address = loopback(0);
    socklen_t length = sizeof address;
    if (bind(server, generic(address), length) != 0 || listen(server, 7) != 0) _exit(1);
    getsockname(server, reinterpret_cast<sockaddr*>(&address), &length);
    const int client = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    if (connect(client, generic(address), sizeof address) != 0) _exit(2);
    sockaddr_in own{};
    length = sizeof own;
    getsockname(client, reinterpret_cast<sockaddr*>(&own), &length);
    const uint16_t told[2] = {ntohs(address.sin_port), ntohs(own.sin_port)};
    if (write(ports[1], told, sizeof told) != sizeof told) _exit(3);
    const int taken = accept4(server, nullptr, nullptr, SOCK_NONBLOCK);
    int error = 0;
    length = sizeof error;
    getsockopt(taken, SOL_SOCKET, SO_ERROR, &error, &length);
    shutdown(client, SHUT_WR);
    const sockaddr_in closed = loopback(1);
    connect(socket(AF_INET, SOCK_STREAM, 0), generic(closed), sizeof closed);
    accept(999, nullptr, nullptr);
  });
  uint16_t port[2] = {0, 0};
  ASSERT_EQ(read(ports[0], port, sizeof port), static_cast<ssize_t>(sizeof port));
  close(ports[0]);
  close(ports[1]);
  const auto sockets = all_of(events, ev::SOCKET_SOCKET_X);
  ASSERT_EQ(sockets.size(), 3u);
  EXPECT_EQ(sockets[0]->num("domain"), AF_INET);
  EXPECT_EQ(sockets[0]->num("type"), SOCK_STREAM);
  EXPECT_EQ(sockets[0]->u64("flags"), 0x1000u);
  EXPECT_EQ(sockets[1]->num("proto"), IPPROTO_TCP);
  const Captured& bound = one_of(events, ev::SOCKET_BIND_X);
  EXPECT_EQ(bound["addr"].data[0], AF_INET);
  EXPECT_EQ(ip_at(bound["addr"], 1), INADDR_LOOPBACK);
  EXPECT_EQ(port_at(bound["addr"], 5), 0);
  EXPECT_EQ(one_of(events, ev::SOCKET_LISTEN_X).num("backlog"), 7);
  const auto connects = all_of(events, ev::SOCKET_CONNECT_X);
  ASSERT_EQ(connects.size(), 2u);
  const Param tuple = (*connects[0])["tuple"];
  ASSERT_EQ(tuple.len, 13u);
  EXPECT_EQ(ip_at(tuple, 1), INADDR_LOOPBACK);
  EXPECT_EQ(port_at(tuple, 5), port[1]);
  EXPECT_EQ(ip_at(tuple, 7), INADDR_LOOPBACK);
  EXPECT_EQ(port_at(tuple, 11), port[0]);
  EXPECT_EQ(port_at((*connects[0])["addr"], 5), port[0]);
  EXPECT_EQ(connects[1]->num("res"), -ECONNREFUSED);
  EXPECT_EQ(port_at((*connects[1])["addr"], 5), 1);
  const Captured& accepted = one_of(events, ev::SOCKET_ACCEPT4_6_X);
  const Param from = accepted["tuple"];
  ASSERT_EQ(from.len, 13u);
  EXPECT_EQ(port_at(from, 5), port[1]) << "the client is the source";
  EXPECT_EQ(port_at(from, 11), port[0]);
  EXPECT_EQ(accepted.num("queuemax"), 7);
  EXPECT_EQ(accepted.u64("flags"), 0x40u);
  EXPECT_EQ(one_of(events, ev::SOCKET_ACCEPT_5_X).num("fd"), -EBADF);
  const Captured& set = one_of(events, ev::SOCKET_SETSOCKOPT_X);
  EXPECT_EQ(set.num("level"), 1);
  EXPECT_EQ(set.num("optname"), 2);
  ASSERT_EQ(set["val"].len, 5u);
  EXPECT_EQ(set["val"].data[0], 2);
  EXPECT_EQ(load<uint32_t>(set["val"].data + 1), 1u);
  const Captured& got = one_of(events, ev::SOCKET_GETSOCKOPT_X);
  EXPECT_EQ(got.num("optname"), 4);
  EXPECT_EQ(got["val"].len, 9u);
  EXPECT_EQ(got["val"].data[0], 1);
  EXPECT_EQ(one_of(events, ev::SOCKET_SHUTDOWN_X).num("how"), 1);
}

TEST(SensorSockets, UdpAndIpv6) {
  NEEDS_SENSOR();
  Sandbox box;
  const Events events = box.run([] {
    const int server = socket(AF_INET6, SOCK_DGRAM, 0), client = socket(AF_INET6, SOCK_DGRAM, 0);
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_loopback;
    address.sin6_port = htons(0);
    socklen_t length = sizeof address;
    if (bind(server, generic(address), length) != 0) _exit(1);
    getsockname(server, reinterpret_cast<sockaddr*>(&address), &length);
    sendto(client, "hello udp", 9, 0, generic(address), sizeof address);
    char buffer[100];
    sockaddr_in6 from{};
    length = sizeof from;
    recvfrom(server, buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &length);
    iovec parts[2] = {{const_cast<char*>("first "), 6}, {const_cast<char*>("second"), 6}};
    msghdr message{};
    message.msg_name = &address;
    message.msg_namelen = sizeof address;
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    sendmsg(client, &message, 0);
    iovec whole{buffer, sizeof buffer};
    message = {};
    message.msg_name = &from;
    message.msg_namelen = sizeof from;
    message.msg_iov = &whole;
    message.msg_iovlen = 1;
    recvmsg(server, &message, 0);
    recvfrom(server, buffer, sizeof buffer, MSG_DONTWAIT, nullptr, nullptr);
  });
  const Captured& sent = one_of(events, ev::SOCKET_SENDTO_X);
  EXPECT_EQ(sent.num("res"), 9);
  EXPECT_EQ(bytes_of(sent["data"]), "hello udp");
  ASSERT_EQ(sent["tuple"].len, 37u);
  EXPECT_EQ(std::memcmp(sent["tuple"].data + 19, &in6addr_loopback, 16), 0);
  const uint16_t server_port = port_at(sent["tuple"], 35);
  EXPECT_NE(server_port, 0);
  const auto received = all_of(events, ev::SOCKET_RECVFROM_X);
  ASSERT_EQ(received.size(), 2u);
  EXPECT_EQ(bytes_of((*received[0])["data"]), "hello udp");
  EXPECT_EQ(received[0]->num("size"), 100);
  ASSERT_EQ((*received[0])["tuple"].len, 37u);
  EXPECT_EQ(std::memcmp((*received[0])["tuple"].data + 1, &in6addr_loopback, 16), 0);
  EXPECT_EQ(port_at((*received[0])["tuple"], 35), server_port);
  EXPECT_EQ(received[1]->num("res"), -EAGAIN);
  EXPECT_TRUE((*received[1])["tuple"].empty());
  const Captured& message = one_of(events, ev::SOCKET_SENDMSG_X);
  EXPECT_EQ(bytes_of(message["data"]), "first second");
  EXPECT_EQ(message.num("size"), 12);
  EXPECT_EQ(port_at(message["tuple"], 35), server_port);
  const Captured& taken = one_of(events, ev::SOCKET_RECVMSG_X);
  EXPECT_EQ(bytes_of(taken["data"]), "first second");
  EXPECT_EQ(taken["tuple"].len, 37u);
}

TEST(SensorSockets, UnixSockets) {
  NEEDS_SENSOR();
  Sandbox box;
  const std::string path = fmt::format("/tmp/quell-socket-{}", getpid());
  const Events events = box.run([&] {
    int pair[2];
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path.c_str());
    const int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(server, generic(address), sizeof address) != 0 || listen(server, 1) != 0) _exit(1);
    if (connect(client, generic(address), sizeof address) != 0) _exit(2);
    accept(server, nullptr, nullptr);
    sockaddr_un abstract{};
    abstract.sun_family = AF_UNIX;
    std::memcpy(abstract.sun_path, "\0quell-abstract", 15);
    bind(socket(AF_UNIX, SOCK_DGRAM, 0), generic(abstract), sizeof(sa_family_t) + 15);
  });
  unlink(path.c_str());
  const Captured& both = one_of(events, ev::SOCKET_SOCKETPAIR_X);
  EXPECT_EQ(both.num("domain"), AF_UNIX);
  EXPECT_NE(both.u64("source"), 0u);
  EXPECT_NE(both.u64("peer"), both.u64("source"));
  EXPECT_EQ(both.num("fd2"), both.num("fd1") + 1);
  const auto binds = all_of(events, ev::SOCKET_BIND_X);
  ASSERT_EQ(binds.size(), 2u);
  EXPECT_EQ(bytes_of((*binds[0])["addr"]).substr(1), path + '\0');
  EXPECT_EQ(bytes_of((*binds[1])["addr"]).substr(1), std::string("quell-abstract") + '\0');
  const Param to = one_of(events, ev::SOCKET_CONNECT_X)["tuple"];
  const Param from = one_of(events, ev::SOCKET_ACCEPT_5_X)["tuple"];
  ASSERT_GT(to.len, 18u);
  ASSERT_GT(from.len, 18u);
  EXPECT_EQ(bytes_of(to).substr(17), path + '\0');
  EXPECT_EQ(bytes_of(from).substr(17), path + '\0');
  EXPECT_EQ(load<uint64_t>(to.data + 1), load<uint64_t>(from.data + 1)) << "one connection, seen from both ends";
}

TEST(SensorSockets, DataIsCutAtSnaplen) {
  NEEDS_UNCHANGED_PROCESSES();
  Sandbox box({"read", "write", "pread64", "pwrite64", "readv", "writev", "preadv", "sendfile", "poll", "ppoll",
               "nanosleep", "ioctl"});
  const Events events = box.run([] {
    int pair[2];
    if (pipe(pair) != 0) _exit(1);
    const std::string text(300, 'q');
    write(pair[1], text.data(), text.size());
    char buffer[500];
    read(pair[0], buffer, sizeof buffer);
    iovec parts[3] = {{const_cast<char*>("ab"), 2}, {nullptr, 0}, {const_cast<char*>(text.data()), 290}};
    writev(pair[1], parts, 3);
    iovec into[2] = {{buffer, 10}, {buffer + 10, 400}};
    readv(pair[0], into, 2);
    syscall(SYS_write, pair[1], nullptr, 5);
    const int file = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    pwrite64(file, "at 4096", 7, 4096);
    pread64(file, buffer, 100, 4096);
    off_t offset = 4096;
    sendfile(pair[1], file, &offset, 7);
    pollfd waiting[2] = {{pair[0], POLLIN, 0}, {-1, 0, 0}};
    poll(waiting, 2, 10);
    timespec time{0, 1000};
    ppoll(waiting, 1, &time, nullptr);
    syscall(SYS_nanosleep, &time, nullptr);
  });
  const auto writes = all_of(events, ev::SYSCALL_WRITE_X);
  ASSERT_EQ(writes.size(), 2u);
  EXPECT_EQ(writes[0]->num("res"), 300);
  EXPECT_EQ((*writes[0])["data"].len, 80u);
  EXPECT_EQ(writes[0]->num("size"), 300);
  EXPECT_EQ(writes[1]->num("res"), -EFAULT);
  EXPECT_TRUE((*writes[1])["data"].empty());
  bool found = false;
  for (const Captured* event : all_of(events, ev::SYSCALL_READ_X)) {
    if (event->num("res") != 300) continue;
    found = true;
    EXPECT_EQ(bytes_of((*event)["data"]), std::string(80, 'q'));
    EXPECT_EQ(event->num("size"), 500);
  }
  EXPECT_TRUE(found);
  const Captured& gathered = one_of(events, ev::SYSCALL_WRITEV_X);
  EXPECT_EQ(gathered.num("res"), 292);
  EXPECT_EQ(gathered.num("size"), 292);
  EXPECT_EQ(bytes_of(gathered["data"]), "ab" + std::string(78, 'q'));
  EXPECT_EQ(bytes_of(one_of(events, ev::SYSCALL_READV_X)["data"]), "ab" + std::string(78, 'q'));
  const Captured& placed = one_of(events, ev::SYSCALL_PWRITE_X);
  EXPECT_EQ(bytes_of(placed["data"]), "at 4096");
  EXPECT_EQ(placed.num("pos"), 4096);
  EXPECT_EQ(bytes_of(one_of(events, ev::SYSCALL_PREAD_X)["data"]), "at 4096");
  EXPECT_EQ(one_of(events, ev::SYSCALL_SENDFILE_X).num("offset"), 4103);
  const Param fds = one_of(events, ev::SYSCALL_POLL_X)["fds"];
  ASSERT_EQ(fds.len, 22u);
  EXPECT_EQ(load<uint16_t>(fds.data + 10), 1u) << "POLLIN is ready";
  EXPECT_EQ(load<int64_t>(fds.data + 12), -1);
  EXPECT_LE(one_of(events, ev::SYSCALL_PPOLL_X).u64("timeout"), 1000u) << "the kernel leaves what was left of it";
  EXPECT_EQ(one_of(events, ev::SYSCALL_NANOSLEEP_X).u64("interval"), 1000u);
}

}  // namespace
}  // namespace quell::capture::test
