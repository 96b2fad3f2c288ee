// A shell in a container does this and that, reads /etc/shadow, and goes on: the capture tells the whole story, to us
// and to other tools.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "api/client.h"
#include "quell_up.h"
#include "support/command.h"
#include "support/container_env.h"

namespace quell::test {
namespace {

constexpr char kRules[] = R"(
- rule: Shadow read
  desc: d
  condition: evt.type in (open, openat, openat2) and fd.name = /etc/shadow and proc.name = cat
  output: >
    %proc.name %proc.pname %proc.aname[2] %proc.cmdline %proc.pcmdline %proc.exepath %proc.cwd %proc.vpid %proc.sid
    %proc.tty %proc.duration %proc.env %fd.name %fd.num %user.name %user.uid %container.id %container.name %container.image
  priority: WARNING
  capture: true
  capture_duration: 3000
)";

/// Looks into the capture: what was before, what came after.
constexpr char kLookRules[] = R"(
- rule: Before
  desc: d
  condition: evt.type in (open, openat, openat2) and fd.name = /etc/passwd and proc.name = head
  output: "%proc.name %proc.pname %container.id %container.name"
  priority: NOTICE
- rule: After
  desc: d
  condition: evt.type in (open, openat, openat2) and fd.name endswith quell-after and proc.name = sh
  output: "%proc.name %fd.name %container.id %container.name"
  priority: NOTICE
)";

class FlightRecorder : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    why_not = ContainerEnv::missing();
    if (!why_not.empty()) return;
    auto started = ContainerEnv::start({});
    ASSERT_TRUE(started) << started.error().str();
    env = std::move(*started);
  }
  static void TearDownTestSuite() { env.reset(); }
  void SetUp() override {
    if (!why_not.empty()) {
      std::cout << "SKIPPED: " << why_not << "\n";
      GTEST_SKIP() << why_not;
    }
    for (const char* mount : {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"})
      if (std::filesystem::exists(std::string(mount) + "/cgroup.controllers"))
        std::filesystem::create_directories(mount + env->cgroup_root());
    char folder[] = "/var/tmp/quell-flight-XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    folder_ = folder;
    std::ofstream(folder_ + "/rules.yaml") << kRules;
    std::ofstream(folder_ + "/look.yaml") << kLookRules;
    up = QuellUp::start({"--scope", "cgroup:" + env->cgroup_root(), "--rules", folder_ + "/rules.yaml",
                         "--docker-socket", env->sockets().docker, "--containerd-socket", env->sockets().containerd});
    ASSERT_NE(up, nullptr);
  }
  void TearDown() override {
    up.reset();
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }
  std::vector<Json> replay(const std::string& capture, const std::string& rules) const {
    const CommandResult result =
        run_quell({"detect", capture, "--rules", folder_ + "/" + rules, "-o", "json", "--stats"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_NE(result.err.find("losses: 0 "), std::string::npos) << result.err;
    std::vector<Json> out;
    std::istringstream lines(result.out);
    for (std::string line; std::getline(lines, line);) out.push_back(*Json::parse(line));
    return out;
  }

  static inline std::string why_not;
  static inline std::unique_ptr<ContainerEnv> env;
  std::unique_ptr<QuellUp> up;
  std::string folder_;
};

TEST_F(FlightRecorder, TellsWhatWasBeforeAndAfterInAContainer) {
  const auto id = env->run_docker({.name = "flight"});
  ASSERT_TRUE(id) << id.error().str();
  ASSERT_TRUE(
      env->exec_docker(*id, {"sh", "-c",
                             "cd /tmp; A=1; export A; ls / >/dev/null; head -1 /etc/passwd >/dev/null; "
                             "cat /etc/shadow >/dev/null; sleep 0.3; true > /tmp/quell-after; ls /bin >/dev/null"}));
  const auto seen = up->wait_for([&](const Json& json) {
    return json.at("rule").str() == "Shadow read" && json.at("quell").at("container_full_id").str() == *id;
  });
  ASSERT_TRUE(seen) << up->messages();
  const Json& live = seen->json;
  const std::string detection = live.at("quell").at("id").str();
  EXPECT_EQ(live.at("quell").at("capture").at("state").str(), "recording");

  // When the time after it is over, the store says where its evidence is.
  const auto client = api::Client::open("unix:" + up->data_dir() + "/quell.sock", 5000);
  ASSERT_TRUE(client) << client.error().str();
  Json capture;
  for (int i = 0; i < 200 && capture.at("state").str() != "complete"; ++i) {
    ::usleep(100'000);
    const auto stored = client->call(api::Method::get, "/v1/detections/" + detection);
    if (stored) capture = Json::parse(*stored)->at("quell").at("capture");
  }
  ASSERT_EQ(capture.at("state").str(), "complete") << capture.dump() << up->messages();
  EXPECT_TRUE(capture.at("is_base_complete").boolean());
  EXPECT_LT(capture.at("from_ns").u64(), capture.at("trigger_ns").u64());
  EXPECT_GT(capture.at("to_ns").u64(), capture.at("trigger_ns").u64());
  const std::string path = capture.at("path").str();

  const CommandResult listed = up->command({"capture", "list", "-o", "name"});
  EXPECT_EQ(listed.out, detection + "\n") << listed.err;
  const CommandResult shown = up->command({"capture", "show", detection, "-o", "json"});
  EXPECT_EQ(Json::parse(shown.out)->at("sha256").str(), capture.at("sha256").str());
  EXPECT_EQ(up->command({"capture", "export", detection, "--to", folder_ + "/out.scap"}).exit_code, 0);
  EXPECT_EQ(std::filesystem::file_size(folder_ + "/out.scap"), capture.at("size_bytes").u64());
  EXPECT_EQ(up->command({"capture", "show", "d-0000000000000000"}).exit_code, 5);
  EXPECT_EQ(up->metric("quell_flight_written_files_total"), 1.0);
  EXPECT_EQ(up->metric("quell_flight_failed_files_total"), 0.0);

  // The same detection with the same fields.
  const std::vector<Json> again = replay(path, "rules.yaml");
  const auto same = std::find_if(again.begin(), again.end(), [&](const Json& json) {
    return json.at("quell").at("kernel_ns").u64() == live.at("quell").at("kernel_ns").u64();
  });
  ASSERT_NE(same, again.end()) << again.size();
  EXPECT_EQ(same->at("output_fields").dump(), live.at("output_fields").dump());
  EXPECT_EQ(same->at("quell").at("container_full_id").str(), *id);

  const std::vector<Json> around = replay(path, "look.yaml");
  for (const char* rule : {"Before", "After"}) {
    const auto found =
        std::find_if(around.begin(), around.end(), [&](const Json& json) { return json.at("rule").str() == rule; });
    ASSERT_NE(found, around.end()) << rule;
    EXPECT_EQ(found->at("output_fields").at("container.id").str(), id->substr(0, 12));
    EXPECT_FALSE(found->at("output_fields").at("container.name").str().empty());
  }
  EXPECT_TRUE(env->remove_docker(*id));

  if (!have_program("sysdig")) {
    std::cout << "sysdig is not installed: whether it opens the capture was not tried\n";
    return;
  }
  const auto other = run_command({"sysdig", "-r", path, "-p", "%evt.type %proc.name %container.name %evt.args"});
  ASSERT_TRUE(other) << other.error().str();
  for (const char* text : {"name=/etc/passwd", "name=/etc/shadow", "quell-after"})
    EXPECT_NE(other->find(text), std::string::npos) << text;
  EXPECT_NE(other->find(capture.at("container_id").str().empty() ? "?" : "flight"), std::string::npos)
      << "the container's name";
}

}  // namespace
}  // namespace quell::test
