#pragma once
// Inside of StateTables. Handlers are grouped by file: processes.cc, identity.cc, descriptors.cc, sockets.cc,
// metadata.cc, iterators.cc; apply.cc dispatches to them.
#include <array>
#include <optional>

#include "enrich/containers.h"
#include "enrich/socket_address.h"
#include "enrich/tables.h"
#include "enrich/thread_table.h"

namespace quell::enrich {

// Values of the portable clone_flags table.
inline constexpr uint32_t kCloneFiles = 0x1, kCloneNewPid = 0x40, kCloneParent = 0x100, kCloneThread = 0x2000,
                          kCloneInverted = 0x10000, kCloneNewUser = 0x100000, kCloneVfork = 0x8000000,
                          kCloneChildInPidns = 0x20000000;
// Values of file_flags.
inline constexpr uint32_t kOpenDirectory = 1024, kOpenCloexec = 4096, kOpenCreated = 16384, kOpenUpperLayer = 32768,
                          kOpenLowerLayer = 65536;
inline constexpr int64_t kAtFdCwd = -100;
inline constexpr uint64_t kSecond = 1'000'000'000;

struct StateTables::Impl {
  using Handler = void (Impl::*)(const Event&);
  struct Row;

  explicit Impl(StateTables& view, Options options);

  // apply.cc
  static std::array<Row, kEventCodeCount> make_rows();
  static const Row* rows();  // by event code
  const EventContext& apply(const Event& event, uint64_t number);
  static bool acts_on(EventCode code);
  bool pass(EventCode code, int64_t tid, uint64_t ts_ns);
  void run_deferred();
  Entry* attach_thread(const Event& event);
  void make_room();
  void housekeep(uint64_t now_ns);
  bool is_stale(const Event& event, const Row& row) const;

  // load.cc
  void load(const Snapshot& snapshot);
  Snapshot snapshot() const;
  Fd with_role(const Fd& fd, const std::vector<std::pair<int64_t, Fd>>& of_process) const;
  void load_fds(Entry& owner, const std::vector<std::pair<int64_t, Fd>>& fds);

  // processes.cc
  void on_clone(const Event& event);
  void on_exec(const Event& event);
  void on_procexit(const Event& event);
  void follow_kernel_parent(const Event& event, Entry& entry);
  void clone_parent_side(const Event& event, Entry& caller);
  void clone_child_side(const Event& event);
  Entry& make_child(const Event& event, int64_t tid, bool is_thread, Entry* source);
  void learn_from_clone(const Event& event, Entry& caller);
  Entry* read_live(int64_t tid);
  Entry& add_placeholder(int64_t tid);
  void add(Entry& entry);
  void remove(Entry& entry, int64_t heir);
  int64_t heir_of(const Entry& entry, int64_t proposed) const;
  /// A visible change of one thread, and of what its descendants see.
  void changed(Entry& entry);
  /// A change of what the whole group shares (cwd).
  void group_changed(Entry& owner);
  void join_container(Entry& entry, std::string_view cgroups);
  void inherit_container(Entry& child, const Entry* source);
  void move_to(Entry& entry, Slot& slot);

  // identity.cc
  void on_setuid(const Event& event);
  void on_setgid(const Event& event);
  void on_set_euid(const Event& event);
  void on_set_egid(const Event& event);
  void on_setsid(const Event& event);
  void on_capset(const Event& event);
  void on_prctl(const Event& event);
  void on_unshare(const Event& event);
  void on_setns(const Event& event);
  void on_chdir(const Event& event);
  void on_fchdir(const Event& event);
  void on_getcwd(const Event& event);
  void on_chroot(const Event& event);
  void on_setrlimit(const Event& event);
  void on_prlimit(const Event& event);
  void set_cwd(Entry& owner, std::string cwd);

  // descriptors.cc
  FdTable& own_fds(Entry& owner);
  bool put_fd(Entry& owner, int64_t number, FdPtr fd);
  void drop_fd(Entry& owner, int64_t number);
  void release_fds(Entry& owner);
  /// A new descriptor of this event's process, shown in the context.
  void create_fd(int64_t number, Fd fd);
  void create_fd(int64_t number, FdPtr fd);
  /// A changed descriptor of this event's process.
  void replace_fd(int64_t number, Fd fd);
  void on_enter(const Event& event);
  void on_open(const Event& event);
  void on_creat(const Event& event);
  void on_openat(const Event& event);
  void on_open_by_handle(const Event& event);
  void opened(const Event& event, int64_t dirfd, std::string_view name, uint32_t flags, uint32_t dev, uint64_t ino);
  std::string_view directory_of(int64_t dirfd) const;
  void on_close(const Event& event);
  void on_close_range(const Event& event);
  void on_dup(const Event& event);
  void on_fcntl(const Event& event);
  void on_pipe(const Event& event);
  void on_plain_fd(const Event& event);
  void on_bpf(const Event& event);
  void on_memfd(const Event& event);
  void on_pidfd_open(const Event& event);
  void on_pidfd_getfd(const Event& event);
  void drop_cloexec_fds(Entry& owner);

  // sockets.cc
  void on_socket(const Event& event);
  void on_socketpair(const Event& event);
  void on_bind(const Event& event);
  void on_connect(const Event& event);
  void on_accept(const Event& event);
  void on_send(const Event& event);
  void on_receive(const Event& event);
  void on_plain_io(const Event& event);
  void on_getsockopt(const Event& event);
  void transfer(const Event& event, bool incoming);
  void received_fds(const Event& event);
  SocketRole guess_role(const Entry& owner, const SocketTuple& tuple, bool incoming) const;

  // metadata.cc
  void on_async(const Event& event);
  void on_container_json(const Event& event);
  void on_old_container(const Event& event);
  void on_user(const Event& event);
  void on_group(const Event& event);
  void take_container(std::string_view json, bool removed);
  void set_info(Slot& slot, std::shared_ptr<const Container> info);
  void slot_changed(const Slot& slot);
  Slot& slot_for_event(std::string_view id);
  UserDatabase& database_of(Slot& slot, bool missing);

  // iterators.cc
  void on_iter_task(const Event& event);
  void on_iter_fd(const Event& event);

  const Row* const rows_ = rows();
  StateTables& view_;
  Options options_;
  const Clock& clock_;
  ThreadTable threads_;
  ContainerTable containers_;
  MachineInfo machine_;
  std::vector<NetworkInterface> interfaces_;
  std::vector<bool> listening_;  // by port, as of load()
  Counters counters_;
  size_t fd_count_ = 0;  // over all tables; a table that processes share counts once

  EventContext context_;
  uint64_t first_ts_ns_ = 0;
  Entry* entry_ = nullptr;               // of the event that is being applied
  std::array<FdPtr, 512> recent_files_;  // opened lately, by hash: the next open of the same file shares its entry
  FdPtr held_;                           // keeps context_.fd alive even if the table refused it
  std::shared_ptr<const Container> held_container_;

  // What the last event ends. No entry goes away before this is done.
  struct Deferred {
    Entry* close = nullptr;  // whose descriptor is closed
    int64_t close_fd = -1;
    Entry* exit = nullptr;
    int64_t reaper = 0;
  } deferred_;
  bool has_deferred_ = false;

  // Who left lately, so that the parent's side of a clone that arrives late does not revive a child that is gone.
  struct Gone {
    int64_t tid = -1, ptid = -1;
    uint64_t ts_ns = 0;
  };
  std::array<Gone, 1024> gone_;

  uint64_t next_purge_ns_ = 0;
  std::vector<int64_t> purge_candidates_;
};

inline bool has_value(const Event& event, size_t index) { return !event.param(index).empty(); }
/// A descriptor number. Older drivers wrote negative ones as 32 bits without sign.
inline int64_t fd_number(Param param) {
  const int64_t value = param.i64();
  return value > INT32_MAX && value <= int64_t{UINT32_MAX} ? static_cast<int32_t>(value) : value;
}
inline std::string_view bytes_text(Param param) { return {reinterpret_cast<const char*>(param.data), param.len}; }

}  // namespace quell::enrich
