// From what was written to an identity: forms, kinds, and identities that are no more.
#include "fixture.h"

namespace quell::respond {
namespace {

using enum ActionState;

TEST(ParseTarget, Forms) {
  EXPECT_EQ(parse_target("container:web")->text, "web");
  EXPECT_EQ(parse_target("container:default/web:1")->text, "default/web:1");
  EXPECT_EQ(parse_target("detection:d-1")->kind, TargetRef::Kind::detection);
  EXPECT_EQ(parse_target("process:12")->start_ticks, 0u);
  EXPECT_EQ(parse_target("process:12@34")->start_ticks, 34u);
  for (const std::string_view text :
       {"", "web", "container:", "pod:web", "process:", "process:x", "process:-1", "process:0", "process:1@",
        "process:1@0", "process:1@x", "process:99999999999999999999", "process:1 "})
    EXPECT_EQ(parse_target(text).error().code, Code::invalid_argument) << text;
  EXPECT_FALSE(parse_target("container:" + std::string(5000, 'a')));
}

TEST_F(RespondTest, WhatDoesNotExistIsNotFoundAndLeavesNoRecord) {
  EXPECT_EQ(run_error("container.pause", "container:nothing"), Code::not_found);
  EXPECT_EQ(run_error("process.kill", "process:99999"), Code::not_found);
  EXPECT_EQ(run_error("process.kill", "detection:d-none"), Code::not_found);
  EXPECT_EQ(run_error("container.explode", "container:web"), Code::not_found);
  EXPECT_EQ(journal.writes, 0);
  const auto typo = runner->run(command("container.puase", "container:web"));
  EXPECT_NE(typo.error().message.find("container.pause"), std::string::npos);
}

TEST_F(RespondTest, KindsAreNotMixed) {
  EXPECT_EQ(run_error("container.pause", "process:700"), Code::invalid_argument);
  EXPECT_EQ(run_error("process.kill", "container:web"), Code::invalid_argument);
}

TEST_F(RespondTest, CommandsOutOfBounds) {
  Command c = command("process.kill", "process:700");
  c.ttl_s = 5;
  EXPECT_EQ(runner->run(c).error().code, Code::invalid_argument) << "a kill does not expire";
  c = command("container.pause", "container:web");
  c.ttl_s = UINT64_MAX;
  EXPECT_EQ(runner->run(c).error().code, Code::invalid_argument);
  c.ttl_s = 0;
  c.reason = std::string(100'000, 'x');
  EXPECT_EQ(runner->run(c).error().code, Code::invalid_argument);
  EXPECT_TRUE(docker->calls.empty());
}

TEST_F(RespondTest, AStartThatDiffersIsStaleAndOnRecord) {
  const uint64_t start = machine.processes.at(700).facts.id.start_ticks;
  EXPECT_EQ(run("process.kill", fmt::format("process:700@{}", start + 1)).state, stale_target);
  EXPECT_TRUE(machine.signals.empty());
  EXPECT_EQ(runner->preview(command("process.kill", fmt::format("process:700@{}", start + 1))).error().code,
            Code::stale);
  EXPECT_EQ(run("process.kill", fmt::format("process:700@{}", start)).state, contained);
}

TEST_F(RespondTest, AnIdentityThatIsGoneIsContainedAlready) {
  const ActionRecord record = run("process.kill", "process:4242@17");
  EXPECT_EQ(record.state, already_in_effect);
  EXPECT_EQ(rule_of(record), "already_gone");
}

TEST_F(RespondTest, ADetectionMeansItsProcessOrItsContainer) {
  detections["d-1"] = detection(1001, true);
  const ActionRecord pause = run("container.pause", "detection:d-1");
  EXPECT_EQ(pause.state, contained);
  EXPECT_EQ(pause.target.container_id, web);
  EXPECT_EQ(pause.detection_id, "d-1");
  undo(pause.id);
  const ActionRecord kill = run("process.kill", "detection:d-1");
  EXPECT_EQ(kill.state, contained);
  EXPECT_EQ(kill.target.process.pid, 1001);
  EXPECT_EQ(run("process.kill", "detection:d-1").id, kill.id) << "the same identity: the same action";
}

TEST_F(RespondTest, ADetectionOnTheHostHasNoContainer) {
  detections["d-1"] = detection(700, false);
  EXPECT_EQ(run_error("container.pause", "detection:d-1"), Code::invalid_argument);
  EXPECT_EQ(run("process.kill", "detection:d-1").state, contained);
}

TEST_F(RespondTest, ADetectionFromElsewhereMeansNobodyHere) {
  Detection d = detection(700, false);
  d.evidence_ref = "scap:/tmp/x.scap#7";
  detections["d-1"] = d;
  EXPECT_EQ(run_error("process.kill", "detection:d-1"), Code::unsupported);

  d = detection(700, false);
  d.process.boot_id = "boot-0";
  detections["d-1"] = d;
  EXPECT_EQ(run("process.kill", "detection:d-1").state, already_in_effect) << "processes do not survive a boot";

  d = detection(700, false);
  d.process.start_ticks = 0;
  detections["d-1"] = d;
  EXPECT_EQ(run_error("process.kill", "detection:d-1"), Code::stale) << "no identity, so no guess";
  EXPECT_TRUE(machine.signals.empty());
}

TEST_F(RespondTest, ADetectionWhoseProcessWasReplaced) {
  detections["d-1"] = detection(700, false);
  machine.end(700);
  machine.add(700, 1, "innocent", "/usr/bin/innocent", "/x");
  EXPECT_EQ(run("process.kill", "detection:d-1").state, stale_target);
  EXPECT_TRUE(machine.signals.empty());
}

TEST_F(RespondTest, ADetectionWhoseContainerWasRestartedOrIsGone) {
  detections["d-1"] = detection(1001, true);
  docker->restart("web");
  EXPECT_EQ(run("container.pause", "detection:d-1").state, stale_target);
  docker->boxes.clear();
  EXPECT_EQ(run("container.pause", "detection:d-1").state, already_in_effect);
}

TEST_F(RespondTest, ARuntimeThatIsDownIsUnavailable) {
  docker->fault = Fault::down;
  EXPECT_EQ(run_error("container.pause", "container:web"), Code::unavailable);
  EXPECT_EQ(journal.writes, 0);
}

TEST_F(RespondTest, ScopesOfSystemdNameTheContainerToo) {
  const std::string scope = "/system.slice/docker-" + web + ".scope";
  machine.processes.at(1000).facts.cgroups = "=" + scope;
  machine.add(900, 1, "sh", "/bin/sh", scope);
  EXPECT_EQ(run("process.kill", "process:900").target.container_name, "web");
  machine.add(901, 1, "sh", "/bin/sh", scope + "/deeper");
  EXPECT_EQ(run("process.kill", "process:901").target.container_name, "web");
  machine.add(902, 1, "sh", "/bin/sh", "/system.slice/xdocker" + web + "x");
  EXPECT_EQ(run("process.kill", "process:902").target.container_name, "") << "part of a name is not a name";
  machine.add(903, 1, "sh", "/bin/sh", "/user.slice/" + web);
  EXPECT_EQ(run("process.kill", "process:903").target.container_name, "")
      << "the same name elsewhere is not the container";
}

}  // namespace
}  // namespace quell::respond
