// Detections and action records as JSON: the keys that other programs read, and the way back.
#include <gtest/gtest.h>

#include "base/json.h"
#include "model/action_json.h"
#include "model/detection_json.h"

namespace quell {
namespace {

Detection sample_detection() {
  Detection d;
  d.id = "d-00000000000000a1";
  d.rule = "Read sensitive file";
  d.priority = Priority::warning;
  d.source = "syscall";
  d.tags = {"T1555", "container"};
  d.message = "file opened (file=/etc/shadow \x1b[31m)";
  d.output_fields = {{"container.id", std::string("3ad7b26ded6d")},
                     {"evt.time", int64_t{1'700'000'000'000'000'001}},
                     {"fd.name", std::string("/etc/shadow")},
                     {"proc.aname[2]", std::monostate()},
                     {"proc.is_exe_writable", false},
                     {"proc.pnames", std::vector<std::string>{"a", "b"}},
                     {"thread.cpu", 1.0}};
  d.hostname = "node-1";
  d.event_number = 77;
  d.kernel_ns = 1'700'000'000'000'000'001;
  d.detect_ns = 1'700'000'000'000'900'000;
  d.process = {"boot-1", 1234, 88'120'331};
  d.tid = 1235;
  d.process_name = "cat";
  d.exepath = "/bin/cat";
  d.cmdline = "cat /etc/shadow";
  d.user_name = "root";
  d.ancestors = {{{"boot-1", 1200, 8'812'000}, "sh", "/bin/sh", "sh -c x"}};
  d.container_id = "3ad7b26ded6d";
  d.container_full_id = std::string(64, 'a');
  Container c;
  c.type = ContainerType::docker;
  c.id = d.container_id;
  c.full_id = d.container_full_id;
  c.name = "web";
  c.image = "nginx:1.25";
  c.labels = {{"app", "web"}};
  c.env = {"PASSWORD=secret"};
  c.mounts = {{"/src", "/dst", "rw", "rprivate", true}};
  c.privileged = true;
  c.created_s = 5;
  c.started_at = "2024-05-01T10:20:30Z";
  d.container = std::make_shared<const Container>(c);
  d.evidence_ref = "live:boot-1#77";
  return d;
}

std::vector<std::string> keys_of(const Json& json) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : *json.object()) keys.push_back(key);
  return keys;
}

Json styled(const DetectionStyle& style) {
  JsonWriter out;
  write_detection(out, sample_detection(), style);
  return *Json::parse(out.take());
}

TEST(DetectionJson, ShowsWhatTheStyleAsksFor) {
  using Keys = std::vector<std::string>;
  EXPECT_EQ(keys_of(styled({.has_output = false, .has_tags = false, .has_output_fields = false})),
            (Keys{"hostname", "priority", "quell", "rule", "source", "time"}));
  const Json with_message = styled({.has_message = true});
  EXPECT_EQ(keys_of(with_message), (Keys{"hostname", "message", "output", "output_fields", "priority", "quell", "rule",
                                         "source", "tags", "time"}));
  EXPECT_EQ(with_message.at("message").str(), sample_detection().message);
  EXPECT_EQ(with_message.at("output").str(), text_line(sample_detection()));
  EXPECT_EQ(with_message.at("quell").dump(), styled({}).at("quell").dump());
}

TEST(DetectionJson, TimesCanBeIso8601) {
  Detection d = sample_detection();
  std::erase_if(d.output_fields, [](const auto& field) { return field.first == "evt.time"; });
  const DetectionStyle style{.iso8601_time = true};
  const std::string line = "2023-11-14T22:13:20.000000001+0000: Warning " + d.message;
  EXPECT_EQ(text_line(d, style), line);
  JsonWriter out;
  write_detection(out, d, style);
  const auto json = Json::parse(out.finished());
  ASSERT_TRUE(json);
  EXPECT_EQ(json->at("output").str(), line);
  EXPECT_EQ(json->at("output_fields").at("evt.time.iso8601").u64(), d.kernel_ns) << "times are numbers";
  EXPECT_EQ(json->at("output_fields").find("evt.time"), nullptr);
}

TEST(DetectionJson, AWriterIsUsedAgain) {
  JsonWriter out;
  write_detection(out, sample_detection());
  const std::string first(out.finished());
  out.clear();
  Detection folded = sample_detection();
  folded.folded = {2, folded.kernel_ns, folded.kernel_ns, "live:boot-1#79"};
  folded.message += "\n\xff";
  write_detection(out, folded);
  EXPECT_EQ(out.finished(), detection_to_json(folded));
  EXPECT_EQ(Json::parse(out.finished())->at("output").str().find("\xef\xbf\xbd | folded: 2 more until "),
            text_line(folded).find("\xff | folded"));
  EXPECT_EQ(first, detection_to_json(sample_detection()));
}

TEST(DetectionJson, HasTheKeysOfFalcoInAlphabeticalOrder) {
  const auto json = Json::parse(detection_to_json(sample_detection()));
  ASSERT_TRUE(json);
  std::vector<std::string> keys;
  for (const auto& [key, value] : *json->object()) keys.push_back(key);
  EXPECT_EQ(keys, (std::vector<std::string>{"hostname", "output", "output_fields", "priority", "quell", "rule",
                                            "source", "tags", "time"}));
  EXPECT_EQ(json->at("time").str(), "2023-11-14T22:13:20.000000001Z");
  EXPECT_EQ(json->at("priority").str(), "Warning");
  EXPECT_EQ(json->at("output").str().substr(8), ".000000001: Warning file opened (file=/etc/shadow \x1b[31m)");
  const Json& fields = json->at("output_fields");
  EXPECT_EQ(fields.at("evt.time").i64(), 1'700'000'000'000'000'001);
  EXPECT_TRUE(fields.find("proc.aname[2]")->is_null());
  EXPECT_FALSE(std::get<bool>(fields.at("proc.is_exe_writable").value()));
  EXPECT_EQ(json->at("quell").at("severity").str(), "medium");
  EXPECT_EQ(json->at("quell").at("process").at("start_ticks").u64(), 88'120'331u);
}

TEST(DetectionJson, AddsTheTimeWhereTheAlphabetWantsIt) {
  Detection d = sample_detection();
  for (const size_t cut : {size_t{0}, size_t{1}, d.output_fields.size()}) {
    Detection copy = d;
    copy.output_fields.resize(cut);
    std::erase_if(copy.output_fields, [](const auto& field) { return field.first == "evt.time"; });
    const auto json = Json::parse(detection_to_json(copy));
    ASSERT_TRUE(json);
    const Json::Object& fields = *json->at("output_fields").object();
    EXPECT_TRUE(std::is_sorted(fields.begin(), fields.end(), [](auto& a, auto& b) { return a.first < b.first; }));
    EXPECT_EQ(json->at("output_fields").at("evt.time").u64(), d.kernel_ns);
  }
}

TEST(DetectionJson, ReadsBack) {
  const Detection d = sample_detection();
  const std::string text = detection_to_json(d);
  EXPECT_EQ(text.find("secret"), std::string::npos) << "environment must not be written";
  const auto back = detection_from_json(text);
  ASSERT_TRUE(back) << back.error().str();
  EXPECT_EQ(detection_to_json(*back), text);
  EXPECT_EQ(back->output_fields, d.output_fields);
  EXPECT_EQ(back->process, d.process);
  EXPECT_EQ(back->message, d.message);
  EXPECT_EQ(back->container->mounts.at(0).destination, "/dst");
  EXPECT_EQ(back->container->type, ContainerType::docker);
  EXPECT_EQ(back->ancestors.at(0).id, d.ancestors.at(0).id);
}

TEST(DetectionJson, RefusesWhatIsNotOurs) {
  EXPECT_EQ(detection_from_json("{}").error().code, Code::malformed);
  EXPECT_EQ(detection_from_json(R"({"quell":{"id":"d-1"},"priority":"loud"})").error().code, Code::malformed);
  EXPECT_EQ(detection_from_json(R"({"quell":{"id":"d-1"},"priority":"Debug","output_fields":{"a":{}}})").error().code,
            Code::malformed);
}

TEST(ActionJson, TargetsOfEveryKind) {
  Target file;
  file.kind = EntityKind::file;
  file.path = "/tmp/x";
  EXPECT_EQ(file.str(), "file:/tmp/x");
  file.process = {"boot-1", 7, 8};
  EXPECT_EQ(file.str(), "file:7@8:/tmp/x");
  file.container_id = "abc";
  file.file_dev = 3, file.file_ino = 4;
  EXPECT_EQ(file.str(), "file:abc:/tmp/x");
  Target address;
  address.kind = EntityKind::address, address.address = "2001:db8::/48";
  Target user;
  user.kind = EntityKind::user, user.user = "mallory", user.uid = 1001;
  Target host;
  host.kind = EntityKind::host, host.machine_id = "0123";
  for (const Target& target : {file, address, user, host}) {
    ActionRecord record;
    record.id = "a-1";
    record.target = target;
    const auto back = action_from_json(action_to_json(record));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->target.str(), target.str());
    EXPECT_EQ(back->target.kind, target.kind);
    EXPECT_EQ(back->target.uid, target.uid);
    EXPECT_EQ(back->target.file_ino, target.file_ino);
  }
}

TEST(ActionJson, ReadsBack) {
  ActionRecord record;
  record.id = "a-00000000000000b2";
  record.command.action = "container.pause", record.command.target = "container:web";
  record.command.params = {{"allow", "10.0.0.1,\"x\""}, {"tree", "cgroup"}};
  record.command.reason = "looks bad", record.command.actor = "uid:0 (root)";
  record.command.idempotency_key = "key-1", record.command.ttl_s = 3600, record.command.force = true;
  record.command.policy = "stolen-shell", record.command.policy_version = 7, record.command.causes = {"d-1", "i-2"};
  record.command.evidence = {{"sockets"}, 3000};
  record.approval = {2, "oncall", 600};
  record.approvals = {{"uid:1 (a)", 5, "yes"}, {"uid:2 (b)", 6, ""}};
  record.approve_until_ns = 9, record.was_extended = true;
  record.evidence_json = R"({"sockets":"x"})", record.result_json = R"({"killed":[1]})";
  record.target.kind = EntityKind::container;
  record.target.process = {"boot-1", 7, 8};
  record.target.container_id = std::string(64, 'b');
  record.target.container_name = "web";
  record.target.runtime = "docker";
  record.target.started_at = "2024-05-01T10:20:30Z";
  record.target.container_pid = 7;
  record.target.cgroup_path = "/docker/b";
  record.state = ActionState::contained;
  record.reason = "why";
  record.preview_json = R"({"effects":["a"]})";
  record.pre_state_json = R"({"state":"running"})";
  record.detection_id = "d-1";
  record.requested_ns = 1, record.finished_ns = 2, record.expires_ns = 3, record.watch_until_ns = 4;
  record.undo_of = "a-0", record.undo_actor = "ttl", record.undo_reason = "expired";
  record.history = {{1, ActionState::requested}, {2, ActionState::contained}};
  const std::string text = action_to_json(record);
  const auto back = action_from_json(text);
  ASSERT_TRUE(back) << back.error().str();
  EXPECT_EQ(action_to_json(*back), text);
  EXPECT_EQ(back->history, record.history);
  EXPECT_EQ(back->target.process, record.target.process);
  EXPECT_EQ(back->pre_state_json, record.pre_state_json);
  EXPECT_EQ(back->proof_json, "");
  EXPECT_EQ(back->command.params, record.command.params);
  EXPECT_EQ(back->command.causes, record.command.causes);
  ASSERT_EQ(back->approvals.size(), 2u);
  EXPECT_EQ(back->approvals[1].at_ns, 6u);
  EXPECT_EQ(back->approval.group, "oncall");
  EXPECT_EQ(Json::parse(text)->at("apiVersion").str(), "quell/v1");

  std::string newer = text;
  newer.replace(newer.find("\"state\":\"contained\""), 19, "\"state\":\"vaporised\"");
  EXPECT_EQ(action_from_json(newer).error().code, Code::malformed);
}

}  // namespace
}  // namespace quell
