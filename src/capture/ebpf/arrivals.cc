#include "capture/ebpf/arrivals.h"

#include <cstring>
#include <string_view>

#include "bpf/wire.h"
#include "model/event.h"

namespace quell::capture {
namespace {

Thread describe(const Event& event, const quell_wire_arrival& more) {
  const EventSpec& spec = event.spec();
  const auto param = [&](std::string_view name) {
    const int index = spec.param_index(name);
    return index < 0 ? Param{} : event.param(static_cast<size_t>(index));
  };
  const auto number = [&](std::string_view name) { return param(name).u64(); };
  const auto small = [&](std::string_view name) { return static_cast<uint32_t>(param(name).u64()); };
  const auto bytes = [&](std::string_view name) {
    const Param value = param(name);
    return std::string(reinterpret_cast<const char*>(value.data), value.len);
  };
  Thread out;
  out.tid = event.tid();
  out.pid = param("pid").i64();
  out.ptid = param("ptid").i64();
  out.vtid = static_cast<int64_t>(more.vtid);
  out.vpid = static_cast<int64_t>(more.vpid);
  out.sid = static_cast<int64_t>(more.sid);
  out.pgid = param("pgid").i64();
  out.vpgid = param("vpgid").i64();
  out.comm = param("comm").text();
  out.exe = param("exe").text();
  if (out.exe.empty()) out.exe = out.comm;
  out.exepath = param("trusted_exepath").text();
  out.args = bytes("args");
  out.env = bytes("env");
  out.cwd = param("cwd").text();
  out.cgroups = bytes("cgroups");
  out.uid = small("uid");
  out.gid = small("gid");
  out.loginuid = small("loginuid");
  out.tty = small("tty");
  out.cap_inheritable = number("cap_inheritable");
  out.cap_permitted = number("cap_permitted");
  out.cap_effective = number("cap_effective");
  out.fdlimit = param("fdlimit").i64();
  out.exe_ino = number("exe_ino");
  out.exe_ino_ctime_ns = number("exe_ino_ctime");
  out.exe_ino_mtime_ns = number("exe_ino_mtime");
  out.vm_size_kb = small("vm_size");
  out.vm_rss_kb = small("vm_rss");
  out.vm_swap_kb = small("vm_swap");
  out.page_faults_major = number("pgft_maj");
  out.page_faults_minor = number("pgft_min");
  const uint32_t flags = small("flags");
  out.exe_writable = (flags & 1) != 0;
  out.exe_upper_layer = (flags & 2) != 0;
  out.exe_from_memfd = (flags & 4) != 0;
  out.exe_lower_layer = (flags & 8) != 0;
  out.clone_ns = more.start_ns;
  out.scanned_ns = event.ts_ns();
  return out;
}

}  // namespace

Thread as_it_arrived(Thread then, Thread now) {
  if (then.exe_ino == now.exe_ino && then.comm == now.comm) {
    then.exe = std::move(now.exe);
    then.args = std::move(now.args);
    then.env = std::move(now.env);
  }
  // Its parent outside of the scope may have ended since, and nobody would say so.
  then.ptid = now.ptid;
  then.flags = now.flags;
  then.root = std::move(now.root);
  then.cgroups = std::move(now.cgroups);
  then.pidns_init_start_ns = now.pidns_init_start_ns;
  then.scanned_ns = now.scanned_ns;
  if (!then.is_main()) then.cwd.clear(), then.env.clear();  // these live with the main thread
  return then;
}

void Arrivals::add(std::span<const uint8_t> event, std::span<const uint8_t> more) {
  Event parsed;
  if (more.size() < sizeof(quell_wire_arrival) || !Event::parse(event, parsed)) return;
  std::vector<uint8_t> bytes(event.begin(), event.end());
  bytes.insert(bytes.end(), more.begin(), more.begin() + sizeof(quell_wire_arrival));
  if (!by_tid_.insert_or_assign(parsed.tid(), std::move(bytes)).second) return;
  order_.push_back(parsed.tid());
  if (order_.size() <= capacity_) return;
  by_tid_.erase(order_.front());
  order_.pop_front();
}

std::optional<Arrival> Arrivals::find(int64_t tid) const {
  const auto found = by_tid_.find(tid);
  return found == by_tid_.end() ? std::nullopt : parse(found->second);
}

// Asked for processes that are gone, when they are first heard of.
std::optional<Thread> Arrivals::find_parent(int64_t pid) const {
  for (auto tid = order_.rbegin(); tid != order_.rend(); ++tid)
    if (auto arrival = find(*tid); arrival && arrival->parent.pid == pid) return std::move(arrival->parent);
  return {};
}

std::optional<Arrival> Arrivals::parse(std::span<const uint8_t> bytes) {
  const size_t event_bytes = bytes.size() - sizeof(quell_wire_arrival);
  Event event;
  if (!Event::parse(bytes.first(event_bytes), event)) return {};
  quell_wire_arrival more;
  std::memcpy(&more, bytes.data() + event_bytes, sizeof more);
  Arrival out{describe(event, more), {}, more.has_own_mounts != 0};
  Thread& parent = out.parent;
  parent.tid = parent.pid = out.thread.ptid;
  parent.ptid = static_cast<int64_t>(more.parent_ptid);
  parent.comm = parent.exe = std::string(more.parent_comm, strnlen(more.parent_comm, sizeof more.parent_comm));
  parent.cwd = parent.root = "/";
  parent.clone_ns = more.parent_start_ns;
  parent.scanned_ns = event.ts_ns();
  return out;
}

}  // namespace quell::capture
