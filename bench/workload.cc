#include "workload.h"

#include <array>
#include <functional>
#include <random>
#include <string_view>
#include <vector>

#include "capture/scap/writer.h"
#include "model/event.h"

namespace quell::bench {
namespace {

constexpr uint64_t kStart = 1'700'000'000'000'000'000;
constexpr const char* kContainers[] = {"", "3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de441c3601e",
                                       "f00dfacecafe8e7b23da7d48fe889434573036c27ae5a74837233de441c3601e",
                                       "0123456789ab8e7b23da7d48fe889434573036c27ae5a74837233de441c3601e"};

// Programs that a service, a build or a script runs stay in its session and process group.
constexpr int64_t kGroup = 1;

struct Actor {
  int64_t tid;
  int container;  // index into kContainers, 0 is the host
};

class Writer {
 public:
  Writer(capture::ScapWriter& out, uint64_t seed) : out_(out), random_(seed) {}

  size_t pick(size_t count) { return std::uniform_int_distribution<size_t>(0, count - 1)(random_); }
  uint64_t now() { return ts_ += 500 + pick(2000); }

  Result<void> emit(const std::vector<uint8_t>& bytes) {
    return out_.append(bytes, static_cast<uint16_t>(pick(2)), false);
  }

  /// One event; `roll` is 0..999 within the mix.
  Result<void> mixed(Actor& actor);
  Result<void> big(Actor& actor);
  std::vector<Actor> actors;

 private:
  const char* path() {
    static constexpr const char* kPaths[] = {"/usr/lib/x86_64-linux-gnu/libc.so.6",
                                             "/etc/ld.so.cache",
                                             "/proc/self/status",
                                             "/var/lib/app/data.db",
                                             "/tmp/build/obj-1.o",
                                             "/home/dev/src/main.cc",
                                             "/usr/include/stdio.h",
                                             "/usr/share/zoneinfo/UTC",
                                             "/var/log/app/app.log",
                                             "/dev/null",
                                             "/srv/www/index.html",
                                             "/usr/lib/python3/dist-packages/x.py",
                                             "/proc/1234/stat",
                                             "/sys/fs/cgroup/memory.max",
                                             "/run/app.pid"};
    static constexpr const char* kSensitive[] = {"/etc/shadow",
                                                 "/etc/passwd",
                                                 "/root/.ssh/id_rsa",
                                                 "/root/.aws/credentials",
                                                 "/var/run/secrets/kubernetes.io/serviceaccount/token",
                                                 "/etc/cron.d/job",
                                                 "/usr/bin/new"};
    return pick(50) == 0 ? kSensitive[pick(std::size(kSensitive))] : kPaths[pick(std::size(kPaths))];
  }
  Result<void> open(Actor& actor) {
    const bool fails = pick(8) == 0;
    const char* name = path();
    const uint32_t flags = pick(6) == 0 ? 2 | 4 : 1;
    return emit(EventBuilder(ev::SYSCALL_OPENAT_2_X, now(), actor.tid)
                    .num<int64_t>(fails ? -2 : static_cast<int64_t>(3 + pick(40)))
                    .num<int64_t>(-100)
                    .text(name)
                    .num(flags)
                    .num<uint32_t>(0644)
                    .num<uint32_t>(0x801)
                    .num<uint64_t>(std::hash<std::string_view>{}(name) % 100'000)  // a file's inode is its own
                    .build());
  }
  Result<void> close(Actor& actor) {
    return emit(EventBuilder(ev::SYSCALL_CLOSE_X, now(), actor.tid)
                    .num<int64_t>(0)
                    .num<int64_t>(static_cast<int64_t>(3 + pick(40)))
                    .build());
  }
  Result<void> fcntl(Actor& actor) {
    return emit(EventBuilder(ev::SYSCALL_FCNTL_X, now(), actor.tid)
                    .num<int64_t>(0)
                    .num<int64_t>(static_cast<int64_t>(3 + pick(40)))
                    .num<uint8_t>(4)
                    .num<uint64_t>(0)
                    .build());
  }
  Result<void> generic(Actor& actor) {
    return emit(EventBuilder(ev::GENERIC_X, now(), actor.tid).num<uint16_t>(108).num<uint16_t>(14).build());
  }
  std::string cgroups(const Actor& actor) {
    if (actor.container == 0) return std::string("cpuset=/\0pids=/user.slice\0", 26);
    const std::string path = std::string("/docker/") + kContainers[actor.container];
    std::string out;
    for (const char* subsystem : {"cpuset=", "pids="}) (out += subsystem) += path + '\0';
    return out;
  }
  Result<void> clone(Actor& actor, int64_t child);
  Result<void> exec(Actor& actor, const char* path, const char* comm, std::string_view args);
  Result<void> exit(int64_t tid) {
    return emit(EventBuilder(ev::PROCEXIT_1_E, now(), tid)
                    .num<int64_t>(0)
                    .num<int64_t>(0)
                    .num<uint8_t>(0)
                    .num<uint8_t>(0)
                    .num<int64_t>(1)
                    .build());
  }
  Result<void> life(Actor& actor);

  capture::ScapWriter& out_;
  std::mt19937_64 random_;
  uint64_t ts_ = kStart;
  int64_t next_tid_ = 100'000;
  std::vector<Actor> born_;
};

Result<void> Writer::clone(Actor& actor, int64_t child) {
  const auto event = [&](int64_t res, int64_t tid, int64_t parent) {
    const std::string groups = cgroups(actor);
    return EventBuilder(ev::SYSCALL_CLONE3_X, now(), tid)
        .num(res)
        .text("/bin/sh")
        .bytes({})
        .num(tid)
        .num(tid)
        .num(parent)
        .text("")
        .num<int64_t>(1024)
        .num<uint64_t>(0)
        .num<uint64_t>(100)
        .num<uint32_t>(4000)
        .num<uint32_t>(900)
        .num<uint32_t>(0)
        .text("sh")
        .raw(groups.data(), groups.size())
        .num<uint32_t>(0)
        .num<uint32_t>(0)
        .num<uint32_t>(0)
        .num(tid)
        .num(tid)
        .num<uint64_t>(0)
        .build();
  };
  QUELL_CHECK(emit(event(0, child, actor.tid)));
  return emit(event(child, actor.tid, 1));
}

Result<void> Writer::exec(Actor& actor, const char* path, const char* comm, std::string_view args) {
  const std::string groups = cgroups(actor);
  const std::string env("HOME=/root\0PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin\0", 68);
  return emit(EventBuilder(ev::SYSCALL_EXECVE_19_X, now(), actor.tid)
                  .num<int64_t>(0)
                  .text(path)
                  .raw(args.data(), args.size())
                  .num(actor.tid)
                  .num(actor.tid)
                  .num<int64_t>(1)
                  .text("")
                  .num<uint64_t>(1024)
                  .num<uint64_t>(0)
                  .num<uint64_t>(300)
                  .num<uint32_t>(9000)
                  .num<uint32_t>(1200)
                  .num<uint32_t>(0)
                  .text(comm)
                  .raw(groups.data(), groups.size())
                  .raw(env.data(), env.size())
                  .num<uint32_t>(0)
                  .num<int64_t>(kGroup)
                  .num<uint32_t>(UINT32_MAX)
                  .num<uint32_t>(0)
                  .num<uint64_t>(0)
                  .num<uint64_t>(0x1ffffffffff)
                  .num<uint64_t>(0x1ffffffffff)
                  .num<uint64_t>(77)
                  .num<uint64_t>(kStart - 1'000'000'000)
                  .num<uint64_t>(kStart - 1'000'000'000)
                  .num<uint32_t>(0)
                  .text(path)
                  .num<int64_t>(kGroup)
                  .num<uint32_t>(0)
                  .text(path)
                  .build());
}

// A child that runs something and ends.
Result<void> Writer::life(Actor& actor) {
  struct Program {
    const char* path;
    const char* comm;
    std::string_view args;
  };
  using namespace std::string_view_literals;
  static constexpr Program kPrograms[] = {{"/usr/bin/cc", "cc", "-c\0x.c\0"sv},
                                          {"/usr/bin/ls", "ls", "-l\0"sv},
                                          {"/bin/sh", "sh", "-c\0true\0"sv},
                                          {"/usr/bin/find", "find", "/\0-name\0id_rsa\0"sv},
                                          {"/usr/bin/curl", "curl", "http://169.254.169.254/latest\0"sv},
                                          {"/tmp/x", "x", ""sv}};
  Actor child{next_tid_++, actor.container};
  QUELL_CHECK(clone(actor, child.tid));
  if (pick(3) != 0) {
    const Program& program = kPrograms[pick(std::size(kPrograms))];
    QUELL_CHECK(exec(child, program.path, program.comm, program.args));
  }
  return exit(child.tid);
}

Result<void> Writer::mixed(Actor& actor) {
  const size_t roll = pick(1000);
  if (roll < 290) return open(actor);
  if (roll < 560) return close(actor);
  if (roll < 690) return fcntl(actor);
  if (roll < 810)
    return emit(EventBuilder(ev::SYSCALL_MKDIR_2_X, now(), actor.tid)
                    .num<int64_t>(pick(2) == 0 ? 0 : -17)
                    .text("/tmp/build/dir")
                    .num<uint32_t>(0755)
                    .build());
  if (roll < 830) return life(actor);
  if (roll < 855)
    return emit(EventBuilder(ev::SYSCALL_UNLINKAT_2_X, now(), actor.tid)
                    .num<int64_t>(0)
                    .num<int64_t>(-100)
                    .text("/tmp/build/obj-1.o")
                    .num<uint32_t>(0)
                    .build());
  if (roll < 880)
    return emit(EventBuilder(ev::SYSCALL_PRCTL_X, now(), actor.tid)
                    .num<int64_t>(0)
                    .num<uint32_t>(15)
                    .text("worker")
                    .num<int64_t>(0)
                    .build());
  if (roll < 905)
    return emit(
        EventBuilder(ev::SYSCALL_RENAME_X, now(), actor.tid).num<int64_t>(0).text("/tmp/a").text("/tmp/b").build());
  if (roll < 930)
    return emit(
        EventBuilder(ev::SYSCALL_CHMOD_X, now(), actor.tid).num<int64_t>(0).text("/tmp/a").num<uint32_t>(0755).build());
  if (roll < 955)
    return emit(
        EventBuilder(ev::SYSCALL_DUP2_X, now(), actor.tid).num<int64_t>(1).num<int64_t>(5).num<int64_t>(1).build());
  const auto fd = static_cast<int64_t>(50 + pick(10));
  QUELL_CHECK(emit(EventBuilder(ev::SOCKET_SOCKET_X, now(), actor.tid)
                       .num(fd)
                       .num<uint32_t>(2)
                       .num<uint32_t>(1)
                       .num<uint32_t>(6)
                       .num<uint32_t>(0)
                       .build()));
  const uint8_t last = pick(30) == 0 ? 254 : 10;
  const uint8_t tuple[13] = {2,   10,  0,    0,  1, 0x40, 0x9c, static_cast<uint8_t>(last == 254 ? 169 : 10),
                             254, 169, last, 80, 0};
  return emit(EventBuilder(ev::SOCKET_CONNECT_X, now(), actor.tid)
                  .num<int64_t>(0)
                  .raw(tuple, sizeof tuple)
                  .num(fd)
                  .empty()
                  .build());
}

Result<void> Writer::big(Actor& actor) {
  const size_t roll = pick(1000);
  if (roll < 350)
    return emit(EventBuilder(ev::PAGE_FAULT_E, now(), actor.tid)
                    .num<uint64_t>(0x7f0000000000 + pick(1 << 20))
                    .num<uint64_t>(0x400000)
                    .num<uint32_t>(6)
                    .build());
  if (roll < 460)
    return emit(EventBuilder(ev::SCHEDSWITCH_6_E, now(), actor.tid)
                    .num(actors[pick(actors.size())].tid)
                    .num<uint64_t>(0)
                    .num<uint64_t>(500)
                    .num<uint32_t>(9000)
                    .num<uint32_t>(1500)
                    .num<uint32_t>(0)
                    .build());
  if (roll < 560) return generic(actor);
  if (roll < 630) return close(actor);
  if (roll < 690) return fcntl(actor);
  if (roll < 740)
    return emit(EventBuilder(ev::SYSCALL_NEWFSTATAT_X, now(), actor.tid)
                    .num<int64_t>(0)
                    .num<int64_t>(-100)
                    .text(path())
                    .num<uint32_t>(0)
                    .build());
  if (roll < 790) {
    const uint8_t data[80] = {'G', 'E', 'T'};
    return emit(EventBuilder(ev::SYSCALL_READ_X, now(), actor.tid)
                    .num<int64_t>(4096)
                    .raw(data, sizeof data)
                    .num<int64_t>(static_cast<int64_t>(3 + pick(40)))
                    .num<uint32_t>(4096)
                    .build());
  }
  if (roll < 830) return open(actor);
  if (roll < 850) return life(actor);
  if (roll < 920)
    return emit(EventBuilder(ev::SYSCALL_MMAP_X, now(), actor.tid)
                    .num<int64_t>(0x7f0000000000)
                    .num<uint32_t>(9000)
                    .num<uint32_t>(1500)
                    .num<uint32_t>(0)
                    .num<uint64_t>(0)
                    .num<uint64_t>(4096)
                    .num<uint32_t>(3)
                    .num<uint32_t>(2)
                    .num<int64_t>(-1)
                    .num<uint64_t>(0)
                    .build());
  return generic(actor);
}

Thread make_thread(int64_t tid, int64_t parent, const char* comm, const char* exepath, int container) {
  Thread t;
  t.tid = t.pid = t.vtid = t.vpid = tid;
  t.ptid = parent;
  t.sid = t.pgid = t.vpgid = kGroup;
  t.comm = comm;
  t.exe = t.exepath = exepath;
  t.cwd = "/srv/";
  t.uid = t.gid = 0;
  t.clone_ns = kStart - 100'000'000'000;
  t.cgroups = container == 0 ? std::string("cpuset=/\0pids=/system.slice\0", 28)
                             : std::string("cpuset=/docker/") + kContainers[container] + '\0';
  return t;
}

}  // namespace

Result<void> write_capture(const std::string& path, Mix mix, uint64_t events) {
  Snapshot snapshot;
  snapshot.machine.hostname = "bench";
  snapshot.machine.cpu_count = 2;
  snapshot.machine.boot_ns = kStart - 3'600'000'000'000;
  snapshot.users.push_back({0, 0, "root", "/root", "/bin/sh"});
  snapshot.threads.push_back(make_thread(1, 0, "systemd", "/usr/lib/systemd/systemd", 0));
  static constexpr const char* kNames[] = {"nginx", "postgres", "bash", "cc1plus", "python3",
                                           "node",  "java",     "sshd", "make",    "redis-server"};
  std::vector<Actor> actors;
  for (int i = 0; i < 120; ++i) {
    const int64_t tid = 1000 + i;
    const char* name = kNames[static_cast<size_t>(i) % std::size(kNames)];
    const int container = i % 4;
    snapshot.threads.push_back(make_thread(tid, i % 3 == 0 || i < 10 ? 1 : 1000 + i % 10, name,
                                           ("/usr/bin/" + std::string(name)).c_str(), container));
    Snapshot::FdList list{tid, {}};
    for (int fd = 0; fd < 40; ++fd) {
      Fd entry;
      entry.type = FdType::file;
      entry.name = "/var/lib/app/file-" + std::to_string(fd);
      entry.open_flags = 1;
      list.fds.emplace_back(fd, entry);
    }
    snapshot.fd_lists.push_back(std::move(list));
    actors.push_back({tid, container});
  }
  QUELL_TRY(const auto out, capture::ScapWriter::create(path, snapshot, {.gzip = false}));
  Writer writer(*out, 20'261'122);
  writer.actors = std::move(actors);
  while (out->event_count() < events) {
    Actor& actor = writer.actors[writer.pick(writer.actors.size())];
    QUELL_CHECK(mix == Mix::mixed ? writer.mixed(actor) : writer.big(actor));
  }
  return out->close();
}

}  // namespace quell::bench
