#include "api/routes.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <set>

#include "base/json.h"

namespace quell::api {
namespace {

Request request(Method method, std::string_view target, std::string body = {}) {
  Request out;
  out.method = method;
  out.body = std::move(body);
  out.peer = {.is_unix = true, .uid = geteuid(), .pid = getpid()};
  EXPECT_TRUE(parse_request_target(target, out).has_value()) << target;
  return out;
}

std::string error_code_of(const Response& response) {
  const auto json = Json::parse(response.body);
  return json ? json->at("error").at("code").str() : "not JSON: " + response.body;
}

ApiServices services_with_actions() {
  ApiServices services;
  services.run_action = [](const Command& command) -> Result<ActionOutcome> {
    if (command.target == "container:gone") return Error{Code::not_found, "no such container", command.target};
    ActionRecord record;
    record.id = "a-1";
    record.command = command;
    record.state = ActionState::contained;
    return ActionOutcome{record, false};
  };
  services.undo_action = [](const Verdict& undo) -> Result<ActionOutcome> {
    ActionRecord record;
    record.id = "a-2";
    record.undo_of = undo.action_id;
    record.reason = undo.reason;
    record.state = ActionState::undone;
    return ActionOutcome{record, true};
  };
  services.list_actions = [](size_t limit) -> Result<std::vector<ActionRecord>> {
    return std::vector<ActionRecord>(limit);
  };
  return services;
}

TEST(Routes, EveryRowIsComplete) {
  std::set<std::pair<Method, std::string_view>> seen;
  for (const Route& route : routes()) {
    EXPECT_TRUE(route.path.starts_with('/'));
    EXPECT_FALSE(route.summary.empty()) << route.path;
    EXPECT_NE(route.handle, nullptr) << route.path;
    EXPECT_TRUE(seen.emplace(route.method, route.path).second) << route.path;
    if (route.path.starts_with("/v1/")) {
      EXPECT_EQ(route.permission, Permission::control) << route.path;
    }
  }
}

TEST(Routes, UnknownPathIs404AndWrongMethodIs405WithAllow) {
  EXPECT_EQ(dispatch({}, request(Method::get, "/nothing")).status, 404);
  EXPECT_EQ(dispatch({}, request(Method::get, "/v1/actions/")).status, 404);
  const Response response = dispatch(services_with_actions(), request(Method::delete_, "/v1/actions"));
  EXPECT_EQ(response.status, 405);
  EXPECT_EQ(response.allow, "POST, GET");
}

TEST(Routes, ProfileOfRulesIsThereOnlyWhileOneIsTaken) {
  EXPECT_EQ(dispatch({}, request(Method::get, "/v1/rules/profile")).status, 501);
  ApiServices services;
  services.rules_profile = []() -> Result<std::string> { return Error{Code::not_found, "none is taken", {}}; };
  EXPECT_EQ(dispatch(services, request(Method::get, "/v1/rules/profile")).status, 404);
  services.rules_profile = []() -> Result<std::string> { return std::string("{}"); };
  EXPECT_EQ(dispatch(services, request(Method::get, "/v1/rules/profile")).body, "{}");
}

TEST(Routes, ControlNeedsTheSocketAndOurUserOrRoot) {
  const ApiServices services = services_with_actions();
  Request over_tcp = request(Method::get, "/v1/actions");
  over_tcp.peer = {};
  EXPECT_EQ(dispatch(services, over_tcp).status, 403);
  Request stranger = request(Method::get, "/v1/actions");
  stranger.peer.uid = geteuid() + 12345;
  EXPECT_EQ(dispatch(services, stranger).status, 403);
  EXPECT_EQ(dispatch(services, request(Method::get, "/v1/actions")).status, 200);
  Request monitor = request(Method::get, "/healthz");
  monitor.peer = {};
  EXPECT_EQ(dispatch(services, monitor).status, 200);
}

TEST(Routes, RunsAnActionWithThePeerAsActor) {
  const Response response =
      dispatch(services_with_actions(),
               request(Method::post, "/v1/actions",
                       R"({"action":"container.pause","target":"container:abc","ttl_s":60,"force":true})"));
  ASSERT_EQ(response.status, 201) << response.body;
  const auto json = Json::parse(response.body);
  EXPECT_EQ(json->at("requested_target").str(), "container:abc");
  EXPECT_TRUE(json->at("actor").str().starts_with("uid:" + std::to_string(geteuid()))) << response.body;
}

TEST(Routes, RefusesBodiesThatSayNothingClear) {
  const ApiServices services = services_with_actions();
  for (const char* body : {"", "[]", "{", R"({"action":"container.pause"})", R"({"target":"container:x"})",
                           R"({"action":1,"target":"container:x"})", R"({"action":"a","target":"t","ttl_s":"1"})",
                           R"({"action":"a","target":"t","ttl_s":-1})", R"({"action":"a","target":"t","force":1})",
                           R"({"action":"a","target":"t","tagret":"x"})"}) {
    const Response response = dispatch(services, request(Method::post, "/v1/actions", body));
    EXPECT_EQ(response.status, 400) << body;
  }
  const Response typo =
      dispatch(services, request(Method::post, "/v1/actions", R"({"action":"a","target":"t","reson":"x"})"));
  EXPECT_NE(typo.body.find("reason"), std::string::npos) << typo.body;
}

TEST(Routes, ErrorsOfServicesKeepTheirCode) {
  const Response response = dispatch(
      services_with_actions(), request(Method::post, "/v1/actions", R"({"action":"a","target":"container:gone"})"));
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(error_code_of(response), "not_found");
  EXPECT_EQ(dispatch({}, request(Method::post, "/v1/actions", "{}")).status, 501);
}

TEST(Routes, UndoTakesTheIdFromThePath) {
  const Response response =
      dispatch(services_with_actions(), request(Method::post, "/v1/actions/a-17/undo", R"({"reason":"all clear"})"));
  ASSERT_EQ(response.status, 200);
  const auto json = Json::parse(response.body);
  EXPECT_EQ(json->at("undo_of").str(), "a-17");
  EXPECT_EQ(json->at("state_reason").str(), "all clear");
}

TEST(Routes, LimitIsChecked) {
  const ApiServices services = services_with_actions();
  const auto count = [&](const char* target) {
    const Response response = dispatch(services, request(Method::get, target));
    if (response.status != 200) return -response.status;
    return static_cast<int>(Json::parse(response.body)->at("items").array()->size());
  };
  EXPECT_EQ(count("/v1/actions"), 100);
  EXPECT_EQ(count("/v1/actions?limit=3"), 3);
  EXPECT_EQ(count("/v1/actions?limit=0"), -400);
  EXPECT_EQ(count("/v1/actions?limit=1001"), -400);
  EXPECT_EQ(count("/v1/actions?limit=many"), -400);
}

TEST(Routes, ReadinessFollowsTheParts) {
  ApiServices services;
  services.health = [] {
    return Health{{{.component = "sensor"}, {.component = "store", .is_degraded = true, .reason = "disk is full"}}};
  };
  EXPECT_EQ(dispatch(services, request(Method::get, "/readyz")).status, 200);
  const auto degraded = Json::parse(dispatch(services, request(Method::get, "/healthz")).body);
  EXPECT_EQ(degraded->at("status").str(), "degraded");
  EXPECT_EQ(degraded->at("components").at("store").at("reason").str(), "disk is full");
  services.health = [] { return Health{{{.component = "sensor", .is_ready = false, .reason = "loading"}}}; };
  EXPECT_EQ(dispatch(services, request(Method::get, "/readyz")).status, 503);
  EXPECT_EQ(dispatch(services, request(Method::get, "/healthz")).status, 200);
}

TEST(RequestTarget, IsDecodedAndHostileFormsAreRefused) {
  Request out;
  ASSERT_TRUE(parse_request_target("/a%20b?x=1%2B2&y=a+b&flag&x=3", out).has_value());
  EXPECT_EQ(out.path, "/a b");
  EXPECT_EQ(out.query["x"], "3");
  EXPECT_EQ(out.query["y"], "a b");
  EXPECT_EQ(out.query.count("flag"), 1u);
  for (const char* text : {"/%", "/%4", "/%zz", "/a%00b", "/?x=%"}) {
    Request ignored;
    EXPECT_EQ(parse_request_target(text, ignored).error().code, Code::malformed) << text;
  }
}

}  // namespace
}  // namespace quell::api
