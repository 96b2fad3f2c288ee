// Tables at the start of a live capture as the kernel's task iterators report them: one event per thread, then one per
// descriptor. They carry what /proc would.
#include "base/bytes.h"
#include "enrich/impl.h"
#include "enrich/path.h"

namespace quell::enrich {
namespace {

enum : size_t {
  kPpid,
  kPgid,
  kVpgid,
  kSid,
  kComm,
  kArgv,
  kExepath,
  kFlags,
  kEnv,
  kCwd,
  kFdlimit,
  kEuid,
  kEgid,
  kCapPermitted,
  kCapEffective,
  kCapInheritable,
  kIno,
  kCtime,
  kMtime,
  kVmSize,
  kVmRss,
  kVmSwap,
  kMajor,
  kMinor,
  kVtgid,
  kVpid,
  kPidnsStart,
  kCgroups,
  kRoot,
  kStart,
  kTty,
  kLoginuid,
};

// The iterator's process ids are those of the namespace of the reader.
int64_t id(const Event& event, size_t index) { return has_value(event, index) ? event.param(index).i64() : -1; }

IpAddress address(Param param, bool v6) {
  if (param.len < (v6 ? 16u : 4u)) return {};
  return v6 ? IpAddress::v6(param.data) : IpAddress::v4(param.data);
}

}  // namespace

void StateTables::Impl::on_iter_task(const Event& event) {
  const int64_t tid = event.tid();
  if (Entry* present = threads_.find(tid)) remove(*present, heir_of(*present, 0));
  Entry& entry = threads_.make();
  entry.tid = tid;
  // A thread of a group reports the namespace ids alone; in the initial namespace they are the host's.
  entry.vpid = id(event, kVtgid);
  entry.vtid = id(event, kVpid);
  entry.pid = entry.vtid == tid && entry.vpid > 0 ? entry.vpid : tid;
  entry.ptid = id(event, kPpid);
  entry.pgid = id(event, kPgid);
  entry.vpgid = id(event, kVpgid);
  entry.sid = id(event, kSid);
  entry.comm = event.param(kComm).text();
  const std::string_view argv = bytes_text(event.param(kArgv));
  const size_t end = argv.find('\0');
  entry.exe = argv.substr(0, end);
  if (end != std::string_view::npos) entry.args = argv.substr(end + 1);
  if (entry.exe.empty()) entry.exe = entry.comm;
  entry.exepath = without_deleted_mark(event.param(kExepath).text());
  const uint64_t flags = event.param(kFlags).u64();
  entry.exe_writable = (flags & 1) != 0;
  entry.exe_upper_layer = (flags & 2) != 0;
  entry.exe_from_memfd = (flags & 4) != 0;
  entry.exe_lower_layer = (flags & 8) != 0;
  entry.env = bytes_text(event.param(kEnv));
  entry.cwd = as_directory(std::string(event.param(kCwd).text()));
  entry.fdlimit = event.param(kFdlimit).i64();
  entry.uid = static_cast<uint32_t>(id(event, kEuid));
  entry.gid = static_cast<uint32_t>(id(event, kEgid));
  entry.cap_permitted = event.param(kCapPermitted).u64();
  entry.cap_effective = event.param(kCapEffective).u64();
  entry.cap_inheritable = event.param(kCapInheritable).u64();
  entry.exe_ino = event.param(kIno).u64();
  entry.exe_ino_ctime_ns = event.param(kCtime).u64();
  entry.exe_ino_mtime_ns = event.param(kMtime).u64();
  entry.vm_size_kb = static_cast<uint32_t>(event.param(kVmSize).u64());
  entry.vm_rss_kb = static_cast<uint32_t>(event.param(kVmRss).u64());
  entry.vm_swap_kb = static_cast<uint32_t>(event.param(kVmSwap).u64());
  entry.page_faults_major = event.param(kMajor).u64();
  entry.page_faults_minor = event.param(kMinor).u64();
  if (has_value(event, kPidnsStart) && entry.vtid != tid && machine_.boot_ns != 0)
    entry.pidns_init_start_ns = machine_.boot_ns + event.param(kPidnsStart).u64();
  entry.cgroups = bytes_text(event.param(kCgroups));
  entry.root = event.param(kRoot).text();
  entry.clone_ns = event.param(kStart).u64();
  entry.tty = static_cast<uint32_t>(event.param(kTty).u64());
  entry.loginuid = static_cast<uint32_t>(id(event, kLoginuid));
  entry.reaper = entry.vpid == 1 && entry.is_main();
  entry.last_seen_ns = event.ts_ns();
  join_container(entry, entry.cgroups);
  add(entry);
  context_.thread = &entry;
}

void StateTables::Impl::on_iter_fd(const Event& event) {
  Entry* entry = threads_.find(event.tid());
  if (entry == nullptr) return;
  context_.thread = entry;
  Fd fd;
  switch (event.code()) {
    case ev::ITER_TASK_FILE_PIPE_E: fd.type = FdType::fifo, fd.ino = event.param(2).u64(); break;
    case ev::ITER_TASK_FILE_MEMFD_E:
      fd.type = FdType::memfd, fd.name = event.param(1).text(), fd.ino = event.param(2).u64();
      break;
    case ev::ITER_TASK_FILE_REGULAR_E:
      fd.type = FdType::file;
      fd.name = without_deleted_mark(event.param(1).text());
      fd.open_flags = static_cast<uint32_t>(event.param(2).u64());
      fd.ino = event.param(4).u64();
      break;
    case ev::ITER_TASK_FILE_DIRECTORY_E:
      fd.type = FdType::directory, fd.name = event.param(1).text(), fd.ino = event.param(2).u64();
      break;
    case ev::ITER_TASK_FILE_SOCKET_INET_E:
    case ev::ITER_TASK_FILE_SOCKET_INET6_E: {
      const bool v6 = event.code() == ev::ITER_TASK_FILE_SOCKET_INET6_E;
      fd.l4 = l4_of_socket(static_cast<uint32_t>(event.param(1).u64()), static_cast<uint32_t>(event.param(2).u64()));
      fd.tuple.source = address(event.param(3), v6);
      fd.tuple.source_port = static_cast<uint16_t>(event.param(4).u64());
      fd.tuple.dest = address(event.param(5), v6);
      fd.tuple.dest_port = static_cast<uint16_t>(event.param(6).u64());
      fd.ino = event.param(7).u64();
      fd.type = v6 ? FdType::ipv6 : FdType::ipv4;
      if (is_unset(fd.tuple.dest) && fd.tuple.dest_port == 0 && fd.tuple.source_port != 0) {
        fd.type = v6 ? FdType::ipv6_server : FdType::ipv4_server;
        fd.tuple.dest = {};
        listening_[fd.tuple.source_port] = true;
      }
      fd = with_role(fd, {});
      break;
    }
    case ev::ITER_TASK_FILE_SOCKET_UNIX_E:
      fd.type = FdType::unix_socket;
      fd.unix_source = event.param(3).u64();
      fd.name = event.param(4).text();
      fd.ino = event.param(5).u64();
      break;
    case ev::ITER_TASK_FILE_SOCKET_NETLINK_E: fd.type = FdType::netlink, fd.ino = event.param(3).u64(); break;
    case ev::ITER_TASK_FILE_ANON_INODE_E: {
      static constexpr FdType kKinds[] = {FdType::unknown,  FdType::event,   FdType::eventpoll, FdType::inotify,
                                          FdType::signalfd, FdType::timerfd, FdType::io_uring,  FdType::userfaultfd,
                                          FdType::pidfd,    FdType::bpf};
      const uint64_t kind = event.param(1).u64();
      fd.type = kind < std::size(kKinds) ? kKinds[kind] : FdType::bpf;  // maps, programs, links
      fd.name = event.param(2).text();
      fd.ino = event.param(3).u64();
      break;
    }
    default: return;
  }
  if (has_value(event, 0)) put_fd(entry->owner(), event.param(0).i64(), make_fd(std::move(fd)));
}

}  // namespace quell::enrich
