// An attack inside real containers is seen, told and contained: Docker, containerd, and a pod made through the CRI.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

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
  void TearDown() override {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
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
    ASSERT_FALSE(HasFailure()) << "nobody to act on";

    // Freeze the container, proven by its freezer, and undo.
    const int64_t shell_pid = shell.at("quell").at("process").at("pid").i64();
    const int64_t dropped_pid = dropped.at("quell").at("process").at("pid").i64();
    const auto machine = os::make_linux_os();
    const Json paused = action({"run", "container.pause", "container:" + id, "--yes", "--reason", "end-to-end test"});
    EXPECT_EQ(paused.at("state").str(), "contained");
    const auto freezer_state = [&] {
      const auto state = machine->freezer_state(shell_pid);
      EXPECT_TRUE(state) << state.error().str();
      return state ? std::optional(*state) : std::nullopt;
    };
    const auto cpu_ns = [&] {
      const auto ns = machine->cgroup_cpu_ns(shell_pid);
      EXPECT_TRUE(ns) << ns.error().str();
      return ns ? std::optional(*ns) : std::nullopt;
    };
    EXPECT_EQ(freezer_state(), os::Frozen::yes);
    const auto cpu_before = cpu_ns();
    usleep(600'000);
    EXPECT_EQ(cpu_ns(), cpu_before) << "a frozen container uses no CPU";
    EXPECT_EQ(action({"show", paused.at("id").str()}).at("state").str(), "contained") << "after the watch";
    EXPECT_EQ(action({"undo", paused.at("id").str()}).at("state").str(), "undone");
    EXPECT_EQ(freezer_state(), os::Frozen::no);

    // Kill the shell, and nothing else.
    const auto members_before = machine->cgroup_members(dropped_pid);
    ASSERT_TRUE(members_before) << members_before.error().str();
    const Json killed = action({"run", "process.kill", "detection:" + shell.at("quell").at("id").str(), "--yes",
                                "--reason", "end-to-end test"});
    EXPECT_EQ(killed.at("state").str(), "contained") << killed.dump();
    const auto facts = machine->process_facts(shell_pid);
    EXPECT_TRUE(!facts || facts->state == 'Z');
    for (const int64_t pid : *members_before) {
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
  std::string folder_;  // removed with what is in it
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

/// `quell record` in a folder: what it writes is FOLDER/record.scap. It ends with the object.
class Recorder {
 public:
  Recorder(const std::string& folder, const std::string& scope, const os::RuntimeSockets& sockets)
      : log_(folder + "/record.log"), pid_(fork()) {
    if (pid_ != 0) return;
    if (std::freopen(log_.c_str(), "w", stderr) == nullptr) _exit(126);
    execl(QUELL_BINARY, QUELL_BINARY, "record", "--scope", scope.c_str(), "--out", (folder + "/record.scap").c_str(),
          "--events", "open,openat,openat2,execve,execveat,setuid,setgid", "--docker-socket", sockets.docker.c_str(),
          "--containerd-socket", sockets.containerd.c_str(), nullptr);
    _exit(127);
  }
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;
  ~Recorder() { end(); }

  std::string messages() const {
    std::stringstream text;
    text << std::ifstream(log_).rdbuf();
    return text.str();
  }
  bool is_ready() const {
    for (int i = 0; i < 300; ++i) {
      if (messages().find("recording") != std::string::npos) return true;
      usleep(100'000);
    }
    return false;
  }
  /// Its exit status.
  int end() {
    if (pid_ <= 0) return status_;
    kill(pid_, SIGTERM);
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  const std::string log_;
  pid_t pid_;
  int status_ = -1;
};

/// Asks for what a replay cannot look up any more.
constexpr char kTellingRules[] = R"(
- rule: Telling
  desc: d
  condition: evt.type in (open, openat, openat2) and fd.name = /etc/passwd and proc.name = cat
  output: >
    %proc.name %proc.pname %proc.cmdline %proc.exepath %user.name %user.homedir %user.shell %user.loginname %group.name
    %container.id %container.full_id %container.name %container.image %container.image.repository %container.image.tag
    %container.image.id %container.type %container.privileged %container.mounts %container.label.team %container.ip
  priority: WARNING
)";

std::vector<Json> replay(const std::string& capture, const std::vector<std::string>& rules) {
  std::vector<std::string> arguments{"detect", capture, "-o", "json", "--stats"};
  for (const std::string& path : rules) arguments.insert(arguments.end(), {"--rules", path});
  const CommandResult result = run_quell(arguments);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("losses: 0"), std::string::npos) << result.err;
  std::vector<Json> out;
  std::istringstream lines(result.out);
  for (std::string line; std::getline(lines, line);) out.push_back(*Json::parse(line));
  return out;
}

/// In the order of events: live, one that waits for its container is passed by others.
std::vector<std::string> summaries(const std::vector<Json>& detections) {
  std::vector<std::pair<uint64_t, std::string>> ordered;
  for (const Json& json : detections) {
    ordered.emplace_back(json.at("quell").at("kernel_ns").u64(),
                         json.at("rule").str() + " " + json.at("output_fields").dump());
  }
  std::sort(ordered.begin(), ordered.end());
  std::vector<std::string> out;
  for (auto& [at, summary] : ordered) out.push_back(std::move(summary));
  return out;
}

/// What two sensors that look at the same processes agree on: each has its own timestamps.
std::vector<std::string> told(const std::vector<Json>& detections) {
  std::vector<Json> ours;
  for (const Json& json : detections)
    if (json.at("rule").str() == "Telling") ours.push_back(json);
  std::vector<std::string> out;
  for (std::string& summary : summaries(ours)) {
    const size_t time = summary.find("\"evt.time\":");
    EXPECT_NE(time, std::string::npos) << summary;
    out.push_back(summary.erase(time, summary.find(',', time) - time));
  }
  return out;
}

// What is recorded, while it is evaluated or by a recorder of its own, gives the same detections again: with the
// container's metadata, which may have come after the events, and with the names of its users.
TEST_F(Attack, RecordingReplaysToTheSameDetections) {
  up.reset();
  char folder[] = "/var/tmp/quell-e2e-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  folder_ = folder;
  const std::string& at = folder_;
  std::ofstream(at + "/telling.yaml") << kTellingRules;
  ASSERT_NO_FATAL_FAILURE(start({"--rules", at + "/telling.yaml", "--record", at + "/up.scap"}));
  Recorder recorder(at, "cgroup:" + env->cgroup_root(), env->sockets());
  ASSERT_TRUE(recorder.is_ready()) << recorder.messages();

  const auto id = env->run_docker({.name = "e2e-record",
                                   .command = {"/bin/sh", "-c", "cat /etc/passwd; exec /attacker wait"},
                                   .labels = {{"team", "shop"}}});
  ASSERT_TRUE(id) << id.error().str();
  ASSERT_TRUE(env->exec_docker(*id, {"/bin/su", "www-data", "-c", "cat /etc/passwd"}));
  EXPECT_TRUE(up->wait_for([&](const Json& json) {
    return json.at("rule").str() == "Telling" && json.at("output_fields").at("user.homedir").str() == "/var" &&
           json.at("output_fields").at("user.name").str() == "www-data";
  })) << "the container's www-data lives in another folder than the host's; "
      << up->messages();
  ASSERT_TRUE(env->exec_docker(*id, {"/attacker", "read", "/etc/shadow"}));
  expect_detection(kPasswordRule, *id, "attacker");
  ASSERT_TRUE(env->exec_docker(*id, {"/attacker", "drop", "/attacker", "/tmp/dropped"}));
  expect_detection(kDropRule, *id, "dropped");
  EXPECT_TRUE(env->remove_docker(*id));
  EXPECT_EQ(up->metric("quell_capture_lost_events_total"), 0.0);
  EXPECT_EQ(up->stop(), 0) << up->messages();
  EXPECT_EQ(recorder.end(), 0) << recorder.messages();

  std::vector<Json> live;
  for (const SeenDetection& seen : up->all()) live.push_back(seen.json);
  EXPECT_GE(told(live).size(), 2u);
  EXPECT_GE(live.size(), 4u);
  EXPECT_EQ(summaries(replay(at + "/up.scap", {QUELL_SOURCE_DIR "/content/rules", at + "/telling.yaml"})),
            summaries(live));
  EXPECT_EQ(told(replay(at + "/record.scap", {at + "/telling.yaml"})), told(live));
}

}  // namespace
}  // namespace quell::test
