#include "apps/quell/confine.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace quell::cli {
namespace {

bool is_inside(const Thread& thread, const WatchScope& scope) {
  os::ProcessFacts facts;
  facts.id.pid = thread.pid;
  facts.ppid = thread.ptid;
  facts.cgroups = thread.cgroups;
  return scope.contains(facts);
}

void keep_name_only(Thread& thread) {
  thread.exe = thread.comm;
  thread.args.clear();
  thread.env.clear();
  thread.cgroups.clear();
  thread.cwd = thread.root = "/";
}

}  // namespace

void confine(Snapshot& snapshot, const WatchScope& scope) {
  if (!scope.contains) return;
  std::unordered_map<int64_t, const Thread*> by_tid;
  for (const Thread& thread : snapshot.threads) by_tid.emplace(thread.tid, &thread);
  std::unordered_set<int64_t> inside, kept;
  for (const Thread& thread : snapshot.threads) {
    if (!is_inside(thread, scope)) continue;
    inside.insert(thread.tid);
    // Ends at a thread that is kept already: no list of parents is walked twice, and a circle ends.
    for (const Thread* at = &thread; at != nullptr && kept.insert(at->tid).second;) {
      const auto parent = by_tid.find(at->ptid);
      at = parent == by_tid.end() ? nullptr : parent->second;
    }
  }
  std::erase_if(snapshot.threads, [&](const Thread& thread) { return !kept.contains(thread.tid); });
  std::erase_if(snapshot.fd_lists, [&](const Snapshot::FdList& list) { return !inside.contains(list.tid); });
  for (Thread& thread : snapshot.threads)
    if (!inside.contains(thread.tid)) keep_name_only(thread);
}

void confine(enrich::Options& options, const WatchScope& scope) {
  if (!scope.contains || !options.read_thread) return;
  options.read_thread = [read = std::move(options.read_thread), scope](int64_t tid, Thread& out,
                                                                       std::vector<std::pair<int64_t, Fd>>& fds) {
    if (!read(tid, out, fds)) return false;
    if (is_inside(out, scope)) return true;
    keep_name_only(out);
    fds.clear();
    return true;
  };
}

}  // namespace quell::cli
