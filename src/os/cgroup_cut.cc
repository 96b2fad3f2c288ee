#include "os/cgroup_cut.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>

#include "bpf/net_cut.h"
#include "net_cut.skel.h"
#include "os/descriptor.h"
#include "os/proc_fs.h"

namespace quell::os {
namespace {

constexpr long kCgroup2Magic = 0x63677270;
constexpr uint32_t kMaxPrograms = 64;  // on one cgroup and direction; the kernel's limit

std::string program_name(std::string_view tag) { return fmt::format("quell_{}", tag); }  // 15 characters are possible

Error no_such_cgroup(const std::string& directory) {
  return {Code::gone, "this cgroup does not exist any more", directory};
}

Result<Descriptor> open_cgroup(const std::string& directory, uint64_t& inode) {
  Descriptor fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) {
    if (errno == ENOENT || errno == ENODEV || errno == ENOTDIR) return no_such_cgroup(directory);
    return errno_error(errno, "cannot open the cgroup", directory);
  }
  struct statfs system {};
  struct stat info {};
  if (::fstatfs(fd.get(), &system) != 0 || ::fstat(fd.get(), &info) != 0)
    return errno_error(errno, "cannot look at the cgroup", directory);
  if (system.f_type != kCgroup2Magic)
    return Error{Code::unsupported, "this is no directory of cgroup v2, and only those can be cut by eBPF", directory};
  inode = info.st_ino;
  return fd;
}

/// Everything is done on the descriptor that was compared.
Result<Descriptor> open_same(const CgroupRef& cgroup) {
  uint64_t inode = 0;
  QUELL_TRY(Descriptor fd, open_cgroup(cgroup.directory, inode));
  if (inode != cgroup.inode)
    return Error{
        Code::stale,
        fmt::format("this is another cgroup now: its inode is {}, that of the one meant {}", inode, cgroup.inode),
        cgroup.directory};
  return fd;
}

Error bpf_error(int number, std::string_view step) {
  if (number == EPERM || number == EACCES)
    return {Code::permission_denied,
            fmt::format("not allowed to {}: CAP_SYS_ADMIN and CAP_NET_ADMIN are needed", step),
            {}};
  if (number == ENOSYS || number == EINVAL)
    return {Code::unsupported,
            fmt::format("this kernel cannot {}: it needs CONFIG_BPF_SYSCALL and CONFIG_CGROUP_BPF", step),
            {}};
  return errno_error(number, fmt::format("cannot {}", step));
}

bpf_attach_type attach_type(bool egress) { return egress ? BPF_CGROUP_INET_EGRESS : BPF_CGROUP_INET_INGRESS; }

struct Found {
  Descriptor program;
  bpf_prog_info info{};
};

/// Programs of this name on the cgroup itself, not on those above it.
Result<std::vector<Found>> find_programs(int cgroup_fd, bool egress, const std::string& name) {
  uint32_t ids[kMaxPrograms] = {}, count = kMaxPrograms;
  if (::bpf_prog_query(cgroup_fd, attach_type(egress), 0, nullptr, ids, &count) != 0)
    return bpf_error(errno, "ask for the eBPF programs of a cgroup");
  std::vector<Found> found;
  for (uint32_t i = 0; i < count; ++i) {
    Found entry;
    entry.program = Descriptor(::bpf_prog_get_fd_by_id(ids[i]));
    if (!entry.program) {
      if (errno == ENOENT) continue;  // detached since
      return bpf_error(errno, "open an eBPF program by its id");
    }
    uint32_t size = sizeof entry.info;
    if (::bpf_obj_get_info_by_fd(entry.program.get(), &entry.info, &size) != 0)
      return bpf_error(errno, "ask what an eBPF program is");
    if (name == entry.info.name) found.push_back(std::move(entry));
  }
  return found;
}

/// The counters hang on the program: whoever finds it finds them.
void read_counts(const Found& found, bool egress, CutDirection& out) {
  uint32_t ids[8] = {};
  bpf_prog_info info{};
  info.map_ids = reinterpret_cast<uintptr_t>(ids);
  info.nr_map_ids = std::size(ids);
  uint32_t size = sizeof info;
  if (::bpf_obj_get_info_by_fd(found.program.get(), &info, &size) != 0) return;
  for (uint32_t i = 0; i < info.nr_map_ids && i < std::size(ids); ++i) {
    const Descriptor map(::bpf_map_get_fd_by_id(ids[i]));
    bpf_map_info map_info{};
    size = sizeof map_info;
    if (!map || ::bpf_obj_get_info_by_fd(map.get(), &map_info, &size) != 0) continue;
    if (std::string_view(map_info.name) != "cut_counts" || map_info.value_size != sizeof(quell_cut_counts)) continue;
    const int cpus = ::libbpf_num_possible_cpus();
    if (cpus <= 0) return;
    std::vector<quell_cut_counts> counts(static_cast<size_t>(cpus));
    const uint32_t direction = egress ? kCutEgress : kCutIngress;
    if (::bpf_map_lookup_elem(map.get(), &direction, counts.data()) != 0) return;
    for (const quell_cut_counts& cpu : counts) {
      out.dropped_packets += cpu.dropped_packets;
      out.dropped_bytes += cpu.dropped_bytes;
      out.allowed_packets += cpu.allowed_packets;
      out.allowed_bytes += cpu.allowed_bytes;
    }
  }
}

Result<CgroupCut> look(int cgroup_fd, std::string_view tag) {
  CgroupCut cut;
  for (const bool egress : {false, true}) {
    QUELL_TRY(const std::vector<Found> found, find_programs(cgroup_fd, egress, program_name(tag)));
    CutDirection& direction = egress ? cut.egress : cut.ingress;
    direction.attached = !found.empty();
    for (const Found& one : found) {
      direction.program_id = one.info.id;
      read_counts(one, egress, direction);
    }
  }
  return cut;
}

quell_cut_key key_of(const IpPrefix& prefix) {
  quell_cut_key key{};
  key.length = prefix.length;
  if (prefix.is_v4()) {
    key.length += 96;
    key.address[10] = key.address[11] = 0xFF;
    std::memcpy(key.address + 12, prefix.address.bytes.data(), 4);
  } else {
    std::memcpy(key.address, prefix.address.bytes.data(), 16);
  }
  return key;
}

uint8_t protocol_number(NetAllow::Protocol protocol) {
  switch (protocol) {
    case NetAllow::Protocol::any: return 0;
    case NetAllow::Protocol::tcp: return IPPROTO_TCP;
    case NetAllow::Protocol::udp: return IPPROTO_UDP;
    case NetAllow::Protocol::icmp: return IPPROTO_ICMP;
  }
  return 0;
}

quell_cut_service service_of(const NetAllow& entry) {
  const bool ports = entry.remote_port != 0 || entry.local_port != 0;
  const uint8_t protocol = protocol_number(entry.protocol);
  return {.wanted = QUELL_CUT_PACKET(ports, protocol, entry.remote_port, entry.local_port),
          .mask = QUELL_CUT_PACKET(ports, protocol == 0 ? 0 : 0xFF, entry.remote_port == 0 ? 0 : 0xFFFF,
                                   entry.local_port == 0 ? 0 : 0xFFFF)};
}

Result<void> fill_allow_map(int map_fd, const NetAllowList& allow) {
  for (const NetAllow& entry : allow.entries) {
    quell_cut_services services;
    std::fill(std::begin(services.list), std::end(services.list),
              quell_cut_service{.wanted = QUELL_CUT_NEVER, .mask = QUELL_CUT_NEVER});
    size_t count = 0;
    for (const NetAllow& wider : allow.entries) {
      if (!wider.remote.contains(entry.remote)) continue;
      if (count == kCutServices)
        return Error{Code::limit,
                     fmt::format("more than {} entries of the allowed traffic are about {}", int{kCutServices},
                                 entry.remote.str()),
                     {}};
      services.list[count++] = service_of(wider);
    }
    const quell_cut_key key = key_of(entry.remote);
    if (::bpf_map_update_elem(map_fd, &key, &services, BPF_ANY) != 0)
      return bpf_error(errno, "fill the map of allowed traffic");
  }
  return {};
}

struct Programs {
  Descriptor ingress, egress;
};

/// libbpf names a program after its function. The name is how ours are found, so what libbpf made of the object, its
/// map references filled in, is loaded a second time under the name that says the tag.
Result<Descriptor> load_named(const bpf_program* program, bool egress, const std::string& name) {
  LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = attach_type(egress));
  Descriptor fd(::bpf_prog_load(BPF_PROG_TYPE_CGROUP_SKB, name.c_str(), "Dual BSD/GPL", ::bpf_program__insns(program),
                                ::bpf_program__insn_cnt(program), &options));
  if (!fd) return bpf_error(errno, "load an eBPF program for cgroups");
  return fd;
}

Result<Programs> load_programs(std::string_view tag, const NetAllowList& allow) {
  // Asked first because libbpf would write its own words about a refusal to standard error.
  if (const Descriptor map(::bpf_map_create(BPF_MAP_TYPE_ARRAY, "quell_try", 4, 4, 1, nullptr)); !map)
    return bpf_error(errno, "make an eBPF map");
  const std::unique_ptr<net_cut_bpf, void (*)(net_cut_bpf*)> object(net_cut_bpf__open(), net_cut_bpf__destroy);
  if (object == nullptr) return bpf_error(errno, "open the eBPF object");
  object->rodata->loopback_allowed = allow.loopback ? 1 : 0;
  if (const int error = net_cut_bpf__load(object.get()); error != 0)
    return bpf_error(-error, "load an eBPF program for cgroups");
  QUELL_CHECK(fill_allow_map(::bpf_map__fd(object->maps.cut_allow), allow));
  Programs programs;
  QUELL_TRY(programs.ingress, load_named(object->progs.cut_ingress, false, program_name(tag)));
  QUELL_TRY(programs.egress, load_named(object->progs.cut_egress, true, program_name(tag)));
  return programs;
}

Error attach_error(int number, const std::string& directory) {
  if (number == EPERM)
    return {Code::permission_denied,
            "not allowed to attach to this cgroup: CAP_NET_ADMIN is needed, and no program here or above may have been "
            "attached without BPF_F_ALLOW_MULTI (bpftool cgroup tree shows them)",
            directory};
  if (number == E2BIG)
    return {Code::limit, fmt::format("this cgroup has {} programs already, as many as the kernel admits", kMaxPrograms),
            directory};
  if (number == ENODEV || number == ENOENT) return no_such_cgroup(directory);
  return errno_error(number, "cannot attach an eBPF program", directory);
}

bool is_root(int cgroup_fd) { return ::faccessat(cgroup_fd, "cgroup.type", F_OK, 0) != 0 && errno == ENOENT; }

}  // namespace

Result<CgroupRef> cgroup_ref(const std::string& directory) {
  CgroupRef out{directory, 0};
  QUELL_TRY(const Descriptor fd, open_cgroup(directory, out.inode));
  return out;
}

Result<CgroupRef> v2_cgroup_of(int64_t pid) {
  QUELL_TRY(const std::string text, read_small_file(fmt::format("/proc/{}/cgroup", pid)));
  QUELL_TRY(const std::string mountinfo, read_small_file("/proc/self/mountinfo"));
  for (const CgroupMount& mount : parse_cgroup_mounts(mountinfo)) {
    if (!mount.subsystem.empty()) continue;
    for (const CgroupEntry& entry : parse_proc_cgroup(text)) {
      if (!entry.subsystem.empty()) continue;
      std::string_view path = entry.path;
      // "/../x" is outside of our cgroup namespace, and a part that is not mounted cannot be reached.
      if (path.starts_with("/..")) break;
      if (mount.root != "/") {
        if (!path.starts_with(mount.root)) break;
        path.remove_prefix(mount.root.size());
        if (!path.empty() && path.front() != '/') break;
      }
      return cgroup_ref(mount.mount_point + std::string(path == "/" ? "" : path));
    }
    return Error{Code::unsupported, fmt::format("the v2 cgroup of process {} is outside of what is mounted here", pid),
                 mount.mount_point};
  }
  return Error{Code::unsupported, "cgroup v2 is not mounted on this machine", {}};
}

Result<CgroupCut> cut_cgroup(const CgroupRef& cgroup, std::string_view tag, const NetAllowList& allow) {
  QUELL_CHECK(check_net_tag(tag));
  QUELL_CHECK(check_net_allow(allow));
  QUELL_TRY(const Descriptor fd, open_same(cgroup));
  if (is_root(fd.get()))
    return Error{Code::refused, "this is the root of all cgroups: cutting it would cut the whole machine",
                 cgroup.directory};
  QUELL_TRY(const CgroupCut before, look(fd.get(), tag));
  if (before.whole()) return before;
  QUELL_TRY(const Programs programs, load_programs(tag, allow));
  // Outgoing first: data that leaves is what cannot be taken back.
  if (!before.egress.attached &&
      ::bpf_prog_attach(programs.egress.get(), fd.get(), BPF_CGROUP_INET_EGRESS, BPF_F_ALLOW_MULTI) != 0)
    return attach_error(errno, cgroup.directory);
  if (!before.ingress.attached &&
      ::bpf_prog_attach(programs.ingress.get(), fd.get(), BPF_CGROUP_INET_INGRESS, BPF_F_ALLOW_MULTI) != 0) {
    const int number = errno;
    if (!before.egress.attached) ::bpf_prog_detach2(programs.egress.get(), fd.get(), BPF_CGROUP_INET_EGRESS);
    return attach_error(number, cgroup.directory);
  }
  return look(fd.get(), tag);
}

Result<CgroupCut> look_cgroup_cut(const CgroupRef& cgroup, std::string_view tag) {
  QUELL_CHECK(check_net_tag(tag));
  QUELL_TRY(const Descriptor fd, open_same(cgroup));
  return look(fd.get(), tag);
}

Result<bool> undo_cgroup_cut(const CgroupRef& cgroup, std::string_view tag) {
  QUELL_CHECK(check_net_tag(tag));
  auto fd = open_same(cgroup);
  if (!fd) {
    if (fd.error().code == Code::gone || fd.error().code == Code::stale) return false;
    return fd.error();
  }
  bool any = false;
  for (const bool egress : {false, true}) {
    QUELL_TRY(const std::vector<Found> found, find_programs(fd->get(), egress, program_name(tag)));
    for (const Found& one : found) {
      if (::bpf_prog_detach2(one.program.get(), fd->get(), attach_type(egress)) == 0)
        any = true;
      else if (errno != ENOENT)
        return bpf_error(errno, "detach an eBPF program from a cgroup");
    }
  }
  return any;
}

namespace {

/// What a child in a cgroup found when it sent two datagrams to itself, one before the cut and one after.
enum class Probe : uint8_t { stopped, passed, inconclusive, no_entry };

/// In a child that came from a process with threads: only calls that are safe there.
[[noreturn]] void probe_child(int procs_fd, int ready_fd, int go_fd) {
  const auto end = [](Probe result) { ::_exit(static_cast<int>(result)); };
  if (::write(procs_fd, "0", 1) != 1) end(Probe::no_entry);
  const int receiver = ::socket(AF_INET, SOCK_DGRAM, 0), sender = ::socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool sent = ::bind(receiver, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                    ::getsockname(receiver, reinterpret_cast<sockaddr*>(&address), &size) == 0 &&
                    ::connect(sender, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                    ::send(sender, "1", 1, 0) == 1;
  char byte = 0;
  if (::write(ready_fd, "r", 1) != 1 || ::read(go_fd, &byte, 1) != 1) end(Probe::inconclusive);
  const bool sent_again = ::send(sender, "2", 1, 0) == 1;
  // Without a loopback device that is up nothing can be shown; that the kernel took the programs must do.
  end(!sent ? Probe::inconclusive : sent_again ? Probe::passed : Probe::stopped);
  __builtin_unreachable();
}

Result<Probe> run_probe(const CgroupRef& cgroup, int procs_fd) {
  int ready[2], go[2];
  if (::pipe2(ready, O_CLOEXEC) != 0) return errno_error(errno, "pipe");
  Descriptor ready_in(ready[0]), ready_out(ready[1]);
  if (::pipe2(go, O_CLOEXEC) != 0) return errno_error(errno, "pipe");
  Descriptor go_in(go[0]), go_out(go[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return errno_error(errno, "fork");
  if (pid == 0) {
    ::close(ready[0]);
    ::close(go[1]);
    probe_child(procs_fd, ready[1], go[0]);
  }
  ready_out.reset();
  go_in.reset();
  char byte = 0;
  Result<CgroupCut> cut = CgroupCut{};
  if (::read(ready_in.get(), &byte, 1) == 1) {
    cut = cut_cgroup(cgroup, "00000000", {});
    if (cut) (void)!::write(go_out.get(), "g", 1);
  }
  go_out.reset();
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!cut) return cut.error();
  return WIFEXITED(status) ? static_cast<Probe>(WEXITSTATUS(status)) : Probe::inconclusive;
}

}  // namespace

Result<void> probe_cgroup_cut() {
  QUELL_TRY(const std::string mountinfo, read_small_file("/proc/self/mountinfo"));
  std::string root;
  for (const CgroupMount& mount : parse_cgroup_mounts(mountinfo))
    if (mount.subsystem.empty()) root = mount.mount_point;
  if (root.empty()) return Error{Code::unsupported, "cgroup v2 is not mounted on this machine", {}};
  static std::atomic<uint32_t> counter{0};
  const std::string directory = fmt::format("{}/quell-probe-{}-{}", root, ::getpid(), counter++);
  if (::mkdir(directory.c_str(), 0755) != 0) return errno_error(errno, "cannot make a cgroup to try a cut on", root);
  Result<Probe> result = Probe::inconclusive;
  if (auto cgroup = cgroup_ref(directory); !cgroup) {
    result = cgroup.error();
  } else {
    const Descriptor procs(::open((directory + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
    result = run_probe(*cgroup, procs.get());
    (void)undo_cgroup_cut(*cgroup, "00000000");
  }
  ::rmdir(directory.c_str());
  if (!result) return result.error();
  if (*result == Probe::passed)
    return Error{
        Code::unsupported,
        "the kernel takes programs on a cgroup but does not ask them: net_cls or net_prio of cgroup v1 is in use, "
        "which turns that off on older kernels",
        {}};
  if (*result == Probe::no_entry)
    return Error{Code::permission_denied, "not allowed to move a process into a cgroup that we made", root};
  return {};
}

}  // namespace quell::os
