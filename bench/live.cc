// What the sensor costs the machine: the loads without it, with it, and its own CPU. Figures with and without come from
// the same run, alternating; the ratio is what to look at.
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <optional>

#include "capture/ebpf/call_tracepoints.h"
#include "loads.h"
#include "run.h"
#include "sensor.h"

namespace quell::bench {
namespace {

struct Load {
  const char* name;
  double (*work)(uint64_t);
  uint64_t count, quick_count;
  const char* unit;
};
constexpr Load kLoads[] = {
    {"getpid", load_getpid, 5'000'000, 500'000, "ns/call"},
    {"read_write", load_read_write, 2'000'000, 200'000, "ns/call"},
    {"open_read_close", load_open_read_close, 300'000, 60'000, "ns/call"},
    {"connect", load_connect, 20'000, 3'000, "ns/round"},
    {"spawn", load_spawn, 800, 150, "ns/spawn"},
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Two rules for the same load: one that has to see every open, one for which the kernel can drop them.
std::string rule_file(const std::string& name, const std::string& condition) {
  const std::string path = scratch() + "/" + name + ".yaml";
  std::ofstream(path) << "- rule: " << name << "\n  desc: for this measurement\n  condition: " << condition
                      << "\n  output: \"%proc.name\"\n  priority: INFO\n";
  return path;
}

/// A program that does nothing on the tracepoint of one call: the least that any sensor of this kind can cost.
class EmptyProgram {
 public:
  static std::optional<EmptyProgram> attach() {
    const bpf_insn code[] = {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0}, {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
    bpf_attr attributes{};
    attributes.prog_type = BPF_PROG_TYPE_TRACEPOINT;
    attributes.insns = reinterpret_cast<uint64_t>(code);
    attributes.insn_cnt = std::size(code);
    attributes.license = reinterpret_cast<uint64_t>("GPL");
    const auto fd = static_cast<int>(syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes));
    auto tracepoints = capture::CallTracepoints::open();
    std::optional<EmptyProgram> out;
    if (fd >= 0 && tracepoints && tracepoints->attach({{"close", fd}}))
      out.emplace(EmptyProgram(std::move(*tracepoints)));
    if (fd >= 0) close(fd);
    return out;
  }

 private:
  explicit EmptyProgram(capture::CallTracepoints tracepoints) : tracepoints_(std::move(tracepoints)) {}
  capture::CallTracepoints tracepoints_;
};

/// The loads side by side without a sensor, with an empty program, and with sensors that deliver opens or drop them.
int compare(bool quick) {
  auto group = LoadGroup::create();
  if (!group) {
    std::fprintf(stderr, "bench: %s\n", group.error().str().c_str());
    return 1;
  }
  struct Column {
    std::vector<double> getpid, open, connect, spawn;
  };
  const auto run_all = [&](Column& column) {
    const auto once = [&](const Load& load) { return (*group)->run([&] { return load.work(load.quick_count); }); };
    column.getpid.push_back(once(kLoads[0]));
    column.open.push_back(once(kLoads[2]));
    column.connect.push_back(once(kLoads[3]));
    column.spawn.push_back(once(kLoads[4]));
  };
  const std::string sees = rule_file("sees", "evt.type in (open, openat, openat2) and fd.name = /not/there");
  const std::string drops = rule_file(
      "drops", "evt.type in (open, openat, openat2) and evt.is_open_write=true and fd.num>=0 and fd.name = /x");
  Column without, empty, delivered, dropped;
  for (int round = 0; round < (quick ? 1 : 7); ++round) {
    wait_for_quiet_tracepoints();
    run_all(without);
    if (const auto program = EmptyProgram::attach()) run_all(empty);
    for (const auto& [file, column] : {std::pair{&sees, &delivered}, std::pair{&drops, &dropped}}) {
      wait_for_quiet_tracepoints();
      auto sensor = Sensor::start(**group, {*file});
      if (!sensor) {
        std::fprintf(stderr, "bench: %s\n", sensor.error().str().c_str());
        return 1;
      }
      run_all(*column);
    }
  }
  figure("live.getpid_ratio", median(delivered.getpid) / median(without.getpid), "x");
  if (!empty.getpid.empty())
    figure("live.getpid_vs_empty_program", median(delivered.getpid) / median(empty.getpid), "x");
  figure("live.open_read_close_ratio.delivered", median(delivered.open) / median(without.open), "x");
  figure("live.open_read_close_ratio.dropped", median(dropped.open) / median(without.open), "x");
  figure("live.connect_ratio", median(delivered.connect) / median(without.connect), "x");
  figure("live.spawn_ratio", median(delivered.spawn) / median(without.spawn), "x");
  return 0;
}

double total_lost = 0;

int measure(bool quick, const std::string& rules_name, const std::vector<std::string>& rules) {
  auto group = LoadGroup::create();
  if (!group) {
    std::fprintf(stderr, "bench: %s\n", group.error().str().c_str());
    return 1;
  }
  const int rounds = quick ? 1 : 3;
  std::vector<std::vector<double>> without(std::size(kLoads)), with(std::size(kLoads));
  double sensor_cpu = 0, events = 0, lost = 0;
  for (int round = 0; round < rounds; ++round) {
    wait_for_quiet_tracepoints();
    for (size_t i = 0; i < std::size(kLoads); ++i) {
      const uint64_t count = quick ? kLoads[i].quick_count : kLoads[i].count;
      without[i].push_back((*group)->run([&] { return kLoads[i].work(count); }));
    }
    auto sensor = Sensor::start(**group, rules);
    if (!sensor) {
      std::fprintf(stderr, "bench: %s\n", sensor.error().str().c_str());
      return 1;
    }
    for (size_t i = 0; i < std::size(kLoads); ++i) {
      const uint64_t count = quick ? kLoads[i].quick_count : kLoads[i].count;
      const double events_before = (*sensor)->metric("quell_capture_events_total");
      const double cpu_before = (*sensor)->cpu_s();
      with[i].push_back((*group)->run([&] { return kLoads[i].work(count); }));
      while (!(*sensor)->read_line(300).empty()) {
      }
      if (kLoads[i].work == load_open_read_close) {
        sensor_cpu += (*sensor)->cpu_s() - cpu_before;
        events += (*sensor)->metric("quell_capture_events_total") - events_before;
      }
    }
    lost += (*sensor)->metric("quell_capture_lost_events_total");
    if (round == 0) figure("live." + rules_name + ".rss", static_cast<double>((*sensor)->rss_kb()) / 1024, "MiB");
  }
  for (size_t i = 0; i < std::size(kLoads); ++i) {
    const std::string name = "live." + rules_name + "." + kLoads[i].name;
    figure(name + ".without", median(without[i]), kLoads[i].unit);
    figure(name + ".with", median(with[i]), kLoads[i].unit);
    figure(name + ".ratio", median(with[i]) / median(without[i]), "x");
  }
  figure("live.cpu_us_per_event." + rules_name, events == 0 ? 0 : sensor_cpu * 1e6 / events, "us/event");
  figure("live." + rules_name + ".lost", lost, "events");
  total_lost += lost;
  return 0;
}

}  // namespace
}  // namespace quell::bench

int main(int argc, char** argv) {
  using namespace quell::bench;
  const bool quick = has_flag(argc, argv, "--quick");
  int status = measure(quick, "shipped", {std::string(QUELL_SOURCE_DIR) + "/content/rules"});
  if (const char* data = std::getenv("QUELL_TEST_DATA"); data != nullptr && !quick) {
    const std::string folder = std::string(data) + "/falco-rules/";
    status |= measure(quick, "stable", {folder + "falco_rules.yaml"});
    status |= measure(
        quick, "all",
        {folder + "falco_rules.yaml", folder + "falco-incubating_rules.yaml", folder + "falco-sandbox_rules.yaml"});
  }
  figure("live.lost", total_lost, "events");
  return status | compare(quick);
}
