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

/// Holds one item and one entry.
class FakeEvidence final : public EvidenceStore {
 public:
  Result<std::unique_ptr<EvidenceWriter>> begin(const EvidenceRequest&) override {
    return Error{Code::limit, "full", {}};
  }
  Result<EvidenceItem> find(std::string_view id) const override {
    if (id != "e-1") return Error{Code::not_found, "no such evidence", {}};
    EvidenceItem item;
    item.id = id;
    return item;
  }
  Result<std::vector<EvidenceItem>> list(const EvidenceQuery& query) const override {
    return std::vector<EvidenceItem>(query.kind == EvidenceKind::memory ? 0 : query.limit);
  }
  Result<std::string> hand_out(std::string_view id, std::string_view actor, std::string_view purpose) override {
    QUELL_TRY(const EvidenceItem item, find(id));
    (void)item;
    last_ = std::string(actor) + " " + std::string(purpose);
    return std::string("/x");
  }
  Result<std::string> read(std::string_view id, std::string_view, uint64_t offset, uint64_t length) override {
    QUELL_TRY(const EvidenceItem item, find(id));
    (void)item;
    return std::string("0123456789").substr(offset, length);
  }
  Result<EvidenceItem> set_hold(std::string_view id, bool is_held, std::string_view actor,
                                std::string_view reason) override {
    QUELL_TRY(EvidenceItem item, find(id));
    item.is_held = is_held;
    item.hold_actor = actor;
    item.hold_reason = reason;
    return item;
  }
  Result<void> retain() override { return {}; }
  Result<EvidenceCounters> counters() const override { return EvidenceCounters{}; }
  std::string last_;
};

class FakeAudit final : public AuditLog {
 public:
  Result<AuditHead> append_audit(const AuditFact&) override { return AuditHead{}; }
  Result<std::vector<AuditEntry>> audit_entries(const AuditQuery& query) const override {
    AuditEntry entry;
    entry.seq = query.after_seq + 1;
    entry.body_json = "{}";
    return std::vector<AuditEntry>(query.limit, entry);
  }
  Result<SignedAuditHead> audit_head() const override {
    return SignedAuditHead{{7, 1, std::string(64, 'a')}, std::string(64, 'b'), "c"};
  }
  Result<uint64_t> cut_audit(uint64_t, std::string_view) override { return uint64_t{0}; }
};

TEST(Routes, TheAuditLogIsReadFromWhereOneStopped) {
  EXPECT_EQ(dispatch({}, request(Method::get, "/v1/audit")).status, 501);
  EXPECT_EQ(dispatch({}, request(Method::get, "/v1/audit/head")).status, 501);
  FakeAudit audit;
  ApiServices services;
  services.audit = &audit;
  const Response page = dispatch(services, request(Method::get, "/v1/audit?after_seq=41&limit=3"));
  EXPECT_EQ(page.status, 200);
  const auto json = Json::parse(page.body);
  ASSERT_EQ(json->at("items").array()->size(), 3u);
  EXPECT_EQ(json->at("items").array()->front().at("seq").u64(), 42u);
  EXPECT_EQ(dispatch(services, request(Method::get, "/v1/audit?after_seq=x")).status, 400);
  EXPECT_EQ(Json::parse(dispatch(services, request(Method::get, "/v1/audit/head")).body)->at("seq").u64(), 7u);
  EXPECT_EQ(dispatch(services, request(Method::post, "/v1/audit")).status, 405) << "nobody appends from outside";
  Request remote = request(Method::get, "/v1/audit");
  remote.peer.is_unix = false;
  EXPECT_EQ(dispatch(services, remote).status, 403);
}

TEST(Routes, EvidenceIsHandedOutUnderTheNameOfWhoAsks) {
  EXPECT_EQ(dispatch({}, request(Method::get, "/v1/evidence")).status, 501);
  FakeEvidence evidence;
  ApiServices services;
  services.evidence = &evidence;
  EXPECT_EQ(
      Json::parse(dispatch(services, request(Method::get, "/v1/evidence?limit=2")).body)->at("items").array()->size(),
      2u);
  EXPECT_EQ(dispatch(services, request(Method::get, "/v1/evidence?kind=nonsense")).status, 400);
  EXPECT_EQ(dispatch(services, request(Method::get, "/v1/evidence/e-1")).status, 200);
  EXPECT_EQ(dispatch(services, request(Method::get, "/v1/evidence/e-2")).status, 404);
  const Response content = dispatch(services, request(Method::get, "/v1/evidence/e-1/content?offset=3&length=4"));
  EXPECT_EQ(content.body, "3456");
  EXPECT_EQ(content.content_type, "application/octet-stream");
  EXPECT_EQ(dispatch(services, request(Method::get, "/v1/evidence/e-1/content?offset=-3")).status, 400);
  EXPECT_EQ(dispatch(services, request(Method::post, "/v1/evidence/e-1/export")).status, 200);
  EXPECT_TRUE(evidence.last_.starts_with("uid:")) << evidence.last_;
  EXPECT_TRUE(evidence.last_.ends_with("exported")) << evidence.last_;
  const auto held =
      Json::parse(dispatch(services, request(Method::post, "/v1/evidence/e-1/hold", R"({"reason":"case"})")).body);
  EXPECT_TRUE(held->at("is_held").boolean());
  EXPECT_EQ(held->at("hold_reason").str(), "case");
  EXPECT_EQ(dispatch(services, request(Method::post, "/v1/evidence/e-1/hold", R"({"raeson":"case"})")).status, 400);
  EXPECT_EQ(dispatch(services, request(Method::post, "/v1/evidence/e-1/release")).status, 200);
}

}  // namespace
}  // namespace quell::api
