// Real processes in control groups: a name alone makes no container, and a container in an odd place is one.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "quell_up.h"
#include "support/bare_runc.h"
#include "support/command.h"

namespace quell::test {
namespace {

namespace fs = std::filesystem;

constexpr char kRules[] = R"(
- rule: Made
  desc: A file of this test was made.
  condition: evt.type in (open, openat, openat2) and fd.name startswith /dev/shm/early-look-
  output: made %fd.name in %container.id (%container.name)
  priority: WARNING
)";
const std::string kId(64, 'b');

class Lookalike : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string why;
    if (::geteuid() != 0) why = "needs root";
    for (const char* program : {"runc", "unshare"})
      if (!have_program(program)) why = std::string(program) + " is not installed";
    if (!why.empty()) {
      std::cout << "SKIPPED: " << why << "\n";
      GTEST_SKIP() << why;
    }
    root_ = "/quell-look-" + std::to_string(::getpid());
    folder_ = "/var/tmp/quell-look-" + std::to_string(::getpid());
    for (const char* mount : {"/sys/fs/cgroup/unified", "/sys/fs/cgroup/pids", "/sys/fs/cgroup"})
      if (fs::exists(std::string(mount) + "/cgroup.procs")) mounts_.push_back(mount);
    make_group("");
    fs::create_directories(folder_);
    auto bare = BareRunc::create(folder_ + "/bare", {{"/attacker", QUELL_ATTACKER}});
    ASSERT_TRUE(bare) << bare.error().str();
    bare_ = std::make_unique<BareRunc>(std::move(*bare));
    std::ofstream(folder_ + "/rules.yaml") << kRules;
    up_ = QuellUp::start({"--scope", "cgroup:" + root_, "--rules", folder_ + "/rules.yaml", "--docker-socket",
                          folder_ + "/no.sock", "--containerd-socket", folder_ + "/no.sock", "--runc-root",
                          bare_->root()});
    ASSERT_NE(up_, nullptr);
  }
  void TearDown() override {
    up_.reset();
    remove_groups();
    if (!folder_.empty()) fs::remove_all(folder_);
  }
  /// In every hierarchy: runc makes its groups in all of them.
  void remove_groups() {
    if (root_.empty()) return;
    std::vector<std::string> all{"/sys/fs/cgroup" + root_};
    for (const auto& mount : fs::directory_iterator("/sys/fs/cgroup")) all.push_back(mount.path().string() + root_);
    for (const std::string& top : all) {
      if (!fs::exists(top)) continue;
      std::vector<std::string> folders{top};
      for (const auto& entry : fs::recursive_directory_iterator(top))
        if (entry.is_directory()) folders.push_back(entry.path());
      std::sort(folders.begin(), folders.end(), [](const auto& a, const auto& b) { return a.size() > b.size(); });
      for (const std::string& folder : folders) ::rmdir(folder.c_str());
    }
  }
  void make_group(const std::string& path) {
    for (const std::string& mount : mounts_) fs::create_directories(mount + root_ + path);
  }

  /// Runs the command in this group, in all hierarchies; reaps it.
  void run_in(const std::string& path, const std::vector<std::string>& command) {
    make_group(path);
    const pid_t child = ::fork();
    if (child == 0) {
      for (const std::string& mount : mounts_) std::ofstream(mount + root_ + path + "/cgroup.procs") << "0\n";
      std::vector<char*> argv;
      for (const std::string& one : command) argv.push_back(const_cast<char*>(one.c_str()));
      argv.push_back(nullptr);
      ::execvp(argv[0], argv.data());
      ::_exit(127);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    ::unlink(("/dev/shm/early-" + command.end()[-2]).c_str());
    ::unlink(("/dev/shm/late-" + command.end()[-2]).c_str());
  }
  Json detection_of(const std::string& name) {
    const auto seen = up_->wait_for([&](const Json& json) {
      return json.at("output_fields").at("fd.name").str() == "/dev/shm/early-look-" + name;
    });
    EXPECT_TRUE(seen) << name << ": " << up_->messages();
    return seen ? seen->json.at("quell") : Json();
  }

  std::string root_, folder_;
  std::vector<std::string> mounts_;
  std::unique_ptr<BareRunc> bare_;
  std::unique_ptr<QuellUp> up_;
};

TEST_F(Lookalike, AHostsProcessIsTheHosts) {
  int number = 0;
  for (const std::string& path : {"/docker/" + kId, "/docker-" + kId + ".scope", "/kubepods/pod1/" + kId,
                                  "/libpod-" + kId + ".scope", "/name/" + std::string(32, '9')}) {
    const std::string name = "host" + std::to_string(number++);
    run_in(path, {QUELL_ATTACKER, "churn", "look-" + name, "1"});
    const Json ours = detection_of(name);
    EXPECT_EQ(ours.at("container_id").str(), "host") << path;
    EXPECT_EQ(ours.at("container_full_id").str(), "") << path;
    EXPECT_EQ(ours.at("container_missing_reason").str(), path.find(kId) != std::string::npos ? "not_a_container" : "")
        << path;
  }
  EXPECT_EQ(up_->metric("quell_lookup_requests_total"), 0.0) << "nobody was asked about it";
  EXPECT_EQ(up_->metric("quell_enrich_containers"), 0.0);
}

TEST_F(Lookalike, WhoIsCutOffIsBelievedAndTheReasonSaysThatNobodyKnowsIt) {
  run_in("/docker-" + kId + ".scope",
         {"unshare", "--pid", "--mount", "--fork", QUELL_ATTACKER, "churn", "look-cut", "1"});
  const Json ours = detection_of("cut");
  EXPECT_EQ(ours.at("container_full_id").str(), kId);
  // Docker, whose it looks like, is not there; a slow machine says so only after the line had to go out.
  const std::string reason = ours.at("container_missing_reason").str();
  EXPECT_TRUE(reason == "no_runtime_socket" || reason == "pending") << reason;
}

TEST_F(Lookalike, ContainersInOddPlacesAreContainers) {
  struct Case {
    std::string id, cgroup;
    bool host_pid;
  };
  const Case cases[] = {
      {"odd-name", root_ + "/anywhere/at/all/odd-name", false},
      {std::string(64, 'c'), root_ + "/team/shop/" + std::string(64, 'c'), false},
      {std::string(64, 'd'), root_ + "/docker/" + kId + "/docker/" + std::string(64, 'd'), false},
      {std::string(64, 'e'), root_ + "/kubepods/besteffort/pod1/" + std::string(64, 'e'), true},
  };
  for (const Case& one : cases) {
    const std::string name = one.id.substr(0, 4);
    const auto run = bare_->run({.id = one.id,
                                 .command = {"/attacker", "churn", "look-" + name, "300"},
                                 .cgroup = one.cgroup,
                                 .host_pid = one.host_pid});
    ASSERT_TRUE(run) << run.error().str();
    const Json ours = detection_of(name);
    EXPECT_EQ(ours.at("container_full_id").str(), one.id) << one.cgroup;
    EXPECT_EQ(ours.at("container").at("name").str(), one.id);
    EXPECT_EQ(ours.at("container").at("image").str(), bare_->rootfs());
    EXPECT_EQ(ours.at("container").at("host_pid").boolean(), one.host_pid);
    usleep(400'000);
    EXPECT_TRUE(bare_->remove(one.id));
  }
}

}  // namespace
}  // namespace quell::test
