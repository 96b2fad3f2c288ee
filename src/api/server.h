#pragma once
// A small HTTP/1.1 server: plain HTTP on loopback addresses and on a Unix socket. One thread moves bytes, a few workers
// run the handler, so that a slow action never delays a health check's bytes.
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "api/http.h"
#include "base/result.h"

namespace quell::api {

struct TcpAddress {
  std::string host = "127.0.0.1";
  uint16_t port = 7555;  // 0: the kernel picks one
  std::string str() const;
};

/// "127.0.0.1:7555", "[::1]:0", "localhost:80", ":7555". Errors: invalid_argument, also for an address that is not
/// loopback: without TLS nothing is served to other machines.
Result<TcpAddress> parse_listen_address(std::string_view text);

struct ServerOptions {
  bool listen_tcp = false;
  TcpAddress tcp;
  std::string unix_path;  // empty: no Unix socket; mode 0600
  uint32_t header_limit_bytes = 16 * 1024;
  uint64_t body_limit_bytes = 1024 * 1024;
  std::chrono::milliseconds read_timeout{30'000};  // for a whole request; also how long an idle connection is kept
  std::chrono::milliseconds write_timeout{30'000};
  size_t max_connections = 64;  // per listener; more wait in the kernel's queue
  size_t workers = 4;
};

struct ServerCounters {
  uint64_t requests = 0;
  uint64_t bad_requests = 0;  // not HTTP, or beyond a limit
  uint64_t timeouts = 0;
  uint64_t connections = 0;  // open now
};

class HttpServer {
 public:
  /// Binds and serves until stop(). Errors: conflict (the port or the socket is in use; the message names the remedy),
  /// permission_denied, invalid_argument (a socket path that is too long), io.
  static Result<std::unique_ptr<HttpServer>> start(const ServerOptions& options, Handler handler);
  ~HttpServer();

  /// The port that is really listened on; 0 without TCP.
  uint16_t tcp_port() const;
  ServerCounters counters() const;
  /// Takes no more requests, lets running handlers answer, joins the threads, removes the Unix socket. Idempotent.
  void stop();

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace quell::api
