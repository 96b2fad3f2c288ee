// `quell policy` as a person drives it: exit statuses, the ladder with its reports, what it refuses.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "process.h"
#include "record/store.h"

namespace quell::cli {
namespace {

constexpr uint64_t kDayNs = 86'400'000'000'000;
constexpr uint64_t kStartNs = 1'790'000'000'000'000'000;  // 2026-09-21

const char* const kPolicy =
    "apiVersion: quell/v1\nkind: ResponsePolicy\nmetadata: {name: shell, owner: me, version: 1}\nspec:\n"
    "  mode: observe  # for now\n  match: {rule: {anyOf: [Shell]}}\n"
    "  threshold: {count: 2, window: 60s, groupBy: [container.id]}\n  limits: {perPolicy: 5/10m}\n"
    "  actions: [container.pause: {ttl: 15m}]\n";

class PolicyCommand : public testing::Test {
 protected:
  Finished policy(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "policy");
    arguments.insert(arguments.end(), {"--data-dir", folder_.path() + "/data"});
    return quell(folder_, std::move(arguments));
  }

  /// Two days of detections: of each four, two in one container and close together.
  void record() {
    auto store = record::open_store({.data_dir = folder_.path() + "/data"});
    ASSERT_TRUE(store) << store.error().str();
    std::vector<Detection> batch;
    for (uint64_t i = 0; i < 2'400; ++i) {
      Detection& one = batch.emplace_back();
      one.id = fmt::format("d-{:016x}", i);
      one.rule = i % 4 < 2 ? "Shell" : "Other";
      one.priority = Priority::error;
      one.source = "syscall";
      one.hostname = "h";
      one.kernel_ns = kStartNs + i / 4 * (2 * kDayNs / 600) + i % 4 * 1'000'000'000;
      one.container_id = one.container_full_id = fmt::format("c{}", i / 4 % 5);
    }
    ASSERT_TRUE((*store)->insert(batch));
  }

  TempFolder folder_;
};

TEST_F(PolicyCommand, CheckSaysWhereAndExitsWith3) {
  const std::string good = folder_.file("good.yaml", kPolicy);
  EXPECT_EQ(policy({"check", good}).status, 0);
  const std::string bad = folder_.file("bad.yaml", std::string(kPolicy) + "  scop: {maxTargets: 1}\n");
  const Finished refused = policy({"check", bad});
  EXPECT_EQ(refused.status, 3);
  EXPECT_NE(refused.out.find("bad.yaml:10:3: error"), std::string::npos) << refused.out;
  const auto json = Json::parse(policy({"check", bad, "-o", "json"}).out);
  ASSERT_TRUE(json);
  EXPECT_FALSE(json->at("valid").boolean());
  std::vector<std::string> codes;
  for (const Json& one : *json->at("files").array()->at(0).at("problems").array())
    codes.push_back(one.at("code").str());
  EXPECT_EQ(codes, (std::vector<std::string>{"unknown_rule", "unknown_key"}));  // the rules are the shipped ones
  EXPECT_EQ(policy({"check", folder_.path() + "/gone.yaml"}).status, 5);
  EXPECT_EQ(policy({"explain", bad}).status, 3);
  EXPECT_NE(policy({"explain", good}).out.find("container.pause"), std::string::npos);
}

TEST_F(PolicyCommand, ShippedPoliciesAreSoundAndTheirTestsHold) {
  const std::string shipped = QUELL_SOURCE_DIR "/content/policies";
  const auto json = Json::parse(policy({"check", shipped, "-o", "json"}).out);
  ASSERT_TRUE(json);
  EXPECT_EQ(json->at("errors").u64() + json->at("warnings").u64(), 0u);
  size_t policies = 0;
  for (const Json& file : *json->at("files").array()) {
    for (const Json& one : *file.at("policies").array()) {
      EXPECT_EQ(one.at("mode").str(), "observe");
      ++policies;
    }
  }
  EXPECT_GE(policies, 8u);
  const Finished tested = policy({"test", shipped, "-o", "json"});
  EXPECT_EQ(tested.status, 0) << tested.out;
  EXPECT_GE(Json::parse(tested.out)->at("ok").u64(), 20u);
}

TEST_F(PolicyCommand, TestsThatDoNotHoldExitWith1) {
  folder_.file("p.yaml", kPolicy);
  const std::string test =
      folder_.file("t.policy-test.yaml",
                   "policies: [p.yaml]\ncases:\n  - name: a\n    detections: [{at: 0s, rule: Shell, "
                   "fields: {container.id: c}}]\n    expect: [{state: observed}]\n");
  EXPECT_EQ(policy({"test", test}).status, 1);
  EXPECT_EQ(policy({"test", folder_.path()}).status, 1);
  EXPECT_EQ(policy({"test", folder_.file("u.policy-test.yaml", "policies: [gone.yaml]\n")}).status, 3);
}

TEST_F(PolicyCommand, TheLadderWantsAReport) {
  record();
  const std::string file = folder_.file("p.yaml", kPolicy);
  const Finished tested = policy({"backtest", file, "--from", "2026-09-01", "-o", "json"});
  ASSERT_EQ(tested.status, 0) << tested.err;
  const auto report = Json::parse(tested.out);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->at("report").at("detections").u64(), 2'400u);
  const Json& found = report->at("report").at("policies").array()->at(0);
  EXPECT_EQ(found.at("fired").u64(), 600u);
  EXPECT_EQ(found.at("actions").at("container.pause").u64(), 600u);
  const std::string id = report->at("id").str();
  // Again, in part and with days: the same id only for the same.
  EXPECT_EQ(Json::parse(policy({"backtest", file, "--from", "2026-09-01", "-o", "json"}).out)->at("id").str(), id);
  const auto part =
      Json::parse(policy({"backtest", file, "--from", "2026-09-01", "--to", "2026-09-21", "-o", "json"}).out);
  EXPECT_LT(part->at("report").at("detections").u64(), 2'400u);
  EXPECT_GT(part->at("report").at("detections").u64(), 0u);

  EXPECT_EQ(policy({"promote", file}).status, 2);
  EXPECT_EQ(policy({"promote", file, "--report", "nonsense"}).status, 2);
  EXPECT_EQ(policy({"promote", file, "--report", std::string(64, '0')}).status, 5);
  EXPECT_EQ(read_file(file), kPolicy);
  ASSERT_EQ(policy({"promote", file, "--report", id}).status, 0);
  std::string expected = kPolicy;
  expected.replace(expected.find("observe"), 7, "approve");
  EXPECT_EQ(read_file(file), expected);
  ASSERT_EQ(policy({"promote", file, "--report", id}).status, 0);  // the content is the same
  EXPECT_NE(read_file(file).find("mode: enforce  # for now"), std::string::npos);
  EXPECT_EQ(policy({"promote", file, "--report", id}).status, 1);  // at the top

  std::string changed = kPolicy;
  changed.replace(changed.find("count: 2"), 8, "count: 3");
  folder_.file("p.yaml", changed);
  EXPECT_EQ(policy({"promote", file, "--report", id}).status, 6);
  EXPECT_EQ(policy({"promote", file, "--force"}).status, 2);
  EXPECT_EQ(policy({"promote", file, "--force", "--reason", "an attack is on"}).status, 0);
  const std::string ledger = read_file(folder_.path() + "/data/policy-ledger.jsonl");
  EXPECT_EQ(std::count(ledger.begin(), ledger.end(), '\n'), 3);
  const auto last = Json::parse(ledger.substr(ledger.rfind('\n', ledger.size() - 2) + 1, std::string::npos));
  ASSERT_TRUE(last) << ledger;
  EXPECT_TRUE(last->at("forced").boolean());
  EXPECT_EQ(last->at("reason").str(), "an attack is on");

  // A report that was changed proves nothing.
  folder_.file("p.yaml", kPolicy);
  const std::string kept = folder_.path() + "/data/policy-reports/" + id + ".json";
  std::string text = read_file(kept);
  text.replace(text.find("\"fired\":600"), 11, "\"fired\":601");
  std::ofstream(kept) << text;
  EXPECT_EQ(policy({"promote", file, "--report", id}).status, 1);
}

TEST_F(PolicyCommand, WhatWasAWarningBelowMayBeAnErrorAbove) {
  record();
  std::string text = kPolicy;
  text.replace(text.find("observe"), 7, "approve");
  text.replace(text.find("  actions:"), std::string::npos, "  actions: [container.pause, notify: nobody]\n");
  const std::string file = folder_.file("p.yaml", text);
  const std::string config = folder_.file("c.yaml", "apiVersion: quell/v1\nkind: ResponseConfig\ncluster: c\n");
  EXPECT_EQ(policy({"check", file, "--config", config}).status, 0) << policy({"check", file, "--config", config}).out;
  EXPECT_EQ(policy({"promote", file, "--config", config, "--force", "--reason", "test"}).status, 3);
  EXPECT_EQ(read_file(file), text);
}

TEST_F(PolicyCommand, BacktestComparesAndRefusesNonsense) {
  record();
  const std::string file = folder_.file("p.yaml", kPolicy);
  std::string older = kPolicy;
  older.replace(older.find("count: 2"), 8, "count: 3");
  const std::string previous = folder_.file("older.yaml", older);
  const Finished compared =
      policy({"backtest", file, "--previous", previous, "--from", "2026-09-01", "--no-keep", "-o", "json"});
  ASSERT_EQ(compared.status, 0) << compared.err;
  const auto json = Json::parse(compared.out);
  EXPECT_GT(json->at("report").at("comparison").at("added").u64(), 0u);
  EXPECT_FALSE(std::filesystem::exists(folder_.path() + "/data/policy-reports"));
  EXPECT_EQ(policy({"backtest", file, "--from", "yesterday"}).status, 2);
  EXPECT_EQ(policy({"backtest", file, "--from", "2026-09-02", "--to", "2026-09-01"}).status, 2);
  EXPECT_EQ(quell(folder_, {"policy", "backtest", file, "--data-dir", folder_.path() + "/nothing"}).status, 5);
}

}  // namespace
}  // namespace quell::cli
