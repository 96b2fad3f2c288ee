#include "os/container_lookup.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>

namespace quell::os {
namespace {
using std::chrono::milliseconds;

/// A runtime whose inspect is a function of the test; it does nothing else.
class FakeRuntime final : public Runtime {
 public:
  using Inspect = std::function<Result<ContainerStatus>(const std::string&)>;
  FakeRuntime(std::string name, Inspect inspect) : name_(std::move(name)), inspect_(std::move(inspect)) {}
  std::string_view name() const override { return name_; }
  Result<ContainerStatus> inspect(std::string_view id) const override { return inspect_(std::string(id)); }
  Result<std::vector<std::string>> list() const override { return std::vector<std::string>(); }
  Result<void> pause(const std::string&) const override { return unsupported(); }
  Result<void> unpause(const std::string&) const override { return unsupported(); }
  Result<void> stop(const std::string&, uint32_t) const override { return unsupported(); }
  Result<void> kill(const std::string&) const override { return unsupported(); }
  Result<void> start(const std::string&) const override { return unsupported(); }
  Result<void> set_restart_policy(const std::string&, const std::string&) const override { return unsupported(); }

 private:
  static Error unsupported() { return {Code::unsupported, "a fake", {}}; }
  std::string name_;
  Inspect inspect_;
};

ContainerStatus known(const std::string& id, ContainerType type = ContainerType::docker) {
  auto info = std::make_shared<Container>();
  info->full_id = id;
  info->type = type;
  ContainerStatus status;
  status.info = std::move(info);
  return status;
}
Error code(Code code) { return {code, "as told", {}}; }

std::vector<std::unique_ptr<Runtime>> only(FakeRuntime::Inspect inspect) {
  std::vector<std::unique_ptr<Runtime>> runtimes;
  runtimes.push_back(std::make_unique<FakeRuntime>("docker", std::move(inspect)));
  return runtimes;
}

ContainerLookup::Options quick_options() {
  ContainerLookup::Options options;
  options.quick = {milliseconds(0), milliseconds(1), milliseconds(1)};
  options.slow = {milliseconds(1)};
  options.workers = 1;  // the order of questions is that of the requests
  options.ping_interval = milliseconds(0);
  return options;
}

/// Polls until `count` answers are there; fewer only after half a minute.
std::vector<LookupAnswer> wait_for(ContainerLookup& lookup, size_t count) {
  std::vector<LookupAnswer> answers;
  for (int i = 0; i < 30000 && answers.size() < count; ++i) {
    lookup.poll(answers);
    std::this_thread::sleep_for(milliseconds(1));
  }
  return answers;
}

const std::string kFull(64, 'a');

TEST(ContainerLookup, AnswersOnceAndFromTheCacheAfterwards) {
  std::atomic<int> calls{0};
  const auto runtimes = only([&](const std::string& id) -> Result<ContainerStatus> { return ++calls, known(id); });
  ContainerLookup lookup(runtimes, quick_options());
  lookup.request({.full_id = kFull, .guess = ContainerType::docker});
  auto answers = wait_for(lookup, 1);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].full_id, kFull);
  ASSERT_NE(answers[0].info, nullptr);
  EXPECT_TRUE(answers[0].final);
  lookup.request({.full_id = kFull, .guess = ContainerType::docker});
  answers = wait_for(lookup, 1);
  ASSERT_NE(answers.at(0).info, nullptr);
  EXPECT_EQ(calls, 1);
  lookup.forget(kFull);
  lookup.request({.full_id = kFull, .guess = ContainerType::docker});
  wait_for(lookup, 1);
  EXPECT_EQ(calls, 2);
  const auto counters = lookup.counters();
  EXPECT_EQ(counters.requests, 3u);
  EXPECT_EQ(counters.hits, 1u);
  EXPECT_EQ(counters.found, 2u);
}

TEST(ContainerLookup, RetriesUntilTheRuntimeKnows) {
  std::atomic<int> calls{0};
  const auto runtimes = only([&](const std::string& id) -> Result<ContainerStatus> {
    if (++calls < 3) return code(Code::not_found);
    return known(id);
  });
  ContainerLookup lookup(runtimes, quick_options());
  lookup.request({.full_id = "abc", .guess = ContainerType::docker});
  const auto answers = wait_for(lookup, 1);
  ASSERT_NE(answers.at(0).info, nullptr);
  EXPECT_EQ(lookup.counters().failed_attempts.at("docker:not_found"), 2u);
}

TEST(ContainerLookup, GivesAnInterimReasonThenTheFinalOne) {
  const auto runtimes = only([](const std::string&) -> Result<ContainerStatus> { return code(Code::not_found); });
  ContainerLookup lookup(runtimes, quick_options());
  lookup.request({.full_id = kFull, .guess = ContainerType::docker});
  auto answers = wait_for(lookup, 2);
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[0].info, nullptr);
  EXPECT_FALSE(answers[0].final);
  EXPECT_TRUE(answers[1].final);
  EXPECT_FALSE(answers[1].detail.empty());
  EXPECT_EQ(answers[1].missing, ContainerMissing::not_known_to_any_runtime);
  EXPECT_EQ(lookup.counters().failed, 1u);
  EXPECT_EQ(lookup.counters().attempts, 4u);
  lookup.request({.full_id = kFull, .guess = ContainerType::docker});  // failures are remembered for a while, too
  answers = wait_for(lookup, 1);
  EXPECT_EQ(answers.at(0).info, nullptr);
  EXPECT_EQ(lookup.counters().hits, 1u);
}

TEST(ContainerLookup, GuessDecidesTheOrderOnly) {
  std::mutex mutex;
  std::string order;
  std::vector<std::unique_ptr<Runtime>> runtimes;
  const auto add = [&](const char* name, bool answers) {
    runtimes.push_back(
        std::make_unique<FakeRuntime>(name, [&, name, answers](const std::string& id) -> Result<ContainerStatus> {
          std::lock_guard lock(mutex);
          order += std::string(name) + " ";
          if (!answers) return code(Code::not_found);
          return known(id);
        }));
  };
  add("docker", true);
  add("containerd", false);
  ContainerLookup lookup(runtimes, quick_options());
  lookup.request({.full_id = "abc", .guess = ContainerType::cri});
  EXPECT_NE(wait_for(lookup, 1).at(0).info, nullptr);
  lookup.request({.full_id = "def", .guess = ContainerType::docker});
  EXPECT_NE(wait_for(lookup, 1).at(0).info, nullptr);
  std::lock_guard lock(mutex);
  EXPECT_EQ(order, "containerd docker docker ");
}

TEST(ContainerLookup, AContainerThatIsOnlyCalledSoIsNotTheOne) {
  const auto runtimes = only([](const std::string&) -> Result<ContainerStatus> { return known("another"); });
  ContainerLookup lookup(runtimes, quick_options());
  lookup.request({.full_id = "web", .guess = ContainerType::containerd});
  EXPECT_EQ(wait_for(lookup, 2).at(1).info, nullptr);
}

TEST(ContainerLookup, FullQueueAnswersAtOnce) {
  std::atomic<bool> release{false};
  const auto runtimes = only([&](const std::string& id) -> Result<ContainerStatus> {
    while (!release) std::this_thread::sleep_for(milliseconds(1));
    return known(id);
  });
  auto options = quick_options();
  options.capacity = 2;
  ContainerLookup lookup(runtimes, options);
  lookup.request({.full_id = "a", .guess = ContainerType::docker});
  lookup.request({.full_id = "b", .guess = ContainerType::docker});
  lookup.request({.full_id = "b", .guess = ContainerType::docker});
  lookup.request({.full_id = "c", .guess = ContainerType::docker});
  auto answers = wait_for(lookup, 1);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].full_id, "c");
  EXPECT_EQ(answers[0].info, nullptr);
  release = true;
  EXPECT_EQ(wait_for(lookup, 2).size(), 2u);
  const auto counters = lookup.counters();
  EXPECT_EQ(counters.rejected, 1u);
  EXPECT_EQ(counters.deduplicated, 1u);
}

TEST(ContainerLookup, AHungRuntimeIsLeftAloneForAWhile) {
  std::atomic<int> docker_calls{0};
  std::vector<std::unique_ptr<Runtime>> runtimes;
  runtimes.push_back(std::make_unique<FakeRuntime>("docker", [&](const std::string&) -> Result<ContainerStatus> {
    ++docker_calls;
    return code(Code::timeout);
  }));
  runtimes.push_back(std::make_unique<FakeRuntime>(
      "containerd", [](const std::string& id) -> Result<ContainerStatus> { return known(id); }));
  auto options = quick_options();
  options.hung_pause = std::chrono::hours(1);
  ContainerLookup lookup(runtimes, options);
  for (int i = 0; i < 20; ++i) lookup.request({.full_id = "c" + std::to_string(i), .guess = ContainerType::docker});
  for (const LookupAnswer& answer : wait_for(lookup, 20)) EXPECT_NE(answer.info, nullptr);
  EXPECT_EQ(docker_calls, 2) << "one silence may be one container's";
  EXPECT_FALSE(lookup.runtimes().at(0).is_answering);
  EXPECT_TRUE(lookup.runtimes().at(1).is_answering);
}

TEST(ContainerLookup, ARuntimeThatHangsTakesNotEveryWorker) {
  std::atomic<bool> release{false};
  std::vector<std::unique_ptr<Runtime>> runtimes;
  runtimes.push_back(std::make_unique<FakeRuntime>("docker", [&](const std::string&) -> Result<ContainerStatus> {
    while (!release) std::this_thread::sleep_for(milliseconds(1));
    return code(Code::timeout);
  }));
  runtimes.push_back(std::make_unique<FakeRuntime>(
      "containerd", [](const std::string& id) -> Result<ContainerStatus> { return known(id); }));
  auto options = quick_options();
  options.workers = 3;
  ContainerLookup lookup(runtimes, options);
  for (int i = 0; i < 10; ++i) lookup.request({.full_id = "d" + std::to_string(i), .guess = ContainerType::docker});
  for (int i = 0; i < 10; ++i) lookup.request({.full_id = "c" + std::to_string(i), .guess = ContainerType::containerd});
  // All but the two that Docker holds are told of, by the one worker that it may not have.
  EXPECT_EQ(wait_for(lookup, 18).size(), 18u);
  release = true;
  EXPECT_EQ(wait_for(lookup, 2).size(), 2u);
}

TEST(ContainerLookup, ReasonsByWhatTheRuntimesSay) {
  struct Case {
    Code docker, containerd;
    std::string cgroup;
    ContainerMissing missing;
  };
  const Case cases[] = {
      {Code::unavailable, Code::unavailable, "", ContainerMissing::no_runtime_socket},
      {Code::unavailable, Code::not_found, "", ContainerMissing::no_runtime_socket},  // the one it looks like is absent
      {Code::not_found, Code::unavailable, "", ContainerMissing::not_known_to_any_runtime},
      {Code::timeout, Code::not_found, "", ContainerMissing::runtime_timeout},
      {Code::permission_denied, Code::unavailable, "", ContainerMissing::permission_denied},
      {Code::malformed, Code::not_found, "", ContainerMissing::runtime_error},
      {Code::not_found, Code::not_found, "/no/such/cgroup", ContainerMissing::container_gone},
      {Code::timeout, Code::not_found, "/no/such/cgroup", ContainerMissing::runtime_timeout},
  };
  for (const Case& one : cases) {
    std::vector<std::unique_ptr<Runtime>> runtimes;
    for (const auto& [name, answer] : {std::pair{"docker", one.docker}, std::pair{"containerd", one.containerd}})
      runtimes.push_back(std::make_unique<FakeRuntime>(
          name, [answer = answer](const std::string&) -> Result<ContainerStatus> { return code(answer); }));
    auto options = quick_options();
    options.hung_pause = milliseconds(0);
    ContainerLookup lookup(runtimes, options);
    lookup.request({.full_id = "x", .guess = ContainerType::docker, .cgroup_path = one.cgroup});
    const auto answers = wait_for(lookup, one.missing == ContainerMissing::container_gone ? 1 : 2);
    ASSERT_FALSE(answers.empty());
    EXPECT_EQ(to_string(answers.back().missing), to_string(one.missing));
    EXPECT_TRUE(answers.back().final);
  }
}

TEST(ContainerLookup, LongLabelsAreLeftOut) {
  const auto runtimes = only([](const std::string& id) -> Result<ContainerStatus> {
    auto info = std::make_shared<Container>();
    info->full_id = id;
    info->labels = {{"fits", std::string(100, 'x')}, {"long", std::string(101, 'x')}};
    info->pod_labels = {{"long", std::string(5000, 'x')}};
    ContainerStatus status;
    status.info = std::move(info);
    return status;
  });
  for (const size_t limit : {size_t{100}, size_t{0}}) {
    auto options = quick_options();
    options.label_max_len = limit;
    ContainerLookup lookup(runtimes, options);
    lookup.request({.full_id = "x", .guess = ContainerType::docker});
    const auto answers = wait_for(lookup, 1);
    ASSERT_EQ(answers.size(), 1u);
    EXPECT_EQ(answers[0].info->labels.size(), limit == 0 ? 2u : 1u);
    EXPECT_EQ(answers[0].info->pod_labels.size(), limit == 0 ? 1u : 0u);
  }
}

TEST(ContainerLookup, MissingSocketsAreNamed) {
  const auto runtimes = make_runtimes({.docker = "/nonexistent/d.sock", .containerd = "/nonexistent/c.sock"});
  ContainerLookup lookup(runtimes, quick_options());
  lookup.request({.full_id = "abc", .guess = ContainerType::docker});
  const auto answers = wait_for(lookup, 2);
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_NE(answers[1].detail.find("/nonexistent/d.sock"), std::string::npos);
  EXPECT_NE(answers[1].detail.find("/nonexistent/c.sock"), std::string::npos);
  EXPECT_EQ(lookup.counters().failed_attempts.at("docker:unavailable"), 4u);
}

TEST(ContainerLookup, CacheForgetsTheOldest) {
  std::atomic<int> calls{0};
  const auto runtimes = only([&](const std::string& id) -> Result<ContainerStatus> { return ++calls, known(id); });
  auto options = quick_options();
  options.cache_capacity = 2;
  ContainerLookup lookup(runtimes, options);
  const auto full = [](char c) { return std::string(64, c); };
  for (const char id : {'a', 'b', 'c'}) lookup.request({.full_id = full(id), .guess = ContainerType::docker});
  ASSERT_EQ(wait_for(lookup, 3).size(), 3u);
  lookup.request({.full_id = full('c'), .guess = ContainerType::docker});
  lookup.request({.full_id = full('a'), .guess = ContainerType::docker});
  ASSERT_EQ(wait_for(lookup, 2).size(), 2u);
  EXPECT_EQ(calls, 4);
}

TEST(ContainerLookup, ManyThreadsAndAnEarlyEnd) {
  const auto runtimes = only([](const std::string& id) -> Result<ContainerStatus> {
    if (id.back() % 3 == 0) return code(Code::not_found);
    return known(id);
  });
  for (int round = 0; round < 5; ++round) {
    ContainerLookup lookup(runtimes, quick_options());
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&lookup, t] {
        std::vector<LookupAnswer> answers;
        for (int i = 0; i < 200; ++i) {
          const std::string id = std::to_string(i % 50);
          lookup.request({.full_id = id, .guess = ContainerType::docker});
          if (i % 7 == t) lookup.forget(id);
          lookup.poll(answers);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(lookup.counters().requests, 800u);
  }
}

}  // namespace
}  // namespace quell::os
