#include "capture/scap/table_writer.h"

#include <algorithm>
#include <string_view>

#include "base/bytes.h"
#include "capture/scap/format.h"
#include "capture/scap/supplement.h"
#include "capture/scap/table_layout.h"

namespace quell::capture::scap::detail {
namespace {

// A list longer than this goes on in another block of the same type.
constexpr size_t kBlockSoftLimit = 16u << 20;

/// Frames everything appended during its life as one block.
class BlockScope {
 public:
  BlockScope(uint32_t type, std::vector<uint8_t>& out) : out_(out), start_(out.size()) {
    ByteWriter writer(out_);
    writer.write(type);
    writer.write(uint32_t{0});
  }
  ~BlockScope() {
    const auto total = static_cast<uint32_t>(padded4(size()) + kBlockTail);
    ByteWriter writer(out_);
    writer.zeros(padded4(size()) - size());
    writer.write(total);
    writer.patch(start_ + 4, total);
  }
  BlockScope(const BlockScope&) = delete;
  BlockScope& operator=(const BlockScope&) = delete;
  size_t size() const { return out_.size() - start_; }

 private:
  std::vector<uint8_t>& out_;
  size_t start_;
};

/// Writes a u32 length, then what `fill` appends. `counts_itself`: the length includes its own four bytes.
template <typename Fill>
void put_sized(ByteWriter& writer, bool counts_itself, Fill&& fill) {
  const size_t start = writer.offset();
  writer.write(uint32_t{0});
  fill();
  writer.patch(start, static_cast<uint32_t>(writer.offset() - start - (counts_itself ? 0 : 4)));
}

void put_thread(const Thread& t, ByteWriter& w) {
  w.write(t.tid);
  w.write(t.pid);
  w.write(t.ptid);
  w.write(t.sid);
  w.write(t.vpgid);
  w.write_str16(t.comm, kMaxPath);
  w.write_str16(t.exe, kMaxPath);
  w.write_str16(t.exepath, kMaxPath);
  w.write_str16(t.args, kMaxList);
  w.write_str16(t.cwd, kMaxPath);
  w.write(t.fdlimit);
  w.write(t.flags);
  w.write(t.uid);
  w.write(t.gid);
  w.write(t.vm_size_kb);
  w.write(t.vm_rss_kb);
  w.write(t.vm_swap_kb);
  w.write(t.page_faults_major);
  w.write(t.page_faults_minor);
  w.write_str16(t.env, kMaxList);
  w.write(t.vtid);
  w.write(t.vpid);
  w.write_str16(t.cgroups, kMaxList);
  w.write_str16(t.root, kMaxPath);
  w.write(t.pidns_init_start_ns);
  w.write(t.tty);
  w.write(t.loginuid);
  w.write(uint8_t{t.exe_writable});
  w.write(t.cap_inheritable);
  w.write(t.cap_permitted);
  w.write(t.cap_effective);
  w.write(uint8_t{t.exe_upper_layer});
  w.write(t.exe_ino);
  w.write(t.exe_ino_ctime_ns);
  w.write(t.exe_ino_mtime_ns);
  w.write(uint8_t{t.exe_from_memfd});
  w.write(uint8_t{t.exe_lower_layer});
  w.write(t.pgid);
}

/// The path of a unix socket's name, which may begin with the kernel addresses of both ends ("ffff1->ffff2 /run/x").
std::string_view unix_path(std::string_view name) {
  const size_t space = name.find(' ');
  if (space == std::string_view::npos) return name.find("->") != std::string_view::npos ? std::string_view{} : name;
  return name.substr(0, space).find("->") != std::string_view::npos ? name.substr(space + 1) : name;
}

void put_fd(int64_t number, const Fd& fd, ByteWriter& w) {
  const auto address = [&](const IpAddress& a, size_t width) { w.append(a.bytes.data(), width); };
  const auto head = [&](uint8_t type) {
    w.write(number);
    w.write(fd.ino);
    w.write(type);
  };
  switch (fd.type) {
    case FdType::ipv4:
    case FdType::ipv6: {
      const size_t width = fd.type == FdType::ipv4 ? 4 : 16;
      head(width == 4 ? kFdIpv4 : kFdIpv6);
      address(fd.tuple.source, width);
      address(fd.tuple.dest, width);
      w.write(fd.tuple.source_port);
      w.write(fd.tuple.dest_port);
      w.write(fd.l4);
      return;
    }
    case FdType::ipv4_server:
    case FdType::ipv6_server: {
      const size_t width = fd.type == FdType::ipv4_server ? 4 : 16;
      head(width == 4 ? kFdIpv4Server : kFdIpv6Server);
      address(fd.tuple.source, width);
      w.write(fd.tuple.source_port);
      w.write(fd.l4);
      return;
    }
    case FdType::unix_socket:
      head(kFdUnix);
      w.write(fd.unix_source);
      w.write(fd.unix_dest);
      w.write_str16(unix_path(fd.name), kMaxPath);
      return;
    case FdType::file:
      head(kFdFileV2);
      w.write(fd.open_flags);
      w.write_str16(fd.name, kMaxPath);
      w.write(fd.dev);
      return;
    default: head(fd_number_of(fd.type)); w.write_str16(fd.name, kMaxPath);
  }
}

}  // namespace

void put_section(std::vector<uint8_t>& out) {
  BlockScope block(kSectionHeader, out);
  ByteWriter w(out);
  w.write(kByteOrderMagic);
  w.write(kMajorVersion);
  w.write(kMinorVersion);
  w.write(UINT64_MAX);  // length of the section: not known while it grows
}

void put_machine(const MachineInfo& machine, std::vector<uint8_t>& out) {
  BlockScope block(kMachineInfo, out);
  ByteWriter w(out);
  w.write(machine.cpu_count);
  w.write(machine.memory_bytes);
  w.write(machine.max_pid);
  const std::string_view name = std::string_view(machine.hostname).substr(0, kHostNameBytes - 1);
  w.append(name);
  w.zeros(kHostNameBytes - name.size());
  w.write(machine.boot_ns);
  w.zeros(3 * sizeof(uint64_t));  // flags and two reserved words
}

void put_interfaces(const std::vector<NetworkInterface>& interfaces, std::vector<uint8_t>& out) {
  BlockScope block(kInterfaceListV2, out);
  ByteWriter w(out);
  size_t count = 0;
  for (const NetworkInterface& interface : interfaces) {
    if (interface.address.family == 0 || count++ >= kMaxInterfaces) continue;
    const bool v6 = interface.address.family == 6;
    put_sized(w, false, [&] {
      const std::string_view name = std::string_view(interface.name).substr(0, kMaxUserText);
      w.write(v6 ? kInterfaceV6 : kInterfaceV4);
      w.write(static_cast<uint16_t>(name.size()));
      for (const IpAddress* address : {&interface.address, &interface.netmask, &interface.broadcast})
        w.append(address->bytes.data(), v6 ? 16 : 4);
      w.write(interface.link_speed);
      w.append(name);
    });
  }
}

void put_users(const std::vector<User>& users, const std::vector<Group>& groups, std::vector<uint8_t>& out) {
  BlockScope block(kUserListV2, out);
  ByteWriter w(out);
  for (size_t i = 0; i < std::min(users.size(), kMaxUsers); ++i)
    put_sized(w, true, [&] {
      w.write(kUserEntry);
      w.write(users[i].uid);
      w.write(users[i].gid);
      w.write_str16(users[i].name, kMaxUserText);
      w.write_str16(users[i].home, kMaxUserText);
      w.write_str16(users[i].shell, kMaxUserText);
    });
  for (size_t i = 0; i < std::min(groups.size(), kMaxUsers); ++i)
    put_sized(w, true, [&] {
      w.write(kGroupEntry);
      w.write(groups[i].gid);
      w.write_str16(groups[i].name, kMaxUserText);
    });
}

size_t put_threads(const std::vector<Thread>& threads, size_t from, std::vector<uint8_t>& out) {
  BlockScope block(kProcessListV9, out);
  ByteWriter w(out);
  for (; from < threads.size() && block.size() < kBlockSoftLimit; ++from)
    put_sized(w, true, [&] { put_thread(threads[from], w); });
  return from;
}

size_t put_fds(const Snapshot::FdList& list, size_t from, std::vector<uint8_t>& out) {
  BlockScope block(kFdListV2, out);
  ByteWriter w(out);
  w.write(list.tid);
  for (; from < list.fds.size() && block.size() < kBlockSoftLimit; ++from) {
    const auto& [number, fd] = list.fds[from];
    if (fd.type != FdType::unknown) put_sized(w, true, [&, n = number, f = &fd] { put_fd(n, *f, w); });
  }
  return from;
}

void put_thread_supplement(const Snapshot& snapshot, std::vector<uint8_t>& out) {
  BlockScope block(kSupplement, out);
  ByteWriter w(out);
  for (const Thread& thread : snapshot.threads) put_supplement(thread, w);
  put_supplement(snapshot.listening_ports, w);
}

void put_fd_supplement(const Snapshot::FdList& list, std::vector<uint8_t>& out) {
  const size_t start = out.size();
  {
    BlockScope block(kSupplement, out);
    ByteWriter w(out);
    for (const auto& [number, fd] : list.fds) put_supplement(list.tid, number, fd, w);
  }
  if (out.size() == start + kBlockFrame) out.resize(start);  // nothing to add
}

}  // namespace quell::capture::scap::detail
