#pragma once
// A small machine for tests: tables with a few processes, and shorthands for the events that programs cause.
#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "enrich/tables.h"
#include "model/event.h"

namespace quell::enrich {

inline constexpr uint64_t kStart = 1'700'000'000'000'000'000;
inline constexpr uint64_t kSecondNs = 1'000'000'000;
inline const std::string kContainerId = "3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de441c3601e";
inline std::string nul_list(std::initializer_list<std::string_view> parts) {
  std::string out;
  for (const std::string_view part : parts) out.append(part).push_back('\0');
  return out;
}

inline const std::string kContainerCgroups = nul_list({"cpu=/user.slice", "memory=/docker/" + kContainerId});

inline Thread process(int64_t pid, int64_t ptid, std::string comm) {
  Thread t;
  t.tid = t.pid = t.vtid = t.vpid = pid;
  t.ptid = ptid;
  t.comm = t.exe = comm;
  t.exepath = "/usr/bin/" + comm;
  t.cwd = "/home/";
  t.uid = t.gid = 1000;
  t.sid = t.pgid = t.vpgid = 1;
  return t;
}

struct Clone {
  int64_t res = 0, tid = 0, pid = 0, ptid = 0;
  uint32_t flags = 0;
  int64_t vtid = 0, vpid = 0;  // 0: as tid and pid
  std::string comm = "sh", exe = "sh", cgroups = {};
  uint64_t pidns_start = 0;
  EventCode code = ev::SYSCALL_CLONE_20_X;
};

struct Exec {
  std::string exe = "ls", args = {}, comm = "ls", exepath = "/usr/bin/ls", cgroups = {}, filename = {};
  int64_t pid = 0, ptid = 0, res = 0;
  uint32_t flags = 0, uid = 1000, tty = 0;
  uint64_t ctime = 0;
  bool trusted = true;
};

/// 1 init -> 10 sshd -> 100 bash, each with a clean table.
class World {
 public:
  explicit World(Options options = {}) : tables(std::move(options)) {
    snapshot.machine.hostname = "node";
    snapshot.machine.boot_ns = kStart - 1000 * kSecondNs;
    snapshot.threads = {process(1, 0, "init"), process(10, 1, "sshd"), process(100, 10, "bash")};
    snapshot.users = {{0, 0, "root", "/root", "/bin/sh"}, {1000, 1000, "ann", "/home/ann", "/bin/bash"}};
    snapshot.groups = {{0, "root"}};
    tables.load(snapshot);
  }
  void reload() { tables.load(snapshot); }

  const EventContext& apply(std::vector<uint8_t> bytes, bool state_only = false) {
    bytes_ = std::move(bytes);
    const auto parsed = Event::parse(bytes_, event_);
    EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().str());
    event_.state_only = state_only;
    return tables.apply(event_, ++number);
  }
  EventBuilder event(EventCode code, int64_t tid) { return EventBuilder(code, now += 1'000'000, tid); }

  const EventContext& clone(const Clone& c) {
    EventBuilder b = event(c.code, c.tid);
    b.num<int64_t>(c.res).text(c.exe).empty().num<int64_t>(c.tid).num<int64_t>(c.pid == 0 ? c.tid : c.pid);
    b.num<int64_t>(c.ptid).text("").num<int64_t>(1024).num<uint64_t>(0).num<uint64_t>(0);
    b.num<uint32_t>(10).num<uint32_t>(5).num<uint32_t>(0).text(c.comm);
    c.cgroups.empty() ? b.empty() : b.raw(c.cgroups.data(), c.cgroups.size());
    b.num<uint32_t>(c.flags).num<uint32_t>(1000).num<uint32_t>(1000);
    b.num<int64_t>(c.vtid == 0 ? c.tid : c.vtid).num<int64_t>(c.vpid != 0 ? c.vpid : c.pid == 0 ? c.tid : c.pid);
    b.num<uint64_t>(c.pidns_start);
    return apply(b.build());
  }
  /// Parent side of a plain fork: `tid` gets the child `child`.
  const EventContext& fork(int64_t tid, int64_t child) {
    const Thread* caller = tables.thread(tid);
    return clone({.res = child,
                  .tid = tid,
                  .pid = caller ? caller->pid : tid,
                  .ptid = caller ? caller->ptid : 0,
                  .comm = caller ? caller->comm : "sh",
                  .exe = caller ? caller->exe : "sh"});
  }
  const EventContext& exec(int64_t tid, const Exec& e) {
    EventBuilder b = event(ev::SYSCALL_EXECVE_19_X, tid);
    b.num<int64_t>(e.res).text(e.exe).raw(e.args.data(), e.args.size()).num<int64_t>(tid);
    b.num<int64_t>(e.pid == 0 ? tid : e.pid).num<int64_t>(e.ptid).empty().num<uint64_t>(1024);
    b.num<uint64_t>(1).num<uint64_t>(2).num<uint32_t>(100).num<uint32_t>(50).num<uint32_t>(0).text(e.comm);
    e.cgroups.empty() ? b.empty() : b.raw(e.cgroups.data(), e.cgroups.size());
    const std::string env = nul_list({"A=1", "B=2"});
    b.raw(env.data(), env.size()).num<uint32_t>(e.tty).num<int64_t>(tid).num<uint32_t>(1000).num<uint32_t>(e.flags);
    b.num<uint64_t>(0).num<uint64_t>(3).num<uint64_t>(3).num<uint64_t>(77).num<uint64_t>(e.ctime).num<uint64_t>(
        e.ctime);
    b.num<uint32_t>(e.uid);
    e.trusted ? b.text(e.exepath) : b.empty();
    b.num<int64_t>(tid).num<uint32_t>(1000);
    e.filename.empty() ? b.empty() : b.text(e.filename);
    return apply(b.build());
  }
  const EventContext& exit(int64_t tid, int64_t reaper = 0) {
    return apply(event(ev::PROCEXIT_1_E, tid)
                     .num<int64_t>(0)
                     .num<int64_t>(0)
                     .num<uint8_t>(0)
                     .num<uint8_t>(0)
                     .num<int64_t>(reaper)
                     .build());
  }
  const EventContext& openat(int64_t tid, int64_t res, int64_t dirfd, std::string_view name, uint32_t flags = 1) {
    return apply(event(ev::SYSCALL_OPENAT_2_X, tid)
                     .num<int64_t>(res)
                     .num<int64_t>(dirfd)
                     .text(name)
                     .num<uint32_t>(flags)
                     .num<uint32_t>(0)
                     .num<uint32_t>(8)
                     .num<uint64_t>(99)
                     .build());
  }
  const EventContext& close(int64_t tid, int64_t fd) {
    return apply(event(ev::SYSCALL_CLOSE_X, tid).num<int64_t>(0).num<int64_t>(fd).build());
  }
  const EventContext& read(int64_t tid, int64_t fd, int64_t res = 1) {
    return apply(event(ev::SYSCALL_READ_X, tid).num<int64_t>(res).empty().num<int64_t>(fd).num<uint32_t>(8).build());
  }
  /// Any event without effect: makes deferred effects happen.
  const EventContext& tick(int64_t tid = 1) { return apply(event(ev::SYSCALL_MUNMAP_X, tid).num<int64_t>(0).build()); }

  const Thread* thread(int64_t tid) const { return tables.thread(tid); }
  const Fd* fd(int64_t tid, int64_t which) const {
    const Thread* t = tables.thread(tid);
    return t == nullptr || !t->group().fds ? nullptr : t->group().fds->find(which);
  }
  std::string parent_name(int64_t tid) const {
    const Thread* parent = tables.parent(*tables.thread(tid));
    return parent == nullptr ? "" : parent->comm;
  }

  Snapshot snapshot;
  StateTables tables;
  uint64_t now = kStart;
  uint64_t number = 0;

 private:
  std::vector<uint8_t> bytes_;
  Event event_;
};

}  // namespace quell::enrich
