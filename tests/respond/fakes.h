#pragma once
// A machine and a runtime that behave as the real ones do where the responder can notice: pidfds and recycled pids,
// freezers, conflicts, restart policies, sockets that do not answer.
#include <fmt/format.h>
#include <csignal>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "model/action_journal.h"
#include "model/action_json.h"
#include "respond/runner.h"

namespace quell::respond {

inline constexpr int64_t kQuellPid = 500;

class FakeOs final : public os::Os {
 public:
  struct Process {
    os::ProcessFacts facts;
    bool frozen = false;
    bool immortal = false;  // ignores SIGKILL: waits in the kernel
  };

  explicit FakeOs(ManualClock& time) : clock(time) {
    add(1, 0, "systemd", "/usr/lib/systemd/systemd", "/init.scope");
    add(2, 0, "kthreadd", "", "/").facts.kernel_thread = true;
    add(kQuellPid - 1, 1, "bash", "/bin/bash", "/user");
    add(kQuellPid, kQuellPid - 1, "quell", "/usr/bin/quell", "/user");
  }

  Process& add(int64_t pid, int64_t ppid, std::string comm, std::string exe, std::string cgroup) {
    Process p;
    p.facts.id = {boot, pid, ++next_start};
    p.facts.ppid = ppid;
    p.facts.state = 'S';
    p.facts.comm = comm;
    p.facts.exepath = exe;
    p.facts.args = comm + std::string(1, '\0') + "-x";
    p.facts.exe_dev = 8;
    p.facts.exe_ino = std::hash<std::string>{}(exe);
    p.facts.pid_namespace = 1;
    p.facts.pid_in_namespace = pid;
    p.facts.cgroups = std::string("=") + cgroup;
    return processes[pid] = std::move(p);
  }
  void end(int64_t pid) { processes.erase(pid); }
  std::string cgroup_of(int64_t pid) const { return processes.at(pid).facts.cgroups; }

  std::string boot_id() const override { return boot; }
  Result<os::ProcessFacts> process_facts(int64_t pid) const override {
    const auto found = processes.find(pid);
    if (found == processes.end()) return Error{Code::gone, "no such process", {}};
    return found->second.facts;
  }
  Result<os::ProcessHandle> open_process(const ProcessId& id) const override {
    QUELL_TRY(os::ProcessFacts facts, process_facts(id.pid));
    if (id.start_ticks != 0 && facts.id.start_ticks != id.start_ticks)
      return Error{Code::stale, "that pid is another process now", {}};
    return os::ProcessHandle(-1, std::move(facts));
  }
  Result<void> signal(const os::ProcessHandle& process, int number) const override {
    if (before_signal) before_signal();
    if (!holds(process)) return Error{Code::gone, "the process has exited", {}};
    signals.emplace_back(process.facts().id.pid, number);
    if (number == SIGKILL && !processes.at(process.facts().id.pid).immortal) {
      const int64_t pid = process.facts().id.pid;
      processes.erase(pid);
      if (on_death) on_death(pid);
    }
    return {};
  }
  bool wait_exit(const os::ProcessHandle& process, uint64_t timeout_ns) const override {
    if (!holds(process) || processes.at(process.facts().id.pid).facts.state == 'Z') return true;
    clock.advance_ns(timeout_ns);
    return false;
  }
  Result<std::vector<int64_t>> cgroup_members(int64_t pid) const override {
    QUELL_TRY(os::ProcessFacts facts, process_facts(pid));
    if (facts.cgroups == "=/") return Error{Code::unsupported, "the root cgroup is the whole machine", {}};
    std::vector<int64_t> out;
    for (const auto& [member, process] : processes)
      if (process.facts.cgroups == facts.cgroups) out.push_back(member);
    return out;
  }
  Result<os::Frozen> freezer_state(int64_t pid) const override {
    if (!processes.contains(pid)) return Error{Code::gone, "no such process", {}};
    return freezer_lies ? os::Frozen::no : processes.at(pid).frozen ? os::Frozen::yes : os::Frozen::no;
  }
  Result<uint64_t> cgroup_cpu_ns(int64_t pid) const override {
    if (!processes.contains(pid)) return Error{Code::gone, "no such process", {}};
    return cpu_ns;
  }

  ManualClock& clock;
  std::string boot = "boot-1";
  mutable std::map<int64_t, Process> processes;
  mutable std::vector<std::pair<int64_t, int>> signals;
  std::function<void()> before_signal;
  std::function<void(int64_t)> on_death;
  uint64_t next_start = 1000, cpu_ns = 70'000'000;
  bool freezer_lies = false;

 private:
  bool holds(const os::ProcessHandle& handle) const {
    const auto found = processes.find(handle.facts().id.pid);
    return found != processes.end() && found->second.facts.id == handle.facts().id;
  }
};

/// What happens to a runtime call: nothing, or a failure before or after it took effect.
enum class Fault { none, refused, timeout_before, timeout_after, down };

class FakeRuntime final : public os::Runtime {
 public:
  using State = os::ContainerStatus::State;
  struct Box {
    os::ContainerStatus status;
    std::string cgroup;
    int starts = 0;
  };

  FakeRuntime(FakeOs& machine, std::string name) : os_(machine), name_(std::move(name)) {}

  /// A running container of two processes: its pid 1 (`pid`) and pid + 1.
  const std::string& add(std::string name, int64_t pid, std::string policy = "no", std::string image = "nginx") {
    const std::string id = fmt::format("{:064x}", pid);
    Box box;
    box.cgroup = "/docker/" + id;
    box.status.restart_policy = std::move(policy);
    Container info;
    info.full_id = id;
    info.id = id.substr(52);
    info.name = std::move(name);
    info.image = std::move(image);
    box.status.info = std::make_shared<const Container>(info);
    auto& placed = boxes[id] = std::move(box);
    start_processes(placed, pid);
    return boxes.find(id)->first;
  }
  Box& box(const std::string& name) const {
    for (auto& [id, box] : boxes)
      if (id == name || box.status.info->name == name) return box;
    std::abort();
  }
  void relabel(const std::string& name, std::map<std::string, std::string> labels) {
    Container info = *box(name).status.info;
    info.labels = std::move(labels);
    box(name).status.info = std::make_shared<const Container>(info);
  }
  /// Ends it and starts it again: same id, another life.
  void restart(const std::string& name) const {
    Box& target = box(name);
    end(target);
    start_processes(target, 3000 + 10 * ++restarts);
  }

  std::string_view name() const override { return name_; }
  Result<os::ContainerStatus> inspect(std::string_view id) const override {
    if (fault == Fault::down) return down();
    for (const auto& [full_id, box] : boxes)
      if (full_id.starts_with(id) || box.status.info->name == id) return box.status;
    return Error{Code::not_found, "no such container", {}};
  }
  Result<std::vector<std::string>> list() const override {
    if (fault == Fault::down) return down();
    std::vector<std::string> ids;
    for (const auto& [id, box] : boxes)
      if (box.status.state == State::running || box.status.state == State::paused) ids.push_back(id);
    return ids;
  }
  Result<void> pause(const std::string& id) const override {
    return act("pause", id, [this](Box& box) -> Result<void> {
      if (box.status.state != State::running) return Error{Code::conflict, "not running", {}};
      box.status.state = State::paused;
      freeze(box, true);
      return {};
    });
  }
  Result<void> unpause(const std::string& id) const override {
    return act("unpause", id, [this](Box& box) -> Result<void> {
      if (box.status.state != State::paused) return Error{Code::conflict, "not paused", {}};
      box.status.state = State::running;
      freeze(box, false);
      return {};
    });
  }
  Result<void> stop(const std::string& id, uint32_t) const override { return end_by_api("stop", id); }
  Result<void> kill(const std::string& id) const override { return end_by_api("kill", id); }
  Result<void> start(const std::string& id) const override {
    return act("start", id, [this](Box& box) -> Result<void> {
      start_processes(box, 4000 + 10 * ++restarts);
      return {};
    });
  }
  Result<void> set_restart_policy(const std::string& id, const std::string& policy) const override {
    return act("policy=" + policy, id, [&](Box& box) -> Result<void> {
      box.status.restart_policy = policy;
      return {};
    });
  }
  size_t count(const std::string& call) const {
    return static_cast<size_t>(std::count(calls.begin(), calls.end(), call));
  }

  mutable Fault fault = Fault::none;
  std::string faulty_call;  // empty: every acting call
  mutable std::map<std::string, Box> boxes;
  mutable std::vector<std::string> calls;  // what took effect
  std::function<void(const std::string&)> before_call, after_call;
  mutable int restarts = 0;

 private:
  static Error down() { return {Code::unavailable, "the socket does not answer", {}}; }

  Result<void> act(const std::string& call, const std::string& id,
                   const std::function<Result<void>(Box&)>& effect) const {
    const bool hit = faulty_call.empty() || faulty_call == call;
    if (fault == Fault::down && hit) return down();
    if (fault == Fault::refused && hit) return Error{Code::permission_denied, "the runtime says no", {}};
    if (fault == Fault::timeout_before && hit) return Error{Code::timeout, "no answer", {}};
    if (before_call) before_call(call);
    const auto found = boxes.find(id);
    if (found == boxes.end()) return Error{Code::not_found, "no such container", {}};
    QUELL_CHECK(effect(found->second));
    calls.push_back(call);
    if (after_call) after_call(call);
    if (fault == Fault::timeout_after && hit) return Error{Code::timeout, "no answer", {}};
    return {};
  }
  Result<void> end_by_api(const std::string& call, const std::string& id) const {
    return act(call, id, [this](Box& box) -> Result<void> {
      if (box.status.state == State::exited) return Error{Code::conflict, "not running", {}};
      end(box);
      return {};
    });
  }
  void start_processes(Box& box, int64_t pid) const {
    for (int64_t i = 0; i < 2; ++i) {
      auto& process = os_.add(pid + i, i == 0 ? 1 : pid, i == 0 ? "nginx" : "sh",
                              i == 0 ? "/usr/sbin/nginx" : "/bin/sh", box.cgroup);
      process.facts.pid_namespace = 1000 + static_cast<uint64_t>(pid);
      process.facts.pid_in_namespace = i + 1;
    }
    Container info = *box.status.info;
    info.started_at = fmt::format("start-{}-{}", pid, ++box.starts);
    box.status.info = std::make_shared<const Container>(info);
    box.status.pid = pid;
    box.status.state = State::running;
  }
  void end(Box& box) const {
    std::erase_if(os_.processes, [&](const auto& p) { return p.second.facts.cgroups == "=" + box.cgroup; });
    box.status.state = State::exited;
    box.status.pid = -1;
  }
  void freeze(Box& box, bool frozen) const {
    for (auto& [pid, process] : os_.processes)
      if (process.facts.cgroups == "=" + box.cgroup) process.frozen = frozen;
  }

  FakeOs& os_;
  std::string name_;
};

/// The crash of the engine, as a test sees it: nothing after it runs.
struct Crash {};

/// A journal in memory that can fail, and can crash the engine around its k-th write. As of a real one, its functions
/// may be called by any thread.
class FakeJournal final : public ActionJournal {
 public:
  Result<void> save_action(const ActionRecord& record) override {
    std::lock_guard lock(*mutex_);
    ++writes;
    if (writes == crash_before) throw Crash{};
    if (full) return Error{Code::io, "the disk is full", {}};
    const auto found = std::find_if(texts_.begin(), texts_.end(), [&](const auto& t) { return t.first == record.id; });
    // As text: what a real store would give back after a restart.
    if (found != texts_.end())
      found->second = action_to_json(record);
    else
      texts_.emplace_back(record.id, action_to_json(record));
    saved_states.push_back(record.state);
    if (writes == crash_after) throw Crash{};
    return {};
  }
  Result<ActionRecord> find_action(std::string_view id) const override {
    std::lock_guard lock(*mutex_);
    for (const auto& [known, text] : texts_)
      if (known == id) return action_from_json(text);
    return Error{Code::not_found, "no such action", {}};
  }
  Result<std::optional<ActionRecord>> find_action_by_key(std::string_view key) const override {
    std::lock_guard lock(*mutex_);
    std::optional<ActionRecord> out;
    for (const auto& [id, text] : texts_)
      if (auto record = action_from_json(text); record->command.idempotency_key == key) out = std::move(*record);
    return out;
  }
  Result<std::vector<ActionRecord>> list_actions(const ActionQuery& query) const override {
    std::lock_guard lock(*mutex_);
    std::vector<ActionRecord> out;
    for (auto it = texts_.rbegin(); it != texts_.rend() && out.size() < query.limit; ++it)
      if (auto record = action_from_json(it->second); !query.state || record->state == *query.state)
        out.push_back(std::move(*record));
    return out;
  }
  Result<std::string> setting(std::string_view name) const override {
    std::lock_guard lock(*mutex_);
    const auto found = settings_.find(std::string(name));
    return found == settings_.end() ? std::string() : found->second;
  }
  Result<void> save_setting(std::string_view name, std::string_view value) override {
    std::lock_guard lock(*mutex_);
    if (full) return Error{Code::io, "the disk is full", {}};
    settings_[std::string(name)] = value;
    return {};
  }
  Result<std::vector<ActionRecord>> unsettled_actions() const override {
    std::lock_guard lock(*mutex_);
    std::vector<ActionRecord> out;
    for (const auto& [id, text] : texts_)
      if (auto record = action_from_json(text); is_unsettled(*record)) out.push_back(std::move(*record));
    return out;
  }
  size_t size() const {
    std::lock_guard lock(*mutex_);
    return texts_.size();
  }

  int writes = 0, crash_before = 0, crash_after = 0;
  bool full = false;
  std::vector<ActionState> saved_states;

 private:
  std::unique_ptr<std::mutex> mutex_ = std::make_unique<std::mutex>();  // tests put a new journal in its place
  std::vector<std::pair<std::string, std::string>> texts_;
  std::map<std::string, std::string> settings_;
};

}  // namespace quell::respond
