#include "capture/scap/supplement.h"

#include <boost/unordered/unordered_flat_map.hpp>

#include "capture/scap/format.h"
#include "capture/scap/table_layout.h"

namespace quell::capture::scap {
namespace {

enum Kind : uint8_t { kThread = 1, kDescriptor = 2, kPorts = 3 };
enum Life : uint8_t { kDead = 1, kInverted = 2, kReaper = 4, kPlaceholder = 8 };

template <typename Fill>
void put_entry(Kind kind, ByteWriter& out, Fill&& fill) {
  const size_t start = out.offset();
  out.write(uint32_t{0});
  out.write(kind);
  fill();
  out.patch(start, static_cast<uint32_t>(out.offset() - start));
}

}  // namespace

void put_supplement(const Thread& thread, ByteWriter& out) {
  put_entry(kThread, out, [&] {
    out.write(thread.tid);
    out.write(thread.clone_ns);
    out.write(thread.lastexec_ns);
    out.write(thread.exe_ino_ctime_duration_clone_ns);
    out.write(thread.exe_ino_ctime_duration_pidns_ns);
    out.write(static_cast<uint8_t>((thread.dead ? kDead : 0) | (thread.inverted ? kInverted : 0) |
                                   (thread.reaper ? kReaper : 0) | (thread.placeholder ? kPlaceholder : 0)));
  });
}

void put_supplement(int64_t tid, int64_t number, const Fd& fd, ByteWriter& out) {
  const bool is_plain = fd.flags == 0 && fd.role == SocketRole::none && fd.pid == 0 && fd.given_name().empty() &&
                        !is_newer_fd_type(fd.type);
  if (is_plain || fd.type == FdType::unknown) return;
  put_entry(kDescriptor, out, [&] {
    out.write(tid);
    out.write(number);
    out.write(fd.type);
    out.write(fd.role);
    out.write(fd.flags);
    out.write(fd.pid);
    out.write_str16(fd.given_name(), kMaxPath);
  });
}

void put_supplement(const std::vector<uint16_t>& ports, ByteWriter& out) {
  if (ports.empty()) return;
  put_entry(kPorts, out, [&] {
    for (const uint16_t port : ports) out.write(port);
  });
}

uint64_t SupplementReader::read(std::span<const uint8_t> body) {
  uint64_t skipped = 0;
  ByteReader reader(body);
  while (reader.left() >= sizeof(uint32_t)) {
    uint32_t length = 0;
    std::span<const uint8_t> entry;
    if (!reader.read(length) || length < sizeof length || !reader.take(length - sizeof length, entry)) {
      return skipped + 1;
    }
    ByteReader inside(entry);
    if (!read_entry(inside)) ++skipped;
  }
  return skipped;
}

bool SupplementReader::read_entry(ByteReader& in) {
  uint8_t kind = 0;
  if (!in.read(kind)) return false;
  if (kind == kThread) {
    ThreadFacts facts;
    if (threads_.size() >= kMaxThreads || !in.read(facts.tid) || !in.read(facts.clone_ns) ||
        !in.read(facts.lastexec_ns) || !in.read(facts.ctime_duration_clone_ns) ||
        !in.read(facts.ctime_duration_pidns_ns) || !in.read(facts.life))
      return false;
    threads_.push_back(facts);
  } else if (kind == kDescriptor) {
    FdFacts facts;
    uint8_t type = 0, role = 0;
    if (fds_.size() >= kMaxFds || !in.read(facts.tid) || !in.read(facts.number) || !in.read(type) || !in.read(role) ||
        !in.read(facts.flags) || !in.read(facts.pid) || !in.read_str16(facts.given_name))
      return false;
    if (type > static_cast<uint8_t>(FdType::pidfd) || role > static_cast<uint8_t>(SocketRole::server)) return false;
    facts.type = static_cast<FdType>(type);
    facts.role = static_cast<SocketRole>(role);
    fds_.push_back(std::move(facts));
  } else if (kind == kPorts) {
    for (uint16_t port = 0; in.read(port);)
      if (ports_.size() < UINT16_MAX) ports_.push_back(port);
  }
  return true;
}

void SupplementReader::apply(Snapshot& out) {
  if (!threads_.empty()) {
    boost::unordered_flat_map<int64_t, Thread*> by_tid;
    for (Thread& thread : out.threads) by_tid.emplace(thread.tid, &thread);
    for (const ThreadFacts& facts : threads_) {
      const auto found = by_tid.find(facts.tid);
      if (found == by_tid.end()) continue;
      Thread& thread = *found->second;
      thread.clone_ns = facts.clone_ns;
      thread.lastexec_ns = facts.lastexec_ns;
      thread.exe_ino_ctime_duration_clone_ns = facts.ctime_duration_clone_ns;
      thread.exe_ino_ctime_duration_pidns_ns = facts.ctime_duration_pidns_ns;
      thread.dead = (facts.life & kDead) != 0;
      thread.inverted = (facts.life & kInverted) != 0;
      thread.reaper = (facts.life & kReaper) != 0;
      thread.placeholder = (facts.life & kPlaceholder) != 0;
    }
  }
  if (!fds_.empty()) {
    boost::unordered_flat_map<int64_t, boost::unordered_flat_map<int64_t, Fd*>> by_number;
    for (Snapshot::FdList& list : out.fd_lists)
      for (auto& [number, fd] : list.fds) by_number[list.tid].emplace(number, &fd);
    for (FdFacts& facts : fds_) {
      const auto of_process = by_number.find(facts.tid);
      if (of_process == by_number.end()) continue;
      const auto found = of_process->second.find(facts.number);
      if (found == of_process->second.end()) continue;
      Fd& fd = *found->second;
      // The format's own entry tells how a socket's addresses are to be read: only a type of the same form may replace
      // it.
      if (is_newer_fd_type(facts.type) && fd.type == FdType::unsupported) fd.type = facts.type;
      fd.role = facts.role;
      fd.flags = facts.flags;
      fd.pid = facts.pid;
      fd.given_is_name = !facts.given_name.empty() && facts.given_name == fd.name;
      if (!fd.given_is_name) fd.name_raw = std::move(facts.given_name);
    }
  }
  out.listening_ports.insert(out.listening_ports.end(), ports_.begin(), ports_.end());
}

}  // namespace quell::capture::scap
