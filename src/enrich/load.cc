// From a snapshot to tables, and back.
#include <algorithm>

#include "enrich/impl.h"
#include "enrich/path.h"

namespace quell::enrich {

void StateTables::Impl::load(const Snapshot& snapshot) {
  threads_.for_each([&](Entry& entry) { entry.fds.reset(); });
  threads_.clear();
  containers_.clear();
  counters_ = {};
  fd_count_ = 0;
  first_ts_ns_ = 0;
  entry_ = nullptr;
  held_.reset();
  recent_files_.fill({});
  held_container_.reset();
  context_ = EventContext{};
  context_.state = &view_;
  deferred_ = {};
  has_deferred_ = false;
  gone_.fill({});
  purge_candidates_.clear();
  next_purge_ns_ = 0;

  machine_ = snapshot.machine;
  interfaces_ = snapshot.interfaces;
  for (const User& user : snapshot.users) containers_.host().database.users[user.uid] = user;
  for (const Group& group : snapshot.groups) containers_.host().database.groups[group.gid] = group;

  for (const Thread& thread : snapshot.threads) {
    if (thread.tid < 0 || threads_.size() >= options_.max_threads || threads_.find(thread.tid) != nullptr) {
      ++counters_.threads_refused;
      continue;
    }
    Entry& entry = threads_.make();
    static_cast<Thread&>(entry) = thread;
    entry.main = nullptr;
    entry.container = nullptr;
    entry.fds.reset();
    entry.cwd = as_directory(std::move(entry.cwd));
    entry.exepath = std::string(without_deleted_mark(entry.exepath));
    if (entry.vpid == 1 && entry.is_main()) entry.reaper = true;
    entry.last_seen_ns = std::max(entry.scanned_ns, entry.clone_ns);
    join_container(entry, entry.cgroups);
    if (entry.is_main()) static_cast<Slot&>(*entry.container).member_pid = entry.pid;
    add(entry);
  }

  listening_.assign(65536, false);
  for (const uint16_t port : snapshot.listening_ports) listening_[port] = true;
  for (const auto& list : snapshot.fd_lists)
    for (const auto& [number, fd] : list.fds)
      if (fd.is_server()) listening_[fd.tuple.source_port] = true;
  for (const auto& list : snapshot.fd_lists)
    if (Entry* entry = threads_.find(list.tid)) load_fds(entry->owner(), list.fds);
}

void StateTables::Impl::load_fds(Entry& owner, const std::vector<std::pair<int64_t, Fd>>& fds) {
  for (const auto& [number, fd] : fds) put_fd(owner, number, make_fd(fd.is_inet() ? with_role(fd, fds) : fd));
}

/// A socket that was open before us: near and far end are known, who called whom is told by the ports that listen. A
/// capture may have been written from tables where the client already is the source; then the destination is the port
/// that this process itself listens on.
Fd StateTables::Impl::with_role(const Fd& fd, const std::vector<std::pair<int64_t, Fd>>& of_process) const {
  Fd out = fd;
  if (fd.is_server()) {
    out.role = SocketRole::server;
    out.name = endpoint_name(fd.tuple.source, fd.tuple.source_port);
    return out;
  }
  if (is_unset(fd.tuple.source) && is_unset(fd.tuple.dest) && fd.tuple.source_port == 0 && fd.tuple.dest_port == 0)
    return out;
  if (fd.role == SocketRole::none) {
    const auto listens_here = [&](uint16_t port) {
      return std::any_of(of_process.begin(), of_process.end(), [port](const auto& entry) {
        return entry.second.is_server() && entry.second.tuple.source_port == port;
      });
    };
    if (fd.tuple.source_port != 0 && listening_.size() > fd.tuple.source_port && listening_[fd.tuple.source_port]) {
      out.role = SocketRole::server;
      out.tuple = swapped(fd.tuple);
    } else if (fd.tuple.dest_port != 0 && listens_here(fd.tuple.dest_port)) {
      out.role = SocketRole::server;
    } else {
      out.role = SocketRole::client;
    }
  }
  // A role that is known came with the flags.
  if (out.l4 == L4Proto::tcp && fd.role == SocketRole::none) out.flags |= kFdConnected;
  out.name = tuple_name(out.tuple);
  return out;
}

Snapshot StateTables::Impl::snapshot() const {
  Snapshot out;
  out.machine = machine_;
  out.interfaces = interfaces_;
  view_.accounts(containers_.host(), out.users, out.groups);
  const auto by_tid = [](const auto& a, const auto& b) { return a.tid < b.tid; };
  threads_.for_each([&](const Entry& entry) {
    if (entry.dead && entry.first_member == nullptr) return;
    Thread& thread = out.threads.emplace_back(entry);
    thread.main = nullptr;
    thread.container = nullptr;
    thread.fds.reset();
    if (!entry.fds || entry.fds->size() == 0) return;
    Snapshot::FdList& list = out.fd_lists.emplace_back();
    list.tid = entry.tid;
    entry.fds->for_each([&](int64_t number, const Fd& fd) { list.fds.emplace_back(number, fd); });
    std::sort(list.fds.begin(), list.fds.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  });
  std::sort(out.threads.begin(), out.threads.end(), by_tid);
  std::sort(out.fd_lists.begin(), out.fd_lists.end(), by_tid);
  for (size_t port = 0; port < listening_.size(); ++port)
    if (listening_[port]) out.listening_ports.push_back(static_cast<uint16_t>(port));
  return out;
}

}  // namespace quell::enrich
