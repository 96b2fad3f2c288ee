// The protobuf codec, and HTTP and gRPC over a Unix socket against peers that misbehave.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <thread>

#include "os/grpc.h"
#include "os/protobuf_wire.h"
#include "os/runtime.h"
#include "os/unix_http.h"

namespace quell::os {
namespace {

TEST(ProtobufWire, RoundTrip) {
  ProtoWriter writer;
  writer.number(1, 300)
      .text(2, "hello")
      .entry(3, "k", "")
      .entry(3, "", "v")
      .element(4, "")
      .number(5, UINT64_MAX)
      .number(6, 0);
  ProtoReader reader(writer.bytes());
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.field(), 1u);
  EXPECT_EQ(reader.number(), 300u);
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.text(), "hello");
  std::string key, value;
  ASSERT_TRUE(reader.next());
  ASSERT_TRUE(read_map_entry(reader.bytes(), key, value));
  EXPECT_EQ(key, "k");
  EXPECT_EQ(value, "");
  ASSERT_TRUE(reader.next());
  ASSERT_TRUE(read_map_entry(reader.bytes(), key, value));
  EXPECT_EQ(key, "");
  EXPECT_EQ(value, "v");
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.field(), 4u);
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.number(), UINT64_MAX);
  EXPECT_FALSE(reader.next());
  EXPECT_TRUE(reader.ok());
}

TEST(ProtobufWire, KnownBytes) {
  // The example of the format's public description: field 1 = 150; field 2 = "testing".
  EXPECT_EQ(ProtoWriter().number(1, 150).bytes(), std::string("\x08\x96\x01", 3));
  EXPECT_EQ(ProtoWriter().text(2, "testing").bytes(), "\x12\x07testing");
  ProtoReader fixed(std::string_view("\x0d\x01\x00\x00\x00\x11\x02\x00\x00\x00\x00\x00\x00\x00", 14));
  ASSERT_TRUE(fixed.next());
  EXPECT_EQ(fixed.number(), 1u);
  ASSERT_TRUE(fixed.next());
  EXPECT_EQ(fixed.number(), 2u);
}

TEST(ProtobufWire, EveryTruncationAndEveryByteIsSurvived) {
  const std::string whole =
      ProtoWriter().number(1, 1u << 20).text(2, "abc").message(3, ProtoWriter().text(1, "x")).bytes();
  for (size_t size = 0; size < whole.size(); ++size) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string bytes = whole.substr(0, size) + static_cast<char>(byte);
      ProtoReader reader(bytes);
      int fields = 0;
      while (reader.next()) ++fields;
      EXPECT_LE(fields, 10);
    }
  }
  for (const std::string& bytes : {std::string("\x12\x7f", 2), std::string("\x08", 1),
                                   std::string("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12),
                                   std::string("\x0b", 1), std::string("\x00\x00", 2)}) {
    ProtoReader reader(bytes);
    EXPECT_FALSE(reader.next());
    EXPECT_FALSE(reader.ok());
    EXPECT_FALSE(reader.next());
  }
}

/// Listens on a Unix socket and hands each connection to `serve`.
class Peer {
 public:
  explicit Peer(std::function<void(int)> serve)
      : path_("/tmp/quell_wire_test_" + std::to_string(::getpid()) + ".sock") {
    ::unlink(path_.c_str());
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_, 8), 0);
    thread_ = std::thread([this, serve = std::move(serve)] {
      for (;;) {
        const int fd = ::accept(listener_, nullptr, nullptr);
        if (fd < 0) return;
        serve(fd);
        ::close(fd);
      }
    });
  }
  ~Peer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
    ::unlink(path_.c_str());
  }
  UnixPeer address() const { return {.name = "Tester", .socket = path_, .option = "--tester-socket"}; }

 private:
  std::string path_;
  int listener_;
  std::thread thread_;
};

void read_request(int fd) {
  std::string text;
  char buffer[1024];
  while (text.find("\r\n\r\n") == std::string::npos) {
    const ssize_t size = ::read(fd, buffer, sizeof buffer);
    if (size <= 0) return;
    text.append(buffer, static_cast<size_t>(size));
  }
}
void send(int fd, std::string_view text) {
  ASSERT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

TEST(UnixHttp, StatusHeadersBody) {
  Peer peer([](int fd) {
    read_request(fd);
    send(fd, "HTTP/1.1 404 Not Found\r\nX-Thing:  a b \r\nContent-Length: 3\r\n\r\nabc");
  });
  const auto response = unix_http(peer.address(), {.path = "/x"});
  ASSERT_TRUE(response) << response.error().str();
  EXPECT_EQ(response->status, 404);
  EXPECT_EQ(response->headers.at("x-thing"), "a b");
  EXPECT_EQ(response->body, "abc");
}

TEST(UnixHttp, SilentPeerTimesOut) {
  std::atomic<bool> done{false};
  Peer peer([&](int fd) {
    read_request(fd);
    while (!done) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  });
  const auto response = unix_http(peer.address(), {.path = "/x", .timeout_ms = 50});
  done = true;
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, Code::timeout);
}

TEST(UnixHttp, CutAnswer) {
  Peer cut([](int fd) {
    read_request(fd);
    send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nabc");
  });
  EXPECT_EQ(unix_http(cut.address(), {.path = "/x"}).error().code, Code::io);
}
TEST(UnixHttp, OversizedAnswer) {
  Peer large([](int fd) {
    read_request(fd);
    send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n" + std::string(30, 'x'));
  });
  EXPECT_EQ(unix_http(large.address(), {.path = "/x", .response_limit = 29}).error().code, Code::limit);
}
TEST(UnixHttp, NoHttpAtAll) {
  Peer noise([](int fd) {
    read_request(fd);
    send(fd, "\x01\x02\x03 nonsense\r\n");
  });
  const auto plain = unix_http(noise.address(), {.path = "/x", .timeout_ms = 2000});
  EXPECT_FALSE(plain);
  const auto grpc = grpc_call(noise.address(), {.method = "/a/b", .containerd_namespace = {}, .timeout_ms = 2000}, "");
  EXPECT_FALSE(grpc);
}

TEST(UnixHttp, MissingAndDeadSockets) {
  const auto missing =
      unix_http({.name = "Docker", .socket = "/nonexistent/d.sock", .option = "--docker-socket"}, {.path = "/"});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::unavailable);
  EXPECT_NE(missing.error().message.find("/nonexistent/d.sock"), std::string::npos);
  EXPECT_NE(missing.error().message.find("--docker-socket"), std::string::npos);

  UnixPeer address;
  {
    address = Peer([](int) {}).address();
  }
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);  // a socket file that nobody serves any more
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  address.socket.copy(name.sun_path, sizeof name.sun_path - 1);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
  ::close(fd);
  EXPECT_EQ(unix_http(address, {.path = "/"}).error().code, Code::unavailable);
  ::unlink(address.socket.c_str());
}

TEST(UnixHttp, PercentCoding) {
  EXPECT_EQ(percent_encode("a/b ../?x"), "a%2Fb%20..%2F%3Fx");
  EXPECT_EQ(percent_decode("a%2Fb%zz%2"), "a/b%zz%2");
}

TEST(FindContainer, SaysWhyNobodyAnswered) {
  const auto runtimes = make_runtimes({.docker = "/nonexistent/d.sock", .containerd = "/nonexistent/c.sock"});
  ASSERT_EQ(runtimes.size(), 2u);
  const auto found = find_container(runtimes, "web");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Code::unavailable);
  EXPECT_NE(found.error().message.find("/nonexistent/d.sock"), std::string::npos);
  EXPECT_NE(found.error().message.find("/nonexistent/c.sock"), std::string::npos);
  EXPECT_EQ(find_container({}, "web").error().code, Code::unavailable);
  EXPECT_EQ(make_runtimes({.docker = "", .containerd = ""}).size(), 0u);
}

}  // namespace
}  // namespace quell::os
