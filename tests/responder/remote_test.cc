// The responder behind its socket behaves as the one in process: every verb, every error, every record.
#include <sys/stat.h>

#include <thread>

#include "api/client.h"
#include "api/server.h"
#include "apps/responder/protocol.h"
#include "apps/responder/remote.h"
#include "apps/responder/service.h"
#include "fixture.h"
#include "model/action_json.h"
#include "respond/catalogue.h"

namespace quell::responder {
namespace {

using namespace respond;  // NOLINT: the fixture's world
using enum ActionState;

constexpr char kKey[] = "0123456789abcdef";

class RemoteTest : public RespondTest {
 protected:
  RemoteTest() {
    char folder[] = "/tmp/quell-responder-XXXXXX";
    EXPECT_NE(mkdtemp(folder), nullptr);
    folder_ = folder;
    socket_ = folder_ + "/responder.sock";
    options.on_record = [this](const ActionRecord& record) {
      if (service) service->note(record);
    };
    options.find_detection = nullptr;
    start();
    serve(getuid());
  }
  ~RemoteTest() override {
    if (service) service->stop();
    server.reset();
    rmdir(folder_.c_str());
  }
  void serve(uint32_t allowed_uid) {
    server.reset();
    service = std::make_unique<Service>(
        *runner, Service::Options{kKey, allowed_uid, [this] { return catalogue_json(runner->world()); }});
    api::ServerOptions server_options;
    server_options.unix_path = socket_;
    auto started = api::HttpServer::start(server_options,
                                          [this](const api::Request& request) { return service->handle(request); });
    ASSERT_TRUE(started) << started.error().str();
    server = std::move(*started);
  }
  RemoteResponder remote(const std::string& key = kKey) {
    return RemoteResponder(
        {.socket = socket_, .key = key, .find_detection = [this](std::string_view id) -> Result<Detection> {
           const auto found = detections.find(std::string(id));
           if (found == detections.end()) return Error{Code::not_found, "no such detection", {}};
           return found->second;
         }});
  }

  std::string folder_, socket_;
  std::unique_ptr<Service> service;
  std::unique_ptr<api::HttpServer> server;
};

TEST_F(RemoteTest, EveryVerbCrosses) {
  RemoteResponder far = remote();
  Command c = command("container.pause", "container:web");
  c.policy = "p", c.policy_version = 3, c.causes = {"d-1"};
  const auto preview = far.preview(c);
  ASSERT_TRUE(preview) << preview.error().str();
  EXPECT_EQ(preview->target.container_id, web);
  EXPECT_FALSE(preview->refusal);
  EXPECT_EQ(Json::parse(preview->json)->at("kind").str(), "ActionPreview");

  const auto done = far.run(c);
  ASSERT_TRUE(done) << done.error().str();
  EXPECT_EQ(done->record.state, contained);
  EXPECT_EQ(action_to_json(done->record), action_to_json(shown(done->record.id)));
  EXPECT_TRUE(far.run(c)->existing);
  EXPECT_EQ(far.show(done->record.id)->command.causes, c.causes);
  ActionQuery query;
  query.state = contained;
  EXPECT_EQ(far.list(query)->size(), 1u);
  query.state = failed;
  EXPECT_TRUE(far.list(query)->empty());
  ASSERT_EQ(far.in_effect()->size(), 1u);
  EXPECT_EQ(far.in_effect()->front().record.id, done->record.id);
  EXPECT_EQ(far.undo({done->record.id, "uid:0 (root)", "enough"})->record.state, undone);
  EXPECT_TRUE(Json::parse(*far.catalogue())->at("items").array() != nullptr);

  EXPECT_FALSE(far.stop_switch().is_on);
  ASSERT_TRUE(far.set_stop_switch({true, "uid:0 (root)", "drill", 0}));
  EXPECT_TRUE(far.stop_switch().is_on);
  EXPECT_EQ(far.stop_switch().reason, "drill");
  const auto refused = far.preview(c);
  ASSERT_TRUE(refused);
  ASSERT_TRUE(refused->refusal);
  EXPECT_EQ(refused->refusal->rule, "stop_switch");
}

TEST_F(RemoteTest, ApprovalsCross) {
  options.guards.approvals[static_cast<size_t>(ActionClass::soft)] = 1;
  start();
  serve(getuid());
  RemoteResponder far = remote();
  const auto asked = far.run(command("container.pause", "container:web"));
  ASSERT_EQ(asked->record.state, awaiting_approval);
  EXPECT_EQ(far.approve({asked->record.id, "uid:0 (root)", ""}).error().code, Code::refused);
  EXPECT_EQ(far.approve({asked->record.id, "uid:7 (other)", "yes"})->record.state, contained);
  docker->add("other", 3000);
  const auto second = far.run(command("container.pause", "container:other"));
  EXPECT_EQ(far.cancel({second->record.id, "uid:7 (other)", ""})->record.state, cancelled);
}

TEST_F(RemoteTest, DetectionsTravelWithTheCommand) {
  detections["d-1"] = detection(1000, true);
  RemoteResponder far = remote();
  const auto done = far.run(command("container.pause", "detection:d-1"));
  ASSERT_TRUE(done) << done.error().str();
  EXPECT_EQ(done->record.detection_id, "d-1");
  EXPECT_EQ(done->record.target.container_id, web);
  EXPECT_EQ(far.run(command("container.pause", "detection:d-2")).error().code, Code::not_found);
}

TEST_F(RemoteTest, ErrorsKeepTheirCode) {
  RemoteResponder far = remote();
  EXPECT_EQ(far.run(command("container.pause", "container:nobody")).error().code, Code::not_found);
  EXPECT_EQ(far.run(command("container.teleport", "container:web")).error().code, Code::not_found);
  EXPECT_EQ(far.run(command("container.pause", "nonsense")).error().code, Code::invalid_argument);
  EXPECT_EQ(far.show("a-none").error().code, Code::not_found);
  EXPECT_EQ(far.cancel({"a-none", "x", ""}).error().code, Code::not_found);
  journal.full = true;
  EXPECT_EQ(far.run(command("container.pause", "container:web")).error().code, Code::io);
  EXPECT_EQ(state(), FakeRuntime::State::running) << "nothing unrecorded";
}

TEST_F(RemoteTest, WhoHasNotTheKeyIsRefused) {
  for (const std::string& key : {std::string(), std::string("0123456789abcdee"), std::string("0123")}) {
    RemoteResponder far = remote(key);
    EXPECT_EQ(far.run(command("container.pause", "container:web")).error().code, Code::permission_denied);
    EXPECT_TRUE(far.stop_switch().is_on) << "who cannot ask takes nothing for granted";
  }
  EXPECT_EQ(state(), FakeRuntime::State::running);
}

TEST_F(RemoteTest, AnotherUserIsRefusedEvenWithTheKey) {
  serve(getuid() + 1);
  RemoteResponder far = remote();
  EXPECT_EQ(far.run(command("container.pause", "container:web")).error().code, Code::permission_denied);
  struct stat info {};
  ASSERT_EQ(stat(socket_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(RemoteTest, WhatIsNotOurProtocolIsAnError) {
  const auto client = api::Client::open(socket_);
  ASSERT_TRUE(client);
  for (const char* body :
       {"", "{", "[]", "7", R"({"key":7})", R"({"key":"0123456789abcdef"})",
        R"({"key":"0123456789abcdef","asked":[1]})", R"({"key":"0123456789abcdef","asked":{"params":{"a":1}}})",
        R"({"key":"0123456789abcdef","asked":{"action":"process.kill","target":"process:-1"}})"}) {
    EXPECT_FALSE(client->call(api::Method::post, "/run", body)) << body;
  }
  EXPECT_FALSE(client->call(api::Method::post, "/nothing", envelope(kKey, "{}")));
  EXPECT_EQ(journal.size(), 0u);
}

TEST_F(RemoteTest, ChangesAreToldToWhoWaits) {
  RemoteResponder far = remote();
  EXPECT_TRUE(far.changes(0, 0)->records.empty());
  std::thread asker([this] {
    RemoteResponder other = remote();
    EXPECT_TRUE(other.run(command("container.pause", "container:web")));
  });
  std::vector<ActionState> states;
  uint64_t after = 0;
  while (states.empty() || states.back() != contained) {
    const auto changes = far.changes(after, 10'000);
    ASSERT_TRUE(changes) << changes.error().str();
    EXPECT_EQ(changes->missed, 0u);
    for (const ActionRecord& record : changes->records) states.push_back(record.state);
    after = changes->last;
  }
  asker.join();
  EXPECT_EQ(states, (std::vector{executing, contained}));
}

TEST_F(RemoteTest, WhoFellBehindIsTold) {
  service = std::make_unique<Service>(*runner, Service::Options{kKey, getuid(), [] { return std::string("{}"); }, 2});
  ActionRecord record;
  record.id = "a-1";
  for (int i = 0; i < 5; ++i) service->note(record);
  const auto changes = remote().changes(1, 0);
  ASSERT_TRUE(changes);
  EXPECT_EQ(changes->last, 5u);
  EXPECT_EQ(changes->missed, 2u);
  EXPECT_EQ(changes->records.size(), 2u);
}

TEST_F(RemoteTest, NobodyThereIsSaid) {
  server.reset();
  RemoteResponder far = remote();
  EXPECT_EQ(far.run(command("container.pause", "container:web")).error().code, Code::unavailable);
  EXPECT_TRUE(far.stop_switch().is_on);
}

}  // namespace
}  // namespace quell::responder
