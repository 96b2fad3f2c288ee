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
  if (found == by_tid_.end()) return {};
  const std::span<const uint8_t> bytes = found->second;
  const size_t event_bytes = bytes.size() - sizeof(quell_wire_arrival);
  Event event;
  if (!Event::parse(bytes.first(event_bytes), event)) return {};
  quell_wire_arrival more;
  std::memcpy(&more, bytes.data() + event_bytes, sizeof more);
  return Arrival{describe(event, more), more.has_own_mounts != 0};
}

}  // namespace quell::capture
