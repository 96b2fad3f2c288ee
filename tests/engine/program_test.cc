#include "detect/program.h"

#include <gtest/gtest.h>

#include <bit>

#include "detect/falco/condition_parser.h"
#include "detect/fields/catalog.h"
#include "fake_state.h"

namespace quell::detect {
namespace {

std::vector<Finding> check(const std::string& condition) {
  const auto parsed = falco::parse_condition(condition);
  EXPECT_TRUE(parsed) << condition;
  return semantics().check_condition("syscall", **parsed);
}

RuleSet rules_of(const std::vector<std::string>& conditions) {
  RuleSet rules;
  for (const std::string& text : conditions) {
    Rule rule;
    rule.name = text;
    rule.condition = *falco::parse_condition(text);
    rules.rules.push_back(std::move(rule));
  }
  return rules;
}

TEST(Check, NamesTheMistake) {
  EXPECT_EQ(check("proc.nmae = x").at(0).suggestion, "did you mean proc.name?");
  EXPECT_TRUE(check("proc.nmae = x").at(0).unknown_filter);
  EXPECT_TRUE(check("evt.type = opne").at(0).unknown_filter);
  EXPECT_EQ(check("evt.type = opne").at(0).suggestion, "did you mean open?");
  EXPECT_EQ(check("evt.arg.flgs = 1").at(0).suggestion, "did you mean flags?");
  EXPECT_FALSE(check("evt.arg.flgs = 1").at(0).unknown_filter);
  EXPECT_TRUE(check("fd.sport startswith 44").at(0).is_error) << "text operators do not take numbers";
  EXPECT_TRUE(check("fd.sport = nosuchservice").at(0).is_error);
  EXPECT_TRUE(check("evt.failed = yes").at(0).is_error);
  EXPECT_TRUE(check("fd.snet = 10.0.0.1").at(0).is_error) << "a network has a length";
  EXPECT_TRUE(check("fd.net = 10.0.0.0/33").at(0).is_error);
  EXPECT_TRUE(check("fd.sip = 10.0.0").at(0).is_error);
  EXPECT_TRUE(check("proc.name regex \"\\\\d+\"").at(0).is_error) << "POSIX has no \\d";
  EXPECT_TRUE(check("proc.name = val(proc.pid)").at(0).is_error);
  EXPECT_TRUE(check("fd.ip = val(fd.cip)").at(0).is_error);
  EXPECT_TRUE(check("toupper(proc.aname) = X").at(0).is_error);
  EXPECT_TRUE(check("toupper(proc.pid) = X").at(0).is_error);
  EXPECT_TRUE(check("proc.name = " + std::string(256, 'x')).at(0).is_error);
  EXPECT_TRUE(check("proc.aname[x] = a").at(0).is_error);
  EXPECT_TRUE(check("container.label = a").at(0).is_error) << "the argument is required";
}

TEST(Check, WarnsAboutWhatIsProbablyNotMeant) {
  for (const char* condition :
       {"proc.name = proc.pname", "proc.name = \"toupper(proc.pname)\"", "proc.name regex abc.*", "evt.latency > 0"}) {
    const auto findings = check(condition);
    ASSERT_EQ(findings.size(), 1u) << condition;
    EXPECT_FALSE(findings[0].is_error) << condition;
  }
  EXPECT_TRUE(
      check("proc.name = bash and fd.sport = https and fd.net = 10.0.0.0/8 and proc.cmdline contains \"a.b\"").empty());
}

TEST(Program, EventsNobodyWantsHaveNoTree) {
  const auto program = compile(rules_of({"evt.type = openat and fd.name = /x", "evt.type in (execve, execveat)"}), {});
  ASSERT_TRUE(program);
  EXPECT_NE((*program)->plan(ev::SYSCALL_OPENAT_2_X), nullptr);
  EXPECT_NE((*program)->plan(ev::SYSCALL_EXECVE_19_X), nullptr);
  EXPECT_EQ((*program)->plan(ev::SYSCALL_CLOSE_X), nullptr);
  EXPECT_TRUE(wanted_event_codes(**program)[ev::SYSCALL_OPENAT_2_X]);
  EXPECT_FALSE(wanted_event_codes(**program)[ev::SYSCALL_CLOSE_X]);
}

TEST(Program, OnlyAGenericCallAsksForGenericEvents) {
  const auto named = compile(rules_of({"evt.type in (execve, execveat) and proc.name = sh"}), {});
  ASSERT_TRUE(named);
  EXPECT_FALSE(wanted_event_codes(**named)[ev::GENERIC_X]);
  EXPECT_FALSE(wanted_event_codes(**named)[ev::ASYNCEVENT_E]);
  const auto generic = compile(rules_of({"evt.type in (execve, getpid) and proc.name = sh"}), {});
  ASSERT_TRUE(generic);
  EXPECT_TRUE(wanted_event_codes(**generic)[ev::GENERIC_X]);
}

TEST(Program, WhatAnEventCannotHaveFallsAway) {
  const auto program = compile(
      rules_of({"fd.name = /x", "evt.arg.flags contains O_CREAT", "not fd.name exists and evt.type = execve"}), {});
  ASSERT_TRUE(program);
  const Plan* plan = (*program)->plan(ev::SYSCALL_EXECVE_19_X);
  ASSERT_NE(plan, nullptr);
  EXPECT_EQ(plan->rules, (std::vector<RuleIndex>{1, 2})) << "execve has flags of its own, and no descriptor";
  EXPECT_TRUE(plan->process_steps.empty());
  EXPECT_EQ(plan->event_steps.size(), 1u) << "the flags; nothing is left of the last rule";
}

size_t count_bits(const std::vector<Word>& words) {
  size_t count = 0;
  for (const Word word : words) count += static_cast<size_t>(std::popcount(word));
  return count;
}

TEST(Program, WhatRulesShareIsAskedOnce) {
  std::vector<std::string> conditions;
  for (int i = 0; i < 20; ++i)
    conditions.push_back("evt.type = openat and evt.is_open_write = true and fd.name = /f" + std::to_string(i));
  const auto program = compile(rules_of(conditions), {});
  ASSERT_TRUE(program);
  const Plan* plan = (*program)->plan(ev::SYSCALL_OPENAT_2_X);
  ASSERT_NE(plan, nullptr);
  ASSERT_EQ(plan->event_steps.size(), 2u) << "one look at the flags and one at the path, however many rules";
  for (const Step& step : plan->event_steps) EXPECT_EQ(count_bits(step.needs), 20u);
}

TEST(Program, CodesThatAreAlikeShareAPlan) {
  const auto program = compile(rules_of({"evt.type in (openat, openat2) and fd.name = /x", "fd.name = /y"}), {});
  ASSERT_TRUE(program);
  EXPECT_EQ((*program)->plan(ev::SYSCALL_OPENAT_2_X), (*program)->plan(ev::SYSCALL_OPENAT2_X));
  EXPECT_NE((*program)->plan(ev::SYSCALL_OPENAT_2_X), (*program)->plan(ev::SYSCALL_CLOSE_X));
  EXPECT_EQ((*program)->plan(ev::SYSCALL_EXECVE_19_X), nullptr);
}

TEST(Program, AnExceptionAboutTwoSubjectsIsAskedOnlyWhenNeitherGrantsIt) {
  const auto program = compile(
      rules_of({"evt.type = openat and fd.name startswith /etc and not (proc.name = a and fd.directory = /etc/a)"}),
      {});
  ASSERT_TRUE(program);
  const Plan* plan = (*program)->plan(ev::SYSCALL_OPENAT_2_X);
  ASSERT_NE(plan, nullptr);
  ASSERT_EQ(plan->mixed.size(), 1u);
  ASSERT_EQ(plan->process_steps.size(), 1u) << "another name settles it for all events of the process";
  EXPECT_EQ(count_bits({plan->process_steps[0].needs[0]}), 0u);
  EXPECT_EQ(count_bits({plan->process_steps[0].needs[1]}), 1u);
}

TEST(Engine, FirstMatchInRuleOrderWins) {
  const auto rules =
      rules_of({"evt.type = execve and proc.name = sh", "evt.type = execve and user.uid = 0", "evt.type = execve"});
  FakeState state;
  Thread& thread = state.add(10, 0, "bash");
  thread.uid = 0;
  FakeEvent event(EventBuilder(ev::SYSCALL_EXECVE_19_X, 5, 10).num<int64_t>(0).build(), state);
  Engine first(*compile(rules, {.match_all = false}));
  ASSERT_EQ(first.evaluate(event.context).size(), 1u);
  EXPECT_EQ(first.evaluate(event.context)[0], 1u);
  Engine all(*compile(rules, {}));
  EXPECT_EQ(all.evaluate(event.context).size(), 2u);
}

TEST(Engine, RulesBelowTheMinimumPriorityNeverFire) {
  auto rules = rules_of({"evt.type = execve"});
  rules.rules[0].priority = Priority::notice;
  FakeState state;
  state.add(10, 0, "bash");
  FakeEvent event(EventBuilder(ev::SYSCALL_EXECVE_19_X, 5, 10).num<int64_t>(0).build(), state);
  EXPECT_EQ(Engine(*compile(rules, {.minimum_priority = Priority::warning})).evaluate(event.context).size(), 0u);
  EXPECT_EQ(Engine(*compile(rules, {.minimum_priority = Priority::notice})).evaluate(event.context).size(), 1u);
}

TEST(Engine, NetInListQuirkIsASwitch) {
  const auto rules = rules_of({"fd.net in (192.168.0.0/16, 10.0.0.0/8)"});
  FakeState state;
  Thread& thread = state.add(10, 0, "x");
  Fd fd;
  fd.type = FdType::ipv4;
  const uint8_t a[4] = {10, 0, 0, 1}, b[4] = {8, 8, 8, 8};
  fd.tuple = {IpAddress::v4(a), IpAddress::v4(b), 1, 2};
  thread.fds->set(4, make_fd(fd));
  FakeEvent event(EventBuilder(ev::SOCKET_CONNECT_X, 5, 10).num<int64_t>(0).empty().num<int64_t>(4).build(), state);
  event.attach(4);
  EXPECT_EQ(Engine(*compile(rules, {})).evaluate(event.context).size(), 1u);
  EXPECT_EQ(Engine(*compile(rules, {.fd_net_in_first_only = true})).evaluate(event.context).size(), 0u);
}

}  // namespace
}  // namespace quell::detect
