// The engine thread on a source of our own making: containers that are described late, losses, and the end.
#include "apps/quell/live_lane.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <thread>

#include "model/detection_json.h"
#include "process.h"

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
    info->image = "example.org/nginx:1";
    info->image_repository = "example.org/nginx";
    info->labels = {{"team", "shop"}};
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
    use_rules("ran %proc.name in %container.name");
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
  }

  void use_rules(const std::string& output) {
    path_ = folder_.file(
        "rules.yaml",
        "- rule: Ran\n  desc: d\n  condition: evt.type = execve\n  priority: WARNING\n  output: \"" + output + "\"\n");
    auto rules = load_rules({.paths = {path_}}, {}, false);
    ASSERT_TRUE(rules) << rules.error().str();
    rules_ = *rules;
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
  // Processes of the container are users of its own.
  std::vector<uint8_t> exec(int64_t tid, uint64_t at_ns = 0) const {
    const uint32_t uid = tid == 30 ? 1001 : 0, gid = tid == 30 ? 1002 : 0;
    EventBuilder b(ev::SYSCALL_EXECVE_19_X, at_ns != 0 ? at_ns : now_, tid);
    const std::string cgroups = tid == 30 ? "=/docker/" + kId + std::string(1, '\0') : std::string();
    b.num<int64_t>(0).text("prog").empty().num<int64_t>(tid).num<int64_t>(tid).num<int64_t>(1).empty();
    b.num<uint64_t>(1024).num<uint64_t>(1).num<uint64_t>(2).num<uint32_t>(1).num<uint32_t>(1).num<uint32_t>(0);
    b.text("prog").raw(cgroups.data(), cgroups.size()).empty().num<uint32_t>(0).num<int64_t>(tid).num<uint32_t>(0);
    b.num<uint32_t>(0).num<uint64_t>(0).num<uint64_t>(0).num<uint64_t>(0).num<uint64_t>(7).num<uint64_t>(0);
    b.num<uint64_t>(0).num<uint32_t>(uid).text("/bin/prog").num<int64_t>(tid).num<uint32_t>(gid).text("/bin/prog");
    return b.build();
  }
  std::vector<uint8_t> exit(int64_t tid) const {
    EventBuilder b(ev::PROCEXIT_1_E, now_, tid);
    return b.num<int64_t>(0).num<int64_t>(0).num<uint8_t>(0).num<uint8_t>(0).num<int64_t>(1).build();
  }
  void create() {
    LiveLane::Options options;
    options.record_path = record_path_;
    options.tables.read_users = [](int64_t, std::vector<User>& users, std::vector<Group>& groups) {
      users = {{0, 0, "boss", "/boss", "/bin/sh"}, {1001, 1002, "app", "/srv/app", "/bin/false"}};
      groups = {{1002, "shop"}};
      return true;
    };
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

  /// What a stored detection and one of a replay have in common, in the order of events.
  static std::vector<std::string> essence(std::vector<Json> detections) {
    std::sort(detections.begin(), detections.end(), [](const Json& a, const Json& b) {
      return a.at("output_fields").at("evt.num").u64() < b.at("output_fields").at("evt.num").u64();
    });
    std::vector<std::string> out;
    for (const Json& one : detections)
      out.push_back(one.at("output").str() + one.at("output_fields").dump() + one.at("quell").at("container").dump());
    return out;
  }
  /// The recording gives what was stored in the end.
  void expect_the_same_again() {
    std::map<std::string, Json> stored;
    for (const OutgoingDetection& one : out_) stored[one.detection.id] = *Json::parse(detection_to_json(one.detection));
    std::vector<Json> live, replayed;
    for (const auto& [id, json] : stored) live.push_back(json);
    const Finished replay = quell(folder_, {"detect", record_path_, "--rules", path_, "-o", "json"});
    EXPECT_EQ(replay.status, 0) << replay.err;
    std::istringstream lines(replay.out);
    for (std::string line; std::getline(lines, line);) replayed.push_back(*Json::parse(line));
    EXPECT_EQ(essence(replayed), essence(live));
  }

  TempFolder folder_;
  const uint64_t now_;
  Date clock_;
  std::string record_path_;
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

constexpr char kTelling[] =
    "%evt.num %proc.name %user.name %user.homedir %user.loginname %group.name %container.id %container.name "
    "%container.image %container.image.repository %container.label.team";

TEST_F(Lane, ARecordingReplaysWithTheMetadataThatCameLater) {
  use_rules(kTelling);
  record_path_ = folder_.path() + "/lane.scap";
  source_->events = {exec(20), exec(30), exec(20), exec(30), exec(20)};
  ASSERT_NO_FATAL_FAILURE(create());
  go();
  EXPECT_EQ(wait_for(3).size(), 3u) << "those of the host";
  knows_ = true;
  const auto out = wait_for(5);
  ASSERT_EQ(out.size(), 5u);
  end();
  for (const OutgoingDetection& one : out) {
    if (one.detection.container_id == "host") continue;
    EXPECT_NE(one.detection.message.find("prog app /srv/app boss shop aaaaaaaaaaaa web "), std::string::npos)
        << one.detection.message;
    EXPECT_NE(one.detection.message.find(" example.org/nginx shop"), std::string::npos) << one.detection.message;
  }
  expect_the_same_again();
}

TEST_F(Lane, ARecordingHoldsTheMetadataOfContainersThatAreGone) {
  use_rules(kTelling);
  record_path_ = folder_.path() + "/lane.scap";
  source_->events = {exec(30), exit(30), exec(20)};
  ASSERT_NO_FATAL_FAILURE(create());
  go();
  EXPECT_EQ(wait_for(1).size(), 1u) << "that of the host";
  knows_ = true;
  const auto out = wait_for(2);
  ASSERT_EQ(out.size(), 2u);
  EXPECT_NE(out[1].detection.container, nullptr);
  end();
  expect_the_same_again();
}

TEST_F(Lane, ARecordingReplaysToWhatWasCompletedInTheStore) {
  use_rules(kTelling);
  record_path_ = folder_.path() + "/lane.scap";
  source_->events = {exec(30)};
  ASSERT_NO_FATAL_FAILURE(create());
  go();
  ASSERT_EQ(wait_for(1).size(), 1u);
  knows_ = true;
  const auto out = wait_for(2);
  ASSERT_EQ(out.size(), 2u);
  EXPECT_TRUE(out[1].is_update);
  end();
  expect_the_same_again();
}

TEST_F(Lane, ARecordingThatEndsWaitsForTheRuntimes) {
  use_rules(kTelling);
  record_path_ = folder_.path() + "/lane.scap";
  source_->tables.threads.pop_back();  // its container is new
  source_->events = {exec(30)};
  rules_ = std::make_shared<LoadedRules>();
  auto none = detect::compile(rules_->set, {});
  ASSERT_TRUE(none) << none.error().str();
  std::const_pointer_cast<LoadedRules>(rules_)->program = *std::move(none);
  ASSERT_NO_FATAL_FAILURE(create());
  raw_->ended = true;
  std::thread runtime([this] {
    usleep(50'000);
    knows_ = true;
  });
  go();
  engine_.join();
  runtime.join();
  const Finished replay = quell(folder_, {"detect", record_path_, "--rules", path_});
  EXPECT_NE(replay.out.find("prog app /srv/app boss shop aaaaaaaaaaaa web "), std::string::npos) << replay.out;
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
