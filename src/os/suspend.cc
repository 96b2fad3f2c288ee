#include "os/suspend.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "base/clock.h"
#include "os/cgroup_tree.h"
#include "os/proc_fs.h"

namespace quell::os {
namespace {

Error gone(int64_t pid) { return {Code::gone, fmt::format("process {} does not exist any more", pid), {}}; }

Result<Suspension> look_at_threads(const Os& os, const ProcessHandle& process) {
  const int64_t pid = process.facts().id.pid;
  const auto states = thread_states(pid);
  // The descriptor says whose threads these were.
  if (os.wait_exit(process, 0)) return gone(pid);
  if (!states) return states.error();
  const auto stopped = static_cast<size_t>(
      std::count_if(states->begin(), states->end(), [](char state) { return state == 'T' || state == 't'; }));
  if (stopped == 0) return Suspension::running;
  return stopped == states->size() ? Suspension::suspended : Suspension::partly;
}

bool is_alone(const Freezer& freezer, int64_t pid) {
  const auto members = members_of(freezer.directory);
  return members && *members == std::vector<int64_t>{pid};
}

Result<bool> wait_until(const Os& os, const ProcessHandle& process, const SuspendPlan& plan, Suspension wanted,
                        uint64_t timeout_ns) {
  const uint64_t started = system_clock().monotonic_ns();
  for (uint64_t step_us = 50;; step_us = std::min<uint64_t>(step_us * 2, 10'000)) {
    QUELL_TRY(const Suspension now, look_suspended(os, process, plan));
    if (now == wanted) return true;
    if (system_clock().monotonic_ns() - started >= timeout_ns) return false;
    ::usleep(static_cast<useconds_t>(step_us));
  }
}

}  // namespace

void write_json(JsonWriter& out, const SuspendPlan& plan) {
  out.begin_object();
  out.text("by", plan.freezer ? "freezer" : "signal").flag("was_suspended", plan.was_suspended);
  if (plan.freezer) {
    out.key("freezer");
    write_json(out, *plan.freezer);
  }
  out.end_object();
}

Result<SuspendPlan> suspend_plan_from_json(const Json& json) {
  SuspendPlan plan;
  const std::string by = json.at("by").str();
  if (by != "freezer" && by != "signal")
    return Error{Code::malformed, "a recorded suspension says by what: freezer or signal", {}};
  plan.was_suspended = json.at("was_suspended").boolean();
  if (by == "freezer") {
    QUELL_TRY(Freezer freezer, freezer_from_json(json.at("freezer")));
    plan.freezer = std::move(freezer);
  }
  return plan;
}

Result<SuspendPlan> plan_suspend(const Os& os, const ProcessHandle& process) {
  const int64_t pid = process.facts().id.pid;
  if (pid == 1 || pid == ::getpid() || process.facts().kernel_thread)
    return Error{Code::refused,
                 fmt::format("process {} is {}", pid,
                             pid == 1                        ? "the machine's first process"
                             : process.facts().kernel_thread ? "a part of the kernel"
                                                             : "Quell itself"),
                 {}};
  SuspendPlan plan;
  if (const auto freezers = freezers_of(pid))
    for (const Freezer& freezer : *freezers)
      if (!plan.freezer && is_alone(freezer, pid)) plan.freezer = freezer;
  QUELL_TRY(const Suspension now, look_suspended(os, process, plan));
  plan.was_suspended = now == Suspension::suspended;
  return plan;
}

Result<Suspension> look_suspended(const Os& os, const ProcessHandle& process, const SuspendPlan& plan) {
  if (!plan.freezer) return look_at_threads(os, process);
  if (os.wait_exit(process, 0)) return gone(process.facts().id.pid);
  QUELL_TRY(const Frozen state, state_of(*plan.freezer));
  switch (state) {
    case Frozen::no: return Suspension::running;
    case Frozen::freezing: return Suspension::partly;
    case Frozen::yes: return Suspension::suspended;
  }
  return Suspension::running;
}

Result<void> suspend(const Os& os, const ProcessHandle& process, const SuspendPlan& plan, uint64_t timeout_ns) {
  const int64_t pid = process.facts().id.pid;
  if (plan.was_suspended) return {};
  if (plan.freezer) {
    QUELL_TRY(const Suspension before, look_suspended(os, process, plan));
    if (before == Suspension::suspended) return {};
    const Error crowded{Code::conflict, fmt::format("process {} is not alone in its cgroup any more: plan again", pid),
                        plan.freezer->directory};
    if (!is_alone(*plan.freezer, pid)) return crowded;
    QUELL_CHECK(freeze(*plan.freezer, timeout_ns));
    if (is_alone(*plan.freezer, pid)) return {};
    QUELL_CHECK(thaw(*plan.freezer, timeout_ns));
    return crowded;
  }
  QUELL_CHECK(os.signal(process, SIGSTOP));
  QUELL_TRY(const bool stopped, wait_until(os, process, plan, Suspension::suspended, timeout_ns));
  if (stopped) return {};
  return Error{
      Code::timeout,
      fmt::format("process {} has threads that have not stopped: they wait in the kernel and stop when they leave it",
                  pid),
      {}};
}

Result<void> resume(const Os& os, const ProcessHandle& process, const SuspendPlan& plan, uint64_t timeout_ns) {
  if (plan.was_suspended) return {};
  const int64_t pid = process.facts().id.pid;
  QUELL_TRY(const Suspension now, look_suspended(os, process, plan));
  if (now == Suspension::running)
    return Error{Code::conflict, fmt::format("process {} runs already: somebody else has continued it", pid), {}};
  if (plan.freezer) return thaw(*plan.freezer, timeout_ns);
  QUELL_CHECK(os.signal(process, SIGCONT));
  QUELL_TRY(const bool runs, wait_until(os, process, plan, Suspension::running, timeout_ns));
  if (runs) return {};
  return Error{Code::timeout, fmt::format("process {} has not continued: a tracer may hold it", pid), {}};
}

}  // namespace quell::os
