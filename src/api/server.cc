#include "api/server.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <fstream>
#include <optional>
#include <thread>
#include <unordered_set>

#include "base/log.h"
#include "base/text.h"

namespace quell::api {

namespace net = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

namespace {

using StreamSocket = net::generic::stream_protocol::socket;
using Stream = beast::basic_stream<net::generic::stream_protocol>;
using Acceptor = net::basic_socket_acceptor<net::generic::stream_protocol>;

constexpr size_t kLingerBytes = 2 * 1024 * 1024;

Method method_of(http::verb verb) {
  switch (verb) {
    case http::verb::get: return Method::get;
    case http::verb::post: return Method::post;
    case http::verb::put: return Method::put;
    case http::verb::delete_: return Method::delete_;
    default: return Method::other;
  }
}

Peer unix_peer(int socket) {
  Peer peer;
  peer.is_unix = true;
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0) {
    peer.uid = credentials.uid;
    peer.pid = credentials.pid;
    std::ifstream file(fmt::format("/proc/{}/loginuid", credentials.pid));
    uint32_t login_uid = UINT32_MAX;
    if (file >> login_uid) peer.login_uid = login_uid;
  }
  return peer;
}

}  // namespace

std::string TcpAddress::str() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
}

Result<TcpAddress> parse_listen_address(std::string_view text) {
  const auto invalid = [&](std::string_view why) {
    return Error{
        Code::invalid_argument,
        fmt::format("\"{}\" is no address to listen on: {}; write ADDR:PORT, such as 127.0.0.1:7555", text, why),
        {}};
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return invalid("the port is missing");
  uint64_t port = 0;
  if (!parse_u64(text.substr(colon + 1), port) || port > 65535) return invalid("the port is no number from 0 to 65535");
  std::string_view host = text.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  TcpAddress out;
  out.port = static_cast<uint16_t>(port);
  if (host == "localhost" || host.empty()) return out;
  error_code error;
  const net::ip::address address = net::ip::make_address(std::string(host), error);
  if (error) return invalid("the address is neither IPv4 nor IPv6");
  if (!address.is_loopback())
    return invalid("only loopback addresses are served, because there is no TLS yet to protect others");
  out.host = std::string(host);
  return out;
}

struct HttpServer::Impl {
  /// A listening socket and how many connections came through it.
  struct Listener {
    explicit Listener(net::io_context& io) : acceptor(io) {}
    Acceptor acceptor;
    bool is_unix = false;
    bool is_paused = false;  // at the limit: no accept is pending
    size_t connections = 0;
  };
  class Session;

  Impl(const ServerOptions& server_options, Handler request_handler)
      : options(server_options), handler(std::move(request_handler)), workers(server_options.workers) {}

  Result<void> listen();
  Result<void> listen_tcp();
  Result<void> listen_unix();
  void accept(Listener& listener);
  void leave(Listener& listener, Session* session);
  void stop();

  const ServerOptions options;
  const Handler handler;
  net::io_context io{1};
  net::thread_pool workers;
  std::optional<Listener> tcp, local;
  std::unordered_set<Session*> sessions;  // io thread
  std::thread thread;
  bool stopping = false;  // io thread
  bool stopped = false;   // owner's thread
  uint16_t port = 0;
  std::atomic<uint64_t> requests{0}, bad_requests{0}, timeouts{0}, connections{0};
};

/// One connection. Lives on the io thread; only the handler runs elsewhere.
class HttpServer::Impl::Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Impl& server, Listener& listener, StreamSocket&& socket, Peer peer)
      : server_(server), listener_(listener), stream_(std::move(socket)), buffer_(64 * 1024), peer_(peer) {
    server_.sessions.insert(this);
    server_.connections.fetch_add(1, std::memory_order_relaxed);
  }
  ~Session() {
    server_.connections.fetch_sub(1, std::memory_order_relaxed);
    server_.leave(listener_, this);
  }

  void read() {
    parser_.emplace();
    parser_->header_limit(server_.options.header_limit_bytes);
    parser_->body_limit(server_.options.body_limit_bytes);
    is_idle_ = true;
    stream_.expires_after(server_.options.read_timeout);
    http::async_read(stream_, buffer_, *parser_,
                     [self = shared_from_this()](error_code error, size_t) { self->on_read(error); });
  }

  /// Between two requests nothing is lost by closing.
  void close_if_idle() {
    if (is_idle_) stream_.close();
  }

 private:
  void on_read(error_code error) {
    is_idle_ = false;
    if (error == http::error::end_of_stream || error == net::error::operation_aborted || error == net::error::eof ||
        error == net::error::connection_reset) {
      stream_.close();
      return;
    }
    if (error == beast::error::timeout) {
      server_.timeouts.fetch_add(1, std::memory_order_relaxed);
      stream_.close();
      return;
    }
    if (error) {
      server_.bad_requests.fetch_add(1, std::memory_order_relaxed);
      keep_alive_ = false;
      if (error == http::error::header_limit || error == http::error::buffer_overflow) {
        return write(error_response(
            431, "limit",
            fmt::format("the request's header is larger than {} bytes", server_.options.header_limit_bytes)));
      }
      if (error == http::error::body_limit) {
        return write(error_response(
            413, "limit", fmt::format("the request's body is larger than {} bytes", server_.options.body_limit_bytes)));
      }
      return write(
          error_response(400, "malformed", fmt::format("this is not a valid HTTP/1.1 request: {}", error.message())));
    }
    server_.requests.fetch_add(1, std::memory_order_relaxed);
    http::request<http::string_body> message = parser_->release();
    keep_alive_ = message.keep_alive() && !server_.stopping;
    Request request;
    request.method = method_of(message.method());
    request.peer = peer_;
    const beast::string_view target = message.target();
    if (const auto parsed = parse_request_target({target.data(), target.size()}, request); !parsed) {
      return write(error_response(parsed.error()));
    }
    request.body = std::move(message.body());
    stream_.expires_never();  // the handler has its own limits
    // The guard keeps run() from ending while only a worker knows of this request.
    net::post(server_.workers, [self = shared_from_this(), request = std::move(request),
                                guard = net::make_work_guard(server_.io)]() mutable {
      Response response = self->run_handler(request);
      net::io_context& loop = self->server_.io;
      net::post(loop, [moved = std::move(self), response = std::move(response)]() mutable {
        moved->write(std::move(response));
      });
    });
  }

  Response run_handler(const Request& request) {
    try {
      return server_.handler(request);
    } catch (const std::exception& error) {
      log::error("api", "{} {} failed: {}", to_string(request.method), request.path, error.what());
      return error_response(500, "internal", error.what());
    }
  }

  void write(Response response) {
    response_.emplace(static_cast<http::status>(response.status), 11);
    response_->set(http::field::content_type, response.content_type);
    response_->set(http::field::cache_control, "no-store");
    response_->set("X-Content-Type-Options", "nosniff");
    if (!response.allow.empty()) response_->set(http::field::allow, response.allow);
    response_->body() = std::move(response.body);
    response_->keep_alive(keep_alive_);
    response_->prepare_payload();
    stream_.expires_after(server_.options.write_timeout);
    http::async_write(stream_, *response_,
                      [self = shared_from_this()](error_code error, size_t) { self->on_written(error); });
  }

  void on_written(error_code error) {
    if (error) {
      stream_.close();
      return;
    }
    if (keep_alive_ && !server_.stopping) return read();
    // Closing with unread bytes makes the kernel send a reset, which can overtake the answer: take what still comes
    // first.
    stream_.socket().shutdown(net::socket_base::shutdown_send, error);
    stream_.expires_after(std::chrono::seconds(1));
    linger();
  }

  void linger() {
    auto room = std::make_shared<std::vector<char>>(16 * 1024);
    stream_.async_read_some(net::buffer(*room), [self = shared_from_this(), room](error_code error, size_t count) {
      self->lingered_ += count;
      if (error || self->lingered_ > kLingerBytes) {
        self->stream_.close();
      } else {
        self->linger();
      }
    });
  }

  Impl& server_;
  Listener& listener_;
  Stream stream_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  std::optional<http::response<http::string_body>> response_;
  Peer peer_;
  size_t lingered_ = 0;
  bool keep_alive_ = false;
  bool is_idle_ = false;
};

Result<void> HttpServer::Impl::listen() {
  if (options.listen_tcp) QUELL_CHECK(listen_tcp());
  if (!options.unix_path.empty()) QUELL_CHECK(listen_unix());
  if (tcp) accept(*tcp);
  if (local) accept(*local);
  return {};
}

Result<void> HttpServer::Impl::listen_tcp() {
  error_code error;
  const net::ip::tcp::endpoint wanted(net::ip::make_address(options.tcp.host, error), options.tcp.port);
  if (error) return Error{Code::invalid_argument, "not an address: " + error.message(), options.tcp.host};
  Listener& listener = tcp.emplace(io);
  const auto fail = [&](std::string_view step) {
    if (error == net::error::address_in_use) {
      return Error{
          Code::conflict,
          fmt::format(
              "{} is in use by another program; choose another with --listen ADDR:PORT (port 0 picks a free one)",
              options.tcp.str()),
          {}};
    }
    return errno_error(error.value(), fmt::format("cannot {} on {}", step, options.tcp.str()));
  };
  listener.acceptor.open(net::generic::stream_protocol(wanted.protocol()), error);
  if (error) return fail("open a socket");
  listener.acceptor.set_option(net::socket_base::reuse_address(true), error);
  if (!error) listener.acceptor.bind(net::generic::stream_protocol::endpoint(wanted), error);
  if (error) return fail("bind");
  listener.acceptor.listen(net::socket_base::max_listen_connections, error);
  if (error) return fail("listen");
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  if (getsockname(listener.acceptor.native_handle(), reinterpret_cast<sockaddr*>(&bound), &size) != 0) {
    return errno_error(errno, "cannot read the port that was bound");
  }
  // sin_port and sin6_port lie at the same place.
  port = ntohs(reinterpret_cast<const sockaddr_in&>(bound).sin_port);
  return {};
}

Result<void> HttpServer::Impl::listen_unix() {
  const std::string& path = options.unix_path;
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return Error{Code::invalid_argument,
                 fmt::format("a Unix socket's path may have {} bytes at most; choose a shorter --data-dir",
                             sizeof(sockaddr_un::sun_path) - 1),
                 path};
  }
  struct stat existing {};
  if (lstat(path.c_str(), &existing) == 0) {
    if (!S_ISSOCK(existing.st_mode))
      return Error{Code::conflict, "this is in the way of our socket and is none; remove it", path};
    // A socket that nobody answers is left over from a crash; one that answers belongs to a living quell.
    StreamSocket probe(io);
    error_code refused;
    probe.connect(net::local::stream_protocol::endpoint(path), refused);
    if (!refused)
      return Error{Code::conflict, "another quell answers on this socket; stop it or choose another --data-dir", path};
    unlink(path.c_str());
  }
  Listener& listener = local.emplace(io);
  listener.is_unix = true;
  error_code error;
  listener.acceptor.open(net::generic::stream_protocol(AF_UNIX, 0), error);
  // The mode of the descriptor becomes that of the file: there is no moment in which others could connect.
  if (!error && fchmod(listener.acceptor.native_handle(), 0600) != 0)
    error.assign(errno, boost::system::system_category());
  if (!error) listener.acceptor.bind(net::local::stream_protocol::endpoint(path), error);
  if (!error) listener.acceptor.listen(net::socket_base::max_listen_connections, error);
  if (error) return errno_error(error.value(), "cannot listen on the control socket", path);
  return {};
}

void HttpServer::Impl::accept(Listener& listener) {
  listener.acceptor.async_accept(io, [this, &listener](error_code error, StreamSocket socket) {
    if (stopping) return;
    if (!error) {
      const Peer peer = listener.is_unix ? unix_peer(socket.native_handle()) : Peer{};
      if (!listener.is_unix) {
        error_code ignored;
        socket.set_option(net::ip::tcp::no_delay(true), ignored);
      }
      ++listener.connections;
      std::make_shared<Session>(*this, listener, std::move(socket), peer)->read();
    }
    if (listener.connections >= options.max_connections) {
      listener.is_paused = true;
    } else {
      accept(listener);
    }
  });
}

void HttpServer::Impl::leave(Listener& listener, Session* session) {
  sessions.erase(session);
  --listener.connections;
  if (!listener.is_paused || stopping) return;
  listener.is_paused = false;
  accept(listener);
}

void HttpServer::Impl::stop() {
  if (stopped) return;
  stopped = true;
  net::post(io, [this] {
    stopping = true;
    error_code ignored;
    if (tcp) tcp->acceptor.close(ignored);
    if (local) local->acceptor.close(ignored);
    for (Session* session : sessions) session->close_if_idle();
  });
  if (thread.joinable()) thread.join();  // run() ends when the last running request is answered
  workers.join();
  if (local) unlink(options.unix_path.c_str());
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() { stop(); }

Result<std::unique_ptr<HttpServer>> HttpServer::start(const ServerOptions& options, Handler handler) {
  try {
    auto impl = std::make_unique<Impl>(options, std::move(handler));
    QUELL_CHECK(impl->listen());
    impl->thread = std::thread([&io = impl->io] {
      // One connection's failure must not end the others.
      for (;;) {
        try {
          io.run();
          return;
        } catch (const std::exception& error) {
          log::error("api", "a connection failed: {}", error.what());
        }
      }
    });
    return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
  } catch (const std::exception& error) {
    return Error{Code::io, fmt::format("the HTTP server cannot start: {}", error.what()), {}};
  }
}

uint16_t HttpServer::tcp_port() const { return impl_->port; }

ServerCounters HttpServer::counters() const {
  return {impl_->requests.load(), impl_->bad_requests.load(), impl_->timeouts.load(), impl_->connections.load()};
}

void HttpServer::stop() { impl_->stop(); }

}  // namespace quell::api
