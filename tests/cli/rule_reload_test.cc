// Rules over time: what is broken changes nothing, what has not changed is not swapped, what expires ends.
#include "apps/quell/rule_reload.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "base/text.h"
#include "process.h"

namespace quell::cli {
namespace {

std::string rule(const std::string& name, const std::string& condition = "evt.type = open") {
  return "- rule: " + name + "\n  desc: d\n  condition: " + condition + "\n  output: o\n  priority: INFO\n";
}

class Reload : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(folder_.path() + "/rules");
    std::filesystem::create_directory(folder_.path() + "/exceptions.d");
    folder_.file("rules/a.yaml", rule("one"));
  }
  std::unique_ptr<RuleReload> make() {
    RuleReload::Options options;
    options.sources = {.paths = {folder_.path() + "/rules"}, .exceptions = {}, .data_dir = folder_.path()};
    options.clock = &clock_;
    options.apply = [this](std::shared_ptr<const LoadedRules> rules) { applied_.push_back(std::move(rules)); };
    auto made = RuleReload::create(std::move(options));
    EXPECT_TRUE(made) << made.error().str();
    return made ? *std::move(made) : nullptr;
  }
  /// Ticks until files have been quiet for long enough.
  void settle(RuleReload& reload) {
    reload.tick();
    clock_.advance_ns(1'000'000'000);
    reload.tick();
  }
  static std::vector<std::string> names(const LoadedRules& rules) {
    std::vector<std::string> out;
    for (const detect::Rule& one : rules.set.rules) out.push_back(one.name);
    return out;
  }

  TempFolder folder_;
  ManualClock clock_{system_clock().realtime_ns()};
  std::vector<std::shared_ptr<const LoadedRules>> applied_;
};

TEST_F(Reload, CountsGenerationsAndSwapsOnlyWhatIsNew) {
  const auto reload = make();
  const auto first = reload->state().rules;
  EXPECT_EQ(first->generation, 1u);
  EXPECT_EQ(first->hash.size(), 16u);
  ASSERT_TRUE(reload->reload(RuleReload::Cause::request));
  EXPECT_TRUE(applied_.empty()) << "the same files";
  EXPECT_EQ(reload->state().rules, first);
  folder_.file("rules/b.yaml", rule("two"));
  ASSERT_TRUE(reload->reload(RuleReload::Cause::request));
  ASSERT_EQ(applied_.size(), 1u);
  EXPECT_EQ(applied_[0]->generation, 2u);
  EXPECT_NE(applied_[0]->hash, first->hash);
  EXPECT_EQ(names(*applied_[0]), (std::vector<std::string>{"one", "two"}));
  std::filesystem::remove(folder_.path() + "/rules/b.yaml");
  ASSERT_TRUE(reload->reload(RuleReload::Cause::signal));
  EXPECT_EQ(applied_.at(1)->hash, first->hash) << "the hash is of the content";
  EXPECT_EQ(applied_[1]->generation, 3u);
}

TEST_F(Reload, WhatIsBrokenChangesNothingButTheError) {
  const auto reload = make();
  folder_.file("rules/a.yaml", rule("one", "proc.nmae = x"));
  const auto broken = reload->reload(RuleReload::Cause::request);
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code, Code::invalid_rules);
  EXPECT_EQ(broken.error().where, folder_.path() + "/rules/a.yaml:3:14");
  EXPECT_EQ(reload->state().rules->generation, 1u);
  EXPECT_FALSE(reload->state().error.empty());
  std::filesystem::remove_all(folder_.path() + "/rules");
  EXPECT_EQ(reload->reload(RuleReload::Cause::request).error().code, Code::not_found);
  EXPECT_TRUE(applied_.empty());
  metrics::Registry registry;
  registry.add([&](metrics::Page& page) { reload->collect(page); });
  EXPECT_NE(registry.render().find("quell_detect_failed_reloads_total 2"), std::string::npos);
  EXPECT_NE(registry.render().find("quell_detect_rules_stale 1"), std::string::npos);
  std::filesystem::create_directory(folder_.path() + "/rules");
  folder_.file("rules/a.yaml", rule("one"));
  ASSERT_TRUE(reload->reload(RuleReload::Cause::request));
  EXPECT_TRUE(reload->state().error.empty()) << "back to what is in force";
  EXPECT_TRUE(applied_.empty());
}

TEST_F(Reload, FollowsFilesOnceTheyAreQuiet) {
  const auto reload = make();
  folder_.file("rules/b.yaml", rule("two"));
  reload->tick();
  EXPECT_TRUE(applied_.empty()) << "the writer may not be done";
  clock_.advance_ns(1'000'000'000);
  reload->tick();
  ASSERT_EQ(applied_.size(), 1u);
  settle(*reload);
  EXPECT_EQ(applied_.size(), 1u);

  folder_.file("rules/b.yaml", "- rule: [\n");
  settle(*reload);
  EXPECT_EQ(applied_.size(), 1u);
  EXPECT_FALSE(reload->state().error.empty());
  folder_.file("rules/b.yaml.new", rule("three"));
  std::filesystem::rename(folder_.path() + "/rules/b.yaml.new", folder_.path() + "/rules/b.yaml");
  settle(*reload);
  ASSERT_EQ(applied_.size(), 2u);
  EXPECT_EQ(names(*applied_[1]), (std::vector<std::string>{"one", "three"}));

  folder_.file("rules/notes.txt", "nothing to load");
  settle(*reload);
  EXPECT_EQ(applied_.size(), 2u);
}

TEST_F(Reload, ExceptionsComeExpireAndGo) {
  const auto reload = make();
  const uint64_t end_ns = clock_.realtime_ns() + 3'600'000'000'000;
  const std::string path =
      folder_.file("exceptions.d/mine.yaml",
                   "- rule: one\n  exceptions:\n    - {name: x, fields: [proc.name], values: [[cron]], expires: " +
                       iso8601_utc(end_ns) + "}\n");
  settle(*reload);
  ASSERT_EQ(applied_.size(), 1u);
  EXPECT_NE(applied_[0]->set.rules[0].condition->str().find("cron"), std::string::npos);
  EXPECT_EQ(applied_[0]->next_expiry_ns, end_ns);
  std::filesystem::remove(path);
  settle(*reload);
  ASSERT_EQ(applied_.size(), 2u);
  EXPECT_EQ(applied_[1]->next_expiry_ns, 0u);
}

TEST_F(Reload, AnExceptionThatEndsWhileWeRunIsTakenOut) {
  // The loader asks the machine's clock: an end that is over by then, but not when we begin.
  const uint64_t end_ns = system_clock().realtime_ns() + 400'000'000;
  folder_.file("exceptions.d/mine.yaml",
               "- rule: one\n  exceptions:\n    - {name: x, fields: [proc.name], values: [[cron]], expires: " +
                   iso8601_utc(end_ns) + "}\n");
  const auto reload = make();
  while (system_clock().realtime_ns() <= end_ns) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  clock_.advance_ns(system_clock().realtime_ns() - clock_.realtime_ns());
  reload->tick();
  const auto now = reload->state().rules;
  EXPECT_EQ(now->set.rules[0].condition->str().find("cron"), std::string::npos);
  EXPECT_TRUE(now->set.exceptions.at(0).is_expired);
  EXPECT_EQ(now->next_expiry_ns, 0u);
  const size_t swaps = applied_.size();
  reload->tick();
  EXPECT_EQ(applied_.size(), swaps);
}

TEST_F(Reload, ManyMayAskAtOnce) {
  const auto reload = make();
  std::vector<std::thread> askers;
  for (int i = 0; i < 4; ++i) {
    askers.emplace_back([&, i] {
      for (int round = 0; round < 10; ++round) {
        folder_.file("rules/x" + std::to_string(i) + ".yaml",
                     rule("x" + std::to_string(i) + "-" + std::to_string(round)));
        (void)reload->reload(RuleReload::Cause::request);
      }
    });
  }
  for (std::thread& asker : askers) asker.join();
  ASSERT_TRUE(reload->reload(RuleReload::Cause::request));
  EXPECT_EQ(reload->state().rules->set.rules.size(), 5u);
  for (size_t i = 1; i < applied_.size(); ++i) EXPECT_EQ(applied_[i]->generation, applied_[i - 1]->generation + 1);
}

}  // namespace
}  // namespace quell::cli
