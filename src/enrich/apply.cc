// One event after another: find its thread and descriptor, let its handler change the tables, describe the result.
#include <algorithm>

#include "base/assert.h"
#include "enrich/impl.h"

namespace quell::enrich {
namespace {

// Entries that one event can add: itself, its group's main thread, a child, the child's parent.
constexpr size_t kHeadroom = 4;

bool is_clone(EventCode code) {
  return code == ev::SYSCALL_CLONE_20_X || code == ev::SYSCALL_FORK_20_X || code == ev::SYSCALL_VFORK_20_X ||
         code == ev::SYSCALL_CLONE3_X;
}

}  // namespace

/// What one event code asks for.
struct StateTables::Impl::Row {
  Handler handler = nullptr;
  bool closes = false;  // takes descriptors away and adds none
  // From the schema, so that an event looks at one row.
  bool has_thread = false, returns = false, has_fd_class = false;
  int8_t fd_param = -1;  // of events that use one
};

std::array<StateTables::Impl::Row, kEventCodeCount> StateTables::Impl::make_rows() {
  using I = StateTables::Impl;
  std::array<Row, kEventCodeCount> rows{};
  for (const ev::Code code :
       {ev::SYSCALL_CLONE_20_X, ev::SYSCALL_FORK_20_X, ev::SYSCALL_VFORK_20_X, ev::SYSCALL_CLONE3_X})
    rows[code] = {&I::on_clone};
  rows[ev::SYSCALL_EXECVE_19_X] = rows[ev::SYSCALL_EXECVEAT_X] = {&I::on_exec};
  rows[ev::PROCEXIT_1_E] = {&I::on_procexit};

  rows[ev::SYSCALL_SETUID_X] = {&I::on_setuid};
  rows[ev::SYSCALL_SETGID_X] = {&I::on_setgid};
  rows[ev::SYSCALL_SETRESUID_X] = rows[ev::SYSCALL_SETREUID_X] = {&I::on_set_euid};
  rows[ev::SYSCALL_SETRESGID_X] = rows[ev::SYSCALL_SETREGID_X] = {&I::on_set_egid};
  rows[ev::SYSCALL_SETSID_X] = {&I::on_setsid};
  rows[ev::SYSCALL_CAPSET_X] = {&I::on_capset};
  rows[ev::SYSCALL_PRCTL_X] = {&I::on_prctl};
  rows[ev::SYSCALL_UNSHARE_X] = {&I::on_unshare};
  rows[ev::SYSCALL_SETNS_X] = {&I::on_setns};
  rows[ev::SYSCALL_CHROOT_X] = {&I::on_chroot};
  rows[ev::SYSCALL_CHDIR_X] = {&I::on_chdir};
  rows[ev::SYSCALL_FCHDIR_X] = {&I::on_fchdir};
  rows[ev::SYSCALL_GETCWD_X] = {&I::on_getcwd};
  rows[ev::SYSCALL_SETRLIMIT_X] = {&I::on_setrlimit};
  rows[ev::SYSCALL_PRLIMIT_X] = {&I::on_prlimit};

  for (const ev::Code code :
       {ev::SYSCALL_OPEN_E, ev::SYSCALL_CREAT_E, ev::SYSCALL_OPENAT_2_E, ev::SYSCALL_OPENAT2_E, ev::SOCKET_CONNECT_E})
    rows[code] = {&I::on_enter};
  rows[ev::SYSCALL_OPEN_X] = {&I::on_open};
  rows[ev::SYSCALL_CREAT_X] = {&I::on_creat};
  rows[ev::SYSCALL_OPENAT_2_X] = rows[ev::SYSCALL_OPENAT2_X] = {&I::on_openat};
  rows[ev::SYSCALL_OPEN_BY_HANDLE_AT_X] = {&I::on_open_by_handle};
  rows[ev::SYSCALL_CLOSE_X] = {&I::on_close, true};
  rows[ev::SYSCALL_CLOSE_RANGE_X] = {&I::on_close_range, true};
  for (const ev::Code code : {ev::SYSCALL_DUP_1_X, ev::SYSCALL_DUP2_X, ev::SYSCALL_DUP3_X}) rows[code] = {&I::on_dup};
  rows[ev::SYSCALL_FCNTL_X] = {&I::on_fcntl};
  rows[ev::SYSCALL_PIPE_X] = rows[ev::SYSCALL_PIPE2_X] = {&I::on_pipe};
  for (const ev::Code code : {ev::SYSCALL_EVENTFD_X, ev::SYSCALL_EVENTFD2_X, ev::SYSCALL_SIGNALFD_X,
                              ev::SYSCALL_SIGNALFD4_X, ev::SYSCALL_TIMERFD_CREATE_X, ev::SYSCALL_INOTIFY_INIT_X,
                              ev::SYSCALL_INOTIFY_INIT1_X, ev::SYSCALL_EPOLL_CREATE_X, ev::SYSCALL_EPOLL_CREATE1_X,
                              ev::SYSCALL_USERFAULTFD_X, ev::SYSCALL_IO_URING_SETUP_X})
    rows[code] = {&I::on_plain_fd};
  rows[ev::SYSCALL_BPF_2_X] = {&I::on_bpf};
  rows[ev::SYSCALL_MEMFD_CREATE_X] = {&I::on_memfd};
  rows[ev::SYSCALL_PIDFD_OPEN_X] = {&I::on_pidfd_open};
  rows[ev::SYSCALL_PIDFD_GETFD_X] = {&I::on_pidfd_getfd};

  rows[ev::SOCKET_SOCKET_X] = {&I::on_socket};
  rows[ev::SOCKET_SOCKETPAIR_X] = {&I::on_socketpair};
  rows[ev::SOCKET_BIND_X] = {&I::on_bind};
  rows[ev::SOCKET_CONNECT_X] = {&I::on_connect};
  rows[ev::SOCKET_ACCEPT_5_X] = rows[ev::SOCKET_ACCEPT4_6_X] = {&I::on_accept};
  for (const ev::Code code : {ev::SOCKET_SEND_X, ev::SOCKET_SENDTO_X, ev::SOCKET_SENDMSG_X, ev::SOCKET_SENDMMSG_X})
    rows[code] = {&I::on_send};
  for (const ev::Code code : {ev::SOCKET_RECV_X, ev::SOCKET_RECVFROM_X, ev::SOCKET_RECVMSG_X, ev::SOCKET_RECVMMSG_X})
    rows[code] = {&I::on_receive};
  for (const ev::Code code : {ev::SYSCALL_READ_X, ev::SYSCALL_WRITE_X, ev::SYSCALL_READV_X, ev::SYSCALL_WRITEV_X})
    rows[code] = {&I::on_plain_io};
  rows[ev::SOCKET_GETSOCKOPT_X] = {&I::on_getsockopt};

  rows[ev::ASYNCEVENT_E] = {&I::on_async};
  rows[ev::CONTAINER_JSON_E] = rows[ev::CONTAINER_JSON_2_E] = {&I::on_container_json};
  rows[ev::CONTAINER_E] = {&I::on_old_container};
  rows[ev::USER_ADDED_E] = rows[ev::USER_DELETED_E] = {&I::on_user};
  rows[ev::GROUP_ADDED_E] = rows[ev::GROUP_DELETED_E] = {&I::on_group};

  rows[ev::ITER_TASK_E] = {&I::on_iter_task};
  for (int code = ev::ITER_TASK_FILE_PIPE_E; code <= ev::ITER_TASK_FILE_ANON_INODE_E; code += 2)
    rows[static_cast<size_t>(code)] = {&I::on_iter_fd};

  for (size_t code = 0; code < kEventCodeCount; ++code) {
    const EventSpec& spec = kEventTable[code];
    Row& row = rows[code];
    row.has_thread =
        (spec.source == EventClass::syscall || spec.source == EventClass::tracepoint) && !spec.has(kEvSkipparsereset);
    // Of the others, meta events and iterators alone mean something.
    if (!row.has_thread && spec.source != EventClass::meta && spec.source != EventClass::iter) row.handler = nullptr;
    row.returns = spec.has_return_value();
    row.has_fd_class = spec.has(kEvCreatesFd | kEvUsesFd | kEvDestroysFd);
    if (spec.has(kEvUsesFd)) row.fd_param = spec.fd_param;
  }
  return rows;
}
const StateTables::Impl::Row* StateTables::Impl::rows() {
  static const std::array<Row, kEventCodeCount> kRows = make_rows();
  return kRows.data();
}

bool StateTables::Impl::acts_on(EventCode code) { return rows()[code].handler != nullptr; }

/// An event without a handler that nobody looks at leaves no more behind than that its thread lives. True if that is
/// noted, so that the event itself need not be applied.
bool StateTables::Impl::pass(EventCode code, int64_t tid, uint64_t ts_ns) {
  const Row& row = rows_[code];
  if (row.handler != nullptr) return false;
  if (has_deferred_) run_deferred();
  if (first_ts_ns_ == 0) first_ts_ns_ = ts_ns;
  if (!row.has_thread || tid < 0) return true;
  Entry* entry = threads_.find(tid);
  if (entry == nullptr) return false;
  entry->last_seen_ns = ts_ns;
  if (entry->enter != nullptr && row.returns) entry->enter->code = 0;
  return true;
}

const EventContext& StateTables::Impl::apply(const Event& event, uint64_t number) {
  if (has_deferred_) run_deferred();
  if (threads_.size() + kHeadroom > options_.max_threads) make_room();
  if (first_ts_ns_ == 0) first_ts_ns_ = event.ts_ns();

  const EventCode code = event.code();
  const Row& row = rows_[code];
  entry_ = nullptr;
  context_.event = &event;
  context_.number = number;
  context_.first_ts_ns = first_ts_ns_;
  context_.thread = nullptr;
  context_.fd_number = -1;
  context_.fd = nullptr;
  context_.has_fd_class = row.has_fd_class;
  context_.fd_name_changed = false;
  context_.result.reset();
  context_.container_event = nullptr;

  if (!row.has_thread || event.tid() < 0) {
    const bool is_iter = event.spec().source == EventClass::iter;
    if (row.handler != nullptr && !row.has_thread && (!is_iter || event.tid() > 0)) (this->*row.handler)(event);
    return context_;
  }

  if (row.returns && has_value(event, 0)) context_.result = event.param(0).i64();
  entry_ = threads_.find(event.tid());
  if (entry_ == nullptr) entry_ = attach_thread(event);
  if (entry_ != nullptr) {
    context_.thread = entry_;
    entry_->last_seen_ns = event.ts_ns();
    if (row.fd_param >= 0 && has_value(event, static_cast<size_t>(row.fd_param))) {
      context_.fd_number = fd_number(event.param(static_cast<size_t>(row.fd_param)));
      const Entry& owner = entry_->owner();
      if (owner.fds) context_.fd = owner.fds->find(context_.fd_number);
    }
    // Arguments held from an entry whose exit never came belong to no later call.
    if (entry_->enter != nullptr && row.returns && entry_->enter->code + 1 != code) entry_->enter->code = 0;
  }
  if (row.handler == nullptr || (entry_ == nullptr && !is_clone(code))) return context_;

  if (entry_ != nullptr && is_stale(event, row)) {
    ++counters_.stale_events;
    return context_;
  }
  (this->*row.handler)(event);
  return context_;
}

/// What was told before /proc was read still counts: one event after another it leads to what the scan found, and shows
/// each event its thread as it was then. But what was closed may have been opened again in a way that no event tells,
/// and whoever had the id before the thread was somebody else.
bool StateTables::Impl::is_stale(const Event& event, const Row& row) const {
  if (row.closes && event.ts_ns() < entry_->owner().scanned_ns) return true;
  return event.ts_ns() < entry_->scanned_ns && event.ts_ns() < entry_->clone_ns;
}

/// For a tid that is not in the table.
Entry* StateTables::Impl::attach_thread(const Event& event) {
  const int64_t tid = event.tid();
  const EventCode code = event.code();
  // The child's own side of a clone makes the entry itself.
  if (is_clone(code) && context_.result == 0) return nullptr;
  // Who just forked or is exiting describes itself, and /proc may already show a successor.
  const bool describes_itself = is_clone(code) || code == ev::PROCEXIT_1_E || code == ev::SCHEDSWITCH_6_E;
  if (!describes_itself)
    if (Entry* entry = read_live(tid)) return entry;
  return &add_placeholder(tid);
}

Entry* StateTables::Impl::read_live(int64_t tid) {
  if (!options_.live || !options_.read_thread || tid <= 0) return nullptr;
  ++counters_.lookups;
  Entry& entry = threads_.make();
  std::vector<std::pair<int64_t, Fd>> fds;
  if (!options_.read_thread(tid, entry, fds)) {
    ++counters_.lookups_failed;
    threads_.recycle(entry);
    return nullptr;
  }
  entry.tid = tid;
  entry.main = nullptr;
  entry.fds.reset();
  if (entry.scanned_ns == 0) entry.scanned_ns = clock_.realtime_ns();
  if (!entry.is_main() && entry.pid > 0 && threads_.find(entry.pid) == nullptr) read_live(entry.pid);
  join_container(entry, entry.cgroups);
  add(entry);
  if (entry.is_main()) load_fds(entry, fds);
  threads_.bump_lineage();
  return &entry;
}

Entry& StateTables::Impl::add_placeholder(int64_t tid) {
  ++counters_.placeholders;
  Entry& entry = threads_.make();
  entry.tid = tid;
  entry.comm = entry.exe = "<NA>";
  entry.placeholder = true;
  move_to(entry, containers_.host());
  add(entry);
  return entry;
}

void StateTables::Impl::run_deferred() {
  has_deferred_ = false;
  const Deferred todo = std::exchange(deferred_, Deferred{});
  if (todo.close != nullptr) drop_fd(*todo.close, todo.close_fd);
  Entry* entry = todo.exit;
  if (entry == nullptr) return;
  const int64_t heir = heir_of(*entry, todo.reaper);
  Entry& owner = entry->owner();
  // A main thread that exits before its group stays: it owns what the others share.
  if (entry->is_main() && entry->first_member != nullptr) {
    threads_.give_children(*entry, heir);
    return;
  }
  const bool last_of_dead_group =
      &owner != entry && owner.dead && owner.first_member == entry && entry->next_member == nullptr;
  remove(*entry, heir);
  if (last_of_dead_group) remove(owner, heir_of(owner, todo.reaper));
}

void StateTables::Impl::make_room() {
  // One pass over the table frees a 64th of it, so that a fork bomb pays for the pass once per many threads.
  const size_t target = std::max<size_t>(kHeadroom, options_.max_threads / 64);
  std::vector<std::pair<uint64_t, int64_t>> idle;  // (rank, tid)
  idle.reserve(threads_.size());
  threads_.for_each([&](const Entry& entry) {
    if (entry.tid == 1) return;
    idle.emplace_back(entry.dead ? 0 : entry.last_seen_ns + 1, entry.tid);
  });
  const size_t count = std::min(idle.size(), target);
  std::nth_element(idle.begin(), idle.begin() + static_cast<ptrdiff_t>(count == idle.size() ? 0 : count), idle.end());
  for (size_t i = 0; i < count; ++i) {
    Entry* entry = threads_.find(idle[i].second);
    remove(*entry, heir_of(*entry, 0));
    ++counters_.threads_evicted;
  }
}

void StateTables::Impl::housekeep(uint64_t now_ns) {
  constexpr size_t kChecksPerCall = 128;  // each asks /proc
  if (!options_.live || !options_.is_alive) return;
  if (has_deferred_) run_deferred();
  if (purge_candidates_.empty() && now_ns >= next_purge_ns_) {
    next_purge_ns_ = now_ns + options_.purge_interval_ns;
    containers_.forget_unused(now_ns - std::min(now_ns, options_.purge_idle_ns));
    threads_.for_each([&](const Entry& entry) {
      if (entry.last_seen_ns + options_.purge_idle_ns <= now_ns) purge_candidates_.push_back(entry.tid);
    });
  }
  for (size_t i = 0; i < kChecksPerCall && !purge_candidates_.empty(); ++i) {
    Entry* entry = threads_.find(purge_candidates_.back());
    purge_candidates_.pop_back();
    if (entry == nullptr || entry->last_seen_ns + options_.purge_idle_ns > now_ns) continue;
    if (options_.is_alive(*entry)) {
      entry->last_seen_ns = now_ns;
      continue;
    }
    // A dead main thread is kept by its group, whose members are checked by themselves.
    if (entry->dead && entry->first_member != nullptr) continue;
    remove(*entry, heir_of(*entry, 0));
    ++counters_.threads_purged;
  }
}

}  // namespace quell::enrich
