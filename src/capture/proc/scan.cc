#include "capture/proc/scan.h"

#include <linux/capability.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <sstream>

#include "base/text.h"
#include "capture/fd_facts.h"
#include "capture/proc/files.h"
#include "capture/proc/machine.h"
#include "capture/proc/process_text.h"

namespace quell::capture {

using namespace proc;

namespace {

constexpr size_t kListLimit = 4096;                  // of arguments, environment, cgroups: what a capture carries
constexpr size_t kNetFileLimit = 64 << 20;           // of one table of sockets
constexpr size_t kMaxNamespaces = 1024;              // whose sockets are remembered
constexpr uint64_t kSocketsFreshNs = 1'000'000'000;  // an unknown socket is worth reading the tables again after this
constexpr int kMaxAncestors = 256;
constexpr uint32_t kCloneFiles = 0x1, kCloneThread = 0x2000;  // clone_flags table

uint64_t nanoseconds(const timespec& time) {
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

std::string file_text(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

/// The inode number of a namespace link such as "ns/net"; 0 if it cannot be seen.
uint64_t namespace_ino(const OpenDir& process, const char* link) {
  struct stat status {};
  return ::fstatat(process.fd(), link, &status, 0) == 0 ? status.st_ino : 0;
}

bool may_write(const struct stat& file, const Thread& t, const std::vector<uint32_t>& groups) {
  constexpr uint64_t kOverrides = uint64_t{1} << CAP_DAC_OVERRIDE | uint64_t{1} << CAP_FOWNER;
  if ((t.cap_effective & kOverrides) != 0) return true;
  if (file.st_uid == t.uid) return true;  // an owner without the bit can give it to itself
  if (file.st_gid == t.gid || std::find(groups.begin(), groups.end(), file.st_gid) != groups.end())
    return (file.st_mode & S_IWGRP) != 0;
  return (file.st_mode & S_IWOTH) != 0;
}

}  // namespace

struct ProcScanner::Main {
  OpenDir dir;
  Thread thread;
  Snapshot::FdList fds;
};

ProcScanner::ProcScanner(ScanOptions options) : options_(std::move(options)) {
  if (const long ticks = ::sysconf(_SC_CLK_TCK); ticks > 0) ticks_per_second_ = static_cast<uint64_t>(ticks);
  unified_controllers_ = read_unified_controllers(options_.proc_root);
  boot_ns_ = proc::read_machine(options_.proc_root, *options_.clock).boot_ns;
}

ProcScanner::~ProcScanner() = default;

uint64_t ProcScanner::start_ns(uint64_t start_ticks) const {
  return boot_ns_ + start_ticks * (1'000'000'000 / ticks_per_second_);
}

Result<Snapshot> ProcScanner::scan() {
  const auto root = OpenDir::open(options_.proc_root);
  if (!root) return errno_error(errno, "cannot list the processes of this machine", options_.proc_root);
  namespaces_.clear();
  pidns_starts_.clear();

  Snapshot out;
  out.machine = proc::read_machine(options_.proc_root, *options_.clock);
  boot_ns_ = out.machine.boot_ns;
  out.interfaces = read_interfaces();
  out.users = parse_passwd(file_text(options_.etc_root + "/passwd"));
  out.groups = parse_group(file_text(options_.etc_root + "/group"));

  root->for_each_number(".", [&](const std::string& name) {
    int64_t pid = 0;
    if (!parse_i64(name, pid) || (options_.wants && !options_.wants(pid))) return true;
    if (out.threads.size() >= options_.max_threads) {
      ++counters_.threads_left_out;
      return true;
    }
    auto main = read_process(pid);
    if (!main) return true;
    out.threads.push_back(main->thread);
    main->dir.for_each_number("task", [&](const std::string& task) {
      int64_t tid = 0;
      if (!parse_i64(task, tid) || tid == pid) return true;
      if (out.threads.size() >= options_.max_threads)
        ++counters_.threads_left_out;
      else if (auto thread = read_thread(main->dir, main->thread, tid))
        out.threads.push_back(std::move(*thread));
      return true;
    });
    out.fd_lists.push_back(std::move(main->fds));
    return true;
  });
  pidns_starts_.clear();

  // The machine's own namespace, and those of every process that was read.
  if (const auto first = root->open_below("1")) sockets_of(*first, false);
  for (const auto& [ino, space] : namespaces_) {
    const std::vector<uint16_t> ports = space->sockets.listening_ports();
    out.listening_ports.insert(out.listening_ports.end(), ports.begin(), ports.end());
  }
  std::sort(out.listening_ports.begin(), out.listening_ports.end());
  out.listening_ports.erase(std::unique(out.listening_ports.begin(), out.listening_ports.end()),
                            out.listening_ports.end());
  return out;
}

Result<ProcessScan> ProcScanner::lookup(int64_t tid) {
  const auto gone = [&] {
    return Error{Code::gone, "there is no thread " + std::to_string(tid) + " any more", options_.proc_root};
  };
  // The directory of a thread is not listed, but it can be opened, and says which process it belongs to.
  const auto any = OpenDir::open(options_.proc_root + "/" + std::to_string(tid));
  if (!any) return gone();
  const auto status = any->read("status");
  if (!status) return gone();
  const int64_t pid = parse_status(*status).tgid;
  if (options_.wants && !options_.wants(pid))
    return Error{Code::refused, "process " + std::to_string(pid) + " is outside the scope", options_.proc_root};
  auto main = read_process(pid);
  if (!main) return gone();
  ProcessScan out;
  out.threads.push_back(main->thread);
  if (tid != pid) {
    auto thread = read_thread(main->dir, main->thread, tid);
    if (!thread) return gone();
    out.threads.push_back(std::move(*thread));
  }
  out.fds = std::move(main->fds);
  pidns_starts_.clear();
  return out;
}

std::optional<ProcScanner::Main> ProcScanner::read_process(int64_t pid) {
  const uint64_t scanned_ns = options_.clock->realtime_ns();
  auto opened = OpenDir::open(options_.proc_root + "/" + std::to_string(pid));
  if (!opened) {
    ++counters_.vanished;
    return {};
  }
  Main out{std::move(*opened), {}, {pid, {}}};
  const OpenDir& dir = out.dir;
  const auto stat_text = dir.read("stat"), status_text = dir.read("status");
  const auto stat = stat_text ? parse_stat(*stat_text) : std::nullopt;
  if (!stat || !status_text) {
    ++counters_.vanished;
    return {};
  }
  const StatusFacts status = parse_status(*status_text);

  Thread& t = out.thread;
  t.scanned_ns = scanned_ns;
  t.tid = t.pid = pid;
  t.ptid = stat->ppid;
  t.sid = stat->session;
  t.pgid = stat->pgrp;
  t.vtid = status.vtid >= 0 ? status.vtid : pid;
  t.vpid = status.vpid >= 0 ? status.vpid : pid;
  t.vpgid = status.vpgid >= 0 ? status.vpgid : stat->pgrp;
  t.comm = stat->comm;
  t.tty = stat->tty;
  t.page_faults_major = stat->major_faults;
  t.page_faults_minor = stat->minor_faults;
  t.clone_ns = start_ns(stat->start_ticks);
  t.uid = status.euid;
  t.gid = status.egid;
  t.cap_inheritable = status.cap_inheritable;
  t.cap_permitted = status.cap_permitted;
  t.cap_effective = status.cap_effective;
  t.vm_size_kb = status.vm_size_kb;
  t.vm_rss_kb = status.vm_rss_kb;
  t.vm_swap_kb = status.vm_swap_kb;

  CommandLine command = parse_cmdline(dir.read("cmdline", 4 * kListLimit).value_or(""), kListLimit);
  t.exe = std::move(command.exe);
  t.args = std::move(command.args);
  t.env = bounded_list(dir.read("environ", kListLimit).value_or(""), kListLimit);
  if (auto cwd = dir.link("cwd")) {
    t.cwd = std::move(*cwd);
    if (!t.cwd.ends_with('/')) t.cwd += '/';
  }
  t.root = dir.link("root").value_or("/");
  t.cgroups = parse_cgroups(dir.read("cgroup").value_or(""), unified_controllers_);
  t.fdlimit = parse_fd_limit(dir.read("limits").value_or(""));
  uint64_t loginuid = UINT32_MAX;
  if (const auto text = dir.read("loginuid"); text && parse_u64(*text, loginuid))
    t.loginuid = static_cast<uint32_t>(loginuid);
  read_executable(dir, status.groups, t);
  t.pidns_init_start_ns = pidns_init_start(pid, namespace_ino(dir, "ns/pid"));
  read_fds(dir, out.fds);
  return out;
}

std::optional<Thread> ProcScanner::read_thread(const OpenDir& process, const Thread& main, int64_t tid) {
  const std::string folder = "task/" + std::to_string(tid) + "/";
  const auto stat_text = process.read(folder + "stat"), status_text = process.read(folder + "status");
  const auto stat = stat_text ? parse_stat(*stat_text) : std::nullopt;
  if (!stat || !status_text) {
    ++counters_.vanished;
    return {};
  }
  const StatusFacts status = parse_status(*status_text);
  Thread t = main;
  t.env.clear();  // these two live with the main thread
  t.cwd.clear();
  t.tid = tid;
  t.vtid = status.vtid >= 0 ? status.vtid : tid;
  t.comm = stat->comm;
  t.flags = kCloneThread | kCloneFiles;
  t.page_faults_major = stat->major_faults;
  t.page_faults_minor = stat->minor_faults;
  t.clone_ns = start_ns(stat->start_ticks);
  t.uid = status.euid;
  t.gid = status.egid;
  t.cap_inheritable = status.cap_inheritable;
  t.cap_permitted = status.cap_permitted;
  t.cap_effective = status.cap_effective;
  return t;
}

void ProcScanner::read_executable(const OpenDir& process, const std::vector<uint32_t>& groups, Thread& t) {
  const auto link = process.link("exe");
  if (!link) return;  // a kernel thread, or not ours to see
  t.exe_from_memfd = link->starts_with("/memfd:");
  t.exepath = without_deleted(*link);
  if (t.exe_from_memfd) t.exepath.erase(0, 1);  // events of the kernel call it "memfd:name"

  struct stat file {};
  if (::fstatat(process.fd(), "exe", &file, 0) != 0) return;
  t.exe_ino = file.st_ino;
  t.exe_ino_ctime_ns = nanoseconds(file.st_ctim);
  t.exe_ino_mtime_ns = nanoseconds(file.st_mtim);
  const std::string exe = options_.proc_root + "/" + std::to_string(t.pid) + "/exe";
  struct statvfs mount {};
  const bool read_only = ::statvfs(exe.c_str(), &mount) == 0 && (mount.f_flag & ST_RDONLY) != 0;
  t.exe_writable = !read_only && may_write(file, t, groups);

  struct statfs fs {};
  if (::statfs(exe.c_str(), &fs) != 0 || fs.f_type != OVERLAYFS_SUPER_MAGIC) return;
  const auto mounts = process.read("mountinfo", 4 << 20);
  const auto overlay = mounts ? find_overlay(*mounts, t.exepath) : std::nullopt;
  if (!overlay) return;
  const std::string below = overlay->mount_point == "/" ? t.exepath : t.exepath.substr(overlay->mount_point.size());
  struct stat upper {};
  t.exe_upper_layer = ::lstat((overlay->upper_dir + below).c_str(), &upper) == 0 && S_ISREG(upper.st_mode);
  t.exe_lower_layer = !t.exe_upper_layer;
}

void ProcScanner::read_fds(const OpenDir& process, Snapshot::FdList& out) {
  const SocketTable* sockets = nullptr;
  bool reread = false;
  process.for_each_number("fd", [&](const std::string& name) {
    if (out.fds.size() >= options_.max_fds_per_process) {
      ++counters_.fds_left_out;
      return true;
    }
    int64_t number = 0;
    if (!parse_i64(name, number)) return true;
    if (auto fd = read_fd(process, name, sockets, reread)) out.fds.emplace_back(number, std::move(*fd));
    return true;
  });
}

std::optional<Fd> ProcScanner::read_fd(const OpenDir& process, const std::string& number, const SocketTable*& sockets,
                                       bool& reread) {
  const auto link = process.link("fd/" + number);
  if (!link) return {};
  LinkFacts facts = parse_fd_link(*link);
  const FdInfo info = parse_fdinfo(process.read("fdinfo/" + number, 4096).value_or(""));

  Fd fd;
  if (facts.is_socket) {
    if (sockets == nullptr) sockets = sockets_of(process, false);
    const Fd* known = sockets == nullptr ? nullptr : sockets->find(facts.ino);
    if (known == nullptr && !reread) {  // it may be younger than what we remember of its namespace
      reread = true;
      sockets = sockets_of(process, true);
      known = sockets == nullptr ? nullptr : sockets->find(facts.ino);
    }
    if (known != nullptr)
      fd = *known;
    else
      ++counters_.sockets_unknown;
  }
  if (fd.type == FdType::unknown) {
    fd.type = facts.type;
    fd.name = std::move(facts.name);
  }
  fd.ino = facts.ino;
  fd.pid = info.pid;
  if (facts.is_path) {
    struct stat file {};
    if (::fstatat(process.fd(), ("fd/" + number).c_str(), &file, 0) == 0) {
      fd.ino = file.st_ino;
      fd.dev = encode_dev(file.st_dev);
      if (S_ISDIR(file.st_mode)) fd.type = FdType::directory;
      if (S_ISFIFO(file.st_mode)) fd.type = FdType::fifo;
    }
  }
  fd.open_flags = info.open_flags;
  complete_fd(fd);
  // Only files and directories have open flags that rules ask for; the rest keeps close-on-exec.
  if (fd.type != FdType::file && fd.type != FdType::directory) fd.open_flags = 0;
  return fd;
}

const SocketTable* ProcScanner::sockets_of(const OpenDir& process, bool fresh) {
  const uint64_t ino = namespace_ino(process, "ns/net");
  if (ino == 0) return nullptr;
  const uint64_t now = options_.clock->monotonic_ns();
  const auto found = namespaces_.find(ino);
  if (found != namespaces_.end()) {
    const uint64_t age = now - found->second->read_ns;
    if (!fresh || age < kSocketsFreshNs) return &found->second->sockets;
  }
  if (found == namespaces_.end() && namespaces_.size() >= kMaxNamespaces) namespaces_.clear();
  auto space = std::make_unique<Namespace>();
  space->read_ns = now;
  const auto inet = [&](const char* file, int family, L4Proto l4) {
    if (const auto text = process.read(file, kNetFileLimit)) space->sockets.add_inet(*text, family, l4);
  };
  inet("net/tcp", 4, L4Proto::tcp);
  inet("net/tcp6", 6, L4Proto::tcp);
  inet("net/udp", 4, L4Proto::udp);
  inet("net/udp6", 6, L4Proto::udp);
  inet("net/raw", 4, L4Proto::raw);
  inet("net/raw6", 6, L4Proto::raw);
  inet("net/icmp", 4, L4Proto::icmp);
  inet("net/icmp6", 6, L4Proto::icmp);
  if (const auto text = process.read("net/unix", kNetFileLimit)) space->sockets.add_unix(*text);
  if (const auto text = process.read("net/netlink", kNetFileLimit)) space->sockets.add_netlink(*text);
  const SocketTable* sockets = &space->sockets;
  namespaces_.insert_or_assign(ino, std::move(space));
  return sockets;
}

/// When the first process of a pid namespace started. It is an ancestor of every process in it: who loses its parent is
/// adopted by it. A process that entered from outside (nsenter) has ancestors elsewhere; then this is 0.
uint64_t ProcScanner::pidns_init_start(int64_t pid, uint64_t pidns_ino) {
  if (pidns_ino == 0) return 0;
  if (const auto known = pidns_starts_.find(pidns_ino); known != pidns_starts_.end()) return known->second;
  uint64_t start = 0;
  for (int step = 0; step < kMaxAncestors && pid > 0; ++step) {
    const auto dir = OpenDir::open(options_.proc_root + "/" + std::to_string(pid));
    if (!dir || namespace_ino(*dir, "ns/pid") != pidns_ino) break;
    const auto status_text = dir->read("status"), stat_text = dir->read("stat");
    const auto stat = stat_text ? parse_stat(*stat_text) : std::nullopt;
    if (!status_text || !stat) break;
    if (parse_status(*status_text).vtid == 1) {
      start = start_ns(stat->start_ticks);
      break;
    }
    pid = stat->ppid;
  }
  if (start != 0) pidns_starts_.emplace(pidns_ino, start);
  return start;
}

Result<Snapshot> scan_proc(const ScanOptions& options) { return ProcScanner(options).scan(); }

}  // namespace quell::capture
