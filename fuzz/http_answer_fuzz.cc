// The client of the runtimes' sockets against a peer that answers anything: the bytes go over a Unix socket as one
// whole answer, through the HTTP client, to the reader of Docker's JSON.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "os/docker.h"

namespace {

/// A socket in a folder of its own, removed at exit.
class Peer {
 public:
  Peer() {
    char folder[] = "/tmp/quell-fuzz-XXXXXX";
    if (mkdtemp(folder) == nullptr) std::abort();
    folder_ = folder;
    path_ = folder_ + "/s";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::snprintf(address.sun_path, sizeof address.sun_path, "%s", path_.c_str());
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener_ < 0 || ::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener_, 4) != 0)
      std::abort();
  }
  ~Peer() {
    ::close(listener_);
    ::unlink(path_.c_str());
    ::rmdir(folder_.c_str());
  }
  const std::string& path() const { return path_; }

  /// Takes one connection, waits for a request, answers and closes.
  void answer_once(const uint8_t* data, size_t size) const {
    const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) return;
    char request[4096];
    if (::recv(connection, request, sizeof request, 0) > 0) {
      size_t sent = 0;
      while (sent < size) {
        const ssize_t count = ::send(connection, data + sent, size - sent, MSG_NOSIGNAL);
        if (count <= 0) break;
        sent += static_cast<size_t>(count);
      }
      // Half closed: the peer's close answers ours, so nothing of the answer is thrown away.
      ::shutdown(connection, SHUT_WR);
      while (::recv(connection, request, sizeof request, 0) > 0) {
      }
    }
    ::close(connection);
  }

 private:
  std::string folder_, path_;
  int listener_ = -1;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quell::os;
  static const Peer peer;
  std::thread server([&] { peer.answer_once(data, size); });
  const UnixPeer docker{"Docker", peer.path(), "--docker-socket"};
  HttpRequest request;
  request.path = "/containers/x/json";
  request.timeout_ms = 200;
  request.response_limit = 64 << 10;
  const auto answer = unix_http(docker, request);
  server.join();
  if (answer ? answer->body.size() > request.response_limit || answer->headers.size() > 200
             : answer.error().message.empty())
    std::abort();
  if (answer && answer->status == 200) {
    if (const auto status = parse_docker_inspect(answer->body); status && status->info == nullptr) std::abort();
  }
  return 0;
}
