#pragma once
// Bytes to a server and back, without an HTTP library in between.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <string_view>

namespace quell::api {

class RawSocket {
 public:
  explicit RawSocket(uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  explicit RawSocket(const std::string& path) : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    connected_ = connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  RawSocket(const RawSocket&) = delete;
  RawSocket& operator=(const RawSocket&) = delete;
  ~RawSocket() { close(fd_); }

  bool connected() const { return connected_; }
  /// False when the peer has gone.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(count));
    }
    return true;
  }
  void end_of_input() { shutdown(fd_, SHUT_WR); }
  /// Everything until the peer closes; `closed` is false if that takes longer than `timeout_ms`.
  std::string read_all(bool& closed, int timeout_ms = 10'000) {
    std::string out;
    closed = false;
    for (;;) {
      pollfd wait{fd_, POLLIN, 0};
      if (poll(&wait, 1, timeout_ms) <= 0) return out;
      char buffer[4096];
      const ssize_t count = recv(fd_, buffer, sizeof buffer, 0);
      if (count <= 0) {
        closed = true;
        return out;
      }
      out.append(buffer, static_cast<size_t>(count));
    }
  }
  /// One answer on a kept connection: header and as many body bytes as Content-Length says.
  std::string read_answer() {
    std::string out;
    size_t wanted = std::string::npos;
    while (out.size() < wanted) {
      char c = 0;
      pollfd wait{fd_, POLLIN, 0};
      if (poll(&wait, 1, 10'000) <= 0 || recv(fd_, &c, 1, 0) != 1) return out;
      out += c;
      if (wanted == std::string::npos && out.ends_with("\r\n\r\n")) {
        const size_t at = out.find("Content-Length: ");
        wanted = out.size() + (at == std::string::npos ? 0 : std::stoul(out.substr(at + 16)));
      }
    }
    return out;
  }

 private:
  int fd_;
  bool connected_ = false;
};

}  // namespace quell::api
