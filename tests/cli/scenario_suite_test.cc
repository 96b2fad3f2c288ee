// `quell rule test` from the inside: what it finds wrong, and which terms of a rule its tests would not miss.
#include "apps/quell/scenario_suite.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "process.h"

namespace quell::cli {
namespace {

constexpr const char* kRules =
    "- macro: reads\n"
    "  condition: (evt.type in (open, openat) and evt.is_open_read = true)\n"
    "- macro: expected\n"
    "  condition: (evt.num = 0)\n"
    "- rule: Shadow read\n"
    "  desc: d\n"
    "  condition: reads and fd.name = /etc/shadow and proc.name = cat and not expected\n"
    "  output: \"%proc.name read %fd.name\"\n"
    "  priority: NOTICE\n"
    "  tags: [T1003.008]\n"
    "- rule: Any read\n"
    "  desc: d\n"
    "  condition: reads\n"
    "  output: \"%proc.name read %fd.name\"\n"
    "  priority: NOTICE\n";

constexpr const char* kHead = "why: a test of the test\nrules: [rules.yaml]\n";
constexpr const char* kEvents =
    "events:\n"
    "  - {evt.type: openat, proc.name: cat, fd.name: /etc/shadow}\n"
    "  - {evt.type: openat, proc.name: cat, fd.name: /etc/passwd}\n";

class Suite : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_.file("rules.yaml", kRules);
    std::filesystem::create_directory(folder_.path() + "/tests");
  }
  SuiteOutcome run(const std::string& body, bool mutate = false) {
    SuiteOptions options;
    options.paths = {folder_.file("tests/s.yaml", kHead + body)};
    options.mutate = mutate;
    auto outcome = run_suite(options);
    EXPECT_TRUE(outcome) << outcome.error().str();
    return outcome ? *std::move(outcome) : SuiteOutcome{};
  }
  static std::vector<std::string> kinds(const SuiteOutcome& outcome) {
    std::vector<std::string> out;
    for (const Error& error : outcome.broken) out.push_back("broken " + error.where);
    for (const CaseOutcome& one : outcome.cases)
      for (const Difference& difference : one.differences)
        out.push_back(std::string(to_string(difference.kind)) + " " + difference.rule + "@" +
                      std::to_string(difference.event));
    return out;
  }
  using Kinds = std::vector<std::string>;
  TempFolder folder_;
};

TEST_F(Suite, HoldsWhenExactlyTheExpectedComes) {
  const SuiteOutcome outcome = run(std::string(kEvents) +
                                   "expect:\n"
                                   "  - {rule: Shadow read, event: 0, attack: T1003, fields: {proc.name: cat, "
                                   "'toupper(fd.name)': /ETC/SHADOW, fd.num: 3}}\n"
                                   "  - {rule: Any read, event: 0}\n  - {rule: Any read, event: 1}\n"
                                   "must_not_fire: [Some other rule]\n");
  EXPECT_EQ(kinds(outcome), Kinds{});
  EXPECT_EQ(outcome.cases.size(), 1u);
  EXPECT_EQ(outcome.failed(), 0u);
}

TEST_F(Suite, TellsEverythingThatIsDifferent) {
  const SuiteOutcome outcome =
      run(std::string(kEvents) +
          "expect:\n"
          "  - {rule: Shadow read, event: 0, attack: T1059, fields: {proc.name: tac, fd.name: /etc/shadow}}\n"
          "  - {rule: Shadow read, event: 1}\n"
          "near_miss: [{rule: Any read, event: 0, because: of the test}]\n");
  EXPECT_EQ(kinds(outcome), (Kinds{"technique Shadow read@0", "field Shadow read@0", "missing Shadow read@1",
                                   "forbidden Any read@0", "unexpected Any read@1"}));
  const Difference& field = outcome.cases.at(0).differences.at(1);
  EXPECT_EQ(field.subject, "proc.name");
  EXPECT_EQ(field.expected, "tac");
  EXPECT_EQ(field.actual, "cat");
  EXPECT_NE(field.where.find("s.yaml:7:"), std::string::npos) << field.where;
}

TEST_F(Suite, OtherRulesMayFireWhereItIsNotExact) {
  EXPECT_EQ(kinds(run(std::string(kEvents) + "exact: false\nexpect: [{rule: Shadow read, event: 0}]\n")), Kinds{});
  EXPECT_EQ(kinds(run(std::string(kEvents) + "exact: false\nmust_not_fire: [Any read]\n")),
            (Kinds{"forbidden Any read@0", "forbidden Any read@1"}));
}

TEST_F(Suite, RunsTheCasesOfAFile) {
  const SuiteOutcome outcome =
      run("processes: {tool: {proc.name: cat}}\n"
          "cases:\n"
          "  - name: one\n"
          "    events: [{evt.type: openat, process: tool, fd.name: /x}]\n"
          "    expect: [{rule: Any read, event: 0}]\n"
          "  - name: two\n"
          "    why: something else\n"
          "    events: [{evt.type: openat, process: tool, fd.name: /etc/shadow}]\n"
          "    expect: [{rule: Any read, event: 0}]\n");
  ASSERT_EQ(outcome.cases.size(), 2u);
  EXPECT_EQ(outcome.cases[0].scenario.case_name, "one");
  EXPECT_EQ(outcome.cases[0].scenario.why, "a test of the test");
  EXPECT_EQ(outcome.cases[1].scenario.why, "something else");
  EXPECT_EQ(kinds(outcome), Kinds{"unexpected Shadow read@0"});
}

TEST_F(Suite, BrokenFilesDoNotStopTheOthers) {
  folder_.file("tests/a.yaml", "why: x\nevnets: []\n");
  folder_.file("tests/b.yaml", "why: x\nrules: [none.yaml]\nevents: [{evt.type: openat}]\nexpect: []\n");
  folder_.file("tests/c.yaml",
               std::string(kHead) + kEvents + "expect: [{rule: Any read, event: 0, fields: {no.field: 1}}]\n");
  folder_.file("tests/s.yaml", std::string(kHead) + kEvents + "exact: false\nexpect: []\n");
  SuiteOptions options;
  options.paths = {folder_.path() + "/tests"};
  const auto outcome = run_suite(options);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->broken.size(), 3u);
  EXPECT_EQ(outcome->cases.size(), 1u);
  options.paths = {folder_.path() + "/nowhere"};
  EXPECT_EQ(run_suite(options).error().code, Code::not_found);
}

TEST_F(Suite, FindsTheTermsThatNoTestWouldMiss) {
  const auto unnoticed = [](const SuiteOutcome& outcome) {
    std::vector<std::string> out;
    for (const UnnoticedTerm& term : outcome.unnoticed) out.push_back(term.term);
    return out;
  };
  const std::string expect =
      "exact: false\nexpect: [{rule: Shadow read, event: 0}]\nnear_miss: [{rule: Shadow read, event: 1, because: "
      "another file}]\n";
  SuiteOutcome outcome = run(kEvents + expect, true);
  EXPECT_EQ(kinds(outcome), Kinds{});
  EXPECT_EQ(outcome.terms, 3u) << "an empty place for exceptions is no term";
  EXPECT_EQ(unnoticed(outcome), (Kinds{"proc.name = cat", "reads"}));
  ASSERT_EQ(outcome.unnoticed.size(), 2u);
  EXPECT_EQ(outcome.unnoticed[0].line, 5u);

  outcome =
      run("events:\n"
          "  - {evt.type: openat, proc.name: cat, fd.name: /etc/shadow}\n"
          "  - {evt.type: openat, proc.name: cat, fd.name: /etc/passwd}\n"
          "  - {evt.type: openat, proc.name: tac, fd.name: /etc/shadow}\n"
          "  - {evt.type: openat, proc.name: cat, fd.name: /etc/shadow, evt.is_open_write: true}\n"
          "  - {evt.type: openat2, proc.name: cat, fd.name: /etc/shadow}\n"
          "expect: [{rule: Shadow read, event: 0}, {rule: Any read, event: 0}, {rule: Any read, event: 1}, "
          "{rule: Any read, event: 2}]\n",
          true);
  EXPECT_EQ(kinds(outcome), Kinds{});
  EXPECT_EQ(unnoticed(outcome), Kinds{});
}

TEST_F(Suite, ExceptionsAreTermsToo) {
  folder_.file("rules.yaml",
               std::string(kRules) + "  exceptions:\n    - {name: e, fields: [fd.name], values: [[/etc/passwd]]}\n");
  const SuiteOutcome outcome = run(std::string(kEvents) + "exact: false\nexpect: [{rule: Any read, event: 0}]\n", true);
  ASSERT_EQ(outcome.unnoticed.size(), 2u);
  EXPECT_NE(outcome.unnoticed[1].term.find("not "), std::string::npos) << outcome.unnoticed[1].term;
}

}  // namespace
}  // namespace quell::cli
