#include "capture/scap/table_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "capture/fd_facts.h"
#include "capture/scap/format.h"
#include "capture/scap/table_layout.h"

namespace quell::capture::scap {
namespace {

using Bytes = std::span<const uint8_t>;

/// Walks the entries of a list. parse(reader) reads one; false leaves it out.
/// A sized list says each entry's length up front (`counts_itself`: including those 4 bytes), so a bad entry costs only
/// itself; in an unsized list nothing behind a bad entry can be found.
template <typename Parse>
uint64_t for_each_entry(Bytes list, bool sized, bool counts_itself, Parse&& parse) {
  uint64_t skipped = 0;
  ByteReader reader(list);
  while (reader.left() >= 4) {
    if (!sized) {
      const size_t before = reader.offset();
      switch (parse(reader)) {
        case Entry::taken: break;
        case Entry::refused: ++skipped; break;
        case Entry::unreadable: return skipped + 1;
      }
      if (reader.offset() == before) return skipped + 1;
      continue;
    }
    uint32_t length = 0;
    if (!reader.read(length)) return skipped + 1;
    if (counts_itself) {
      if (length < 4) return skipped + 1;
      length -= 4;
    }
    Bytes entry;
    if (!reader.take(length, entry)) return skipped + 1;
    ByteReader inside(entry);
    if (parse(inside) != Entry::taken) ++skipped;
  }
  return skipped;
}

Entry read_user(ByteReader& in, Snapshot& out) {
  uint8_t kind = 0;
  if (!in.read(kind)) return Entry::unreadable;
  if (kind != 0) {
    Group group;
    if (!in.read(group.gid) || !in.read_str16(group.name)) return Entry::unreadable;
    if (group.name.size() > kMaxUserText || out.groups.size() >= kMaxUsers) return Entry::refused;
    out.groups.push_back(std::move(group));
    return Entry::taken;
  }
  User user;
  if (!in.read(user.uid) || !in.read(user.gid) || !in.read_str16(user.name) || !in.read_str16(user.home) ||
      !in.read_str16(user.shell))
    return Entry::unreadable;
  if (std::max({user.name.size(), user.home.size(), user.shell.size()}) > kMaxUserText || out.users.size() >= kMaxUsers)
    return Entry::refused;
  out.users.push_back(std::move(user));
  return Entry::taken;
}

Entry read_interface(ByteReader& in, Snapshot& out) {
  uint16_t type = 0, name_length = 0;
  if (!in.read(type) || !in.read(name_length)) return Entry::unreadable;
  const bool v6 = type == kInterfaceV6 || type == kInterfaceV6NoSpeed;
  const bool v4 = type == kInterfaceV4 || type == kInterfaceV4NoSpeed;
  if (!v4 && !v6) return Entry::unreadable;
  NetworkInterface interface;
  for (IpAddress* address : {&interface.address, &interface.netmask, &interface.broadcast}) {
    Bytes bytes;
    if (!in.take(v6 ? 16 : 4, bytes)) return Entry::unreadable;
    *address = v6 ? IpAddress::v6(bytes.data()) : IpAddress::v4(bytes.data());
  }
  const bool has_speed = type == kInterfaceV4 || type == kInterfaceV6;
  Bytes name;
  if ((has_speed && !in.read(interface.link_speed)) || !in.take(name_length, name)) return Entry::unreadable;
  if (out.interfaces.size() >= kMaxInterfaces) return Entry::refused;
  interface.name.assign(reinterpret_cast<const char*>(name.data()), name.size());
  out.interfaces.push_back(std::move(interface));
  return Entry::taken;
}

// The fields that came last are read while they fit: an entry's length is the only sign of their presence.
void read_thread_tail(ByteReader& in, Thread& t) {
  uint8_t byte = 0;
  const auto flag = [&](bool& out) {
    if (!in.read(byte)) return false;
    out = byte != 0;
    return true;
  };
  // Two fields were once inserted here, in the middle; an entry that has room only for the older ones is from before
  // that.
  if (in.left() > kThreadTailBeforeTty && (!in.read(t.pidns_init_start_ns) || !in.read(t.tty))) return;
  const bool whole = in.read(t.loginuid) && flag(t.exe_writable) && in.read(t.cap_inheritable) &&
                     in.read(t.cap_permitted) && in.read(t.cap_effective) && flag(t.exe_upper_layer) &&
                     in.read(t.exe_ino) && in.read(t.exe_ino_ctime_ns) && in.read(t.exe_ino_mtime_ns) &&
                     flag(t.exe_from_memfd) && flag(t.exe_lower_layer) && in.read(t.pgid);
  static_cast<void>(whole);  // an older writer: what it did not know keeps its default
}

Entry read_thread(ByteReader& in, int version, Thread& t) {
  if (!in.read(t.tid) || !in.read(t.pid) || !in.read(t.ptid)) return Entry::unreadable;
  if (version >= 6 && !in.read(t.sid)) return Entry::unreadable;
  if (version >= 8 && !in.read(t.vpgid)) return Entry::unreadable;
  if (!in.read_str16(t.comm) || !in.read_str16(t.exe)) return Entry::unreadable;
  if (version >= 7 && !in.read_str16(t.exepath)) return Entry::unreadable;
  if (!in.read_str16(t.args) || !in.read_str16(t.cwd) || !in.read(t.fdlimit) || !in.read(t.flags) || !in.read(t.uid) ||
      !in.read(t.gid))
    return Entry::unreadable;
  if (version >= 2 && !(in.read(t.vm_size_kb) && in.read(t.vm_rss_kb) && in.read(t.vm_swap_kb) &&
                        in.read(t.page_faults_major) && in.read(t.page_faults_minor)))
    return Entry::unreadable;
  if (version >= 3 && !in.read_str16(t.env)) return Entry::unreadable;
  if (version >= 4 && !(in.read(t.vtid) && in.read(t.vpid) && in.read_str16(t.cgroups))) return Entry::unreadable;
  if (version >= 5 && !in.read_str16(t.root)) return Entry::unreadable;
  if (version >= 9) read_thread_tail(in, t);

  if (std::max({t.comm.size(), t.exe.size(), t.exepath.size(), t.cwd.size(), t.root.size()}) > kMaxPath ||
      std::max({t.args.size(), t.env.size(), t.cgroups.size()}) > kMaxList)
    return Entry::refused;
  if (!t.cwd.empty() && t.cwd.back() != '/') t.cwd += '/';
  return Entry::taken;
}

Entry read_fd(ByteReader& in, bool sized, int64_t& number, Fd& fd) {
  uint8_t type = 0;
  if (!in.read(number) || !in.read(fd.ino) || !in.read(type)) return Entry::unreadable;
  uint8_t l4 = 0;
  Bytes source, dest;
  switch (type) {
    case kFdIpv4:
    case kFdIpv6: {
      const size_t width = type == kFdIpv4 ? 4 : 16;
      if (!in.take(width, source) || !in.take(width, dest) || !in.read(fd.tuple.source_port) ||
          !in.read(fd.tuple.dest_port) || !in.read(l4))
        return Entry::unreadable;
      fd.type = type == kFdIpv4 ? FdType::ipv4 : FdType::ipv6;
      fd.tuple.source = width == 4 ? IpAddress::v4(source.data()) : IpAddress::v6(source.data());
      fd.tuple.dest = width == 4 ? IpAddress::v4(dest.data()) : IpAddress::v6(dest.data());
      break;
    }
    case kFdIpv4Server:
    case kFdIpv6Server: {
      const size_t width = type == kFdIpv4Server ? 4 : 16;
      if (!in.take(width, source) || !in.read(fd.tuple.source_port) || !in.read(l4)) return Entry::unreadable;
      fd.type = width == 4 ? FdType::ipv4_server : FdType::ipv6_server;
      fd.tuple.source = width == 4 ? IpAddress::v4(source.data()) : IpAddress::v6(source.data());
      break;
    }
    case kFdUnix:
      fd.type = FdType::unix_socket;
      if (!in.read(fd.unix_source) || !in.read(fd.unix_dest) || !in.read_str16(fd.name)) return Entry::unreadable;
      break;
    case kFdFileV2:
      fd.type = FdType::file;
      if (!in.read(fd.open_flags) || !in.read_str16(fd.name)) return Entry::unreadable;
      if (sized && !in.read(fd.dev)) fd.dev = 0;  // older writers end the entry here
      break;
    default: {
      const std::optional<FdType> named = fd_type_of(type);
      if (!named && !sized) return Entry::unreadable;  // nobody knows how long it is
      fd.type = named.value_or(FdType::unsupported);
      if (!named) fd.name = fmt::format("unknown-type:[{}]", type);
      if (named && !in.read_str16(fd.name)) return Entry::unreadable;
    }
  }
  fd.l4 = l4 <= static_cast<uint8_t>(L4Proto::raw) ? static_cast<L4Proto>(l4) : L4Proto::unknown;
  if (fd.name.size() > kMaxPath) return Entry::refused;
  complete_fd(fd);
  return Entry::taken;
}

int process_list_version(uint32_t type) {
  if (type >= kProcessListV4 && type <= kProcessListV9) return static_cast<int>(type - kProcessListV4) + 4;
  switch (type) {
    case kProcessListV1:
    case kProcessListV1Old: return 1;
    case kProcessListV2:
    case kProcessListV2Old: return 2;
    case kProcessListV3:
    case kProcessListV3Old: return 3;
    default: return 0;
  }
}

}  // namespace

bool TableReader::knows(uint32_t type) {
  switch (type) {
    case kMachineInfo:
    case kMachineInfoOld:
    case kFdListV1:
    case kFdListV1Old:
    case kFdListV2:
    case kInterfaceListV1:
    case kInterfaceListV1Old:
    case kInterfaceListV2:
    case kUserListV1:
    case kUserListV1Old:
    case kUserListV2:
    case kSupplement: return true;
    default: return process_list_version(type) > 0;
  }
}

void TableReader::read(uint32_t type, Bytes body) {
  switch (type) {
    case kSupplement: skipped_ += supplement_.read(body); return;
    case kMachineInfo:
    case kMachineInfoOld: return read_machine(body);
    case kFdListV1:
    case kFdListV1Old: return read_fds(body, false);
    case kFdListV2: return read_fds(body, true);
    case kInterfaceListV1:
    case kInterfaceListV1Old: return read_interfaces(body, false);
    case kInterfaceListV2: return read_interfaces(body, true);
    case kUserListV1:
    case kUserListV1Old: return read_users(body, false);
    case kUserListV2: return read_users(body, true);
    default: return read_threads(body, process_list_version(type));
  }
}

void TableReader::read_machine(Bytes body) {
  MachineInfo machine;
  Bytes name;
  ByteReader in(body);
  if (!in.read(machine.cpu_count) || !in.read(machine.memory_bytes) || !in.read(machine.max_pid) ||
      !in.take(kHostNameBytes, name) || !in.read(machine.boot_ns)) {
    ++skipped_;
    return;
  }
  const auto* text = reinterpret_cast<const char*>(name.data());
  machine.hostname.assign(text, strnlen(text, name.size()));
  out_->machine = std::move(machine);
}

void TableReader::read_interfaces(Bytes body, bool sized) {
  skipped_ += for_each_entry(body, sized, false, [&](ByteReader& in) { return read_interface(in, *out_); });
}

void TableReader::read_users(Bytes body, bool sized) {
  skipped_ += for_each_entry(body, sized, true, [&](ByteReader& in) { return read_user(in, *out_); });
}

void TableReader::read_threads(Bytes body, int version) {
  skipped_ += for_each_entry(body, version >= 9, true, [&](ByteReader& in) {
    Thread thread;
    const Entry entry = read_thread(in, version, thread);
    if (entry != Entry::taken) return entry;
    if (out_->threads.size() >= kMaxThreads) return Entry::refused;
    out_->threads.push_back(std::move(thread));
    return entry;
  });
}

void TableReader::read_fds(Bytes body, bool sized) {
  ByteReader in(body);
  Snapshot::FdList list;
  if (!in.read(list.tid)) {
    ++skipped_;
    return;
  }
  skipped_ += for_each_entry(body.subspan(in.offset()), sized, true, [&](ByteReader& entry_in) {
    int64_t number = -1;
    Fd fd;
    const Entry entry = read_fd(entry_in, sized, number, fd);
    if (entry != Entry::taken) return entry;
    if (fd_count_ >= kMaxFds) return Entry::refused;
    ++fd_count_;
    list.fds.emplace_back(number, std::move(fd));
    return entry;
  });
  if (out_->fd_lists.size() >= kMaxThreads)
    ++skipped_;
  else
    out_->fd_lists.push_back(std::move(list));
}

void TableReader::finish() {
  std::vector<uint16_t>& ports = out_->listening_ports;
  ports.clear();
  supplement_.apply(*out_);
  for (const Snapshot::FdList& list : out_->fd_lists)
    for (const auto& [number, fd] : list.fds)
      if (fd.is_server()) ports.push_back(fd.tuple.source_port);
  std::sort(ports.begin(), ports.end());
  ports.erase(std::unique(ports.begin(), ports.end()), ports.end());
}

}  // namespace quell::capture::scap
