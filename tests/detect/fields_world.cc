#include "fields_world.h"

#include <arpa/inet.h>

#include <cstdlib>

namespace quell::detect {
namespace {

IpAddress ip(const char* text) {
  IpAddress address;
  const bool v4 = std::string_view(text).find(':') == std::string_view::npos;
  address.family = v4 ? 4 : 6;
  if (inet_pton(v4 ? AF_INET : AF_INET6, text, address.bytes.data()) != 1) std::abort();
  return address;
}

FdPtr file(std::string name, FdType type = FdType::file) {
  Fd fd;
  fd.type = type;
  fd.name = name;
  fd.name_raw = std::move(name);
  return make_fd(fd);
}

std::string list(std::initializer_list<std::string_view> parts) {
  std::string out;
  for (const std::string_view part : parts) (out += part) += '\0';
  return out;
}

struct PollItem {
  int64_t fd;
  uint16_t flags;
};
std::vector<uint8_t> poll_list(std::initializer_list<PollItem> items) {
  std::vector<uint8_t> out;
  ByteWriter writer(out);
  writer.write(static_cast<uint16_t>(items.size()));
  for (const PollItem& item : items) writer.write(item.fd), writer.write(item.flags);
  return out;
}

std::vector<uint8_t> build(Happening what, uint64_t ts) {
  constexpr int64_t kShell = World::kShell, kCwd = -100;
  switch (what) {
    case Happening::none: std::abort();
    case Happening::open:
      return EventBuilder(ev::SYSCALL_OPENAT_2_X, ts, kShell)
          .num<int64_t>(3)
          .num<int64_t>(kCwd)
          .text("/etc/shadow")
          .num<uint32_t>(1 | 2 | 4 | 16384)
          .num<uint32_t>(0640)
          .num<uint32_t>(0xFD01)
          .num<uint64_t>(131073)
          .build();
    case Happening::failed_open:
      return EventBuilder(ev::SYSCALL_OPENAT_2_X, ts, kShell)
          .num<int64_t>(-2)
          .num<int64_t>(kCwd)
          .text("notes//x")
          .num<uint32_t>(1)
          .num<uint32_t>(0)
          .num<uint32_t>(0)
          .num<uint64_t>(0)
          .build();
    case Happening::open_in_folder:
      return EventBuilder(ev::SYSCALL_OPENAT_2_X, ts, kShell)
          .num<int64_t>(-13)
          .num<int64_t>(4)
          .text("../shadow")
          .num<uint32_t>(2)
          .num<uint32_t>(0)
          .num<uint32_t>(0)
          .num<uint64_t>(0)
          .build();
    case Happening::creat_exec:
      return EventBuilder(ev::SYSCALL_CREAT_X, ts, kShell)
          .num<int64_t>(3)
          .text("/tmp/tool")
          .num<uint32_t>(0755)
          .num<uint32_t>(0)
          .num<uint64_t>(0)
          .num<uint16_t>(0)
          .build();
    case Happening::tmpfile:
      return EventBuilder(ev::SYSCALL_OPENAT_2_X, ts, kShell)
          .num<int64_t>(3)
          .num<int64_t>(kCwd)
          .text("/tmp")
          .num<uint32_t>(2 | 8192)
          .num<uint32_t>(0700)
          .num<uint32_t>(0)
          .num<uint64_t>(0)
          .build();
    case Happening::handle_open:
      return EventBuilder(ev::SYSCALL_OPEN_BY_HANDLE_AT_X, ts, kShell)
          .num<int64_t>(3)
          .num<int64_t>(4)
          .num<uint32_t>(1)
          .text("/etc/shadow")
          .num<uint32_t>(0)
          .num<uint64_t>(0)
          .build();
    case Happening::read_file:
      return EventBuilder(ev::SYSCALL_READ_X, ts, kShell)
          .num<int64_t>(5)
          .raw("ro\0t\n", 5)
          .num<int64_t>(3)
          .num<uint32_t>(4096)
          .build();
    case Happening::write_socket:
      return EventBuilder(ev::SYSCALL_WRITE_X, ts, kShell)
          .num<int64_t>(7)
          .raw("GET / H", 7)
          .num<int64_t>(5)
          .num<uint32_t>(7)
          .build();
    case Happening::write_syslog:
      return EventBuilder(ev::SYSCALL_WRITE_X, ts, kShell)
          .num<int64_t>(2)
          .raw("hi", 2)
          .num<int64_t>(8)
          .num<uint32_t>(2)
          .build();
    case Happening::close: return EventBuilder(ev::SYSCALL_CLOSE_X, ts, kShell).num<int64_t>(0).num<int64_t>(3).build();
    case Happening::connect:
      return EventBuilder(ev::SOCKET_CONNECT_X, ts, kShell).num<int64_t>(0).empty().num<int64_t>(5).empty().build();
    case Happening::accept_failed:
      return EventBuilder(ev::SOCKET_ACCEPT4_6_X, ts, kShell)
          .num<int64_t>(-11)
          .empty()
          .num<uint8_t>(0)
          .num<uint32_t>(0)
          .num<uint32_t>(0)
          .num<int32_t>(0)
          .build();
    case Happening::listen:
      return EventBuilder(ev::SOCKET_LISTEN_X, ts, kShell).num<int64_t>(0).num<int64_t>(6).num<int32_t>(128).build();
    case Happening::udp_unknown:
      return EventBuilder(ev::SYSCALL_WRITE_X, ts, kShell)
          .num<int64_t>(2)
          .raw("hi", 2)
          .num<int64_t>(9)
          .num<uint32_t>(2)
          .build();
    case Happening::unix_send:
      return EventBuilder(ev::SYSCALL_WRITE_X, ts, kShell)
          .num<int64_t>(-32)
          .raw("hi", 2)
          .num<int64_t>(7)
          .num<uint32_t>(2)
          .build();
    case Happening::exec_in_pod:
      return EventBuilder(ev::SYSCALL_EXECVE_19_X, ts, World::kPod)
          .num<int64_t>(0)
          .text("/app/web")
          .raw(
              "--port\0"
              "80\0",
              10)
          .build();
    case Happening::exec_in_new_pod:
      return EventBuilder(ev::SYSCALL_EXECVE_19_X, ts, World::kNewPod).num<int64_t>(0).text("runc").build();
    case Happening::unknown_thread:
      return EventBuilder(ev::SYSCALL_OPENAT_2_X, ts, 9999)
          .num<int64_t>(3)
          .num<int64_t>(kCwd)
          .text("/etc/shadow")
          .num<uint32_t>(1)
          .num<uint32_t>(0)
          .num<uint32_t>(0)
          .num<uint64_t>(0)
          .build();
    case Happening::rename:
      return EventBuilder(ev::SYSCALL_RENAMEAT2_X, ts, kShell)
          .num<int64_t>(0)
          .num<int64_t>(kCwd)
          .text("a")
          .num<int64_t>(4)
          .text("b")
          .num<uint32_t>(0)
          .build();
    case Happening::symlink:
      return EventBuilder(ev::SYSCALL_SYMLINKAT_X, ts, kShell)
          .num<int64_t>(0)
          .text("../../etc/passwd")
          .num<int64_t>(4)
          .text("users")
          .build();
    case Happening::link:
      return EventBuilder(ev::SYSCALL_LINK_2_X, ts, kShell).num<int64_t>(0).text("/etc/passwd").text("copy").build();
    case Happening::chmod:
      return EventBuilder(ev::SYSCALL_CHMOD_X, ts, kShell)
          .num<int64_t>(0)
          .text("tool")
          .num<uint32_t>(0x900 | 0x40)
          .build();
    case Happening::fchmod:
      return EventBuilder(ev::SYSCALL_FCHMOD_X, ts, kShell).num<int64_t>(0).num<int64_t>(3).num<uint32_t>(0).build();
    case Happening::munmap:
      return EventBuilder(ev::SYSCALL_MUNMAP_X, ts, kShell)
          .num<int64_t>(-22)
          .num<uint32_t>(0)
          .num<uint32_t>(0)
          .num<uint32_t>(0)
          .num<uint64_t>(0x7F00)
          .num<uint64_t>(4096)
          .build();
    case Happening::mmap_failed:
      return EventBuilder(ev::SYSCALL_MMAP_X, ts, kShell)
          .num<int64_t>(-12)
          .num<uint32_t>(0)
          .num<uint32_t>(0)
          .num<uint32_t>(0)
          .num<uint64_t>(0)
          .num<uint64_t>(4096)
          .num<uint32_t>(1)
          .num<uint32_t>(2)
          .num<int64_t>(3)
          .num<uint64_t>(0)
          .build();
    case Happening::nanosleep:
      return EventBuilder(ev::SYSCALL_NANOSLEEP_X, ts, kShell).num<int64_t>(0).num<uint64_t>(500'000'000).build();
    case Happening::poll:
      return EventBuilder(ev::SYSCALL_POLL_X, ts, kShell)
          .num<int64_t>(1)
          .bytes(poll_list({{3, 1}, {5, 4}, {77, 1}}))
          .num<int64_t>(-1)
          .build();
    case Happening::clone_failed: return EventBuilder(ev::SYSCALL_CLONE3_X, ts, kShell).num<int64_t>(-11).build();
    case Happening::generic:
      return EventBuilder(ev::GENERIC_X, ts, kShell)
          .num<uint16_t>(syscall_by_name("getpid")->code)
          .num<uint16_t>(39)
          .build();
    case Happening::procinfo:
      return EventBuilder(ev::PROCINFO_E, ts, kShell).num<uint64_t>(30).num<uint64_t>(12).build();
    case Happening::procinfo_worker:
      return EventBuilder(ev::PROCINFO_E, ts, World::kWorker).num<uint64_t>(30).num<uint64_t>(12).build();
    case Happening::context_switch: return EventBuilder(ev::SCHEDSWITCH_6_E, ts, kShell).num<int64_t>(1).build();
    case Happening::container_added:
      return EventBuilder(ev::ASYNCEVENT_E, ts, 0).num<uint32_t>(0).text("container").raw("{}", 2).build();
  }
  std::abort();
}

// The descriptor that the event has; -2 if it is not about one.
int64_t descriptor_of(Happening what) {
  switch (what) {
    case Happening::open:
    case Happening::creat_exec:
    case Happening::tmpfile:
    case Happening::handle_open:
    case Happening::read_file:
    case Happening::close:
    case Happening::fchmod:
    case Happening::mmap_failed: return 3;
    case Happening::symlink: return 4;
    case Happening::connect:
    case Happening::write_socket: return 5;
    case Happening::listen: return 6;
    case Happening::unix_send: return 7;
    case Happening::write_syslog: return 8;
    case Happening::udp_unknown: return 9;
    default: return -1;
  }
}

}  // namespace

Thread& World::add(int64_t tid, int64_t ptid, std::string comm, ContainerSlot& slot) {
  auto& thread = threads_[tid];
  thread = std::make_unique<Thread>();
  thread->tid = thread->pid = thread->vtid = thread->vpid = tid;
  thread->ptid = ptid;
  thread->comm = std::move(comm);
  thread->main = thread.get();
  thread->container = &slot;
  thread->fds = boost::make_local_shared<FdTable>();
  return *thread;
}

World::World() {
  machine_.hostname = "box";
  machine_.cpu_count = 2;
  local_ = ip("10.0.0.7");

  pod_.id = "3ad7b26ded6d";
  pod_.full_id = "3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de441c3601e";
  Container info;
  info.type = ContainerType::containerd;
  info.id = pod_.id;
  info.full_id = pod_.full_id;
  info.name = "web";
  info.image = "nginx:1.27";
  info.image_id = "39286ab8a5e1";
  info.image_repository = "docker.io/library/nginx";
  info.image_tag = "1.27";
  info.image_digest = "sha256:39286ab8a5e1";
  info.user = "www";
  info.cni_json = R"({"eth0":{}})";
  info.labels = {{"app", "web"},
                 {"tier", "front"},
                 {"io.kubernetes.pod.name", "web-0"},
                 {"io.kubernetes.pod.namespace", "shop"},
                 {"io.kubernetes.pod.uid", "u-1"}};
  info.mounts = {{"/proc", "/host/proc", "ro", "rprivate", false},
                 {"/var/run/docker.sock", "/sock", "", "rshared", true}};
  info.privileged = info.host_pid = info.host_network = true;
  info.pod_sandbox_id = "aaaabbbbccccddddeeee";
  info.pod_labels = {{"app", "web"}, {"annotation.x", "hidden"}};
  pod_.info = std::make_shared<const Container>(info);
  sandbox_.id = "aaaabbbbcccc";
  sandbox_.full_id = "aaaabbbbccccddddeeee";
  Container sandbox;
  sandbox.ip = "10.1.2.3";
  sandbox_.info = std::make_shared<const Container>(sandbox);

  add(kInit, 0, "systemd", host_).exepath = "/usr/lib/systemd/systemd";
  Thread& sshd = add(kSshd, kInit, "sshd", host_);
  sshd.exe = "sshd: root";
  sshd.exepath = "/usr/sbin/sshd";
  sshd.args = list({"-D", "-e"});
  sshd.env = list({"LANG=C", "EMPTY="});
  sshd.sid = sshd.pgid = sshd.vpgid = kSshd;
  sshd.clone_ns = kNow - 60 * kSecondNs;

  Thread& shell = add(kShell, kSshd, "bash", host_);
  shell.exe = "-bash";
  shell.exepath = "/usr/bin/bash";
  shell.args = list({"-c", "id -u"});
  shell.env = list({"HOME=/home/ann", "PATH= /bin "});
  shell.cwd = "/home/ann/";
  shell.cgroups = list({"cpu=/user.slice", "memory=/user.slice/ann"});
  shell.uid = shell.gid = 1000;
  shell.loginuid = 0;
  shell.tty = 34816;
  shell.sid = kSshd;
  shell.pgid = shell.vpgid = kShell;
  shell.cap_permitted = uint64_t{1} << 21 | 1;
  shell.cap_inheritable = uint64_t{1} << 13;
  shell.cap_effective = uint64_t{1} << 40;
  shell.fdlimit = 16;
  shell.exe_ino = 77;
  shell.exe_ino_ctime_ns = 1000;
  shell.exe_ino_mtime_ns = 2000;
  shell.exe_ino_ctime_duration_clone_ns = 3000;
  shell.exe_ino_ctime_duration_pidns_ns = 4000;
  shell.clone_ns = kNow - 2 * kSecondNs;
  shell.pidns_init_start_ns = kNow - 100 * kSecondNs;
  shell.vm_size_kb = 9000;
  shell.vm_rss_kb = 4000;
  shell.vm_swap_kb = 10;
  shell.page_faults_major = 5;
  shell.page_faults_minor = 600;
  shell.exe_writable = shell.exe_upper_layer = true;
  shell.live_threads = 2;

  FdTable& fds = *shell.fds;
  fds.set(0, file("/dev/pts/0"));
  Fd pipe;
  pipe.type = FdType::fifo;
  pipe.name = "";
  fds.set(1, make_fd(pipe));
  Fd shadow;
  shadow.type = FdType::file;
  shadow.name = "/etc/shadow";
  shadow.name_raw = "../etc/shadow";
  shadow.dev = 0xFD01;
  shadow.ino = 131073;
  shadow.flags = kFdUpperLayer;
  fds.set(3, make_fd(shadow));
  fds.set(4, file("/etc/ssh", FdType::directory));
  Fd socket;
  socket.type = FdType::ipv4;
  socket.l4 = L4Proto::tcp;
  socket.role = SocketRole::client;
  socket.flags = kFdConnected;
  socket.tuple = {ip("10.0.0.7"), ip("203.0.113.9"), 41000, 443};
  socket.name = "10.0.0.7:41000->203.0.113.9:443";
  fds.set(5, make_fd(socket));
  Fd server;
  server.type = FdType::ipv6_server;
  server.l4 = L4Proto::tcp;
  server.role = SocketRole::server;
  server.tuple.source = ip("::1");
  server.tuple.source_port = 8080;
  server.name = "::1:8080";
  fds.set(6, make_fd(server));
  Fd unix_socket;
  unix_socket.type = FdType::unix_socket;
  unix_socket.name = "ff00->ff01 /run/app.sock";
  fds.set(7, make_fd(unix_socket));
  fds.set(8, file("/dev/log", FdType::unix_socket));
  Fd udp;
  udp.type = FdType::ipv4;
  udp.l4 = L4Proto::udp;
  udp.tuple = {ip("10.0.0.7"), ip("10.0.0.8"), 500, 53};
  fds.set(9, make_fd(udp));

  Thread& worker = add(kWorker, kSshd, "bash", host_);
  worker.pid = kShell;
  worker.vpid = kShell;
  worker.main = &shell;

  add(kPodShim, kInit, "containerd-shim", host_);
  new_pod_.id = "deadbeef0000";
  new_pod_.full_id = "deadbeef0000deadbeef";
  add(kNewPod, kPodShim, "init", new_pod_);
  Thread& pod = add(kPod, kPodShim, "web", pod_);
  pod.exe = "/app/web";
  pod.exepath = "/app/web";
  pod.exe_lower_layer = true;
  pod.exe_from_memfd = true;
  pod.vpid = pod.vtid = 1;
  pod.sid = 1;
  pod.pgid = pod.vpgid = 1;
  pod.uid = 0;
  pod.gid = 4711;
  pod.pidns_init_start_ns = kNow - 5 * kSecondNs;
  pod.live_threads = 1;

  users_[{"", 1000}] = {1000, 1000, "ann", "/home/ann", "/bin/bash"};
}

Scene::Scene(const World& world, Happening what, uint64_t number, uint64_t ts_ns) : bytes(build(what, ts_ns)) {
  if (!Event::parse(bytes, event)) std::abort();
  event.cpu = 1;
  context.event = &event;
  context.state = &world;
  context.number = number;
  context.first_ts_ns = kNow - 3 * kSecondNs;
  if (event.spec().source != EventClass::meta || event.code() == ev::PROCINFO_E)
    context.thread = world.thread(event.tid());
  context.has_fd_class = event.spec().has(kEvCreatesFd | kEvUsesFd | kEvDestroysFd);
  if (event.spec().has_return_value() && event.carries(0)) context.result = event.param(0).i64();
  context.fd_number = descriptor_of(what);
  if (context.fd_number >= 0) context.fd = context.thread->group().fds->find(context.fd_number);
  if (what == Happening::container_added) context.container_event = &world.pod_info();
}

}  // namespace quell::detect
