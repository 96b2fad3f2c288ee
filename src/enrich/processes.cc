// The life of processes: clone, exec, exit; and what it means for the tree, the groups and the containers.
#include <algorithm>

#include "base/path.h"
#include "enrich/impl.h"
#include "enrich/path.h"

namespace quell::enrich {
namespace {

// Parameters of clone, fork, vfork and clone3 exits; up to `comm` and `cgroups` shared with execve.
enum : size_t {
  kRes,
  kExe,
  kArgs,
  kTid,
  kPid,
  kPtid,
  kCwd,
  kFdlimit,
  kMajor,
  kMinor,
  kVmSize,
  kVmRss,
  kVmSwap,
  kComm,
  kCgroups,
  kFlags,
  kUid,
  kGid,
  kVtid,
  kVpid,
  kPidnsStart,
};
enum : size_t {
  kExecEnv = 15,
  kExecTty,
  kExecVpgid,
  kExecLoginuid,
  kExecFlags,
  kExecCapInheritable,
  kExecCapPermitted,
  kExecCapEffective,
  kExecIno,
  kExecCtime,
  kExecMtime,
  kExecUid,
  kExecTrustedPath,
  kExecPgid,
  kExecGid,
  kExecFilename,
};
enum : uint32_t { kExeWritable = 1, kExeUpperLayer = 2, kExeFromMemfd = 4, kExeLowerLayer = 8 };

template <typename T>
void take(const Event& event, size_t index, T& out) {
  if (has_value(event, index)) out = static_cast<T>(event.param(index).i64());
}
void take_text(const Event& event, size_t index, std::string& out) {
  if (has_value(event, index)) out = event.param(index).text();
}
void take_memory(const Event& event, Thread& out) {
  take(event, kMajor, out.page_faults_major);
  take(event, kMinor, out.page_faults_minor);
  take(event, kVmSize, out.vm_size_kb);
  take(event, kVmRss, out.vm_rss_kb);
  take(event, kVmSwap, out.vm_swap_kb);
}
// A present exe means that the arguments were read too, even if there are none.
void take_command(const Event& event, Thread& out) {
  if (has_value(event, kExe)) {
    out.exe = event.param(kExe).text();
    out.args = bytes_text(event.param(kArgs));
  }
  if (has_value(event, kComm) && !event.param(kComm).text().empty()) {
    out.comm = event.param(kComm).text();
  } else if (has_value(event, kExe)) {
    out.comm = out.exe;
  }
}

bool in_pid_namespace(const Thread& thread) {
  return (thread.vpid > 0 && thread.vpid != thread.pid) || (thread.vtid > 0 && thread.vtid != thread.tid);
}

/// A container whose cgroup does not say that it is one.
CgroupMatch named_container(const std::string& id, std::string_view cgroups) {
  CgroupMatch match;
  match.full_id = id;
  match.id = short_container_id(id);
  match.type = ContainerType::custom;
  for_each_part(cgroups, [&](std::string_view part) {
    const size_t equals = part.find('=');
    if (equals == std::string_view::npos || part.find(id) == std::string_view::npos) return;
    if (match.path.empty()) match.path = part.substr(equals + 1);
  });
  return match;
}

bool within(uint64_t a, uint64_t b, uint64_t span) { return (a > b ? a - b : b - a) < span; }

}  // namespace

void StateTables::Impl::changed(Entry& entry) {
  entry.changed();
  threads_.lineage_changed(entry);
}

void StateTables::Impl::group_changed(Entry& owner) {
  owner.changed();
  for (Entry* member = owner.first_member; member != nullptr; member = member->next_member) member->changed();
}

void StateTables::Impl::add(Entry& entry) {
  if (entry.container == nullptr) move_to(entry, containers_.host());
  threads_.insert(entry);
}

void StateTables::Impl::remove(Entry& entry, int64_t heir) {
  if (entry.container != nullptr) containers_.leave(static_cast<Slot&>(*entry.container));
  release_fds(entry);
  if (entry_ == &entry) {
    entry_ = nullptr;
    context_.thread = nullptr;
    context_.fd = nullptr;
  }
  threads_.remove(entry, heir);
}

void StateTables::Impl::move_to(Entry& entry, Slot& slot) {
  if (entry.container == &slot) return;
  auto* before = static_cast<Slot*>(entry.container);
  containers_.enter(slot);
  entry.container = &slot;
  if (before != nullptr) containers_.leave(*before);
}

// The name of a cgroup proposes; what decides live is whether the process is cut off from the host. A runtime puts the
// process that becomes a container into its cgroup before it gives it namespaces: until then it is the host's.
void StateTables::Impl::join_container(Entry& entry, std::string_view cgroups) {
  entry.container_lookalike = false;
  auto match = match_cgroups(cgroups);
  std::string asked_id;
  if (!match && options_.live && in_pid_namespace(entry)) {
    match = match_enclosing(cgroups);
    if (!match && options_.container_of) asked_id = options_.container_of(cgroups);
    if (!asked_id.empty()) match = named_container(asked_id, cgroups);
  }
  if (!match) return move_to(entry, containers_.host());
  if (options_.live && options_.is_isolated && !in_pid_namespace(entry) && containers_.find(match->id) == nullptr &&
      options_.is_isolated(entry.pid) == false) {
    entry.container_lookalike = true;
    ++counters_.lookalikes;
    return move_to(entry, containers_.host());
  }
  bool created = false;
  Slot& slot = containers_.find_or_create(match->id, match->full_id, created);
  if (slot.cgroup_path.empty()) slot.cgroup_path = match->path;
  if (slot.type_guess == ContainerType::unknown) slot.type_guess = match->type;
  if (created) slot.first_seen_ns = context_.event != nullptr ? context_.event->ts_ns() : clock_.realtime_ns();
  const bool first_thread = slot.threads == 0;
  if (first_thread) slot.first_pid = entry.pid;
  move_to(entry, slot);
  if (first_thread && slot.info == nullptr && options_.on_new_container) options_.on_new_container(slot);
}

// A child is where its source is, unless it has just been cut off from a host that its source still belongs to.
void StateTables::Impl::inherit_container(Entry& child, const Entry* source) {
  const bool is_same = source != nullptr && source->cgroups == child.cgroups && !source->container_lookalike &&
                       (!source->container->is_host() || in_pid_namespace(child) == in_pid_namespace(*source));
  if (!is_same) return join_container(child, child.cgroups);
  move_to(child, static_cast<Slot&>(*source->container));
}

int64_t StateTables::Impl::heir_of(const Entry& entry, int64_t proposed) const {
  if (proposed > 0 && proposed != entry.tid && threads_.find(proposed) != nullptr) return proposed;
  // Another thread of the group, then the nearest ancestor that adopts.
  const Entry& owner = entry.owner();
  if (&owner != &entry && !owner.dead) return owner.tid;
  for (const Entry* member = owner.first_member; member != nullptr; member = member->next_member)
    if (member != &entry && !member->dead) return member->tid;
  const Entry* ancestor = owner.parent;
  for (int steps = 0; ancestor != nullptr && steps < 1024; ++steps) {
    const Entry& group = ancestor->owner();
    if (&group == &owner) break;
    if (group.reaper && !group.dead) return group.tid;
    ancestor = group.parent;
  }
  return 0;
}

void StateTables::Impl::on_clone(const Event& event) {
  if (!context_.result || *context_.result < 0) return;
  *context_.result == 0 ? clone_child_side(event) : clone_parent_side(event, *entry_);
}

// A caller that is known by its tid alone says here who it is.
void StateTables::Impl::learn_from_clone(const Event& event, Entry& caller) {
  if (!caller.placeholder || event.param(kPid).i64() <= 0) return;
  take_command(event, caller);
  take_text(event, kCwd, caller.cwd);
  caller.cwd = as_directory(std::move(caller.cwd));
  take(event, kFdlimit, caller.fdlimit);
  take(event, kUid, caller.uid);
  take(event, kGid, caller.gid);
  take(event, kVtid, caller.vtid);
  take(event, kVpid, caller.vpid);
  take_memory(event, caller);
  caller.placeholder = false;
  if (has_value(event, kCgroups)) {
    caller.cgroups = bytes_text(event.param(kCgroups));
    join_container(caller, caller.cgroups);
  }
  threads_.set_identity(caller, event.param(kPid).i64(),
                        has_value(event, kPtid) ? event.param(kPtid).i64() : caller.ptid);
  changed(caller);
}

void StateTables::Impl::clone_parent_side(const Event& event, Entry& caller) {
  const int64_t child_tid = *context_.result;
  const auto flags = static_cast<uint32_t>(event.param(kFlags).u64());
  learn_from_clone(event, caller);

  // Inside a pid namespace the result is a number of that namespace; with CLONE_PARENT the caller is a sibling. The
  // child's own side makes the entry then.
  if ((flags & (kCloneChildInPidns | kCloneNewPid | kCloneParent)) != 0) return;
  const int64_t vtid = has_value(event, kVtid) ? event.param(kVtid).i64() : caller.vtid;
  if (vtid > 0 && vtid != caller.tid) return;
  // A vfork returns when its child has exec'ed or is gone.
  if (event.code() == ev::SYSCALL_VFORK_20_X || (flags & kCloneVfork) != 0) return;
  if (child_tid == caller.tid) return;
  const Gone& gone = gone_[static_cast<size_t>(child_tid) % gone_.size()];
  if (gone.tid == child_tid && (gone.ptid == caller.tid || gone.ptid == caller.ptid) &&
      within(gone.ts_ns, event.ts_ns(), 2 * kSecond))
    return;

  const bool is_thread = (flags & kCloneThread) != 0;
  if (Entry* present = threads_.find(child_tid)) {
    if (event.ts_ns() < present->scanned_ns) return;
    if (present->inverted && (is_thread ? present->pid == caller.pid : present->ptid == caller.tid)) return;
    if (!present->placeholder) ++counters_.missed_exits;
    remove(*present, heir_of(*present, 0));
  }
  Entry& child = make_child(event, child_tid, is_thread, &caller);
  child.pid = is_thread ? caller.pid : child_tid;
  child.ptid = is_thread ? caller.ptid : caller.tid;
  child.vtid = child_tid;
  child.vpid = child.pid;
  inherit_container(child, &caller);
  add(child);
}

void StateTables::Impl::clone_child_side(const Event& event) {
  const int64_t tid = event.tid();
  if (Entry* present = threads_.find(tid)) {
    const bool is_it = !present->placeholder && within(present->clone_ns, event.ts_ns(), 2 * kSecond);
    if (is_it || event.ts_ns() < present->scanned_ns) return;
    if (!present->placeholder) ++counters_.missed_exits;
    remove(*present, heir_of(*present, 0));
  }
  const auto flags = static_cast<uint32_t>(event.param(kFlags).u64());
  const int64_t pid = has_value(event, kPid) ? event.param(kPid).i64() : tid;
  const int64_t ptid = event.param(kPtid).i64();
  const bool is_thread = pid != tid || (flags & kCloneThread) != 0;
  const int64_t source_tid = is_thread ? pid : ptid;
  Entry* source = threads_.find(source_tid);
  if (source == nullptr) source = read_live(source_tid);
  // The scan for the source may have found this very thread.
  if (Entry* present = threads_.find(tid)) {
    entry_ = present;
    context_.thread = present;
    return;
  }
  Entry& child = make_child(event, tid, is_thread, source);
  child.pid = pid;
  child.ptid = ptid;
  child.vtid = has_value(event, kVtid) ? event.param(kVtid).i64() : tid;
  child.vpid = has_value(event, kVpid) ? event.param(kVpid).i64() : pid;
  child.inverted = true;
  child.flags |= kCloneInverted;
  if (child.vtid != tid || (flags & (kCloneChildInPidns | kCloneNewPid)) != 0) {
    if (event.param(kPidnsStart).u64() != 0 && machine_.boot_ns != 0)
      child.pidns_init_start_ns = machine_.boot_ns + event.param(kPidnsStart).u64();
    child.reaper = child.vpid == 1 && !is_thread;
  }
  inherit_container(child, source);
  add(child);
  ++counters_.inverted_clones;
  child.last_seen_ns = event.ts_ns();
  entry_ = &child;
  context_.thread = &child;
}

// Everything but the ids and the container: from the caller, its parent process or its main thread, then from the
// event. Not in the table yet.
Entry& StateTables::Impl::make_child(const Event& event, int64_t tid, bool is_thread, Entry* source) {
  Entry& child = threads_.make();
  child.tid = tid;
  if (source != nullptr) {
    const Entry& owner = source->owner();
    child.comm = source->comm;
    child.exe = source->exe;
    child.args = source->args;
    child.exepath = source->exepath;
    child.root = source->root;
    child.sid = source->sid;
    child.pgid = source->pgid;
    child.vpgid = source->vpgid;
    child.uid = source->uid;
    child.gid = source->gid;
    child.loginuid = source->loginuid;
    child.tty = source->tty;
    child.cap_inheritable = source->cap_inheritable;
    child.cap_permitted = source->cap_permitted;
    child.cap_effective = source->cap_effective;
    child.fdlimit = owner.fdlimit;
    child.exe_ino = source->exe_ino;
    child.exe_ino_ctime_ns = source->exe_ino_ctime_ns;
    child.exe_ino_mtime_ns = source->exe_ino_mtime_ns;
    child.exe_ino_ctime_duration_clone_ns = source->exe_ino_ctime_duration_clone_ns;
    child.exe_ino_ctime_duration_pidns_ns = source->exe_ino_ctime_duration_pidns_ns;
    child.exe_writable = source->exe_writable;
    child.exe_upper_layer = source->exe_upper_layer;
    child.exe_lower_layer = source->exe_lower_layer;
    child.exe_from_memfd = source->exe_from_memfd;
    child.pidns_init_start_ns = source->pidns_init_start_ns;
    if (is_thread) {
      child.lastexec_ns = source->lastexec_ns;
    } else {
      child.cwd = owner.cwd;
      child.env = owner.env;
      child.fds = owner.fds;  // shared until one of the two changes it
    }
  }
  take_command(event, child);
  if (!is_thread && child.cwd.empty() && has_value(event, kCwd))
    child.cwd = as_directory(std::string(event.param(kCwd).text()));
  take(event, kFdlimit, child.fdlimit);
  take(event, kUid, child.uid);
  take(event, kGid, child.gid);
  take_memory(event, child);
  child.flags = static_cast<uint32_t>(event.param(kFlags).u64()) | (is_thread ? kCloneFiles : 0);
  child.clone_ns = event.ts_ns();
  child.last_seen_ns = event.ts_ns();

  const std::string_view cgroups = has_value(event, kCgroups) ? bytes_text(event.param(kCgroups))
                                   : source != nullptr        ? std::string_view(source->cgroups)
                                                              : std::string_view{};
  child.cgroups = cgroups;
  return child;
}

// An exec names the process that is the parent at that moment. A parent outside of the sensor's scope may have ended
// without a word, and somebody adopted the child.
void StateTables::Impl::follow_kernel_parent(const Event& event, Entry& entry) {
  const int64_t ptid = event.param(kPtid).i64();
  if (ptid <= 0 || ptid == entry.tid) return;
  const Entry* known = threads_.find(entry.ptid);
  const Entry* told = threads_.find(ptid);
  if (known != nullptr) {
    if (known->owner().pid == ptid || (told != nullptr && &told->owner() == &known->owner())) return;
    // The kernel takes the children from a process a moment after it said that it ends.
    const Gone& gone = gone_[static_cast<size_t>(ptid) % gone_.size()];
    if (told == nullptr && gone.tid == ptid && within(gone.ts_ns, event.ts_ns(), 2 * kSecond)) return;
  }
  if (told == nullptr) read_live(ptid);
  threads_.adopt(entry, ptid);
}

void StateTables::Impl::on_exec(const Event& event) {
  if (!context_.result || *context_.result < 0) return;
  Entry& entry = *entry_;
  // The other threads are gone, whichever of them called: the kernel gave the caller the main thread's id.
  while (entry.first_member != nullptr) remove(*entry.first_member, entry.tid);
  const int64_t pid = has_value(event, kPid) ? event.param(kPid).i64() : entry.pid;
  if (pid != entry.pid) threads_.set_identity(entry, pid, entry.ptid);
  // /proc, read later, knows better who the parent is and which descriptors the program kept.
  const bool is_before_scan = event.ts_ns() < entry.scanned_ns;
  if (has_value(event, kPtid) && !is_before_scan) follow_kernel_parent(event, entry);
  entry.placeholder = false;
  if (entry.dead) {
    entry.dead = false;
    entry.live_threads = 1;
  }

  take_command(event, entry);
  take_text(event, kCwd, entry.cwd);
  entry.cwd = as_directory(std::move(entry.cwd));
  take(event, kFdlimit, entry.fdlimit);
  take_memory(event, entry);
  entry.env = bytes_text(event.param(kExecEnv));
  take(event, kExecTty, entry.tty);
  take(event, kExecVpgid, entry.vpgid);
  take(event, kExecPgid, entry.pgid);
  take(event, kExecLoginuid, entry.loginuid);
  take(event, kExecUid, entry.uid);
  take(event, kExecGid, entry.gid);
  take(event, kExecCapInheritable, entry.cap_inheritable);
  take(event, kExecCapPermitted, entry.cap_permitted);
  take(event, kExecCapEffective, entry.cap_effective);
  const auto flags = static_cast<uint32_t>(event.param(kExecFlags).u64());
  entry.exe_writable = (flags & kExeWritable) != 0;
  entry.exe_upper_layer = (flags & kExeUpperLayer) != 0;
  entry.exe_lower_layer = (flags & kExeLowerLayer) != 0;
  entry.exe_from_memfd = (flags & kExeFromMemfd) != 0;

  if (const std::string_view trusted = event.param(kExecTrustedPath).text(); !trusted.empty()) {
    entry.exepath = without_deleted_mark(trusted);
  } else if (const std::string_view filename = event.param(kExecFilename).text(); !filename.empty()) {
    entry.exepath = absolute_path(entry.owner().cwd, filename);
  } else {
    entry.exepath.clear();  // the old image's path would be a lie
  }

  entry.lastexec_ns = event.ts_ns();
  entry.exe_ino = event.param(kExecIno).u64();
  entry.exe_ino_ctime_ns = event.param(kExecCtime).u64();
  entry.exe_ino_mtime_ns = event.param(kExecMtime).u64();
  const uint64_t ctime = entry.exe_ino_ctime_ns;
  entry.exe_ino_ctime_duration_clone_ns = ctime != 0 && entry.clone_ns > ctime ? entry.clone_ns - ctime : 0;
  entry.exe_ino_ctime_duration_pidns_ns =
      entry.pidns_init_start_ns != 0 && ctime > entry.pidns_init_start_ns ? ctime - entry.pidns_init_start_ns : 0;

  entry.flags &= kCloneInverted;
  if (!is_before_scan) drop_cloexec_fds(entry.owner());
  if (has_value(event, kCgroups)) {
    const std::string_view cgroups = bytes_text(event.param(kCgroups));
    // Who is cut off and nobody's container yet may have become one: its runtime has written more of its state.
    const bool is_open = entry.container_lookalike || (entry.container->is_host() && in_pid_namespace(entry));
    if (entry.cgroups != cgroups || is_open) {
      entry.cgroups = cgroups;
      join_container(entry, entry.cgroups);
    }
  }
  static_cast<Slot&>(*entry.container).member_pid = entry.pid;
  changed(entry);
}

void StateTables::Impl::on_procexit(const Event& event) {
  Entry& entry = *entry_;
  // An exit from before this life began is its predecessor's, whose tid was reused before the scan.
  if (event.ts_ns() < entry.scanned_ns || event.ts_ns() < entry.clone_ns) {
    ++counters_.stale_events;
    return;
  }
  if (!entry.dead) {
    entry.dead = true;
    Entry& owner = entry.owner();
    if (entry.main != nullptr && owner.live_threads > 0) --owner.live_threads;
    if (&owner != &entry) owner.changed();
    entry.changed();
  }
  gone_[static_cast<size_t>(entry.tid) % gone_.size()] = {entry.tid, entry.ptid, event.ts_ns()};
  deferred_.exit = &entry;
  deferred_.reaper = event.param(4).i64();
  has_deferred_ = true;
}

}  // namespace quell::enrich
