// What policies cost: a detection that none of 100 policies matches, one that one of them matches, and a back-test over
// a million recorded detections, from the data directory and from memory.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "record/stores.h"
#include "respond/policy/backtest.h"
#include "respond/policy/reader.h"
#include "run.h"

namespace {

using namespace quell;
using namespace quell::respond::policy;
using bench::figure;

constexpr uint64_t kStartNs = 1'790'000'000ull * kSecondNs;

double now_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

std::shared_ptr<const Policy> policy(const std::string& name, const std::string& rule) {
  static constexpr ActionFacts kPause{"container.pause", EffectClass::soft, true, true, 900, TargetKind::container};
  const ActionCatalogue catalogue{[](std::string_view action) { return action == kPause.name ? &kPause : nullptr; },
                                  {"container.pause"}};
  const PolicyFile file = read_policies(
      name,
      fmt::format(
          "apiVersion: quell/v1\nkind: ResponsePolicy\nmetadata: {{name: {}, owner: bench, version: 1}}\nspec:\n"
          "  mode: observe\n  match:\n    all:\n      - rule: {{anyOf: [\"{}\", \"Other {}\"]}}\n"
          "      - severity: {{gte: medium}}\n      - field: {{k8s.ns.name: {{notIn: [kube-system]}}}}\n"
          "  threshold: {{count: 2, distinct: rule, window: 60s, groupBy: [container.id]}}\n"
          "  actions: [container.pause]\n",
          name, rule, rule),
      {.actions = catalogue});
  if (file.policies.size() != 1) {
    std::fprintf(stderr, "bench: %s", readable(file.problems).c_str());
    std::exit(1);
  }
  return file.policies.front();
}

/// As rich as those of a sensor are: a dozen output fields, container, ancestors.
Detection detection(uint64_t number) {
  Detection out;
  out.id = fmt::format("d-{:016x}", number);
  out.rule = number % 2 == 0 ? "Interactive shell" : "Other Interactive shell";
  out.priority = Priority::error;
  out.source = "syscall";
  out.tags = {"container", "shell", "mitre_execution", "T1059"};
  out.message = "An interactive shell was started in a container (user=root command=bash -i parent=nginx)";
  out.hostname = "node-1";
  out.kernel_ns = kStartNs + number * 2'000'000'000;  // a million in 23 days
  const std::string id = fmt::format("{:012x}", number / 2 * 2'654'435'761 % 5'000);
  out.container_id = id;
  out.container_full_id = id + std::string(52, '0');
  out.process = {"0c8c2d4e-6c1b-4a55-9c32-6d0f2ad1a001", static_cast<int64_t>(1'000 + number % 30'000), number};
  out.process_name = "bash";
  out.exepath = "/usr/bin/bash";
  out.cmdline = "bash -i";
  out.user_name = "root";
  for (const char* field :
       {"container.id", "container.image.repository", "container.image.tag", "container.name", "evt.type", "fd.name",
        "k8s.ns.name", "k8s.pod.name", "proc.cmdline", "proc.exepath", "proc.name", "proc.pname", "user.name"})
    out.output_fields.emplace_back(field, std::string(field) == "container.id" ? id : "value of " + std::string(field));
  for (int i = 0; i < 4; ++i)
    out.ancestors.push_back({{out.process.boot_id, 100 + i, 1}, "nginx", "/usr/sbin/nginx", "nginx: worker process"});
  auto container = std::make_shared<Container>();
  container->id = id;
  container->full_id = out.container_full_id;
  container->name = "web";
  container->image = "registry.example/web:1";
  container->image_repository = "registry.example/web";
  container->labels = {{"app", "web"}, {"team", "shop"}};
  container->started_at = "2026-11-22T10:00:00Z";
  out.container = container;
  return out;
}

void feeds(bool quick) {
  std::vector<std::shared_ptr<const Policy>> policies;
  for (int i = 0; i < 100; ++i) policies.push_back(policy(fmt::format("p{}", i), fmt::format("Rule number {}", i)));
  const uint64_t count = quick ? 200'000 : 5'000'000;
  std::vector<Detection> detections;
  for (uint64_t i = 0; i < 1'000; ++i) detections.push_back(detection(i));
  const auto measure = [&](const std::string& name) {
    PolicyEngine engine(policies, {});
    std::vector<Decision> decisions;
    const double start_s = now_s();
    for (uint64_t i = 0; i < count; ++i) {
      const Detection& one = detections[i % detections.size()];
      engine.feed(one, {.now_ns = one.kernel_ns}, decisions);
      decisions.clear();
    }
    figure(name, static_cast<double>(count) / (now_s() - start_s), "1/s");
  };
  measure("policy.feeds_none_of_100_matches");
  policies.back() = policy("p99", "Interactive shell");
  measure("policy.feeds_one_of_100_matches");
}

void backtests(bool quick) {
  const uint64_t count = quick ? 50'000 : 1'000'000;
  BacktestInput input;
  input.policies = {policy("p", "Interactive shell")};
  Detection held;
  uint64_t made = 0;
  input.next = [&]() -> Result<const Detection*> {
    if (made == count) return nullptr;
    held = detection(made++);
    return &held;
  };
  const double start_s = now_s();
  auto report = backtest(input);
  if (!report) std::exit(1);
  figure("policy.backtest_memory_s", now_s() - start_s, "s");
  figure("policy.backtest_fired", static_cast<double>(report->policies[0].counters.fired), "firings");

  const std::string folder = bench::scratch() + "/data";
  {
    auto store = record::open_store({.data_dir = folder, .max_detections = 2'000'000});
    if (!store) std::exit(1);
    std::vector<Detection> batch;
    for (uint64_t i = 0; i < count; ++i) {
      batch.push_back(detection(i));
      if (batch.size() < 1'000 && i + 1 < count) continue;
      if (!(*store)->insert(batch)) std::exit(1);
      batch.clear();
    }
  }
  const std::string file = bench::scratch() + "/p.yaml";
  std::ofstream(file)
      << "apiVersion: quell/v1\nkind: ResponsePolicy\nmetadata: {name: p, owner: bench, version: 1}\nspec:\n"
         "  mode: observe\n  match: {rule: [Interactive shell, Other Interactive shell]}\n"
         "  threshold: {count: 2, distinct: rule, window: 60s, groupBy: [container.id]}\n"
         "  actions: [container.pause]\n";
  const bench::Usage usage =
      bench::run({bench::quell_binary(), "policy", "backtest", file, "--from", "2026-01-01", "--data-dir", folder});
  if (usage.status != 0) std::exit(1);
  figure("policy.backtest_stored_s", usage.wall_s, "s");
  figure("policy.backtest_stored_cpu_s", usage.cpu_s, "s");
  figure("policy.backtest_rss", static_cast<double>(usage.max_rss_kb) / 1024, "MiB");
  figure("policy.backtest_detections", static_cast<double>(count), "detections");
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = quell::bench::has_flag(argc, argv, "--quick");
  feeds(quick);
  backtests(quick);
  return 0;
}
