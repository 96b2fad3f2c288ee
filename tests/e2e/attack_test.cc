// An attack inside real containers is seen, told and contained: Docker, containerd, and a pod made through the CRI.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>

#include "os/os.h"
#include "quell_up.h"
#include "support/container_env.h"

namespace quell::test {
namespace {

constexpr char kPasswordRule[] = "Password file read by untrusted program";
constexpr char kReverseShellRule[] = "Standard stream tied to a network connection";
constexpr char kDropRule[] = "Program added to the container was executed";

class Attack : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    why_not = ContainerEnv::missing();
    if (!why_not.empty()) return;
    auto started = ContainerEnv::start({.image_files = {{"/attacker", QUELL_ATTACKER}}});
    ASSERT_TRUE(started) << started.error().str();
    env = std::move(*started);
  }
  static void TearDownTestSuite() { env.reset(); }
  void SetUp() override {
    if (!why_not.empty()) {
      std::cout << "SKIPPED: " << why_not << "\n";
      GTEST_SKIP() << why_not;
    }
    // The sensor's scope is there before the first container is. The environment removes it.
    for (const char* mount : {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"})
      if (std::filesystem::exists(std::string(mount) + "/cgroup.controllers"))
        std::filesystem::create_directories(mount + env->cgroup_root());
    start({});
  }
  void start(std::vector<std::string> more) {
    std::vector<std::string> arguments{"--scope",
                                       "cgroup:" + env->cgroup_root(),
                                       "--rules",
                                       QUELL_SOURCE_DIR "/content/rules",
                                       "--docker-socket",
                                       env->sockets().docker,
                                       "--containerd-socket",
                                       env->sockets().containerd};
    arguments.insert(arguments.end(), more.begin(), more.end());
    up = QuellUp::start(arguments);
    ASSERT_NE(up, nullptr);
  }

  /// The first detection of `rule` in the container. Its latency is reported; how long is too long is for the 5 of 555.
  Json expect_detection(const std::string& rule, const std::string& container_id, const std::string& process) {
    const auto seen = up->wait_for([&](const Json& json) {
      return json.at("rule").str() == rule && json.at("quell").at("container_full_id").str() == container_id &&
             json.at("quell").at("process").at("name").str() == process;
    });
    if (!seen) {
      std::string all;
      for (const SeenDetection& one : up->all())
        all += "  " + one.json.at("rule").str() + " by " + one.json.at("quell").at("process").at("name").str() +
               " in " + one.json.at("quell").at("container_id").str() + ": " +
               one.json.at("quell").at("message").str().substr(0, 200) + "\n";
      ADD_FAILURE() << "no detection of '" << rule << "' by " << process << " in " << container_id << "; seen were:\n"
                    << all << up->messages();
      return {};
    }
    std::cout << "latency " << rule << ": " << seen->latency_ms() << " ms\n";
    EXPECT_LT(seen->latency_ms(), 5000.0);
    const Json& ours = seen->json.at("quell");
    EXPECT_EQ(ours.at("container").at("image").str().find("quell-test/busybox") != std::string::npos, true)
        << "image is " << ours.at("container").at("image").str() << " " << ours.at("container_missing_reason").str();
    EXPECT_EQ(seen->json.at("source").str(), "syscall");
    EXPECT_GT(ours.at("detect_ns").u64(), ours.at("kernel_ns").u64());
    return seen->json;
  }

  Json action(const std::vector<std::string>& arguments, int exit_code = 0) {
    std::vector<std::string> full{"action"};
    full.insert(full.end(), arguments.begin(), arguments.end());
    full.insert(full.end(), {"-o", "json"});
    const CommandResult result = up->command(full);
    EXPECT_EQ(result.exit_code, exit_code) << result.out << result.err;
    auto json = Json::parse(result.out);
    EXPECT_TRUE(json) << result.out << result.err;
    return json ? *json : Json();
  }

  /// `exec` starts a process in the container; `id` is its full id. The whole story.
  void attack_and_contain(const std::string& id, const std::function<Result<void>(std::vector<std::string>)>& exec) {
    // 1. reading the password file
    ASSERT_TRUE(exec({"/attacker", "read", "/etc/shadow"}));
    expect_detection(kPasswordRule, id, "attacker");

    // 2. a reverse shell to a listener in the container's own network namespace
    const std::string port = std::to_string(20'000 + getpid() % 20'000);
    ASSERT_TRUE(exec({"/attacker", "listen", port}));
    ASSERT_TRUE(exec({"/attacker", "reverse-shell", port}));
    const Json shell = expect_detection(kReverseShellRule, id, "attacker");

    // 3. a dropped program
    ASSERT_TRUE(exec({"/attacker", "drop", "/attacker", "/tmp/dropped"}));
    const Json dropped = expect_detection(kDropRule, id, "dropped");

    // Freeze the container, proven by its freezer, and undo.
    const int64_t shell_pid = shell.at("quell").at("process").at("pid").i64();
    const int64_t dropped_pid = dropped.at("quell").at("process").at("pid").i64();
    const auto machine = os::make_linux_os();
    const Json paused = action({"run", "container.pause", "container:" + id, "--yes", "--reason", "end-to-end test"});
    EXPECT_EQ(paused.at("state").str(), "contained");
    EXPECT_EQ(*machine->freezer_state(shell_pid), os::Frozen::yes);
    const uint64_t cpu_before = *machine->cgroup_cpu_ns(shell_pid);
    usleep(600'000);
    EXPECT_EQ(*machine->cgroup_cpu_ns(shell_pid), cpu_before) << "a frozen container uses no CPU";
    EXPECT_EQ(action({"show", paused.at("id").str()}).at("state").str(), "contained") << "after the watch";
    EXPECT_EQ(action({"undo", paused.at("id").str()}).at("state").str(), "undone");
    EXPECT_EQ(*machine->freezer_state(shell_pid), os::Frozen::no);

    // Kill the shell, and nothing else.
    const auto members_before = *machine->cgroup_members(dropped_pid);
    const Json killed = action({"run", "process.kill", "detection:" + shell.at("quell").at("id").str(), "--yes",
                                "--reason", "end-to-end test"});
    EXPECT_EQ(killed.at("state").str(), "contained") << killed.dump();
    const auto facts = machine->process_facts(shell_pid);
    EXPECT_TRUE(!facts || facts->state == 'Z');
    for (const int64_t pid : members_before) {
      if (pid == shell_pid) continue;
      const auto other = machine->process_facts(pid);
      EXPECT_TRUE(other && other->state != 'Z') << pid << " was not to be killed";
    }
    // The container's own pid 1 is refused and the container action named.
    const Json refused =
        action({"run", "process.kill", "process:" + std::to_string(killed.at("target").at("container").at("pid").i64()),
                "--yes"},
               6);
    if (refused.at("state").is_null()) ADD_FAILURE() << refused.dump();
    EXPECT_EQ(refused.at("state").str(), "refused_guard");
    EXPECT_NE(refused.at("state_reason").str().find("container.kill"), std::string::npos);
  }

  static inline std::string why_not;
  static inline std::unique_ptr<ContainerEnv> env;
  std::unique_ptr<QuellUp> up;
};

TEST_F(Attack, InDocker) {
  const auto id = env->run_docker({.name = "e2e-docker", .command = {"/attacker", "wait"}});
  ASSERT_TRUE(id) << id.error().str();
  attack_and_contain(*id, [&](std::vector<std::string> command) { return env->exec_docker(*id, command); });
  EXPECT_TRUE(env->remove_docker(*id));
}

TEST_F(Attack, InContainerd) {
  RunSpec spec{.name = std::string(64, 'a'), .command = {"/attacker", "wait"}};
  spec.cgroup = env->cgroup_root() + "/ctr/" + spec.name;
  const auto id = env->run_containerd(spec);
  ASSERT_TRUE(id) << id.error().str();
  attack_and_contain(*id, [&](std::vector<std::string> command) { return env->exec_containerd(*id, command); });
  EXPECT_TRUE(env->remove_containerd(*id));
}

TEST_F(Attack, InPod) {
  const auto pod =
      env->run_pod({.name = "web-0", .pod_namespace = "shop", .uid = "e2e-uid", .command = {"/attacker", "wait"}});
  ASSERT_TRUE(pod) << pod.error().str();
  attack_and_contain(pod->container_id, [&](std::vector<std::string> command) {
    return env->exec_containerd(pod->container_id, command, "k8s.io");
  });
  const auto named = std::find_if(up->all().begin(), up->all().end(), [](const SeenDetection& seen) {
    return seen.json.at("quell").at("container").at("labels").at("io.kubernetes.pod.name").str() == "web-0" &&
           seen.json.at("quell").at("container").at("labels").at("io.kubernetes.pod.namespace").str() == "shop";
  });
  EXPECT_NE(named, up->all().end()) << "no detection names the pod";
  EXPECT_TRUE(env->remove_pod(*pod));
}

// What is recorded while it is evaluated gives the same detections again.
TEST_F(Attack, RecordingReplaysToTheSameDetections) {
  up.reset();
  ASSERT_NO_FATAL_FAILURE(start({"--record", "/var/tmp/quell-e2e-recorded.scap"}));
  const auto id = env->run_docker({.name = "e2e-record", .command = {"/attacker", "wait"}});
  ASSERT_TRUE(id) << id.error().str();
  ASSERT_TRUE(env->exec_docker(*id, {"/attacker", "read", "/etc/shadow"}));
  expect_detection(kPasswordRule, *id, "attacker");
  ASSERT_TRUE(env->exec_docker(*id, {"/attacker", "drop", "/attacker", "/tmp/dropped"}));
  expect_detection(kDropRule, *id, "dropped");
  EXPECT_TRUE(env->remove_docker(*id));
  EXPECT_EQ(up->metric("quell_capture_lost_events_total"), 0.0);
  EXPECT_EQ(up->stop(), 0) << up->messages();

  const CommandResult replay = run_quell({"detect", "/var/tmp/quell-e2e-recorded.scap", "--rules",
                                          QUELL_SOURCE_DIR "/content/rules", "-o", "json", "--stats"});
  EXPECT_EQ(replay.exit_code, 0) << replay.err;
  std::vector<std::string> live, replayed;
  const auto summary = [](const Json& json) { return json.at("rule").str() + " " + json.at("output_fields").dump(); };
  for (const SeenDetection& seen : up->all()) live.push_back(summary(seen.json));
  std::istringstream lines(replay.out);
  for (std::string line; std::getline(lines, line);) replayed.push_back(summary(*Json::parse(line)));
  EXPECT_GE(live.size(), 2u);
  EXPECT_NE(replay.err.find("losses: 0"), std::string::npos) << replay.err;
  EXPECT_EQ(replayed, live) << replay.err;
  std::filesystem::remove("/var/tmp/quell-e2e-recorded.scap");
}

}  // namespace
}  // namespace quell::test
