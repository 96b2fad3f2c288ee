// Garbage at the HTTP door: whatever comes in, the server answers or closes, and serves the next one.
#include <gtest/gtest.h>

#include <random>

#include "api/routes.h"
#include "api/server.h"
#include "raw_socket.h"

namespace quell::api {
namespace {

constexpr int kRounds = 400;

std::string mutate(std::string text, std::mt19937& random) {
  const int edits = static_cast<int>(random() % 6);
  for (int i = 0; i < edits && !text.empty(); ++i) {
    const size_t at = random() % text.size();
    switch (random() % 5) {
      case 0: text[at] = static_cast<char>(random()); break;
      case 1: text.erase(at, random() % 8 + 1); break;
      case 2: text.insert(at, std::string(random() % 300, static_cast<char>(random()))); break;
      case 3: text.insert(at, text.substr(random() % text.size(), random() % 64)); break;
      case 4: text.resize(at); break;
    }
  }
  return text;
}

TEST(HttpFuzzSmoke, GarbageNeitherCrashesNorHangsTheServer) {
  const std::string seeds[] = {
      "GET /healthz HTTP/1.1\r\nHost: q\r\n\r\n",
      "POST /v1/actions HTTP/1.1\r\nHost: q\r\nContent-Type: application/json\r\nContent-Length: 52\r\n\r\n"
      "{\"action\":\"container.pause\",\"target\":\"container:abc\"}",
      "POST /v1/actions/a-1/undo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n3\r\n1} \r\n0\r\n\r\n",
      "GET /v1/detections?limit=%31&x=%zz HTTP/1.0\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n",
      std::string(200, '\0'),
  };
  ApiServices services;
  services.run_action = [](const Command&) -> Result<ActionOutcome> { return ActionOutcome{}; };
  services.undo_action = [](const Verdict&) -> Result<ActionOutcome> { return ActionOutcome{}; };
  char folder[] = "/tmp/quell-fuzz-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  ServerOptions options;
  options.unix_path = std::string(folder) + "/s";
  auto server = HttpServer::start(options, [&](const Request& request) { return dispatch(services, request); });
  ASSERT_TRUE(server.has_value()) << server.error().str();

  std::mt19937 random(20261122);
  for (int round = 0; round < kRounds; ++round) {
    RawSocket socket(options.unix_path);
    ASSERT_TRUE(socket.connected()) << "round " << round;
    socket.send(mutate(seeds[random() % std::size(seeds)], random));
    socket.end_of_input();
    bool closed = false;
    const std::string answer = socket.read_all(closed);
    ASSERT_TRUE(closed) << "round " << round;
    ASSERT_TRUE(answer.empty() || answer.starts_with("HTTP/1.1 ")) << "round " << round << ": " << answer;
  }
  RawSocket last(options.unix_path);
  last.send("GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n");
  bool closed = false;
  EXPECT_TRUE(last.read_all(closed).starts_with("HTTP/1.1 200"));
  (*server)->stop();
  rmdir(folder);
}

}  // namespace
}  // namespace quell::api
