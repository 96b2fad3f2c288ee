// Containers come and go, and every detection says whose it is: at delivery, or by completion at most 2 s after its
// event. QUELL_CHURN=500 makes the run as long as the promise is (25 otherwise); its shares are printed either way.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <thread>

#include "api/client.h"
#include "base/clock.h"
#include "quell_up.h"
#include "support/bare_runc.h"
#include "support/command.h"
#include "support/container_env.h"

namespace quell::test {
namespace {

constexpr char kRules[] = R"(
- rule: Churn
  desc: A container of the churn test did its one thing.
  condition: evt.type in (open, openat, openat2) and (fd.name startswith /dev/shm/early- or fd.name startswith /dev/shm/late-)
  output: churn %fd.name in %container.name of %container.image.repository (pod=%k8s.pod.name label=%container.label[churn])
  priority: WARNING
)";
constexpr uint64_t kPromiseNs = 2'000'000'000;
constexpr int kLongLifeMs = 1200, kShortLifeMs = 60;

enum class Kind { docker, ctr, runc, pod };
constexpr const char* kKindNames[] = {"docker", "ctr", "runc", "pod"};

struct Planned {
  Kind kind = Kind::docker;
  std::string name, id;
  bool is_short = false;
  std::string problem;  // why it was not started
};

size_t planned_count() {
  const char* count = std::getenv("QUELL_CHURN");
  return count != nullptr ? static_cast<size_t>(std::max(4, std::atoi(count))) : 25;
}

/// Resident memory in KiB.
uint64_t rss_of(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::strtoull(line.c_str() + 6, nullptr, 10);
  return 0;
}

class Churn : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = ContainerEnv::missing(); !why.empty()) {
      std::cout << "SKIPPED: " << why << "\n";
      GTEST_SKIP() << why;
    }
    auto started = ContainerEnv::start({.image_files = {{"/attacker", QUELL_ATTACKER}}});
    ASSERT_TRUE(started) << started.error().str();
    env_ = std::move(*started);
    auto bare = BareRunc::create(env_->run_dir() + "/bare", {{"/attacker", QUELL_ATTACKER}});
    ASSERT_TRUE(bare) << bare.error().str();
    bare_ = std::make_unique<BareRunc>(std::move(*bare));
    for (const char* mount : {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"})
      if (std::filesystem::exists(std::string(mount) + "/cgroup.controllers"))
        std::filesystem::create_directories(mount + env_->cgroup_root());
    const std::string rules = env_->run_dir() + "/rules.yaml";
    std::ofstream(rules) << kRules;
    up_ = QuellUp::start({"--scope", "cgroup:" + env_->cgroup_root(), "--rules", rules, "--docker-socket",
                          env_->sockets().docker, "--containerd-socket", env_->sockets().containerd, "--runc-root",
                          bare_->root(), env_->run_dir() + "/runc/*"});
    ASSERT_NE(up_, nullptr);
  }

  /// Starts one, lets it live, removes it. Any thread, one container at a time in each.
  void live(Planned& one) {
    const std::vector<std::string> command{"/attacker", "churn", one.name,
                                           std::to_string(one.is_short ? kShortLifeMs : kLongLifeMs)};
    const std::map<std::string, std::string> labels{{"churn", one.name}};
    Result<std::string> id = Error{Code::internal, "not started", {}};
    Pod pod;
    switch (one.kind) {
      case Kind::docker: id = env_->run_docker({.name = one.name, .command = command, .labels = labels}); break;
      case Kind::ctr:
        id = env_->run_containerd({.name = one.name,
                                   .command = command,
                                   .labels = labels,
                                   .cgroup = env_->cgroup_root() + "/ctr/" + one.name});
        break;
      case Kind::runc: {
        auto run =
            bare_->run({.id = one.name,
                        .command = command,
                        .cgroup = env_->cgroup_root() + "/bare/" + one.name,
                        .annotations = {{"churn", one.name}, {"org.opencontainers.image.ref.name", kTestImage}}});
        if (run)
          id = one.name;
        else
          id = run.error();
        break;
      }
      case Kind::pod: {
        auto made =
            env_->run_pod({.name = one.name, .pod_namespace = "churn", .uid = "uid-" + one.name, .command = command});
        if (made) {
          pod = *made;
          id = pod.container_id;
        } else {
          id = made.error();
        }
      }
    }
    {
      std::lock_guard lock(mutex_);
      if (id)
        one.id = *id;
      else
        one.problem = id.error().str();
    }
    if (!id) return;
    usleep((one.is_short ? kShortLifeMs : kLongLifeMs) * 1000 + 100'000);
    switch (one.kind) {
      case Kind::docker: (void)env_->remove_docker(*id); break;
      case Kind::ctr: (void)env_->remove_containerd(*id); break;
      case Kind::runc: (void)bare_->remove(*id); break;
      case Kind::pod: (void)env_->remove_pod(pod); break;
    }
  }

  /// Containers of these kinds, one after another at this rate at most: each in a thread of its own while it lives.
  void drive(std::vector<Planned*> plan, double per_second) {
    const auto begin = std::chrono::steady_clock::now();
    std::vector<std::thread> lives;
    std::atomic<int> alive{0};
    for (size_t i = 0; i < plan.size(); ++i) {
      std::this_thread::sleep_until(begin + std::chrono::duration_cast<std::chrono::nanoseconds>(
                                                std::chrono::duration<double>(static_cast<double>(i) / per_second)));
      while (alive >= 24) usleep(10'000);
      ++alive;
      lives.emplace_back([this, &alive, one = plan[i]] {
        live(*one);
        --alive;
      });
    }
    for (std::thread& thread : lives) thread.join();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    std::printf("%zu containers in %.1f s: %.1f per second\n", plan.size(), seconds,
                static_cast<double>(plan.size()) / seconds);
  }

  /// What is stored of the detection; null if nothing is.
  Json stored(const std::string& id) {
    const auto client = api::Client::open(up_->data_dir() + "/quell.sock");
    if (!client) return {};
    const auto answer = client->call(api::Method::get, "/v1/detections/" + id);
    EXPECT_TRUE(answer) << answer.error().str();
    if (!answer) return {};
    const auto json = Json::parse(*answer);
    return json ? *json : Json();
  }

  std::unique_ptr<ContainerEnv> env_;
  std::unique_ptr<BareRunc> bare_;
  std::unique_ptr<QuellUp> up_;
  std::mutex mutex_;
};

struct Share {
  size_t detections = 0, at_delivery = 0, by_completion = 0, too_late = 0, with_reason = 0, silent = 0;
  double filled() const {
    return detections == 0 ? 1.0 : static_cast<double>(at_delivery + by_completion) / static_cast<double>(detections);
  }
};

TEST_F(Churn, EveryDetectionSaysWhoseItIs) {
  const size_t count = planned_count();
  std::vector<Planned> plan(count);
  std::vector<Planned*> with_docker, without;
  for (size_t i = 0; i < count; ++i) {
    // 2 of 7 by Docker; of the others most bare runc and ctr, a few pods. Every tenth is short-lived.
    Planned& one = plan[i];
    one.kind = i % 7 < 2 ? Kind::docker : i % 25 == 24 ? Kind::pod : i % 2 == 0 ? Kind::ctr : Kind::runc;
    one.is_short = i % 10 == 9;
    one.name = std::string(kKindNames[static_cast<int>(one.kind)]) + "-" + std::to_string(i);
    (one.kind == Kind::docker ? with_docker : without).push_back(&one);
  }
  const double threads_before = up_->metric("quell_enrich_threads");
  std::map<int, uint64_t> rss;  // by per cent
  std::atomic<bool> done{false};
  std::thread docker_driver([&] { drive(with_docker, 2); });
  std::thread other_driver([&] { drive(without, 5); });
  std::thread end([&] {
    docker_driver.join();
    other_driver.join();
    done = true;
  });
  // Lines are read while they come: their arrival is what is promised.
  while (!done) {
    (void)up_->wait_for([](const Json&) { return false; }, 200);
    size_t started = 0;
    {
      std::lock_guard lock(mutex_);
      for (const Planned& one : plan) started += one.id.empty() && one.problem.empty() ? 0 : 1;
    }
    const int percent = static_cast<int>(started * 100 / count);
    for (const int mark : {20, 40, 60, 80})
      if (percent >= mark && !rss.contains(mark)) rss[mark] = rss_of(up_->pid());
  }
  end.join();
  (void)up_->wait_for([](const Json&) { return false; }, 4000);
  rss[100] = rss_of(up_->pid());

  std::map<std::string, Planned*> by_name;
  for (Planned& one : plan) by_name[one.name] = &one;
  std::map<std::string, Share> shares;  // by "kind" and "kind short"
  std::map<std::string, size_t> reasons, seen;
  Share all_long;
  double slowest_ms = 0;
  for (const SeenDetection& line : up_->all()) {
    const Json& ours = line.json.at("quell");
    const std::string file = line.json.at("output_fields").at("fd.name").str();
    const size_t dash = file.find('-');
    ASSERT_NE(dash, std::string::npos) << line.json.dump();
    const auto found = by_name.find(file.substr(dash + 1));
    ASSERT_NE(found, by_name.end()) << file;
    const Planned& one = *found->second;
    ++seen[one.name];
    const Json record = stored(ours.at("id").str());
    ASSERT_NE(record.object(), nullptr) << "a line without a stored detection";
    const Json& kept = record.at("quell");
    EXPECT_EQ(ours.at("container_full_id").str(), one.id) << line.json.dump();
    Share share{.detections = 1};
    const auto is_whole = [&](const Json& quell) {
      const Json& container = quell.at("container");
      const bool has_image = container.at("image").str().find("busybox") != std::string::npos;
      const bool has_label = one.kind == Kind::pod
                                 ? container.at("labels").at("io.kubernetes.pod.name").str() == one.name &&
                                       container.at("labels").at("io.kubernetes.pod.namespace").str() == "churn"
                                 : container.at("labels").at("churn").str() == one.name;
      const std::string name = one.kind == Kind::pod ? "main" : one.name;
      return container.object() != nullptr && container.at("name").str() == name && has_image && has_label;
    };
    const uint64_t kernel_ns = ours.at("kernel_ns").u64();
    slowest_ms = std::max(slowest_ms, line.latency_ms());
    const uint64_t completed_ns = kept.at("completed_ns").u64();
    if (is_whole(ours) && line.arrival_ns - kernel_ns <= kPromiseNs) {
      ++share.at_delivery;
    } else if (is_whole(kept) && completed_ns != 0 && completed_ns - kernel_ns <= kPromiseNs) {
      ++share.by_completion;
    } else if (is_whole(kept)) {
      ++share.too_late;
    } else if (!kept.at("container_missing_reason").str().empty()) {
      ++share.with_reason;
      ++reasons[kept.at("container_missing_reason").str()];
      std::printf("without: %s %s: %s\n", file.c_str(), kept.at("container_missing_reason").str().c_str(),
                  kept.at("container_missing_detail").str().c_str());
    } else {
      ++share.silent;
      ADD_FAILURE() << "neither metadata nor a reason: " << record.dump();
    }
    const bool says_why = is_whole(ours) || !ours.at("container_missing_reason").str().empty();
    EXPECT_TRUE(says_why) << "a line without metadata has no reason: " << line.json.dump();
    const auto add = [&](Share& to) {
      to.detections += share.detections, to.at_delivery += share.at_delivery, to.by_completion += share.by_completion;
      to.too_late += share.too_late, to.with_reason += share.with_reason, to.silent += share.silent;
    };
    add(shares[std::string(kKindNames[static_cast<int>(one.kind)]) + (one.is_short ? " short" : "")]);
    if (!one.is_short) add(all_long);
  }
  std::printf("%-14s %10s %10s %10s %8s %8s %8s\n", "kind", "detections", "delivery", "completed", "late", "reason",
              "filled");
  shares["all of >= 1 s"] = all_long;
  for (const auto& [name, share] : shares)
    std::printf("%-14s %10zu %10zu %10zu %8zu %8zu %7.2f%%\n", name.c_str(), share.detections, share.at_delivery,
                share.by_completion, share.too_late, share.with_reason, share.filled() * 100);
  for (const auto& [reason, times] : reasons) std::printf("reason %s: %zu\n", reason.c_str(), times);
  std::printf("slowest line %.0f ms; lost events %.0f; RSS KiB:", slowest_ms,
              up_->metric("quell_capture_lost_events_total"));
  for (const auto& [percent, kib] : rss) std::printf(" %d%%=%lu", percent, static_cast<unsigned long>(kib));
  std::printf("\n");

  size_t started = 0, unseen = 0;
  for (const Planned& one : plan) {
    if (!one.problem.empty()) {
      std::printf("not started: %s: %s\n", one.name.c_str(), one.problem.substr(0, 300).c_str());
      continue;
    }
    ++started;
    if (seen[one.name] < 2) {
      ++unseen;
      std::printf("%s: %zu of 2 detections\n", one.name.c_str(), seen[one.name]);
    }
  }
  EXPECT_GT(started * 10, count * 9) << "too few containers started for a verdict";
  if (up_->metric("quell_capture_lost_events_total") == 0.0) {
    EXPECT_EQ(unseen, 0u);
  }
  // How soon is for a quiet machine to say; that it comes at all, and is right, is not.
  if (count >= 500)
    EXPECT_GE(all_long.filled(), 0.99);
  else
    EXPECT_GE(all_long.detections - all_long.with_reason, all_long.detections * 9 / 10);

  // Back to where it was: nothing is kept of who is gone. What lives outside of the scope is looked after every 15 s.
  const auto is_back = [&] {
    return up_->metric("quell_enrich_containers") == 0.0 && up_->metric("quell_enrich_threads") <= threads_before + 64;
  };
  for (int i = 0; i < 60 && count >= 500 && !is_back(); ++i) usleep(1'000'000);
  if (count >= 500) {
    EXPECT_TRUE(is_back()) << up_->metric("quell_enrich_threads") << " threads (" << threads_before << " before), "
                           << up_->metric("quell_enrich_containers") << " containers";
    EXPECT_LE(static_cast<double>(rss[100]), static_cast<double>(rss[20]) * 1.25);
  }
  for (const char* gauge : {"quell_lookup_waiting", "quell_detect_held", "quell_detect_awaited"})
    EXPECT_EQ(up_->metric(gauge), 0.0) << gauge;
  EXPECT_EQ(up_->metric("quell_detect_not_completed_total"), 0.0);
}

}  // namespace
}  // namespace quell::test
