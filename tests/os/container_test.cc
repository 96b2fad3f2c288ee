// The runtimes against real daemons: Docker's containers, ctr's, and a Kubernetes pod's made through the CRI.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <thread>

#include "os/container_lookup.h"
#include "os/os.h"
#include "os/runtime.h"
#include "os/unix_http.h"
#include "support/container_env.h"

namespace quell::os {
namespace {
using test::ContainerEnv;
using State = ContainerStatus::State;

std::unique_ptr<ContainerEnv> environment;  // one for the whole program: it takes seconds to start
std::string start_failure;

class EnvironmentOwner final : public ::testing::Environment {
 public:
  void SetUp() override {
    if (!ContainerEnv::missing().empty()) return;
    auto started = ContainerEnv::start();
    if (started)
      environment = std::move(*started);
    else
      start_failure = started.error().str();
  }
  void TearDown() override { environment.reset(); }
};
[[maybe_unused]] ::testing::Environment* const registered = ::testing::AddGlobalTestEnvironment(new EnvironmentOwner);

bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return false;
}

const std::vector<std::string> kSpin = {"/bin/sh", "-c", "while :; do :; done"};
const std::vector<std::string> kPolite = {"/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"};

class Containers : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = ContainerEnv::missing(); !why.empty()) {
      std::cout << "SKIPPED: " << why << "\n";
      GTEST_SKIP();
    }
    ASSERT_NE(environment, nullptr) << start_failure;
    RuntimeSockets sockets = environment->sockets();
    sockets.timeout_ms = 30000;  // a busy machine
    runtimes = make_runtimes(sockets);
    for (const auto& runtime : runtimes) (runtime->name() == "docker" ? docker : containerd) = runtime.get();
  }

  /// State of a container that is there.
  static State state(const Runtime& runtime, const std::string& id) {
    const auto status = runtime.inspect(id);
    EXPECT_TRUE(status) << status.error().str();
    return status ? status->state : State::unknown;
  }
  static int64_t pid_of(const Runtime& runtime, const std::string& id) {
    const auto status = runtime.inspect(id);
    return status ? status->pid : -1;
  }

  /// Pause, proof from outside, refusals, unpause: the same for every runtime.
  void pause_and_prove(const Runtime& runtime, const std::string& id) {
    const int64_t pid = pid_of(runtime, id);
    ASSERT_GT(pid, 0);
    ASSERT_EQ(machine->freezer_state(pid).value(), Frozen::no);
    const uint64_t start = machine->cgroup_cpu_ns(pid).value();
    EXPECT_TRUE(eventually([&] { return machine->cgroup_cpu_ns(pid).value() > start; })) << "the container should spin";

    const auto paused = runtime.pause(id);
    ASSERT_TRUE(paused) << paused.error().str();
    EXPECT_EQ(state(runtime, id), State::paused);
    EXPECT_EQ(machine->freezer_state(pid).value(), Frozen::yes);
    const uint64_t frozen = machine->cgroup_cpu_ns(pid).value();
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    EXPECT_EQ(machine->cgroup_cpu_ns(pid).value(), frozen);
    EXPECT_EQ(runtime.pause(id).error().code, Code::conflict);

    const auto resumed = runtime.unpause(id);
    ASSERT_TRUE(resumed) << resumed.error().str();
    EXPECT_EQ(state(runtime, id), State::running);
    EXPECT_EQ(machine->freezer_state(pid).value(), Frozen::no);
    EXPECT_EQ(runtime.unpause(id).error().code, Code::conflict);
    EXPECT_TRUE(eventually([&] { return machine->cgroup_cpu_ns(pid).value() > frozen; }));
  }

  void print_cgroups(const char* what, int64_t pid) {
    const auto facts = machine->process_facts(pid);
    ASSERT_TRUE(facts);
    std::cout << what << " cgroups:";
    for_each_part(facts->cgroups, [](std::string_view part) { std::cout << " " << part; });
    std::cout << "\n";
  }

  const std::unique_ptr<Os> machine = make_linux_os();
  std::vector<std::unique_ptr<Runtime>> runtimes;
  const Runtime* docker = nullptr;
  const Runtime* containerd = nullptr;
};

TEST_F(Containers, DockerInspect) {
  const auto id = environment->run_docker({.name = "facts",
                                           .labels = {{"team", "shop \"quoted\""}},
                                           .env = {"SECRET=1"},
                                           .binds = {"/etc:/host/etc:ro"},
                                           .restart_policy = "unless-stopped",
                                           .host_pid = true});
  ASSERT_TRUE(id) << id.error().str();
  const auto status = docker->inspect(*id);
  ASSERT_TRUE(status) << status.error().str();
  EXPECT_EQ(status->state, State::running);
  EXPECT_EQ(status->restart_policy, "unless-stopped");
  const Container& c = *status->info;
  EXPECT_EQ(c.full_id, *id);
  EXPECT_EQ(c.id, id->substr(0, 12));
  EXPECT_EQ(c.name, "facts");
  EXPECT_EQ(c.type, ContainerType::docker);
  EXPECT_EQ(c.image, "quell-test/busybox:1");
  EXPECT_EQ(c.image_repository, "quell-test/busybox");
  EXPECT_EQ(c.image_tag, "1");
  EXPECT_EQ(c.image_id.size(), 64u);
  EXPECT_EQ(c.labels.at("team"), "shop \"quoted\"");
  EXPECT_NE(std::find(c.env.begin(), c.env.end(), "SECRET=1"), c.env.end());
  ASSERT_EQ(c.mounts.size(), 1u);
  EXPECT_EQ(c.mounts[0].source, "/etc");
  EXPECT_EQ(c.mounts[0].destination, "/host/etc");
  EXPECT_FALSE(c.mounts[0].writable);
  EXPECT_FALSE(c.privileged);
  EXPECT_TRUE(c.host_pid);
  EXPECT_FALSE(c.host_network);
  EXPECT_FALSE(c.ip.empty());
  EXPECT_FALSE(c.started_at.empty());
  EXPECT_GT(c.created_s, 1'700'000'000);
  print_cgroups("docker", status->pid);

  // By name, by prefix; too short and unknown ones.
  EXPECT_EQ(docker->inspect("facts").value().info->full_id, *id);
  EXPECT_EQ(docker->inspect(id->substr(0, 12)).value().info->full_id, *id);
  EXPECT_EQ(docker->inspect(id->substr(0, 2)).error().code, Code::not_found);
  EXPECT_EQ(docker->inspect("nobody").error().code, Code::not_found);
  EXPECT_EQ(docker->inspect("../images/json").error().code, Code::not_found);
  EXPECT_EQ(docker->inspect(std::string(64, '0')).error().code, Code::not_found);
  const auto ids = docker->list();
  ASSERT_TRUE(ids);
  EXPECT_NE(std::find(ids->begin(), ids->end(), *id), ids->end());
  // Docker's containers live in the same containerd and are not its own.
  EXPECT_EQ(containerd->inspect(*id).error().code, Code::not_found);
  EXPECT_TRUE(environment->remove_docker(*id));
  EXPECT_EQ(docker->inspect(*id).error().code, Code::not_found);
}

TEST_F(Containers, DockerPauseUnpause) {
  const auto id = environment->run_docker({.name = "spinner", .command = kSpin});
  ASSERT_TRUE(id) << id.error().str();
  pause_and_prove(*docker, *id);
  // Killed while frozen: it dies without running.
  const int64_t pid = pid_of(*docker, *id);
  const auto process = machine->open_process({.boot_id = "", .pid = pid, .start_ticks = 0});
  ASSERT_TRUE(docker->pause(*id));
  ASSERT_TRUE(docker->kill(*id));
  EXPECT_TRUE(machine->wait_exit(*process, 20'000'000'000));
  EXPECT_TRUE(eventually([&] { return state(*docker, *id) == State::exited; }));
  EXPECT_EQ(docker->pause(*id).error().code, Code::conflict);
  EXPECT_EQ(docker->kill(*id).error().code, Code::conflict);
  EXPECT_EQ(docker->stop(*id, 1).error().code, Code::conflict);
  EXPECT_EQ(pid_of(*docker, *id), -1);
  EXPECT_TRUE(environment->remove_docker(*id));
}

TEST_F(Containers, DockerStopStart) {
  const auto id = environment->run_docker({.name = "polite", .command = kPolite});
  ASSERT_TRUE(id) << id.error().str();
  const std::string first_start = docker->inspect(*id).value().info->started_at;
  ASSERT_TRUE(docker->stop(*id, 20));
  EXPECT_EQ(state(*docker, *id), State::exited);
  ASSERT_TRUE(docker->start(*id));
  EXPECT_EQ(state(*docker, *id), State::running);
  EXPECT_EQ(docker->start(*id).error().code, Code::conflict);
  // The same container, another life: what actions compare before they act.
  EXPECT_NE(docker->inspect(*id).value().info->started_at, first_start);
  EXPECT_TRUE(environment->remove_docker(*id));
}

TEST_F(Containers, DockerRestartPolicyAndUnknownIds) {
  const auto id = environment->run_docker({.name = "policy", .restart_policy = "always"});
  ASSERT_TRUE(id) << id.error().str();
  EXPECT_EQ(docker->inspect(*id).value().restart_policy, "always");
  for (const char* policy : {"no", "on-failure:3", "unless-stopped", "on-failure"}) {
    ASSERT_TRUE(docker->set_restart_policy(*id, policy));
    EXPECT_EQ(docker->inspect(*id).value().restart_policy, policy);
  }
  for (const char* policy : {"", "sometimes", "on-failure:", "on-failure:x", "always:3", "no\",\"x\":\""})
    EXPECT_EQ(docker->set_restart_policy(*id, policy).error().code, Code::invalid_argument) << policy;
  const std::string nobody(64, 'a');
  EXPECT_EQ(docker->pause(nobody).error().code, Code::not_found);
  EXPECT_EQ(docker->unpause(nobody).error().code, Code::not_found);
  EXPECT_EQ(docker->stop(nobody, 1).error().code, Code::not_found);
  EXPECT_EQ(docker->kill(nobody).error().code, Code::not_found);
  EXPECT_EQ(docker->start(nobody).error().code, Code::not_found);
  EXPECT_EQ(docker->set_restart_policy(nobody, "no").error().code, Code::not_found);
  EXPECT_TRUE(environment->remove_docker(*id));
}

TEST_F(Containers, ContainerdInspectAndActions) {
  const auto id =
      environment->run_containerd({.name = "job1", .command = kSpin, .labels = {{"team", "shop"}}, .env = {"A=1"}});
  ASSERT_TRUE(id) << id.error().str();
  const auto status = containerd->inspect("job1");
  ASSERT_TRUE(status) << status.error().str();
  EXPECT_EQ(status->state, State::running);
  const Container& c = *status->info;
  EXPECT_EQ(c.full_id, "job1");
  EXPECT_EQ(c.id, "job1");
  EXPECT_EQ(c.type, ContainerType::containerd);
  EXPECT_EQ(c.runtime_namespace, "default");
  EXPECT_EQ(c.image, test::kTestImage);
  EXPECT_EQ(c.image_repository, "docker.io/quell-test/busybox");
  EXPECT_EQ(c.image_tag, "1");
  EXPECT_TRUE(c.image_digest.starts_with("sha256:"));
  EXPECT_EQ(c.labels.at("team"), "shop");
  EXPECT_NE(std::find(c.env.begin(), c.env.end(), "A=1"), c.env.end());
  EXPECT_FALSE(c.privileged);
  EXPECT_FALSE(c.host_pid || c.host_network || c.host_ipc);
  EXPECT_EQ(c.started_at,
            std::to_string(status->pid) + "@" + std::to_string(machine->process_facts(status->pid)->id.start_ticks));
  EXPECT_GT(c.created_s, 1'700'000'000);
  print_cgroups("ctr", status->pid);
  EXPECT_EQ(containerd->inspect("default/job1").value().pid, status->pid);
  EXPECT_EQ(containerd->inspect("k8s.io/job1").error().code, Code::not_found);
  const auto ids = containerd->list();
  ASSERT_TRUE(ids) << ids.error().str();
  EXPECT_NE(std::find(ids->begin(), ids->end(), "job1"), ids->end());

  pause_and_prove(*containerd, "job1");
  EXPECT_EQ(containerd->start("job1").error().code, Code::unsupported);
  EXPECT_EQ(containerd->set_restart_policy("job1", "no").error().code, Code::unsupported);

  ASSERT_TRUE(containerd->pause("job1"));
  EXPECT_EQ(containerd->stop("job1", 1).error().code, Code::conflict);  // frozen: it could not react
  const auto process = machine->open_process({.boot_id = "", .pid = status->pid, .start_ticks = 0});
  const auto killed = containerd->kill("job1");
  ASSERT_TRUE(killed) << killed.error().str();
  EXPECT_TRUE(machine->wait_exit(*process, 20'000'000'000));
  EXPECT_EQ(state(*containerd, "job1"), State::exited);
  EXPECT_EQ(pid_of(*containerd, "job1"), -1);
  EXPECT_EQ(containerd->kill("job1").error().code, Code::conflict);
  EXPECT_EQ(containerd->pause("job1").error().code, Code::conflict);
  EXPECT_TRUE(environment->remove_containerd("job1"));

  for (const char* nobody : {"job1", "no such", ""}) {
    EXPECT_EQ(containerd->inspect(nobody).error().code, Code::not_found) << nobody;
    EXPECT_EQ(containerd->pause(nobody).error().code, Code::not_found);
    EXPECT_EQ(containerd->unpause(nobody).error().code, Code::not_found);
    EXPECT_EQ(containerd->stop(nobody, 1).error().code, Code::not_found);
    EXPECT_EQ(containerd->kill(nobody).error().code, Code::not_found);
    EXPECT_EQ(containerd->start(nobody).error().code, Code::not_found);
  }
}

TEST_F(Containers, ContainerdStopIsPoliteThenFirm) {
  const auto polite = environment->run_containerd({.name = "polite", .command = kPolite});
  ASSERT_TRUE(polite) << polite.error().str();
  ASSERT_TRUE(containerd->stop(*polite, 20));
  EXPECT_EQ(state(*containerd, *polite), State::exited);
  EXPECT_TRUE(environment->remove_containerd(*polite));
  // sleep as pid 1 has no handler for SIGTERM, so it is ignored.
  const auto deaf = environment->run_containerd({.name = "deaf", .privileged = true});
  ASSERT_TRUE(deaf) << deaf.error().str();
  EXPECT_TRUE(containerd->inspect(*deaf).value().info->privileged);
  ASSERT_TRUE(containerd->stop(*deaf, 1));
  EXPECT_EQ(state(*containerd, *deaf), State::exited);
  EXPECT_TRUE(environment->remove_containerd(*deaf));
}

TEST_F(Containers, ContainerdIdsAreKeptApartByNamespace) {
  ASSERT_TRUE(environment->run_containerd({.name = "twin"}));
  ASSERT_TRUE(environment->run_containerd({.name = "twin", .runtime_namespace = "k8s.io"}));
  const auto both = containerd->inspect("twin");
  ASSERT_FALSE(both);
  EXPECT_EQ(both.error().code, Code::invalid_argument);
  EXPECT_NE(both.error().message.find("default/twin"), std::string::npos);
  EXPECT_NE(both.error().message.find("k8s.io/twin"), std::string::npos);
  EXPECT_EQ(containerd->pause("twin").error().code, Code::invalid_argument);
  EXPECT_EQ(containerd->inspect("k8s.io/twin").value().info->runtime_namespace, "k8s.io");
  EXPECT_TRUE(containerd->kill("k8s.io/twin"));
  EXPECT_EQ(state(*containerd, "default/twin"), State::running);
  EXPECT_TRUE(environment->remove_containerd("twin"));
  EXPECT_TRUE(environment->remove_containerd("twin", "k8s.io"));
}

TEST_F(Containers, PodOfKubernetes) {
  const auto pod = environment->run_pod({.name = "cart-7d9f",
                                         .pod_namespace = "shop",
                                         .uid = "0b1c2d3e-0000-1111-2222-333344445555",
                                         .labels = {{"app", "cart"}},
                                         .container_name = "server",
                                         .command = kSpin});
  ASSERT_TRUE(pod) << pod.error().str();
  const auto status = containerd->inspect(pod->container_id);
  ASSERT_TRUE(status) << status.error().str();
  EXPECT_EQ(status->state, State::running);
  const Container& c = *status->info;
  EXPECT_EQ(c.type, ContainerType::cri);
  EXPECT_EQ(c.runtime_namespace, "k8s.io");
  EXPECT_EQ(c.id, pod->container_id.substr(0, 12));
  EXPECT_EQ(c.name, "server");
  EXPECT_EQ(c.labels.at("io.kubernetes.pod.name"), "cart-7d9f");
  EXPECT_EQ(c.labels.at("io.kubernetes.pod.namespace"), "shop");
  EXPECT_EQ(c.labels.at("io.kubernetes.pod.uid"), "0b1c2d3e-0000-1111-2222-333344445555");
  EXPECT_EQ(c.pod_labels.at("app"), "cart");
  EXPECT_EQ(c.pod_sandbox_id, pod->sandbox_id);
  EXPECT_FALSE(c.is_pod_sandbox);
  EXPECT_EQ(c.image_repository, "docker.io/quell-test/busybox");
  EXPECT_EQ(c.image_tag, "1");
  EXPECT_TRUE(c.host_network);
  EXPECT_FALSE(c.host_pid || c.privileged);
  print_cgroups("pod container", status->pid);

  const auto sandbox = containerd->inspect(pod->sandbox_id);
  ASSERT_TRUE(sandbox) << sandbox.error().str();
  EXPECT_TRUE(sandbox->info->is_pod_sandbox);
  EXPECT_EQ(sandbox->info->labels.at("io.kubernetes.pod.name"), "cart-7d9f");
  print_cgroups("pod sandbox", sandbox->pid);

  EXPECT_EQ(containerd->inspect("server").value().info->full_id, pod->container_id);
  pause_and_prove(*containerd, pod->container_id);
  EXPECT_TRUE(containerd->kill(pod->container_id));
  EXPECT_EQ(state(*containerd, pod->container_id), State::exited);
  EXPECT_EQ(containerd->pause(pod->container_id).error().code, Code::conflict);
  EXPECT_TRUE(environment->remove_pod(*pod));
  EXPECT_EQ(containerd->inspect(pod->container_id).error().code, Code::not_found);
}

TEST_F(Containers, FindAcrossRuntimes) {
  const auto in_docker = environment->run_docker({.name = "shared-name"});
  ASSERT_TRUE(in_docker) << in_docker.error().str();
  auto found = find_container(runtimes, "shared-name");
  ASSERT_TRUE(found) << found.error().str();
  EXPECT_EQ(found->runtime->name(), "docker");
  ASSERT_TRUE(environment->run_containerd({.name = "shared-other"}));
  EXPECT_EQ(find_container(runtimes, "shared-other").value().runtime->name(), "containerd");
  EXPECT_EQ(find_container(runtimes, "nobody").error().code, Code::not_found);
  EXPECT_TRUE(environment->remove_containerd("shared-other"));

  // The id of one and the name of another: the id wins.
  ASSERT_TRUE(environment->run_containerd({.name = "shared-name"}));
  EXPECT_EQ(find_container(runtimes, "shared-name").value().runtime->name(), "containerd");
  EXPECT_EQ(find_container(runtimes, *in_docker).value().runtime->name(), "docker");
  EXPECT_TRUE(environment->remove_containerd("shared-name"));
  EXPECT_TRUE(environment->remove_docker(*in_docker));
}

TEST_F(Containers, LookupWhileContainersComeAndGo) {
  RuntimeSockets sockets = environment->sockets();
  sockets.timeout_ms = 10000;
  const auto own = make_runtimes(sockets);
  ContainerLookup::Options options;
  options.slow = {std::chrono::milliseconds(300), std::chrono::milliseconds(1000), std::chrono::milliseconds(3000)};
  ContainerLookup lookup(own, options);
  std::vector<LookupAnswer> answers;
  const auto is_known = [&answers](const std::string& id) {
    return std::any_of(answers.begin(), answers.end(), [&id](const LookupAnswer& a) {
      return a.full_id == id && a.info != nullptr && a.info->full_id == id && a.info->name.starts_with("churn-");
    });
  };
  for (int i = 0; i < 4; ++i) {
    const auto in_docker = environment->run_docker({.name = "churn-" + std::to_string(i)});
    ASSERT_TRUE(in_docker) << in_docker.error().str();
    lookup.request({.full_id = *in_docker, .guess = ContainerType::docker});
    lookup.request({.full_id = *in_docker, .guess = ContainerType::docker});
    const auto in_containerd = environment->run_containerd({.name = "churn-" + std::to_string(i)});
    ASSERT_TRUE(in_containerd) << in_containerd.error().str();
    lookup.request({.full_id = *in_containerd, .guess = ContainerType::containerd});
    lookup.request({.full_id = std::string(60, '0') + "000" + std::to_string(i), .guess = ContainerType::docker});
    EXPECT_TRUE(eventually([&] {
      lookup.poll(answers);
      return is_known(*in_docker) && is_known(*in_containerd);
    }));
    lookup.forget(*in_docker);
    EXPECT_TRUE(environment->remove_docker(*in_docker));
    EXPECT_TRUE(environment->remove_containerd(*in_containerd));
  }
  EXPECT_TRUE(eventually([&] { return lookup.counters().failed == 4; }));
  lookup.poll(answers);
  EXPECT_TRUE(
      std::any_of(answers.begin(), answers.end(), [](const LookupAnswer& a) { return a.final && !a.detail.empty(); }));
}

TEST_F(Containers, DockerThatIsSilentIsReadFromItsFiles) {
  const auto seen = environment->run_docker({.name = "seen"});
  const auto id =
      environment->run_docker({.name = "unasked", .labels = {{"team", "shop"}}, .binds = {"/etc:/host/etc:ro"}});
  ASSERT_TRUE(seen && id);
  ASSERT_TRUE(docker->inspect_exact(*seen)) << "where its files are is known from then on";
  RuntimeSockets sockets = environment->sockets();
  sockets.timeout_ms = 2000;
  const pid_t daemon = environment->dockerd_pid();
  ASSERT_GT(daemon, 0);
  ASSERT_EQ(kill(daemon, SIGSTOP), 0);
  const auto status = docker->inspect_exact(*id);
  const auto stranger = make_runtimes(sockets)[0]->inspect_exact(*id);
  ASSERT_EQ(kill(daemon, SIGCONT), 0);
  ASSERT_TRUE(status) << status.error().str();
  const Container& c = *status->info;
  EXPECT_EQ(c.full_id, *id);
  EXPECT_EQ(c.name, "unasked");
  EXPECT_EQ(c.image_repository, "quell-test/busybox");
  EXPECT_EQ(c.labels.at("team"), "shop");
  ASSERT_EQ(c.mounts.size(), 1u);
  EXPECT_EQ(c.mounts[0].destination, "/host/etc");
  EXPECT_FALSE(c.privileged);
  ASSERT_FALSE(stranger) << "who was never told where waits in vain";
  EXPECT_EQ(stranger.error().code, Code::timeout);
  // What the files say is what Docker says.
  const auto told = docker->inspect(*id);
  ASSERT_TRUE(told) << told.error().str();
  EXPECT_EQ(told->info->image_id, c.image_id);
  EXPECT_EQ(told->info->env, c.env);
  EXPECT_EQ(told->info->labels, c.labels);
  EXPECT_EQ(told->info->mounts[0].source, c.mounts[0].source);
  EXPECT_EQ(told->info->created_s, c.created_s);
  EXPECT_EQ(told->info->started_at, c.started_at);
  EXPECT_TRUE(environment->remove_docker(*seen));
  EXPECT_TRUE(environment->remove_docker(*id));
}

TEST_F(Containers, WhatACrashedRunLeavesIsRemoved) {
  int report[2];
  ASSERT_EQ(::pipe2(report, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {  // ends without any destructor
    int64_t pid = -1;
    if (auto crashed = ContainerEnv::start()) {
      const auto id = (*crashed)->run_docker({.name = "orphan", .restart_policy = "always"});
      const auto job = (*crashed)->run_containerd({.name = "orphan"});
      if (id && job) {
        const auto own = make_runtimes((*crashed)->sockets());
        pid = pid_of(*own[0], *id);
        (void)own[1]->pause("orphan");  // a frozen one is harder to end
      }
      crashed->release();
    }
    (void)!::write(report[1], &pid, sizeof pid);
    ::_exit(0);
  }
  int64_t pid = -1;
  ASSERT_EQ(::read(report[0], &pid, sizeof pid), static_cast<ssize_t>(sizeof pid));
  ::close(report[0]);
  ::close(report[1]);
  ::waitpid(child, nullptr, 0);
  const std::string name = std::to_string(child) + "-";
  const auto traces = [&] {
    std::string found;
    for (const char* folder :
         {test::kRunRoot, "/run/netns", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/freezer", "/sys/fs/cgroup"}) {
      std::error_code error;
      for (const auto& entry : std::filesystem::directory_iterator(folder, error))
        if (entry.path().filename().string().find(name) != std::string::npos) found += entry.path().string() + " ";
    }
    std::ifstream mounts("/proc/self/mountinfo");
    for (std::string line; std::getline(mounts, line);)
      if (line.find(std::string(test::kRunRoot) + "/" + name) != std::string::npos) found += line;
    return found;
  };
  ASSERT_GT(pid, 0);
  EXPECT_NE(traces(), "");
  const auto process = machine->open_process({.boot_id = "", .pid = pid, .start_ticks = 0});
  ASSERT_TRUE(process) << "the container outlives the crash";
  ContainerEnv::remove_leftovers();
  EXPECT_EQ(traces(), "");
  EXPECT_TRUE(machine->wait_exit(*process, 1'000'000'000));
  // Ours goes on.
  EXPECT_TRUE(docker->list());
}

TEST_F(Containers, DockerNetworksAreLeftAndJoinedAgainAsBefore) {
  const std::string socket = environment->sockets().docker;
  const auto make_network = [&](const std::string& name, const std::string& more) {
    const auto made = unix_http({.name = "Docker", .socket = socket, .option = "-"},
                                {.method = "POST",
                                 .path = "/v1.41/networks/create",
                                 .headers = {"Content-Type: application/json"},
                                 .body = R"({"Name":")" + name + "\"" + more + "}",
                                 .timeout_ms = 30000});
    ASSERT_TRUE(made) << made.error().str();
    ASSERT_EQ(made->status, 201) << made->body;
  };
  make_network("fixed", R"(,"IPAM":{"Config":[{"Subnet":"10.99.1.0/24"}]})");
  make_network("any", "");
  const auto id = environment->run_docker({.name = "networked"});
  ASSERT_TRUE(id) << id.error().str();
  const auto asked = docker->connect_network(
      *id, {.network = "fixed", .ipv4 = "10.99.1.77", .fixed_ipv4 = "10.99.1.77", .aliases = {"web", "shop"}});
  ASSERT_TRUE(asked) << asked.error().str();
  EXPECT_EQ(asked->ipv4, "10.99.1.77");
  const auto given = docker->connect_network(*id, {.network = "any"});
  ASSERT_TRUE(given) << given.error().str();
  EXPECT_TRUE(given->fixed_ipv4.empty());

  const auto before = docker->networks(*id).value();
  EXPECT_EQ(before.size(), 3u);  // Docker's own bridge is the third
  for (const NetworkEndpoint& endpoint : before) {
    EXPECT_EQ(docker->connect_network(*id, endpoint).error().code, Code::conflict) << endpoint.network;
    EXPECT_TRUE(docker->disconnect_network(*id, endpoint.network_id, true)) << endpoint.network;
    EXPECT_EQ(docker->disconnect_network(*id, endpoint.network_id, false).error().code, Code::conflict);
  }
  EXPECT_TRUE(docker->networks(*id)->empty());
  for (const NetworkEndpoint& endpoint : before) {
    const auto back = docker->connect_network(*id, endpoint);
    ASSERT_TRUE(back) << endpoint.network << ": " << back.error().str();
    EXPECT_EQ(back->ipv4, endpoint.ipv4);
    EXPECT_EQ(back->mac, endpoint.mac);
    EXPECT_EQ(back->aliases, endpoint.aliases);
  }
  EXPECT_EQ(docker->networks(*id).value(), before);

  // The address was given to somebody else meanwhile: said, not replaced by another.
  const auto other = environment->run_docker({.name = "squatter"});
  ASSERT_TRUE(other) << other.error().str();
  const auto fixed = std::find_if(before.begin(), before.end(), [](const auto& e) { return e.network == "fixed"; });
  ASSERT_NE(fixed, before.end());
  ASSERT_TRUE(docker->disconnect_network(*id, "fixed", false));
  ASSERT_TRUE(docker->connect_network(*other, {.network = "fixed", .ipv4 = "10.99.1.77", .fixed_ipv4 = "10.99.1.77"}));
  EXPECT_EQ(docker->connect_network(*id, *fixed).error().code, Code::conflict);

  const std::string nobody(64, '0');
  EXPECT_EQ(docker->networks(nobody).error().code, Code::not_found);
  EXPECT_EQ(docker->disconnect_network(*id, "there-is-none", false).error().code, Code::not_found);
  EXPECT_EQ(docker->connect_network(*id, {.network = "there-is-none"}).error().code, Code::not_found);
  EXPECT_EQ(docker->connect_network(nobody, *fixed).error().code, Code::not_found);
  EXPECT_EQ(containerd->networks(nobody).error().code, Code::unsupported);
  EXPECT_EQ(containerd->disconnect_network(nobody, "any", false).error().code, Code::unsupported);
  EXPECT_EQ(containerd->connect_network(nobody, *fixed).error().code, Code::unsupported);
  EXPECT_TRUE(environment->remove_docker(*id));
  EXPECT_TRUE(environment->remove_docker(*other));
}

TEST_F(Containers, DockerdRestartBringsPoliciesBack) {
  const auto id = environment->run_docker({.name = "phoenix", .command = kPolite, .restart_policy = "always"});
  ASSERT_TRUE(id) << id.error().str();
  const auto before = docker->inspect(*id).value();
  const auto restarted = environment->restart_docker();
  ASSERT_TRUE(restarted) << restarted.error().str();
  EXPECT_TRUE(eventually([&] {
    const auto now = docker->inspect(*id);
    return now && now->state == State::running && now->info->started_at != before.info->started_at;
  }));
  EXPECT_TRUE(environment->remove_docker(*id));
}

}  // namespace
}  // namespace quell::os
