// Actions on real processes, cgroups and networks of this test's own, through the runner; and their undo.
#include <gtest/gtest.h>
#include <unistd.h>

#include "fakes.h"
#include "os/host_support.h"
#include "os/proc_fs.h"
#include "respond/actions/network.h"
#include "support/net_lab.h"

namespace quell::respond {
namespace {

using enum ActionState;
using os::TestChild;
using test::NetChild;
using test::NetLab;

class RealActionsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    start();
  }
  void start() {
    World world{*machine, runtimes, system_clock(), [](uint64_t ns) { usleep(static_cast<useconds_t>(ns / 1000)); }};
    if (lab)
      world.machine_network = [this]() -> Result<os::NetNamespace> {
        return os::NetNamespace::open(fmt::format("/proc/self/fd/{}", lab->inside().fd()));
      };
    runner = std::make_unique<Runner>(std::move(world), journal, options);
  }
  void make_lab() {
    if (const std::string why = NetLab::missing(); !why.empty()) GTEST_SKIP() << why;
    auto made = NetLab::make();
    ASSERT_TRUE(made) << made.error().str();
    lab = std::move(*made);
    start();
  }
  std::string target(pid_t pid) {
    const auto facts = machine->process_facts(pid);
    EXPECT_TRUE(facts);
    return fmt::format("process:{}@{}", pid, facts ? facts->id.start_ticks : 0);
  }
  Command command(const std::string& action, const std::string& on, ActionParams params = {}) {
    Command out;
    out.action = action;
    out.target = on;
    out.params = std::move(params);
    out.actor = "uid:0 (root)";
    return out;
  }
  ActionRecord run(const Command& c) {
    auto outcome = runner->run(c);
    EXPECT_TRUE(outcome) << outcome.error().str();
    return outcome ? outcome->record : ActionRecord{};
  }
  ActionRecord run(const std::string& action, const std::string& on, ActionParams params = {}) {
    return run(command(action, on, std::move(params)));
  }
  ActionRecord undo(const std::string& id) {
    auto outcome = runner->undo({id, "uid:0 (root)", "test"});
    EXPECT_TRUE(outcome) << outcome.error().str();
    return outcome ? outcome->record : ActionRecord{};
  }
  Code undo_error(const ActionRecord& record) {
    const auto outcome = runner->undo({record.id, "uid:0 (root)", "test"});
    return outcome ? Code::internal : outcome.error().code;
  }
  std::string proof_of(const ActionRecord& record) { return record.proof_json + " " + record.reason; }

  std::unique_ptr<os::Os> machine = os::make_linux_os();
  std::vector<std::unique_ptr<os::Runtime>> runtimes;
  FakeJournal journal;
  RunnerOptions options;
  std::unique_ptr<NetLab> lab;
  std::unique_ptr<Runner> runner;
};

TEST_F(RealActionsTest, SuspendedAndResumedByUndo) {
  TestChild child;
  ASSERT_TRUE(os::eventually([&] { return *os::thread_states(child.pid()) == "S"; }));
  const ActionRecord record = run("process.suspend", target(child.pid()));
  ASSERT_EQ(record.state, contained) << proof_of(record);
  EXPECT_NE(record.expires_ns, 0u);
  EXPECT_EQ(run("process.suspend", target(child.pid())).id, record.id) << "once";
  EXPECT_EQ(undo(record.id).state, undone);
  EXPECT_TRUE(os::eventually([&] { return *os::thread_states(child.pid()) == "S"; }));
}

TEST_F(RealActionsTest, ResumeLiftsOurSuspension) {
  TestChild child;
  ASSERT_TRUE(os::eventually([&] { return *os::thread_states(child.pid()) == "S"; }));
  const ActionRecord suspended = run("process.suspend", target(child.pid()));
  ASSERT_EQ(suspended.state, contained) << proof_of(suspended);
  EXPECT_EQ(run("process.resume", target(child.pid())).state, undone);
  EXPECT_TRUE(os::eventually([&] { return *os::thread_states(child.pid()) == "S"; }));
  EXPECT_EQ(runner->show(suspended.id)->state, undone);
  EXPECT_EQ(run("process.resume", target(child.pid())).state, already_in_effect);
}

TEST_F(RealActionsTest, WhoWasStoppedBeforeIsNotOurs) {
  TestChild child;
  kill(child.pid(), SIGSTOP);
  ASSERT_TRUE(os::eventually([&] { return *os::thread_states(child.pid()) == "T"; }));
  EXPECT_EQ(run("process.suspend", target(child.pid())).state, already_in_effect);
  kill(child.pid(), SIGCONT);
}

TEST_F(RealActionsTest, LetRunByAnotherIsDrift) {
  TestChild child;
  const ActionRecord record = run("process.suspend", target(child.pid()));
  ASSERT_EQ(record.state, contained) << proof_of(record);
  EXPECT_EQ(runner->in_effect()->front().drift, "");
  if (record.pre_state_json.find("directory") != std::string::npos) GTEST_SKIP() << "the freezer was used";
  kill(child.pid(), SIGCONT);
  ASSERT_TRUE(os::eventually([&] { return *os::thread_states(child.pid()) != "T"; }));
  EXPECT_NE(runner->in_effect()->front().drift, "");
}

TEST_F(RealActionsTest, ATreeDiesWhole) {
  TestChild root([] {
    for (int i = 0; i < 5; ++i) {
      if (fork() != 0) continue;
      signal(SIGTERM, SIG_IGN);
      if (fork() == 0) setsid();
      for (;;) pause();
    }
  });
  TestChild neighbour;
  usleep(50'000);
  const ActionRecord record = run("process.kill_tree", target(root.pid()));
  ASSERT_EQ(record.state, contained) << proof_of(record);
  const auto result = Json::parse(record.result_json);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->at("killed").array()->size(), 11u);
  EXPECT_TRUE(result->at("survivors").array()->empty());
  EXPECT_EQ(machine->process_facts(neighbour.pid())->id.pid, neighbour.pid());
  EXPECT_EQ(undo_error(record), Code::unsupported);
}

TEST_F(RealActionsTest, ATreeWithOurselvesInItIsRefused) {
  const ActionRecord record = run("process.kill_tree", fmt::format("process:{}", getppid()));
  EXPECT_EQ(record.state, refused_guard);
  EXPECT_EQ(record.reason.substr(0, 5), "verb:");
}

TEST_F(RealActionsTest, OneProcessIsCutOffAndItsNeighbourIsNot) {
  make_lab();
  if (IsSkipped()) return;
  if (const auto probe = os::probe_cgroup_cut(); !probe) GTEST_SKIP() << probe.error().message;
  auto cgroup = test::TestCgroup::make("quell-real-actions");
  ASSERT_TRUE(cgroup) << cgroup.error().str();
  const auto server = NetChild::echo_server(lab->outside(), test::kEchoPort);
  const auto thief =
      NetChild::talker(lab->inside(), test::kOutside4, test::kEchoPort, NetChild::Via::tcp, cgroup->get());
  const auto neighbour =
      NetChild::talker(lab->inside(), test::kOutside6, test::kEchoPort, NetChild::Via::tcp, cgroup->get());
  ASSERT_TRUE(thief->talks());
  ASSERT_TRUE(neighbour->talks());
  const std::string before = machine->process_facts(thief->pid())->cgroups;

  const ActionRecord record = run("process.net_block", target(thief->pid()));
  ASSERT_EQ(record.state, contained) << proof_of(record);
  EXPECT_TRUE(thief->silent());
  EXPECT_TRUE(neighbour->talks());
  EXPECT_EQ(runner->in_effect()->front().drift, "");
  EXPECT_EQ(undo(record.id).state, undone);
  EXPECT_TRUE(thief->talks());
  EXPECT_EQ(machine->process_facts(thief->pid())->cgroups, before);
}

TEST_F(RealActionsTest, WhatIsAllowedStaysReachable) {
  make_lab();
  if (IsSkipped()) return;
  if (const auto probe = os::probe_cgroup_cut(); !probe) GTEST_SKIP() << probe.error().message;
  auto cgroup = test::TestCgroup::make("quell-real-actions");
  ASSERT_TRUE(cgroup) << cgroup.error().str();
  const auto server = NetChild::echo_server(lab->outside(), test::kEchoPort);
  const auto talker =
      NetChild::talker(lab->inside(), test::kOutside4, test::kEchoPort, NetChild::Via::tcp, cgroup->get());
  ASSERT_TRUE(talker->talks());
  const ActionRecord record = run("process.net_block", target(talker->pid()),
                                  {{"allow", fmt::format("{}:{}/tcp", test::kOutside4, test::kEchoPort)}});
  ASSERT_EQ(record.state, contained) << proof_of(record);
  EXPECT_TRUE(talker->talks());
  EXPECT_EQ(undo(record.id).state, undone);
}

TEST_F(RealActionsTest, AnAddressIsBlockedUnblockedAndUndone) {
  make_lab();
  if (IsSkipped()) return;
  const auto server = NetChild::echo_server(lab->outside(), test::kEchoPort);
  const auto v4 = NetChild::talker(lab->inside(), test::kOutside4, test::kEchoPort);
  const auto v6 = NetChild::talker(lab->inside(), test::kOutside6, test::kEchoPort);
  ASSERT_TRUE(v4->talks());
  ASSERT_TRUE(v6->talks());
  const std::string before = *NetLab::run(lab->inside(), {"nft", "list", "ruleset"});

  const std::string address = std::string("address:") + test::kOutside4;
  const ActionRecord blocked = run("host.block_ip", address);
  ASSERT_EQ(blocked.state, contained) << proof_of(blocked);
  EXPECT_TRUE(v4->silent()) << "the flow that lived ends";
  EXPECT_TRUE(v6->talks());
  EXPECT_EQ(run("host.unblock_ip", address).state, undone);
  EXPECT_TRUE(v4->talks());
  EXPECT_EQ(runner->show(blocked.id)->state, undone);

  const ActionRecord again = run("host.block_ip", std::string("address:") + test::kOutside6);
  ASSERT_EQ(again.state, contained) << proof_of(again);
  EXPECT_TRUE(v6->silent());
  EXPECT_EQ(undo(again.id).state, undone);
  EXPECT_TRUE(v6->talks());
  EXPECT_EQ(*NetLab::run(lab->inside(), {"nft", "list", "ruleset"}), before) << "undo(do(x)) = x";
}

TEST_F(RealActionsTest, OurOwnAddressesAreNotBlocked) {
  make_lab();
  if (IsSkipped()) return;
  for (const char* address : {test::kInside4, "127.0.0.1", "0.0.0.0/0", "10.0.0.0/7"})
    EXPECT_EQ(run("host.block_ip", std::string("address:") + address).state, refused_guard) << address;
  EXPECT_EQ(*NetLab::run(lab->inside(), {"nft", "list", "ruleset"}), "");
}

TEST_F(RealActionsTest, TheMachineIsIsolatedOnceAnotherPersonAgrees) {
  make_lab();
  if (IsSkipped()) return;
  const auto server = NetChild::echo_server(lab->outside(), test::kEchoPort);
  const auto other = NetChild::echo_server(lab->outside(), test::kOtherPort);
  const auto stays = NetChild::talker(lab->inside(), test::kOutside4, test::kEchoPort);
  const auto ends = NetChild::talker(lab->inside(), test::kOutside4, test::kOtherPort);
  ASSERT_TRUE(stays->talks());
  ASSERT_TRUE(ends->talks());
  const std::string before = *NetLab::run(lab->inside(), {"nft", "list", "ruleset"});

  EXPECT_FALSE(runner->run(command("host.isolate_network", "host:"))) << "nobody could undo it";
  const ActionRecord asked =
      run("host.isolate_network", "host:", {{"allow", fmt::format("{}:{}/tcp", test::kOutside4, test::kEchoPort)}});
  ASSERT_EQ(asked.state, awaiting_approval);
  EXPECT_TRUE(ends->talks());
  const auto done = runner->approve({asked.id, "uid:1000 (other)", "yes"});
  ASSERT_TRUE(done) << done.error().str();
  ASSERT_EQ(done->record.state, contained) << proof_of(done->record);
  EXPECT_TRUE(ends->silent());
  EXPECT_TRUE(stays->talks());
  EXPECT_LE(runner->poll(), 60ull * 1'000'000'000) << "it tells the kernel every minute that it is there";
  EXPECT_EQ(undo(asked.id).state, undone);
  EXPECT_TRUE(ends->talks());
  EXPECT_EQ(*NetLab::run(lab->inside(), {"nft", "list", "ruleset"}), before);
}

TEST(Allow, IsReadAndRefusedWithThePlace) {
  const auto allow = parse_allow("10.0.0.1, 192.0.2.0/24:53/udp [2001:db8::1]:443 2001:db8::/32");
  ASSERT_TRUE(allow) << allow.error().str();
  ASSERT_EQ(allow->entries.size(), 4u);
  EXPECT_EQ(allow->entries[1].remote_port, 53);
  EXPECT_EQ(allow->entries[1].protocol, os::NetAllow::Protocol::udp);
  EXPECT_EQ(allow->entries[2].remote_port, 443);
  EXPECT_EQ(allow->entries[2].protocol, os::NetAllow::Protocol::tcp);
  EXPECT_EQ(allow->entries[3].remote.length, 32);
  EXPECT_TRUE(parse_allow("")->entries.empty());
  for (const char* bad : {"x", "10.0.0.1:0", "10.0.0.1:99999", "10.0.0.1:80/icmp", "[2001:db8::1", "[2001:db8::1]80",
                          "[2001:db8::]/32", "10.0.0.1/33", "10.0.0.1,,x"})
    EXPECT_EQ(parse_allow(bad).error().code, Code::invalid_argument) << bad;
}

}  // namespace
}  // namespace quell::respond
