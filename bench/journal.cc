// What a save of the action journal costs, flush included: p50, p99 and the worst of N. Usage: bench_journal [N] [DIR]
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "base/clock.h"
#include "record/store.h"

using namespace quell;

namespace {

// As large as real ones: a preview of a container with some dozens of processes, a proof, a line of history per state.
ActionRecord sample(uint64_t number) {
  ActionRecord record;
  record.id = fmt::format("a-{:016x}", number);
  record.command.action = "container.pause";
  record.command.target = "container:web";
  record.command.actor = "uid:0 (root)";
  record.command.reason = "miner";
  record.command.idempotency_key = fmt::format("key-{}", number);
  record.target.kind = EntityKind::container;
  record.target.container_id = std::string(64, 'c');
  record.requested_ns = number + 1;
  std::string affected;
  for (int pid = 1; pid <= 30; ++pid)
    affected += fmt::format(R"({}{{"pid":{},"comm":"worker","cmdline":"/usr/bin/worker --number {}"}})",
                            pid == 1 ? "" : ",", pid, pid);
  record.preview_json = fmt::format(R"({{"effects":["all its processes stop"],"affected":[{}]}})", affected);
  record.pre_state_json = R"({"paused":false})";
  return record;
}

}  // namespace

int main(int argc, char** argv) {
  const size_t count = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1000;
  std::string folder = argc > 2 ? argv[2] : ".";
  folder += "/bench-journal-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) return 1;
  std::vector<double> ms;
  {
    auto store = record::open_store({.data_dir = folder + "/data"});
    if (!store) return fmt::print(stderr, "{}\n", store.error().str()), 1;
    constexpr ActionState kLife[] = {ActionState::authorised, ActionState::executing, ActionState::verifying,
                                     ActionState::contained};
    ActionRecord record;
    for (size_t i = 0; i < count; ++i) {
      if (i % 4 == 0) record = sample(i);
      record.state = kLife[i % 4];
      record.history.emplace_back(i, record.state);
      if (i % 4 == 3) record.proof_json = R"({"immediate":{"frozen":true,"cgroup":"/x"}})";
      const uint64_t before = system_clock().monotonic_ns();
      if (auto saved = (*store)->save_action(record); !saved) return fmt::print("{}\n", saved.error().str()), 1;
      ms.push_back(static_cast<double>(system_clock().monotonic_ns() - before) / 1e6);
    }
  }
  std::filesystem::remove_all(folder);
  std::sort(ms.begin(), ms.end());
  fmt::print("save_action: n={} p50={:.3f} ms p99={:.3f} ms max={:.3f} ms\n", ms.size(), ms[ms.size() / 2],
             ms[ms.size() * 99 / 100], ms.back());
}
