// What the writer writes, the reader reads: snapshots and events drawn from seeds.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "capture/fd_facts.h"
#include "capture/scap/reader.h"
#include "capture/scap/writer.h"
#include "drain.h"

namespace quell::capture {
namespace {
using namespace testing;

class Draw {
 public:
  explicit Draw(uint32_t seed) : engine_(seed) {}
  uint64_t below(uint64_t bound) { return engine_() % bound; }
  template <typename T>
  T num() {
    return static_cast<T>(engine_());
  }
  bool flip() { return below(2) == 1; }
  std::string text(size_t most, bool with_nul = false) {
    std::string out(below(8) == 0 ? most : below(40), '\0');
    for (char& c : out) c = static_cast<char>(with_nul && below(10) == 0 ? 0 : 1 + below(255));
    return out;
  }
  IpAddress ip(int family) {
    uint8_t bytes[16];
    for (uint8_t& b : bytes) b = num<uint8_t>();
    bytes[0] = 10;  // keeps IPv6 ones from being mapped IPv4 ones
    return family == 4 ? IpAddress::v4(bytes) : IpAddress::v6(bytes);
  }

 private:
  std::mt19937_64 engine_;
};

Thread draw_thread(Draw& d) {
  Thread t;
  t.tid = d.num<int64_t>(), t.pid = d.num<int64_t>(), t.ptid = d.num<int64_t>();
  t.vtid = d.num<int64_t>(), t.vpid = d.num<int64_t>();
  t.sid = d.num<int64_t>(), t.pgid = d.num<int64_t>(), t.vpgid = d.num<int64_t>();
  t.comm = d.text(15), t.exe = d.text(1024), t.exepath = d.text(1024), t.root = d.text(1024);
  t.args = d.text(4096, true), t.env = d.text(4096, true), t.cgroups = d.text(4096, true);
  t.cwd = d.flip() ? "" : "/" + d.text(1000) + "/";
  t.uid = d.num<uint32_t>(), t.gid = d.num<uint32_t>(), t.loginuid = d.num<uint32_t>();
  t.tty = d.num<uint32_t>(), t.flags = d.num<uint32_t>();
  t.cap_inheritable = d.num<uint64_t>(), t.cap_permitted = d.num<uint64_t>(), t.cap_effective = d.num<uint64_t>();
  t.fdlimit = d.num<int64_t>();
  t.exe_ino = d.num<uint64_t>(), t.exe_ino_ctime_ns = d.num<uint64_t>(), t.exe_ino_mtime_ns = d.num<uint64_t>();
  t.pidns_init_start_ns = d.num<uint64_t>();
  t.vm_size_kb = d.num<uint32_t>(), t.vm_rss_kb = d.num<uint32_t>(), t.vm_swap_kb = d.num<uint32_t>();
  t.page_faults_major = d.num<uint64_t>(), t.page_faults_minor = d.num<uint64_t>();
  t.exe_writable = d.flip(), t.exe_upper_layer = d.flip(), t.exe_lower_layer = d.flip(), t.exe_from_memfd = d.flip();
  t.clone_ns = d.num<uint64_t>(), t.lastexec_ns = d.num<uint64_t>();
  t.exe_ino_ctime_duration_clone_ns = d.num<uint64_t>(), t.exe_ino_ctime_duration_pidns_ns = d.num<uint64_t>();
  t.dead = d.flip(), t.inverted = d.flip(), t.reaper = d.flip(), t.placeholder = d.flip();
  return t;
}

Fd draw_fd(Draw& d) {
  static constexpr FdType kTypes[] = {FdType::file,        FdType::directory,   FdType::ipv4,     FdType::ipv6,
                                      FdType::ipv4_server, FdType::ipv6_server, FdType::fifo,     FdType::unix_socket,
                                      FdType::event,       FdType::unsupported, FdType::signalfd, FdType::eventpoll,
                                      FdType::inotify,     FdType::timerfd,     FdType::netlink,  FdType::bpf,
                                      FdType::userfaultfd, FdType::io_uring,    FdType::memfd,    FdType::pidfd};
  Fd fd;
  fd.type = kTypes[d.below(std::size(kTypes))];
  fd.ino = d.num<uint64_t>();
  if (fd.is_inet()) {
    const int family = fd.type == FdType::ipv4 || fd.type == FdType::ipv4_server ? 4 : 6;
    fd.tuple.source = d.ip(family);
    fd.tuple.source_port = d.num<uint16_t>();
    if (!fd.is_server()) fd.tuple.dest = d.ip(family), fd.tuple.dest_port = d.num<uint16_t>();
    fd.l4 = static_cast<L4Proto>(d.below(6));
  } else {
    fd.name = "/" + d.text(1000);
  }
  if (fd.type == FdType::unix_socket)
    fd.unix_source = d.num<uint64_t>(), fd.unix_dest = d.num<uint64_t>(), fd.name = "/run/x";
  if (fd.type == FdType::file) fd.open_flags = d.num<uint32_t>(), fd.dev = d.num<uint32_t>();
  complete_fd(fd);
  if (d.flip()) {
    fd.flags |= kFdCloexec | kFdConnectPending;
    fd.given_is_name = !fd.name.empty() && d.flip();
    if (!fd.given_is_name) fd.name_raw = "./" + d.text(100);
    fd.role = fd.is_server() ? SocketRole::server : fd.is_inet() ? SocketRole::client : SocketRole::none;
    fd.pid = d.num<int64_t>();
  }
  return fd;
}

Snapshot draw_snapshot(Draw& d) {
  Snapshot s;
  s.machine = {d.num<uint32_t>(), d.num<uint64_t>(), d.num<uint64_t>(), d.text(127), d.num<uint64_t>(), ""};
  for (size_t n = d.below(5); n > 0; --n) {
    const int family = d.flip() ? 4 : 6;
    s.interfaces.push_back({d.text(15), d.ip(family), d.ip(family), d.ip(family), d.num<uint64_t>()});
  }
  for (size_t n = d.below(5); n > 0; --n)
    s.users.push_back({d.num<uint32_t>(), d.num<uint32_t>(), d.text(255), d.text(255), d.text(255)});
  for (size_t n = d.below(5); n > 0; --n) s.groups.push_back({d.num<uint32_t>(), d.text(255)});
  for (size_t n = d.below(20); n > 0; --n) s.threads.push_back(draw_thread(d));
  for (size_t n = d.below(5); n > 0; --n) {
    Snapshot::FdList list{d.num<int64_t>(), {}};
    for (size_t k = d.below(30); k > 0; --k) list.fds.emplace_back(d.num<int64_t>(), draw_fd(d));
    s.fd_lists.push_back(std::move(list));
  }
  for (const auto& list : s.fd_lists)
    for (const auto& [number, fd] : list.fds)
      if (fd.is_server()) s.listening_ports.push_back(fd.tuple.source_port);
  std::sort(s.listening_ports.begin(), s.listening_ports.end());
  s.listening_ports.erase(std::unique(s.listening_ports.begin(), s.listening_ports.end()), s.listening_ports.end());
  return s;
}

void expect_same(const Thread& a, const Thread& b) {
  const auto key = [](const Thread& t) {
    return std::tie(t.tid, t.pid, t.ptid, t.vtid, t.vpid, t.sid, t.pgid, t.vpgid, t.comm, t.exe, t.exepath, t.args,
                    t.env, t.cwd, t.root, t.cgroups, t.uid, t.gid, t.loginuid, t.tty, t.flags, t.cap_inheritable,
                    t.cap_permitted, t.cap_effective, t.fdlimit, t.exe_ino, t.exe_ino_ctime_ns, t.exe_ino_mtime_ns,
                    t.pidns_init_start_ns, t.vm_size_kb, t.vm_rss_kb, t.vm_swap_kb, t.page_faults_major,
                    t.page_faults_minor, t.exe_writable, t.exe_upper_layer, t.exe_lower_layer, t.exe_from_memfd,
                    t.clone_ns, t.lastexec_ns, t.exe_ino_ctime_duration_clone_ns, t.exe_ino_ctime_duration_pidns_ns,
                    t.dead, t.inverted, t.reaper, t.placeholder);
  };
  EXPECT_TRUE(key(a) == key(b)) << "thread " << a.tid;
}

void expect_same(const Fd& a, const Fd& b) {
  const auto key = [](const Fd& f) {
    return std::tie(f.type, f.l4, f.role, f.flags, f.open_flags, f.dev, f.ino, f.name, f.name_raw, f.given_is_name,
                    f.tuple, f.unix_source, f.unix_dest, f.pid);
  };
  EXPECT_TRUE(key(a) == key(b)) << "descriptor " << a.name << " " << b.name;
}

void expect_same(const Snapshot& a, const Snapshot& b) {
  EXPECT_EQ(a.machine.cpu_count, b.machine.cpu_count);
  EXPECT_EQ(a.machine.memory_bytes, b.machine.memory_bytes);
  EXPECT_EQ(a.machine.max_pid, b.machine.max_pid);
  EXPECT_EQ(a.machine.hostname, b.machine.hostname);
  EXPECT_EQ(a.machine.boot_ns, b.machine.boot_ns);
  ASSERT_EQ(a.interfaces.size(), b.interfaces.size());
  for (size_t i = 0; i < a.interfaces.size(); ++i) {
    EXPECT_EQ(a.interfaces[i].name, b.interfaces[i].name);
    EXPECT_TRUE(a.interfaces[i].address == b.interfaces[i].address &&
                a.interfaces[i].netmask == b.interfaces[i].netmask &&
                a.interfaces[i].broadcast == b.interfaces[i].broadcast);
    EXPECT_EQ(a.interfaces[i].link_speed, b.interfaces[i].link_speed);
  }
  ASSERT_EQ(a.users.size(), b.users.size());
  for (size_t i = 0; i < a.users.size(); ++i)
    EXPECT_TRUE(std::tie(a.users[i].uid, a.users[i].gid, a.users[i].name, a.users[i].home, a.users[i].shell) ==
                std::tie(b.users[i].uid, b.users[i].gid, b.users[i].name, b.users[i].home, b.users[i].shell));
  ASSERT_EQ(a.groups.size(), b.groups.size());
  for (size_t i = 0; i < a.groups.size(); ++i)
    EXPECT_TRUE(std::tie(a.groups[i].gid, a.groups[i].name) == std::tie(b.groups[i].gid, b.groups[i].name));
  ASSERT_EQ(a.threads.size(), b.threads.size());
  for (size_t i = 0; i < a.threads.size(); ++i) expect_same(a.threads[i], b.threads[i]);
  ASSERT_EQ(a.fd_lists.size(), b.fd_lists.size());
  for (size_t i = 0; i < a.fd_lists.size(); ++i) {
    EXPECT_EQ(a.fd_lists[i].tid, b.fd_lists[i].tid);
    ASSERT_EQ(a.fd_lists[i].fds.size(), b.fd_lists[i].fds.size());
    for (size_t k = 0; k < a.fd_lists[i].fds.size(); ++k) {
      EXPECT_EQ(a.fd_lists[i].fds[k].first, b.fd_lists[i].fds[k].first);
      expect_same(a.fd_lists[i].fds[k].second, b.fd_lists[i].fds[k].second);
    }
  }
  EXPECT_EQ(a.listening_ports, b.listening_ports);
}

/// A complete event of the current schema, of a code that is delivered as it is.
std::vector<uint8_t> draw_event(Draw& d) {
  for (;;) {
    const EventSpec& spec = kEventTable[d.below(kEventCodeCount)];
    const bool enter_call = spec.dir == EventDir::enter && spec.source == EventClass::syscall;
    if (spec.has(kEvUnused) || spec.has(kEvOldVersion) || enter_call ||
        (spec.dir == EventDir::enter && spec.has(kEvConverterManaged)))
      continue;
    EventBuilder builder(spec.code, d.num<uint64_t>(), d.num<int64_t>());
    if (spec.code == ev::GENERIC_X) return builder.num<uint16_t>(329).num(d.num<uint16_t>()).build();
    for (size_t i = 0; i < spec.params.size(); ++i) {
      const std::string value = d.text(d.below(500) == 0 ? 65535 : 300, true);
      builder.raw(value.data(), value.size());
    }
    return builder.build();
  }
}

struct TempFile {
  std::string path =
      std::filesystem::temp_directory_path() / ("quell-roundtrip-" + std::to_string(::getpid()) + ".scap");
  ~TempFile() { std::filesystem::remove(path); }
};

TEST(ScapRoundTrip, SnapshotsAndEvents) {
  for (uint32_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    Draw d(seed);
    const Snapshot snapshot = draw_snapshot(d);
    TempFile file;
    auto writer = ScapWriter::create(file.path, snapshot, {.gzip = seed % 2 == 0});
    ASSERT_TRUE(writer) << writer.error().str();
    std::vector<Read> written(d.below(2500));
    for (Read& event : written) {
      event.bytes = draw_event(d);
      event.cpu = d.num<uint16_t>();
      event.state_only = d.below(5) == 0;
      ASSERT_TRUE((*writer)->append(event.bytes, event.cpu, event.state_only));
    }
    if (d.flip()) {
      ASSERT_TRUE((*writer)->flush());
    }
    ASSERT_TRUE((*writer)->close());
    EXPECT_EQ((*writer)->event_count(), written.size());
    EXPECT_EQ((*writer)->file_bytes(), std::filesystem::file_size(file.path));

    auto source = open_scap(file.path);
    ASSERT_TRUE(source) << source.error().str();
    expect_same((*source)->snapshot(), snapshot);
    const Drained read = drain(**source);
    ASSERT_FALSE(read.error) << read.error->str();
    EXPECT_TRUE(read.all_parse);
    ASSERT_EQ(read.events.size(), written.size());
    for (size_t i = 0; i < written.size(); ++i) {
      EXPECT_EQ(read.events[i].number, i + 1);
      EXPECT_EQ(read.events[i].bytes, written[i].bytes);
      EXPECT_EQ(read.events[i].cpu, written[i].cpu);
      EXPECT_EQ(read.events[i].state_only, written[i].state_only);
    }
    EXPECT_EQ(read.counters.skipped_entries + read.counters.skipped_blocks + read.counters.skipped_events, 0u);
  }
}

TEST(ScapWriter, IsReadableAfterFlush) {
  for (const bool gzip : {false, true}) {
    TempFile file;
    auto writer = ScapWriter::create(file.path, {}, {.gzip = gzip});
    ASSERT_TRUE(writer);
    const auto event = EventBuilder(ev::SYSCALL_CLOSE_X, 1, 7).num<int64_t>(0).num<int64_t>(3).build();
    ASSERT_TRUE((*writer)->append(event, 0, false));
    ASSERT_TRUE((*writer)->flush());
    auto source = open_scap(file.path);
    ASSERT_TRUE(source);
    EXPECT_EQ(drain(**source).events.size(), 1u);
    struct stat status {};
    ASSERT_EQ(::stat(file.path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u) << "captures hold what others typed";
  }
}

TEST(ScapWriter, RefusesWhatIsNoEventAndGoesOn) {
  TempFile file;
  auto writer = ScapWriter::create(file.path, {}, {});
  ASSERT_TRUE(writer);
  auto event = EventBuilder(ev::SYSCALL_CLOSE_X, 1, 7).num<int64_t>(0).num<int64_t>(3).build();
  event.push_back(0);
  EXPECT_EQ((*writer)->append(event, 0, false).error().code, Code::invalid_argument);
  EXPECT_EQ((*writer)->append({}, 0, false).error().code, Code::invalid_argument);
  event.pop_back();
  EXPECT_TRUE((*writer)->append(event, 0, false));
  EXPECT_TRUE((*writer)->close());
}

// Older readers look a generic event's call up in a table without asking whether it is that long.
TEST(ScapWriter, NewerCallCodesOfGenericEventsAreLeftToTheNumber) {
  TempFile file;
  auto writer = ScapWriter::create(file.path, {}, {});
  ASSERT_TRUE(writer);
  for (const uint16_t code : {329, 330, 450})
    ASSERT_TRUE(
        (*writer)->append(EventBuilder(ev::GENERIC_X, 1, 7).num(code).num<uint16_t>(77).build(), 0, code == 450));
  ASSERT_TRUE((*writer)->close());
  auto source = open_scap(file.path);
  ASSERT_TRUE(source);
  const Drained read = drain(**source);
  ASSERT_EQ(read.events.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    Event event;
    ASSERT_TRUE(Event::parse(read.events[i].bytes, event));
    EXPECT_EQ(event.param(0).u64(), i == 0 ? 329u : 0u);
    EXPECT_EQ(event.param(1).u64(), 77u);
  }
}

TEST(ScapWriter, CutsTextsAtTheFormatsLimits) {
  Snapshot snapshot;
  Thread thread;
  thread.tid = thread.pid = 1;
  thread.args = std::string(70'000, 'a');
  thread.exepath = std::string(5'000, 'b');
  snapshot.threads.push_back(thread);
  snapshot.machine.hostname = std::string(500, 'h');
  TempFile file;
  auto writer = ScapWriter::create(file.path, snapshot, {});
  ASSERT_TRUE(writer && (*writer)->close());
  auto source = open_scap(file.path);
  ASSERT_TRUE(source);
  ASSERT_EQ((*source)->snapshot().threads.size(), 1u);
  EXPECT_EQ((*source)->snapshot().threads[0].args.size(), 4096u);
  EXPECT_EQ((*source)->snapshot().threads[0].exepath.size(), 1024u);
  EXPECT_EQ((*source)->snapshot().machine.hostname.size(), 127u);
}

TEST(ScapWriter, AFullDiskIsAnErrorThatStays) {
  for (const bool gzip : {false, true}) {
    auto writer = ScapWriter::create("/dev/full", {}, {.gzip = gzip});
    ASSERT_TRUE(writer) << writer.error().str();
    const auto flushed = (*writer)->flush();
    ASSERT_FALSE(flushed);
    EXPECT_EQ(flushed.error().code, Code::io);
    EXPECT_EQ((*writer)->close().error().code, Code::io);
  }
  EXPECT_EQ(ScapWriter::create("/nonexistent/x.scap", {}, {}).error().code, Code::not_found);
}

}  // namespace
}  // namespace quell::capture
