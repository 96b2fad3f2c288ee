#pragma once
// The state of the machine as events tell it: processes, descriptors, containers, users.
//
// One thread loads, applies and reads. The order is: load() a snapshot, then per event apply(), evaluate the rules on
// the context, apply() the next. What an event ends (a closed descriptor, an exited thread) is still there while that
// event is evaluated and goes away at the start of the next apply().
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "model/snapshot.h"
#include "model/state_view.h"

namespace quell::enrich {

struct Options {
  /// Bounds. When the thread table is full the dead and the longest idle threads are dropped and counted; descriptors
  /// beyond a bound are not recorded and counted.
  size_t max_threads = 262'144;
  size_t max_fds_per_process = 65'536;
  size_t max_fds = 2'097'152;
  size_t max_containers = 16'384;

  /// Live: unknown threads are looked up and stale ones purged with the functions below. In replays none of them is
  /// called.
  bool live = false;
  const Clock* clock = nullptr;  // null: the system's
  uint64_t purge_interval_ns = 300'000'000'000;
  uint64_t purge_idle_ns = 300'000'000'000;

  /// Reads one thread and, for a main thread, its descriptors from /proc. False: it is gone. Sets Thread::scanned_ns.
  std::function<bool(int64_t tid, Thread& out, std::vector<std::pair<int64_t, Fd>>& fds)> read_thread;
  /// Reads one descriptor of a process: those that came in over a socket.
  std::function<bool(int64_t pid, int64_t number, Fd& out)> read_fd;
  /// True while the thread exists and is the one that the table means.
  std::function<bool(const Thread& thread)> is_alive;
  /// Reads passwd and group below /proc/PID/root.
  std::function<bool(int64_t pid, std::vector<User>& users, std::vector<Group>& groups)> read_users;

  /// Whether a process has a mount namespace of its own, as every container has; nothing if it is gone. Asked for
  /// processes of the host's pid namespace whose control group is named like a container's: a name alone makes none.
  std::function<std::optional<bool>(int64_t pid)> is_isolated;
  /// The id of the container that lives in these control groups, empty if there is none. Asked for processes of another
  /// pid namespace whose control groups are named like no container's.
  std::function<std::string(std::string_view cgroups)> container_of;

  /// A container without metadata has its first thread. Called inside apply() and load(): hand over, do not work.
  std::function<void(const ContainerSlot&)> on_new_container;
  /// An event of the stream has told of a container, whether or not a thread is in it. Called inside apply().
  std::function<void(const std::shared_ptr<const Container>&, uint64_t ts_ns)> on_described;
};

/// Sizes now, and what happened since load(). For /metrics and --stats.
struct Counters {
  uint64_t threads = 0, fds = 0, containers = 0;
  uint64_t threads_evicted = 0;  // the table was full
  uint64_t threads_purged = 0;   // gone without an exit event
  uint64_t threads_refused = 0;  // of a snapshot bigger than the table
  uint64_t fds_refused = 0;
  uint64_t containers_refused = 0;           // threads that had to share the overflow slot
  uint64_t lookups = 0, lookups_failed = 0;  // of unknown threads in /proc
  uint64_t placeholders = 0;                 // threads of which nothing is known but their tid
  uint64_t missed_exits = 0;                 // a tid came again without having gone
  uint64_t inverted_clones = 0;              // threads made by their own side of a clone
  uint64_t stale_events = 0;                 // undone before their thread was scanned: delivered, without effect
  uint64_t forebears = 0;                    // gone processes that are remembered for those who came from them
  uint64_t forebears_refused = 0;            // that could not be: too many
  uint64_t lookalikes = 0;                   // times that a host's process was in a cgroup named like a container's
  uint64_t malformed_containers = 0;         // container events whose JSON could not be read
};

class StateTables final : public StateView {
 public:
  explicit StateTables(Options options);
  ~StateTables() override;

  /// Forgets everything and starts from these tables.
  void load(const Snapshot& snapshot);

  /// Updates the tables with the event and returns what evaluation needs to see. Valid until the next call of any
  /// method that is not const. `event` must live as long. `number` is its place in the stream, the first is 1.
  const EventContext& apply(const Event& event, uint64_t number);

  /// False for events that change nothing beyond the life of their thread: pass() may do for them.
  static bool acts_on(EventCode code);
  /// For an event that no rule looks at: true if it does not change the tables either, apart from what was noted now.
  /// Then it need not be located and applied; false changes nothing. The last context is void.
  bool pass(EventCode code, int64_t tid, uint64_t ts_ns);

  /// Metadata for a container, as a runtime told it. False if no thread is in that container any more.
  bool set_container_info(std::string_view full_id, std::shared_ptr<const Container> info);

  /// Live: drops threads that went away unseen. Cheap; to be called between batches.
  void housekeep(uint64_t now_ns);

  /// Carries out now what the last event ends, instead of with the next apply(): for who looks at the tables between.
  void settle();

  /// What is known of a container's users without asking anybody.
  void accounts(const ContainerSlot& container, std::vector<User>& users, std::vector<Group>& groups) const;
  /// Reads the users of the thread's container now if a question about the thread's own would read them. True if they
  /// were read: until its next event such questions read nothing more.
  bool learn_accounts(const Thread& thread);
  /// The event of the last context has another place in the stream: others were put before it.
  void renumber(uint64_t number);
  void for_each_thread(const std::function<void(const Thread&)>& visit) const;
  /// Everything known now, in the form that load() and capture writers take.
  Snapshot snapshot() const;
  void for_each_container(const std::function<void(const ContainerSlot&)>& visit) const;
  Counters counters() const;

  // StateView. A Thread given to parent() or is_local() must be one of this table.
  const Thread* thread(int64_t tid) const override;
  const Thread* parent(const Thread& thread) const override;
  std::vector<Creator> lineage(const Thread& thread, size_t limit) const override;
  uint32_t lineage_epoch() const override;
  const User* user(const ContainerSlot& container, uint32_t uid) const override;
  const Group* group(const ContainerSlot& container, uint32_t gid) const override;
  const MachineInfo& machine() const override;
  const std::vector<NetworkInterface>& interfaces() const override;
  bool is_local(const IpAddress& address, const Thread& thread) const override;
  const ContainerSlot* container(std::string_view id) const override;

  struct Impl;  // impl.h, for this folder's handlers only

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace quell::enrich
