#include "os/kill_tree.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>

#include "base/clock.h"
#include "os/cgroup_tree.h"
#include "os/descriptor.h"
#include "os/freezer.h"
#include "os/proc_fs.h"
#include "os/urgency.h"

namespace quell::os {
namespace {

constexpr uint64_t kFreezePatienceNs = 250'000'000;
constexpr size_t kMaxMembers = 65536;  // a tree that grows beyond this is reported as not settled
constexpr size_t kQuietPasses = 2;     // one could have run while a fork was under way

bool is_dead_state(char state) { return state == 'Z' || state == 'X'; }

/// Cannot fork any more: stopped, traced and stopped, or waiting in the kernel with the signal pending.
bool stands_still(int64_t pid) {
  const auto states = thread_states(pid);
  return !states || states->find_first_not_of("TtD") == std::string::npos;
}

class TreeKiller {
 public:
  TreeKiller(const Os& os, const KillTreeRequest& request)
      : os_(os), request_(request), started_(system_clock().monotonic_ns()) {}

  Result<KillTreeResult> run() {
    QUELL_CHECK(look());
    QUELL_TRY(result_.method, choose());
    switch (result_.method) {
      case KillMethod::cgroup_kill: QUELL_CHECK(kill_by_cgroup()); break;
      case KillMethod::frozen_sweep: QUELL_CHECK(kill_frozen()); break;
      case KillMethod::stopped_sweep: QUELL_CHECK(kill_stopped()); break;
    }
    settle();
    result_.duration_ns = system_clock().monotonic_ns() - started_;
    return std::move(result_);
  }

 private:
  struct Member {
    uint64_t start_ticks = 0;
    bool stopped = false, killed = false;
    std::string refusal;  // why it could not be signalled
  };

  bool in_time() const { return system_clock().monotonic_ns() - started_ < request_.budget_ns; }

  /// A living process of the tree through which its session or cgroup can be found: the root, or else the first of the
  /// expected that still lives.
  Result<ProcessHandle> anchor() const {
    auto root = os_.open_process(request_.root);
    if (root) return root;
    for (const ProcessId& id : request_.expected)
      if (auto handle = os_.open_process(id)) return handle;
    return root;
  }

  Result<void> look() {
    QUELL_TRY(const ProcessHandle root, anchor());
    QUELL_TRY(const ProcessTable table, read_process_table());
    QUELL_TRY(const TreePids tree, find_tree_pids(os_, root, request_.scope, table));
    directory_ = tree.cgroup;
    if (directory_.ends_with(".slice"))
      return Error{Code::refused, "a slice is shared by many services: name one of them", directory_};
    session_ = table.contains(root.facts().id.pid) ? table.at(root.facts().id.pid).session : 0;
    anchor_ = root.facts().id;
    for (const int64_t pid : tree.pids)
      if (const auto node = table.find(pid); node != table.end() && !is_dead_state(node->second.state))
        members_[pid].start_ticks = node->second.start_ticks;
    for (const ProcessId& id : request_.expected)
      if (const auto node = table.find(id.pid); node != table.end() && node->second.start_ticks == id.start_ticks)
        members_[id.pid].start_ticks = id.start_ticks;
    return refuse_others(table);
  }

  /// Only a cgroup can hold others than were meant: relatives are relatives.
  Result<void> refuse_others(const ProcessTable& table) const {
    if (request_.scope != TreeScope::cgroup) return {};
    std::set<int64_t> expected;
    for (const ProcessId& id : request_.expected) {
      const auto node = table.find(id.pid);
      if (node == table.end() || node->second.start_ticks == id.start_ticks) expected.insert(id.pid);
    }
    const std::set<int64_t> known = descendants_in(table, expected);
    std::string others;
    size_t count = 0;
    for (const auto& [pid, member] : members_) {
      const bool born_since = request_.previewed_ticks != 0 && member.start_ticks >= request_.previewed_ticks;
      if (known.contains(pid) || born_since || !table.contains(pid)) continue;
      if (++count <= 5) others += fmt::format("{}{}", others.empty() ? "" : ", ", pid);
    }
    if (count == 0) return {};
    return Error{Code::conflict,
                 fmt::format("{} process{} would die too that the preview did not show ({}{}): preview again", count,
                             count == 1 ? "" : "es", others, count > 5 ? ", ..." : ""),
                 directory_};
  }

  Result<KillMethod> choose() const {
    const bool whole = request_.scope == TreeScope::cgroup;
    const bool has_kill = whole && ::access((directory_ + "/cgroup.kill").c_str(), W_OK) == 0;
    const bool has_freezer = whole && freezers_of(anchor_.pid).has_value();
    if (!request_.method)
      return has_kill ? KillMethod::cgroup_kill : has_freezer ? KillMethod::frozen_sweep : KillMethod::stopped_sweep;
    if ((*request_.method == KillMethod::cgroup_kill && !has_kill) ||
        (*request_.method == KillMethod::frozen_sweep && !has_freezer))
      return Error{Code::unsupported,
                   fmt::format("{} needs a cgroup of the tree's own that can do it", to_string(*request_.method)),
                   directory_};
    return *request_.method;
  }

  Result<void> kill_by_cgroup() {
    const auto file = open_at(AT_FDCWD, directory_ + "/cgroup.kill", O_WRONLY);
    if (!file && file.error().code == Code::not_found) return {};  // the cgroup has ended
    if (!file) return file.error();
    if (::write(file->get(), "1", 1) != 1) {
      // A threaded cgroup has no members of its own that could be killed this way.
      if (errno == EOPNOTSUPP && !request_.method) {
        result_.method = KillMethod::stopped_sweep;
        return kill_stopped();
      }
      return errno_error(errno, "cannot end the cgroup", directory_ + "/cgroup.kill");
    }
    for (auto& [pid, member] : members_) member.killed = true;
    // Who left the cgroup is still alive.
    if (auto inside = members_of(directory_))
      for (auto& [pid, member] : members_)
        if (!std::binary_search(inside->begin(), inside->end(), pid)) member.killed = false;
    kill_all();
    return thaw_the_dying();
  }

  Result<void> kill_frozen() {
    QUELL_TRY(const std::vector<Freezer> freezers, freezers_of(anchor_.pid));
    const Freezer& freezer = freezers.front();
    QUELL_TRY(const Frozen before, state_of(freezer));
    // What cannot be frozen in time is killed all the same, in more passes.
    const auto frozen = freeze(freezer, kFreezePatienceNs);
    if (!frozen && frozen.error().code != Code::timeout) return frozen.error();
    auto checked = look();
    if (!checked && checked.error().code != Code::gone) {
      if (before == Frozen::no) (void)thaw(freezer, kFreezePatienceNs);
      return checked.error();
    }
    sweep([this](Member& member, const ProcessId& id) { kill(member, id); });
    // Whoever is inside now has SIGKILL pending and does not run again: it dies on its way out of the freezer.
    if (before == Frozen::no) (void)thaw(freezer, kFreezePatienceNs);
    return thaw_the_dying();
  }

  Result<void> kill_stopped() {
    sweep([this](Member& member, const ProcessId& id) { stop(member, id); }, /*until_still=*/true);
    kill_all();
    sweep([this](Member& member, const ProcessId& id) { kill(member, id); });
    return thaw_the_dying();
  }

  /// Looks at the tree until kQuietPasses in a row find nobody to whom `act` was not done.
  template <typename Act>
  void sweep(const Act& act, bool until_still = false) {
    size_t quiet = 0;
    while (quiet < kQuietPasses) {
      if (!in_time() || members_.size() > kMaxMembers) {
        result_.settled = false;
        return;
      }
      ++result_.passes;
      bool is_quiet = true;
      const auto table = read_process_table();
      if (!table) continue;
      for (const int64_t pid : present(*table)) {
        const ProcessNode& node = table->at(pid);
        if (is_dead_state(node.state)) continue;
        auto [entry, is_new] = members_.try_emplace(pid);
        Member& member = entry->second;
        if (is_new || member.start_ticks != node.start_ticks) {
          // A recycled pid that is in the tree is a member of its own; the one before it is dead.
          if (!is_new && member.killed) dead_.push_back({os_.boot_id(), pid, member.start_ticks});
          member = {.start_ticks = node.start_ticks, .stopped = false, .killed = false, .refusal = {}};
        }
        const ProcessId id{os_.boot_id(), pid, node.start_ticks};
        const bool before = member.stopped || member.killed || !member.refusal.empty();
        act(member, id);
        if (!before) is_quiet = false;
      }
      if (is_quiet && until_still)
        for (const auto& [pid, member] : members_)
          if (member.stopped && !stands_still(pid)) is_quiet = false;
      quiet = is_quiet ? quiet + 1 : 0;
    }
  }

  /// Pids of the tree in this reading.
  std::set<int64_t> present(const ProcessTable& table) const {
    std::set<int64_t> seeds;
    for (const auto& [pid, member] : members_) {
      const auto node = table.find(pid);
      if (node == table.end() || node->second.start_ticks == member.start_ticks) seeds.insert(pid);
    }
    std::set<int64_t> pids;
    if (request_.scope == TreeScope::cgroup) {
      if (auto inside = members_of(directory_)) pids.insert(inside->begin(), inside->end());
      for (const int64_t pid : seeds) pids.insert(pid);
    } else {
      pids = descendants_in(table, seeds);
      if (request_.scope == TreeScope::session && session_ > 0)
        for (const auto& [pid, node] : table)
          if (node.session == session_) pids.insert(pid);
    }
    const std::set<int64_t> ours = own_line(table);
    std::erase_if(pids, [&](int64_t pid) { return !table.contains(pid) || ours.contains(pid); });
    return pids;
  }

  void stop(Member& member, const ProcessId& id) {
    if (!member.stopped && member.refusal.empty()) member.stopped = signal(member, id, SIGSTOP);
  }
  void kill(Member& member, const ProcessId& id) {
    if (!member.killed && member.refusal.empty()) member.killed = signal(member, id, SIGKILL);
  }
  void kill_all() {
    for (auto& [pid, member] : members_) kill(member, {os_.boot_id(), pid, member.start_ticks});
  }
  /// True when it was sent, or there is nobody to send it to.
  bool signal(Member& member, const ProcessId& id, int number) {
    const auto sent = signal_verified(id, number);
    if (!sent && sent.error().code != Code::gone && sent.error().code != Code::stale) {
      member.refusal = sent.error().message;
      return false;
    }
    return true;
  }

  /// Under a v1 freezer SIGKILL waits for the thaw. Only where all that would wake up are to die.
  Result<void> thaw_the_dying() {
    for (const auto& [pid, member] : members_) {
      if (!member.killed) continue;
      // A frozen one waits in the kernel, as /proc sees it.
      if (const auto stat = read_proc_stat(pid); !stat || stat->state != 'D') continue;
      const auto freezers = freezers_of(pid);
      if (!freezers) continue;
      for (const Freezer& freezer : *freezers) {
        if (freezer.version != Freezer::Version::v1) continue;
        const auto state = state_of(freezer);
        const auto inside = members_of(freezer.directory);
        if (!state || *state == Frozen::no || !inside) continue;
        if (std::all_of(inside->begin(), inside->end(), [&](int64_t other) {
              const auto found = members_.find(other);
              return found != members_.end() && found->second.killed;
            }))
          (void)thaw(freezer, kFreezePatienceNs);
      }
    }
    return {};
  }

  /// Waits for the deaths, and kills who was born by a fork that was under way.
  void settle() {
    uint64_t step_us = 100;
    for (;;) {
      const auto table = read_process_table();
      if (table) {
        ++result_.passes;
        std::vector<int64_t> alive;
        bool is_new = false;
        for (const int64_t pid : present(*table)) {
          const ProcessNode& node = table->at(pid);
          if (is_dead_state(node.state)) continue;
          Member& member = members_[pid];
          if (member.start_ticks != node.start_ticks) {
            if (member.start_ticks != 0) dead_.push_back({os_.boot_id(), pid, member.start_ticks});
            member = {.start_ticks = node.start_ticks, .stopped = false, .killed = false, .refusal = {}};
            is_new = true;
          }
          kill(member, {os_.boot_id(), pid, member.start_ticks});
          alive.push_back(pid);
        }
        quiet_deaths_ = alive.empty() && !is_new ? quiet_deaths_ + 1 : 0;
        if (quiet_deaths_ >= kQuietPasses || !in_time()) {
          finish(alive);
          return;
        }
      } else if (!in_time()) {
        finish({});
        return;
      }
      if (quiet_deaths_ == 0) {
        ::usleep(static_cast<useconds_t>(step_us));
        step_us = std::min<uint64_t>(step_us * 2, 5000);
      }
    }
  }

  void finish(const std::vector<int64_t>& alive) {
    result_.killed = std::move(dead_);
    for (const auto& [pid, member] : members_) {
      const auto facts = std::binary_search(alive.begin(), alive.end(), pid)
                             ? os_.process_facts(pid)
                             : Result<ProcessFacts>(Error{Code::gone, {}, {}});
      if (!facts || facts->id.start_ticks != member.start_ticks || is_dead_state(facts->state)) {
        result_.killed.push_back({os_.boot_id(), pid, member.start_ticks});
        continue;
      }
      std::string reason = member.refusal;
      if (reason.empty() && facts->state == 'D')
        reason = "it waits in the kernel, or in a v1 freezer, and dies when that wait ends";
      if (reason.empty()) reason = "it was killed and has not finished dying within the time allowed";
      result_.survivors.push_back({*facts, std::move(reason)});
    }
  }

  const Os& os_;
  const KillTreeRequest& request_;
  const uint64_t started_;
  std::string directory_;
  ProcessId anchor_;
  int64_t session_ = 0;
  size_t quiet_deaths_ = 0;
  std::map<int64_t, Member> members_;  // no descriptors are held: a storm would use up their number
  std::vector<ProcessId> dead_;        // members whose pid is another's by now
  KillTreeResult result_;
};

}  // namespace

std::string_view to_string(KillMethod method) {
  switch (method) {
    case KillMethod::cgroup_kill: return "cgroup_kill";
    case KillMethod::frozen_sweep: return "frozen_sweep";
    case KillMethod::stopped_sweep: return "stopped_sweep";
  }
  return "stopped_sweep";
}

void write_json(JsonWriter& out, const KillTreeResult& result) {
  const auto identity = [&](const ProcessId& id) {
    out.begin_object().integer("pid", id.pid).integer("start_ticks", id.start_ticks);
  };
  out.begin_object();
  out.text("method", to_string(result.method)).integer("passes", result.passes);
  out.integer("duration_ns", result.duration_ns).flag("settled", result.settled);
  out.key("killed").begin_array();
  for (const ProcessId& id : result.killed) identity(id), out.end_object();
  out.end_array();
  out.key("survivors").begin_array();
  for (const Survivor& survivor : result.survivors) {
    identity(survivor.facts.id);
    out.text("name", survivor.facts.comm).text("state", {&survivor.facts.state, 1}).text("reason", survivor.reason);
    out.end_object();
  }
  out.end_array();
  out.end_object();
}

Result<KillTreeResult> kill_tree(const Os& os, const KillTreeRequest& request) {
  const Urgency urgency;
  return TreeKiller(os, request).run();
}

std::vector<ProcessFacts> alive_among(const Os& os, const std::vector<ProcessId>& ids) {
  std::vector<ProcessFacts> alive;
  for (const ProcessId& id : ids)
    if (auto handle = os.open_process(id)) alive.push_back(handle->facts());
  return alive;
}

std::string why_no_kill(KillMethod method) {
  if (method == KillMethod::frozen_sweep) return why_no_freezer();
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0));
  if (pidfd < 0) return "this kernel has no pidfd_open: Linux 5.3 or newer is needed";
  ::close(pidfd);
  if (method == KillMethod::stopped_sweep) return {};
  const auto mountinfo = read_small_file("/proc/self/mountinfo");
  if (!mountinfo) return "the mounts of this machine cannot be read: " + mountinfo.error().str();
  for (const CgroupMount& mount : parse_cgroup_mounts(*mountinfo)) {
    if (!mount.subsystem.empty()) continue;
    // The root has no cgroup.kill itself; any cgroup below it tells.
    std::error_code error;
    for (std::filesystem::directory_iterator it(mount.mount_point, error), end; !error && it != end;
         it.increment(error))
      if (it->is_directory(error)) {
        if (std::filesystem::exists(it->path() / "cgroup.kill", error)) return {};
        return "this kernel has no cgroup.kill: Linux 5.14 or newer is needed";
      }
    return {};
  }
  return "no cgroup v2 hierarchy is mounted here";
}

}  // namespace quell::os
