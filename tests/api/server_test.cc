#include "api/server.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "api/client.h"
#include "api/routes.h"
#include "raw_socket.h"

namespace quell::api {
namespace {

class ServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/quell-api-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
    options_.listen_tcp = true;
    options_.tcp.port = 0;
    options_.unix_path = folder_ + "/quell.sock";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<HttpServer> start(Handler handler) {
    auto server = HttpServer::start(options_, std::move(handler));
    EXPECT_TRUE(server.has_value()) << (server ? "" : server.error().str());
    return server ? std::move(*server) : nullptr;
  }
  static Response echo(const Request& request) {
    Response response;
    response.content_type = "text/plain";
    response.body = std::string(to_string(request.method)) + " " + request.path + " " + request.body +
                    (request.peer.is_unix ? " uid " + std::to_string(request.peer.uid) : " tcp");
    return response;
  }

  std::string folder_;
  ServerOptions options_;
};

TEST_F(ServerTest, AnswersOnBothSocketsAndReportsThePort) {
  const auto server = start(echo);
  ASSERT_NE(server->tcp_port(), 0);
  const auto over_unix = Client::open("unix:" + options_.unix_path)->call(Method::post, "/x", "body");
  ASSERT_TRUE(over_unix.has_value()) << over_unix.error().str();
  EXPECT_EQ(*over_unix, "POST /x body uid " + std::to_string(geteuid()));
  const auto over_tcp = Client::open("http://127.0.0.1:" + std::to_string(server->tcp_port()))->call(Method::get, "/y");
  ASSERT_TRUE(over_tcp.has_value()) << over_tcp.error().str();
  EXPECT_EQ(*over_tcp, "GET /y  tcp");
  EXPECT_EQ(server->counters().requests, 2u);
}

TEST_F(ServerTest, KeepsAConnectionForSeveralRequests) {
  const auto server = start(echo);
  RawSocket socket(server->tcp_port());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(socket.send("GET /k HTTP/1.1\r\nHost: q\r\n\r\n"));
    const std::string answer = socket.read_answer();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200")) << answer;
    EXPECT_TRUE(answer.ends_with("GET /k  tcp"));
    EXPECT_NE(answer.find("Cache-Control: no-store"), std::string::npos);
  }
  EXPECT_EQ(server->counters().connections, 1u);
}

TEST_F(ServerTest, ControlSocketIsOursAlone) {
  const auto server = start(echo);
  struct stat status {};
  ASSERT_EQ(stat(options_.unix_path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(ServerTest, KernelTellsWhichUserAsks) {
  if (geteuid() != 0) GTEST_SKIP() << "SKIPPED: needs root to become another user";
  const auto server = start([](const Request& request) { return dispatch({}, request); });
  chmod(folder_.c_str(), 0755);
  chmod(options_.unix_path.c_str(), 0666);  // past the file mode, the peer check is what is left
  const pid_t child = fork();
  if (child == 0) {
    if (setuid(65534) != 0) _exit(1);
    RawSocket socket(options_.unix_path);
    socket.send("GET /v1/actions HTTP/1.1\r\nHost: q\r\nConnection: close\r\n\r\n");
    bool closed = false;
    _exit(socket.read_all(closed).starts_with("HTTP/1.1 403") ? 0 : 2);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(ServerTest, PortInUseSaysWhatToDo) {
  const auto first = start(echo);
  ServerOptions second = options_;
  second.unix_path.clear();
  second.tcp.port = first->tcp_port();
  const auto refused = HttpServer::start(second, echo);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::conflict);
  EXPECT_NE(refused.error().message.find("--listen"), std::string::npos);
}

TEST_F(ServerTest, SocketOfALivingServerIsNotTakenOverButALeftoverIs) {
  options_.listen_tcp = false;
  auto first = start(echo);
  EXPECT_EQ(HttpServer::start(options_, echo).error().code, Code::conflict);
  first->stop();
  EXPECT_FALSE(std::filesystem::exists(options_.unix_path));
  {
    // What a crash leaves: a bound socket without a listener.
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, options_.unix_path.c_str(), sizeof address.sun_path - 1);
    ASSERT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    close(fd);
  }
  EXPECT_TRUE(HttpServer::start(options_, echo).has_value());
  std::ofstream(options_.unix_path) << "a file of somebody";
  EXPECT_EQ(HttpServer::start(options_, echo).error().code, Code::conflict);
  EXPECT_TRUE(std::filesystem::exists(options_.unix_path));
}

TEST_F(ServerTest, TooLongSocketPathIsNamed) {
  options_.unix_path = folder_ + "/" + std::string(120, 'x');
  EXPECT_EQ(HttpServer::start(options_, echo).error().code, Code::invalid_argument);
}

TEST_F(ServerTest, LimitsOfHeaderAndBody) {
  const auto server = start(echo);
  const auto first_line = [&](const std::string& bytes) {
    RawSocket socket(server->tcp_port());
    socket.send(bytes);
    bool closed = false;
    const std::string answer = socket.read_all(closed);
    EXPECT_TRUE(closed);
    return answer.substr(0, 12);
  };
  EXPECT_EQ(first_line("GET / HTTP/1.1\r\nHost: q\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n"), "HTTP/1.1 431");
  EXPECT_EQ(first_line("POST / HTTP/1.1\r\nHost: q\r\nContent-Length: 1048577\r\n\r\n" + std::string(1'048'577, 'x')),
            "HTTP/1.1 413");
  EXPECT_EQ(first_line("POST / HTTP/1.1\r\nHost: q\r\nConnection: close\r\nContent-Length: 1048576\r\n\r\n" +
                       std::string(1'048'576, 'x')),
            "HTTP/1.1 200");
  EXPECT_EQ(first_line("hello\r\n\r\n"), "HTTP/1.1 400");
  EXPECT_EQ(first_line("GET /%zz HTTP/1.1\r\nConnection: close\r\n\r\n"), "HTTP/1.1 400");
  EXPECT_GE(server->counters().bad_requests, 3u);
}

TEST_F(ServerTest, SlowRequestIsCutOff) {
  options_.read_timeout = std::chrono::milliseconds(100);
  const auto server = start(echo);
  RawSocket socket(server->tcp_port());
  ASSERT_TRUE(socket.send("GET / HTT"));
  bool closed = false;
  socket.read_all(closed);
  EXPECT_TRUE(closed);
  // It is counted behind the close, by another thread.
  for (int i = 0; i < 500 && server->counters().timeouts == 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(server->counters().timeouts, 1u);
}

TEST_F(ServerTest, ConnectionsBeyondTheLimitWaitTheirTurn) {
  options_.max_connections = 2;
  const auto server = start(echo);
  {
    RawSocket first(server->tcp_port()), second(server->tcp_port());
    for (RawSocket* socket : {&first, &second}) {
      ASSERT_TRUE(socket->send("GET /a HTTP/1.1\r\nHost: q\r\n\r\n"));
      ASSERT_FALSE(socket->read_answer().empty());
    }
    EXPECT_EQ(server->counters().connections, 2u);
  }
  RawSocket third(server->tcp_port());
  ASSERT_TRUE(third.send("GET /third HTTP/1.1\r\nHost: q\r\n\r\n"));
  EXPECT_TRUE(third.read_answer().ends_with("GET /third  tcp"));
}

TEST_F(ServerTest, HandlerThatThrowsIsA500AndTheServerLives) {
  const auto server = start([](const Request& request) -> Response {
    if (request.path == "/throw") throw std::runtime_error("broken");
    return echo(request);
  });
  const Client client = *Client::open(options_.unix_path);
  EXPECT_EQ(client.call(Method::get, "/throw").error().code, Code::internal);
  EXPECT_TRUE(client.call(Method::get, "/fine").has_value());
}

TEST_F(ServerTest, StopLetsARunningHandlerAnswer) {
  std::atomic<bool> entered{false}, go{false};
  auto server = start([&](const Request& request) {
    entered = true;
    while (!go) std::this_thread::yield();
    return echo(request);
  });
  Result<std::string> answer = Error{};
  std::thread asking([&] { answer = Client::open(options_.unix_path)->call(Method::get, "/slow"); });
  while (!entered) std::this_thread::yield();
  std::thread stopping([&] { server->stop(); });
  go = true;
  asking.join();
  stopping.join();
  EXPECT_TRUE(answer.has_value()) << answer.error().str();
}

TEST_F(ServerTest, ClientTellsNobodyThereFromForbiddenFromErrors) {
  EXPECT_EQ(Client::open(options_.unix_path)->call(Method::get, "/").error().code, Code::unavailable);
  EXPECT_EQ(Client::open("ftp://x").error().code, Code::invalid_argument);
  EXPECT_EQ(Client::open("http://192.0.2.1:80").error().code, Code::invalid_argument);
  const auto server = start([](const Request& request) { return dispatch({}, request); });
  EXPECT_EQ(Client::open(options_.unix_path)->call(Method::get, "/none").error().code, Code::not_found);
  EXPECT_EQ(Client::open("http://127.0.0.1:" + std::to_string(server->tcp_port()))
                ->call(Method::get, "/v1/actions")
                .error()
                .code,
            Code::permission_denied);
}

TEST(ListenAddress, TakesLoopbackOnly) {
  EXPECT_EQ(parse_listen_address("127.0.0.1:0")->str(), "127.0.0.1:0");
  EXPECT_EQ(parse_listen_address("[::1]:80")->str(), "[::1]:80");
  EXPECT_EQ(parse_listen_address("localhost:9")->str(), "127.0.0.1:9");
  EXPECT_EQ(parse_listen_address(":7555")->str(), "127.0.0.1:7555");
  for (const char* text :
       {"", "7555", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", "0.0.0.0:80", "10.0.0.1:80", "[::]:80", "host:80"}) {
    EXPECT_EQ(parse_listen_address(text).error().code, Code::invalid_argument) << text;
  }
}

}  // namespace
}  // namespace quell::api
