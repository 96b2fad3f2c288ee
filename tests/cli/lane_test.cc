// The engine thread on a source of our own making: containers that are described late, losses, and the end.
#include "apps/quell/live_lane.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

namespace quell::cli {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
const std::string kId(64, 'a');

class FakeSource final : public capture::LiveSource {
 public:
  Snapshot tables;
  std::vector<std::vector<uint8_t>> events;
  capture::SourceCounters told;
  std::atomic<bool> ended{false};

  const Snapshot& snapshot() const override { return tables; }
  Result<capture::Pull> fill(EventBatch& batch, uint64_t) override {
    batch.clear();
    for (const auto& event : events) batch.append(event, 0);
    events.clear();
    if (batch.empty()) usleep(1000);
    return ended ? capture::Pull::ended : capture::Pull::more;
  }
  capture::SourceCounters counters() const override { return told; }
  Result<void> set_interest(const Interest&) override { return {}; }
  std::vector<std::pair<EventCode, uint64_t>> losses() const override { return {}; }
};

class FakeRuntime final : public os::Runtime {
 public:
  explicit FakeRuntime(const std::atomic<bool>& knows) : knows_(knows) {}
  std::string_view name() const override { return "docker"; }
  Result<os::ContainerStatus> inspect(std::string_view id) const override {
    if (!knows_) return Error{Code::timeout, "not yet", {}};
    auto info = std::make_shared<Container>();
    info->full_id = id;
    info->id = id.substr(0, 12);
    info->name = "web";
    os::ContainerStatus status;
    status.info = std::move(info);
    return status;
  }
  Result<std::vector<std::string>> list() const override { return std::vector<std::string>(); }
  Result<void> pause(const std::string&) const override { return Error{}; }
  Result<void> unpause(const std::string&) const override { return Error{}; }
  Result<void> stop(const std::string&, uint32_t) const override { return Error{}; }
  Result<void> kill(const std::string&) const override { return Error{}; }
  Result<void> start(const std::string&) const override { return Error{}; }
  Result<void> set_restart_policy(const std::string&, const std::string&) const override { return Error{}; }

 private:
  const std::atomic<bool>& knows_;
};

/// Real but for the date.
class Date final : public Clock {
 public:
  uint64_t realtime_ns() const override {
    const uint64_t set = set_;
    return set != 0 ? set : system_clock().realtime_ns();
  }
  uint64_t monotonic_ns() const override { return system_clock().monotonic_ns(); }
  void set_realtime_ns(uint64_t now) { set_ = now; }

 private:
  std::atomic<uint64_t> set_{0};
};

class Lane : public ::testing::Test {
 protected:
  Lane() : now_(system_clock().realtime_ns()) {
    path_ = "/tmp/quell-lane-" + std::to_string(getpid()) + ".yaml";
    std::ofstream(path_) << "- rule: Ran\n  desc: d\n  condition: evt.type = execve\n"
                            "  output: ran %proc.name in %container.name\n  priority: WARNING\n";
    auto rules = load_rules({.paths = {path_}}, {}, false);
    EXPECT_TRUE(rules) << rules.error().str();
    rules_ = *rules;
    source_ = std::make_unique<FakeSource>();
    source_->tables.machine.boot_ns = now_ - 1000 * kSecond;
    source_->tables.threads = {process(1, 0, 999), process(10, 1, 500), process(20, 1, 5), process(30, 1, 5)};
    source_->tables.threads[3].vtid = source_->tables.threads[3].vpid = 1;
    source_->tables.threads[3].cgroups = "=/docker/" + kId + std::string(1, '\0');
    raw_ = source_.get();
    runtimes_.push_back(std::make_unique<FakeRuntime>(knows_));
    os::ContainerLookup::Options options;
    options.quick.assign(1000, std::chrono::milliseconds(5));  // longer than any patience
    options.hung_pause = std::chrono::milliseconds(0);
    lookup_ = std::make_unique<os::ContainerLookup>(runtimes_, options);
  }
  ~Lane() override {
    if (engine_.joinable()) end();
    unlink(path_.c_str());
  }

  Thread process(int64_t pid, int64_t ptid, uint64_t age_s) const {
    Thread out;
    out.tid = out.pid = out.vtid = out.vpid = pid;
    out.ptid = ptid;
    out.sid = pid;
    out.comm = out.exe = "p" + std::to_string(pid);
    out.clone_ns = now_ - age_s * kSecond;
    return out;
  }
  std::vector<uint8_t> exec(int64_t tid, uint64_t at_ns = 0) const {
    EventBuilder b(ev::SYSCALL_EXECVE_19_X, at_ns != 0 ? at_ns : now_, tid);
    const std::string cgroups = tid == 30 ? "=/docker/" + kId + std::string(1, '\0') : std::string();
    b.num<int64_t>(0).text("prog").empty().num<int64_t>(tid).num<int64_t>(tid).num<int64_t>(1).empty();
    b.num<uint64_t>(1024).num<uint64_t>(1).num<uint64_t>(2).num<uint32_t>(1).num<uint32_t>(1).num<uint32_t>(0);
    b.text("prog").raw(cgroups.data(), cgroups.size()).empty().num<uint32_t>(0).num<int64_t>(tid).num<uint32_t>(0);
    b.num<uint32_t>(0).num<uint64_t>(0).num<uint64_t>(0).num<uint64_t>(0).num<uint64_t>(7).num<uint64_t>(0);
    b.num<uint64_t>(0).num<uint32_t>(0).text("/bin/prog").num<int64_t>(tid).num<uint32_t>(0).text("/bin/prog");
    return b.build();
  }
  void create() {
    LiveLane::Options options;
    options.boot_id = "boot";
    options.clock = &clock_;
    options.lookup = lookup_.get();
    options.emit = [this](OutgoingDetection&& one) {
      std::lock_guard lock(mutex_);
      out_.push_back(std::move(one));
    };
    auto lane = LiveLane::create(std::move(source_), rules_, std::move(options));
    ASSERT_TRUE(lane) << lane.error().str();
    lane_ = std::move(*lane);
  }
  void go() {
    engine_ = std::thread([this] { EXPECT_TRUE(lane_->run()); });
  }
  std::vector<OutgoingDetection> wait_for(size_t count) {
    for (int i = 0; i < 20'000; ++i) {
      {
        std::lock_guard lock(mutex_);
        if (out_.size() >= count) return out_;
      }
      usleep(1000);
    }
    std::lock_guard lock(mutex_);
    return out_;
  }
  void end() {
    raw_->ended = true;
    engine_.join();
  }

  const uint64_t now_;
  Date clock_;
  std::string path_;
  std::shared_ptr<const LoadedRules> rules_;
  std::unique_ptr<FakeSource> source_;
  FakeSource* raw_ = nullptr;
  std::atomic<bool> knows_{false};
  std::vector<std::unique_ptr<os::Runtime>> runtimes_;
  std::unique_ptr<os::ContainerLookup> lookup_;
  std::unique_ptr<LiveLane> lane_;
  std::thread engine_;
  std::mutex mutex_;
  std::vector<OutgoingDetection> out_;
};

TEST_F(Lane, AHostsDetectionPassesOneThatWaitsForItsContainer) {
  source_->events = {exec(30), exec(20)};
  ASSERT_NO_FATAL_FAILURE(create());
  go();
  auto out = wait_for(1);
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].detection.process.pid, 20);
  knows_ = true;
  out = wait_for(2);
  ASSERT_EQ(out.size(), 2u);
  EXPECT_EQ(out[1].detection.process.pid, 30);
  EXPECT_EQ(out[1].detection.container_full_id, kId);
  ASSERT_NE(out[1].detection.container, nullptr);
  EXPECT_EQ(out[1].detection.container->name, "web");
  EXPECT_EQ(out[1].detection.message, "ran prog in web");
  end();
}

TEST_F(Lane, WhoNeverHearsGoesOutWithTheReasonAndIsCompletedAtLast) {
  source_->events = {exec(30)};
  ASSERT_NO_FATAL_FAILURE(create());
  go();
  auto out = wait_for(1);
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].detection.container, nullptr);
  EXPECT_NE(out[0].detection.container_missing, ContainerMissing::none);
  EXPECT_FALSE(out[0].is_update);
  knows_ = true;
  out = wait_for(2);
  ASSERT_EQ(out.size(), 2u);
  EXPECT_TRUE(out[1].is_update);
  EXPECT_EQ(out[1].detection.id, out[0].detection.id);
  EXPECT_EQ(out[1].detection.message, "ran prog in web");
  EXPECT_GT(out[1].detection.completed_ns, out[1].detection.kernel_ns);
  end();
}

TEST_F(Lane, LossesAreToldToThoseWhoLivedThen) {
  // The sensor started a moment ago; the events are of later, as are the births of two of three processes.
  const uint64_t later = now_ + 1000 * kSecond;
  source_->tables.threads[1].clone_ns = later - 500 * kSecond;
  source_->tables.threads[2].clone_ns = later - 5 * kSecond;
  source_->events = {exec(10, later), exec(20, later)};
  clock_.set_realtime_ns(now_);
  ASSERT_NO_FATAL_FAILURE(create());
  raw_->told.lost_ring_full = 7;
  raw_->told.first_loss_ns = raw_->told.last_loss_ns = later - 100 * kSecond;
  clock_.set_realtime_ns(later);
  go();
  const auto out = wait_for(2);
  ASSERT_EQ(out.size(), 2u);
  for (const OutgoingDetection& one : out) EXPECT_TRUE(one.detection.losses.is_known);
  EXPECT_EQ(out[0].detection.losses.count, 7u);
  EXPECT_EQ(out[0].detection.losses.last_ns, later - 100 * kSecond);
  EXPECT_EQ(out[0].detection.losses.from_ns, later - 500 * kSecond);
  EXPECT_EQ(out[1].detection.losses.count, 0u) << "it was not born";
  end();
  const LaneStatus status = lane_->status();
  EXPECT_EQ(status.last_loss_ns, later - 100 * kSecond);
  ASSERT_NE(status.losses, nullptr);
  EXPECT_EQ(status.losses->size(), 1u);
}

}  // namespace
}  // namespace quell::cli
