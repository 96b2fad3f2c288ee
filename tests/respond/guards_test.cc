// Every rule says no, names itself, and leaves the machine alone; and none says no to its neighbour.
#include "fixture.h"

namespace quell::respond {
namespace {

using enum ActionState;

class GuardTest : public RespondTest {
 protected:
  void expect_refused(const std::string& action, const std::string& target, const std::string& rule,
                      bool force = false) {
    machine.signals.clear();
    docker->calls.clear();
    const ActionRecord record = run(action, target, force);
    EXPECT_EQ(record.state, refused_guard) << target;
    EXPECT_EQ(rule_of(record), rule) << record.reason;
    EXPECT_EQ(shown(record.id).state, refused_guard) << "refusals are on record";
    EXPECT_TRUE(machine.signals.empty());
    EXPECT_TRUE(docker->calls.empty());
  }
  int64_t host_process(const std::string& comm, const std::string& exe) {
    machine.add(++pid, 1, comm, exe, "/system.slice/x");
    return pid;
  }
  std::string target(int64_t of) { return "process:" + std::to_string(of); }
  int64_t pid = 800;
};

TEST_F(GuardTest, NeverPidOneOfTheHost) {
  expect_refused("process.kill", "process:1", "host_init");
  expect_refused("process.kill", "process:1", "host_init", true);
}

TEST_F(GuardTest, NeverAKernelThread) { expect_refused("process.kill", "process:2", "kernel_thread", true); }

TEST_F(GuardTest, NeverQuellOrItsAncestors) {
  expect_refused("process.kill", target(kQuellPid), "quell_itself", true);
  expect_refused("process.kill", target(kQuellPid - 1), "quell_itself", true);
  machine.add(kQuellPid + 1, kQuellPid, "child", "/usr/bin/child", "/user");
  EXPECT_EQ(run("process.kill", target(kQuellPid + 1)).state, contained) << "a child is not an ancestor";
}

TEST_F(GuardTest, NeverTheContainerThatQuellRunsIn) {
  machine.processes.at(kQuellPid).facts.cgroups = "=/docker/" + web;
  expect_refused("container.pause", "container:web", "quell_itself");
  expect_refused("container.kill", "container:web", "quell_itself", true);
}

TEST_F(GuardTest, NeverWhatTheNodeNeeds) {
  for (const std::string exe :
       {"/usr/bin/dockerd", "/usr/bin/containerd", "/usr/bin/containerd-shim-runc-v2", "/usr/sbin/runc",
        "/usr/bin/crio", "/usr/bin/podman", "/usr/libexec/podman/conmon", "/usr/bin/kubelet", "/usr/sbin/sshd",
        "/usr/sbin/sshd (deleted)", "/memfd:runc_cloned:/proc/self/exe (deleted)",
        "/var/lib/rancher/k3s/data/abc/bin/containerd"})
    expect_refused("process.kill", target(host_process("renamed", exe)), "node_program", true);
  expect_refused("process.kill", target(host_process("dockerd", "")), "node_program");
}

TEST_F(GuardTest, ANameDoesNotProtect) {
  EXPECT_EQ(run("process.kill", target(host_process("sshd", "/usr/bin/python3.11"))).state, contained)
      << "comm is the process's own choice";
  EXPECT_EQ(run("process.kill", target(host_process("sshd", "/tmp/sshd"))).state, contained);
  machine.processes.at(1001).facts.exepath = "/usr/sbin/sshd";
  EXPECT_EQ(run("process.kill", "process:1001").state, contained) << "in a container it is a workload";
}

TEST_F(GuardTest, NeverALabelledContainer) {
  docker->relabel("web", {{"quell.protected", "true"}});
  expect_refused("container.pause", "container:web", "protected_label");
  expect_refused("process.kill", "process:1001", "protected_label", true);
  docker->relabel("web", {{"quell.protected", "false"}});
  EXPECT_EQ(run("container.pause", "container:web").state, contained);
}

TEST_F(GuardTest, NeverOutsideTheScope) {
  docker->add("db", 1100);
  options.guards.scope = "cgroup:/docker/" + web;
  options.guards.in_scope = [&](const os::ProcessFacts& facts) { return facts.cgroups == "=/docker/" + web; };
  start();
  expect_refused("container.pause", "container:db", "scope", true);
  expect_refused("process.kill", "process:1101", "scope", true);
  expect_refused("process.kill", "process:700", "scope");
  EXPECT_EQ(run("process.kill", "process:1001").state, contained);
  EXPECT_EQ(run("container.pause", "container:web").state, contained);
  ASSERT_TRUE(docker->kill(web));
  EXPECT_EQ(run("container.kill", "container:web").state, refused_guard)
      << "what does not run cannot be shown to be inside";
}

TEST_F(GuardTest, KillingAContainersInitNamesTheContainerAction) {
  expect_refused("process.kill", "process:1000", "container_init");
  const ActionRecord record = run("process.kill", "process:1000");
  EXPECT_NE(record.reason.find("container.kill"), std::string::npos);
  EXPECT_NE(record.reason.find("container:web"), std::string::npos);
  EXPECT_EQ(run("process.kill", "process:1000", true).state, contained) << "--force allows exactly this";
}

TEST_F(GuardTest, AContainersInitIsKnownWithoutItsRuntime) {
  docker->fault = Fault::down;
  expect_refused("process.kill", "process:1000", "container_init");
  EXPECT_EQ(run("process.kill", "process:1001").state, contained);
}

TEST_F(GuardTest, AContainersInitIsKnownInTheHostsPidNamespace) {
  machine.processes.at(1000).facts.pid_namespace = 1;
  machine.processes.at(1000).facts.pid_in_namespace = 1000;
  expect_refused("process.kill", "process:1000", "container_init");
}

TEST_F(GuardTest, StopDoesNotWakeAPausedContainer) {
  ASSERT_TRUE(docker->pause(web));
  expect_refused("container.stop", "container:web", "stop_thaws", true);
  EXPECT_EQ(run("container.kill", "container:web").state, contained);
}

TEST_F(GuardTest, TheGuardsLookAgainBehindTheIntent) {
  bool inside = true;
  options.guards.in_scope = [&](const os::ProcessFacts&) { return inside; };
  options.on_record = [&](const ActionRecord& record) {
    if (record.state == executing) inside = false;  // moved out of the scope while the intent was written
  };
  start();
  expect_refused("process.kill", "process:1001", "scope");
}

TEST_F(GuardTest, EveryRuleHasANameAndAReason) {
  std::set<std::string_view> names;
  for (const GuardRule& rule : guard_rules()) {
    EXPECT_TRUE(names.insert(rule.name).second);
    EXPECT_FALSE(rule.summary.empty());
  }
  EXPECT_EQ(std::count_if(guard_rules().begin(), guard_rules().end(), [](auto& rule) { return rule.forceable; }), 2);
}

}  // namespace
}  // namespace quell::respond
