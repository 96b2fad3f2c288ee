// Scenario text becomes the events that a sensor would have written.
#include "capture/scenario/scenario.h"

#include <gtest/gtest.h>

#include <string>

#include "model/event.h"

namespace quell::capture {
namespace {

constexpr char kHead[] = "why: a test\nrules: [rules.yaml]\n";

Result<Scenario> scenario(const std::string& body, const std::string& tail = "expect: []\n") {
  return parse_scenario("s.yaml", kHead + body + tail);
}
Scenario good(const std::string& body, const std::string& tail = "expect: []\n") {
  auto parsed = scenario(body, tail);
  EXPECT_TRUE(parsed) << parsed.error().str();
  return parsed ? std::move(*parsed) : Scenario{};
}
/// The event at `index` of the scenario, or the last one before it that was added (lead).
Event event_at(const Scenario& scenario, int index) {
  for (const ScenarioEvent& candidate : scenario.events) {
    if (candidate.index != index) continue;
    Event event;
    const auto parsed = Event::parse(candidate.bytes, event);
    EXPECT_TRUE(parsed) << parsed.error().str();
    return event;
  }
  ADD_FAILURE() << "no event " << index;
  return {};
}
Param param(const Event& event, std::string_view name) {
  const int index = event.spec().param_index(name);
  EXPECT_GE(index, 0) << name;
  return event.param(static_cast<size_t>(index));
}
const Thread* thread(const Scenario& scenario, int64_t tid) {
  for (const Thread& candidate : scenario.snapshot.threads)
    if (candidate.tid == tid) return &candidate;
  return nullptr;
}

TEST(Scenario, ExecCarriesEveryParameterOfTheSchema) {
  const Scenario s = good(
      "events:\n"
      "  - {evt.type: execve, proc.name: bash, proc.args: -i, proc.tty: 34816, container.id: 3ad7b26ded6d,\n"
      "     proc.pname: nginx, user.uid: 33, proc.is_exe_upper_layer: true, proc.env: {HOME: /root}}\n");
  const Event event = event_at(s, 0);
  EXPECT_EQ(event.code(), ev::SYSCALL_EXECVE_19_X);
  EXPECT_EQ(event.nparams(), event.spec().params.size());
  EXPECT_EQ(param(event, "res").i64(), 0);
  EXPECT_EQ(param(event, "comm").text(), "bash");
  EXPECT_EQ(param(event, "exe").text(), "bash");
  EXPECT_EQ(param(event, "trusted_exepath").text(), "/usr/bin/bash");
  EXPECT_EQ(param(event, "filename").text(), "/usr/bin/bash");
  EXPECT_EQ(param(event, "args").text(), "-i");
  EXPECT_EQ(param(event, "env").text(), "HOME=/root");
  EXPECT_EQ(param(event, "tty").u64(), 34816u);
  EXPECT_EQ(param(event, "tty").len, 4u);
  EXPECT_EQ(param(event, "uid").u64(), 33u);
  EXPECT_EQ(param(event, "flags").u64(), *flag_value(flag_table("execve_flags"), "EXE_UPPER_LAYER"));
  EXPECT_NE(std::string(reinterpret_cast<const char*>(param(event, "cgroups").data), param(event, "cgroups").len)
                .find("/docker/3ad7b26ded6d0000"),
            std::string::npos);

  // Before the execve the process was a copy of its parent, which runs in the container; the shim above runs on the
  // host.
  const Thread* before = thread(s, event.tid());
  ASSERT_NE(before, nullptr);
  EXPECT_EQ(before->comm, "nginx");
  const Thread* parent = thread(s, before->ptid);
  ASSERT_NE(parent, nullptr);
  EXPECT_EQ(parent->comm, "nginx");
  EXPECT_NE(parent->cgroups.find("docker/"), std::string::npos);
  const Thread* shim = thread(s, parent->ptid);
  ASSERT_NE(shim, nullptr);
  EXPECT_EQ(shim->comm, "containerd-shim");
  EXPECT_EQ(shim->cgroups.find("docker/"), std::string::npos);
  EXPECT_EQ(shim->ptid, 1);
}

TEST(Scenario, ContainerMetadataComesFirst) {
  const Scenario s = good(
      "events:\n"
      "  - {evt.type: execve, proc.name: app, proc.vpid: 1, container.id: 3ad7b26ded6d, container.image: "
      "reg.io:5000/a/b:1.2,\n"
      "     container.privileged: true, container.mounts: ['/:/host', '/etc:/e:ro'], k8s.ns.name: shop, user.name: "
      "anna}\n");
  ASSERT_GE(s.events.size(), 3u);
  EXPECT_EQ(s.events[0].index, -1);
  Event event;
  ASSERT_TRUE(Event::parse(s.events[0].bytes, event));
  EXPECT_EQ(event.code(), ev::ASYNCEVENT_E);
  EXPECT_EQ(param(event, "name").text(), "container");
  const Param data = param(event, "data");
  const std::string json(reinterpret_cast<const char*>(data.data), data.len);
  EXPECT_NE(json.find("\"imagerepo\":\"reg.io:5000/a/b\""), std::string::npos) << json;
  EXPECT_NE(json.find("\"imagetag\":\"1.2\""), std::string::npos);
  EXPECT_NE(json.find("\"privileged\":true"), std::string::npos);
  EXPECT_NE(json.find("\"Source\":\"/etc\""), std::string::npos);
  EXPECT_NE(json.find("\"io.kubernetes.pod.namespace\":\"shop\""), std::string::npos);
  Event user;
  ASSERT_TRUE(Event::parse(s.events[1].bytes, user));
  EXPECT_EQ(user.code(), ev::USER_ADDED_E);
  EXPECT_EQ(param(user, "name").text(), "anna");
  EXPECT_EQ(param(user, "container_id").text(), "3ad7b26ded6d");
  EXPECT_EQ(thread(s, event_at(s, 0).tid())->vpid, 1);
  EXPECT_LT(event.ts_ns(), event_at(s, 0).ts_ns());
}

TEST(Scenario, CapabilitiesByName) {
  const Scenario s = good(
      "events:\n"
      "  - {evt.type: execve, proc.name: a, thread.cap_effective: CAP_SYS_MODULE|CAP_CHOWN}\n"
      "  - {evt.type: execve, proc.name: a, thread.cap_permitted: ALL, thread.cap_effective: NONE}\n"
      "  - {evt.type: execve, proc.name: a, user.uid: 1000}\n"
      "  - {evt.type: execve, proc.name: a}\n");
  constexpr uint64_t kAll = (uint64_t{1} << 41) - 1;
  EXPECT_EQ(param(event_at(s, 0), "cap_effective").u64(), (uint64_t{1} << 16) | 1);
  EXPECT_EQ(param(event_at(s, 0), "cap_permitted").u64(), (uint64_t{1} << 16) | 1);
  EXPECT_EQ(param(event_at(s, 1), "cap_permitted").u64(), kAll);
  EXPECT_EQ(param(event_at(s, 1), "cap_effective").u64(), 0u);
  EXPECT_EQ(param(event_at(s, 2), "cap_permitted").u64(), 0u);
  EXPECT_EQ(param(event_at(s, 3), "cap_effective").u64(), kAll);
  const auto unknown = scenario("events: [{evt.type: execve, proc.name: a, thread.cap_effective: CAP_SYS_MODUL}]\n");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, Code::invalid_argument);
  EXPECT_NE(unknown.error().message.find("CAP_SYS_MODULE"), std::string::npos);
  EXPECT_FALSE(
      scenario("events: [{evt.type: execve, proc.name: a, thread.cap_permitted: NONE, "
               "thread.cap_effective: CAP_CHOWN}]\n"));
}

TEST(Scenario, AgeIsToldByCloneAndExec) {
  const Scenario s = good(
      "processes:\n"
      "  old: {proc.name: nginx, proc.duration: 3600000000000, user.uid: 33}\n"
      "  child: {proc.name: php, parent: old, proc.duration: 60000000000}\n"
      "events: [{evt.type: openat, process: child, fd.name: /x}]\n");
  ASSERT_EQ(s.events.size(), 7u);
  const int64_t old_pid = [&] {
    Event event;
    EXPECT_TRUE(Event::parse(s.events[2].bytes, event));
    EXPECT_EQ(event.code(), ev::SYSCALL_EXECVE_19_X);
    EXPECT_EQ(param(event, "comm").text(), "nginx");
    return event.tid();
  }();
  EXPECT_EQ(thread(s, old_pid), nullptr) << "it is not there before its clone";
  uint64_t last_ns = 0;
  for (const ScenarioEvent& item : s.events) {
    Event event;
    ASSERT_TRUE(Event::parse(item.bytes, event));
    EXPECT_GT(event.ts_ns(), last_ns);
    last_ns = event.ts_ns();
  }
  Event parent, child;
  ASSERT_TRUE(Event::parse(s.events[3].bytes, parent));
  ASSERT_TRUE(Event::parse(s.events[4].bytes, child));
  EXPECT_EQ(parent.tid(), old_pid);
  EXPECT_EQ(param(parent, "res").i64(), child.tid());
  EXPECT_EQ(param(child, "res").i64(), 0);
  EXPECT_EQ(param(child, "ptid").i64(), old_pid);
  EXPECT_EQ(param(child, "comm").text(), "nginx") << "a clone runs its parent's program";
  EXPECT_EQ(kScenarioStartNs - child.ts_ns(), 60'000'000'000u - 1000);
  const std::string events = "events: [{evt.type: openat, process: old, fd.name: /x}]\n";
  EXPECT_FALSE(scenario("processes: {old: {proc.name: a, proc.duration: 99999999999999999}}\n" + events));
  EXPECT_FALSE(
      scenario("processes: {old: {proc.name: a, proc.duration: 5, fds: [{fd.num: 3, fd.name: /y}]}}\n" + events));
}

TEST(Scenario, BytesAndNames) {
  const Scenario s = good(
      "names: {kubernetes.default: 10.96.0.1}\n"
      "processes: {app: {proc.name: java, fds: [{fd.num: 7, fd.sip: 203.0.113.9, fd.sport: 80}]}}\n"
      "events:\n"
      "  - {evt.type: recvfrom, process: app, evt.arg.fd: 7, evt.arg.data: 'hex:cafebabe00', evt.rawres: 5}\n"
      "  - {evt.type: recvfrom, process: app, evt.arg.fd: 7, evt.arg.data: plain, evt.rawres: 5}\n");
  const Param data = param(event_at(s, 0), "data");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(data.data), data.len), std::string("\xca\xfe\xba\xbe\0", 5));
  EXPECT_EQ(param(event_at(s, 1), "data").len, 5u);
  ASSERT_EQ(s.names.size(), 1u);
  EXPECT_EQ(s.names[0].first, "kubernetes.default");
  EXPECT_EQ(s.names[0].second.str(), "10.96.0.1");
  const std::string events = "events: [{evt.type: execve, proc.name: a}]\n";
  EXPECT_FALSE(scenario("names: {kubernetes.default: nowhere}\n" + events));
  EXPECT_FALSE(scenario("names: [kubernetes.default]\n" + events));
  for (const char* bad : {"hex:cafe0", "hex:xy", "hex:-1"})
    EXPECT_FALSE(
        scenario(std::string("events: [{evt.type: recvfrom, proc.name: a, fd.num: 7, evt.arg.data: '") + bad + "'}]\n"))
        << bad;
}

TEST(Scenario, OpenSetsAccessAndNewDescriptor) {
  const Scenario s = good(
      "events:\n"
      "  - {evt.type: openat, proc.name: cat, fd.name: /etc/shadow}\n"
      "  - {evt.type: openat, proc.name: sh, fd.name: /etc/passwd, evt.is_open_write: true, evt.arg.flags: "
      "O_CREAT|O_TRUNC}\n"
      "  - {evt.type: open, proc.name: sh, fd.name: /x, evt.arg.flags: O_RDWR}\n"
      "  - {evt.type: openat, proc.name: sh, fd.name: /x, evt.res: ENOENT}\n"
      "  - {evt.type: creat, proc.name: sh, fd.name: /x}\n");
  const FlagTable table = flag_table("file_flags");
  Event event = event_at(s, 0);
  EXPECT_EQ(event.code(), ev::SYSCALL_OPENAT_2_X);
  EXPECT_EQ(param(event, "fd").i64(), 3);
  EXPECT_EQ(param(event, "dirfd").i64(), -100);
  EXPECT_EQ(param(event, "name").text(), "/etc/shadow");
  EXPECT_EQ(param(event, "flags").u64(), *flag_value(table, "O_RDONLY"));
  event = event_at(s, 1);
  EXPECT_EQ(param(event, "flags").u64(),
            *flag_value(table, "O_WRONLY") | *flag_value(table, "O_CREAT") | *flag_value(table, "O_TRUNC"));
  EXPECT_EQ(param(event_at(s, 2), "flags").u64(), *flag_value(table, "O_RDWR"));
  EXPECT_EQ(param(event_at(s, 3), "fd").i64(), -2);
  EXPECT_EQ(event_at(s, 4).code(), ev::SYSCALL_CREAT_X);
}

TEST(Scenario, ConnectIsLedByItsSocket) {
  const Scenario s = good(
      "events:\n"
      "  - {evt.type: connect, proc.name: curl, fd.sip: 169.254.169.254, fd.sport: 80, container.id: 3ad7b26ded6d}\n"
      "  - {evt.type: connect, proc.name: curl, fd.type: unix, fd.name: /run/docker.sock}\n"
      "  - {evt.type: connect, proc.name: curl, fd.sip: 'fd00:ec2::254', fd.sport: 80, evt.res: EINPROGRESS}\n");
  int sockets = 0;
  for (const ScenarioEvent& candidate : s.events) {
    Event event;
    ASSERT_TRUE(Event::parse(candidate.bytes, event));
    sockets += event.code() == ev::SOCKET_SOCKET_X ? 1 : 0;
  }
  EXPECT_EQ(sockets, 3);
  Event event = event_at(s, 0);
  EXPECT_EQ(param(event, "fd").i64(), 3);
  const Param tuple = param(event, "tuple");
  ASSERT_EQ(tuple.len, 13u);
  EXPECT_EQ(tuple.data[0], 2);
  EXPECT_EQ(IpAddress::v4(tuple.data + 7).str(), "169.254.169.254");
  EXPECT_EQ(tuple.data[11], 80);  // host byte order
  EXPECT_EQ(param(event, "addr").len, 7u);
  event = event_at(s, 1);
  EXPECT_EQ(param(event, "tuple").data[0], 1);
  EXPECT_EQ(param(event, "addr").len, 1 + std::string("/run/docker.sock").size() + 1);
  event = event_at(s, 2);
  EXPECT_EQ(param(event, "res").i64(), -115);
  EXPECT_EQ(param(event, "tuple").len, 37u);
}

TEST(Scenario, ProcessesKeepDescriptorsAndChangeByExec) {
  const Scenario s = good(
      "processes:\n"
      "  web: {proc.name: nginx, user.uid: 33, container.id: 3ad7b26ded6d, fds: [{fd.num: 4, fd.sip: 203.0.113.9, "
      "fd.sport: 4444}]}\n"
      "  child: {proc.name: sh, parent: web}\n"
      "events:\n"
      "  - {evt.type: dup2, process: web, evt.arg.oldfd: 4, evt.arg.newfd: 0}\n"
      "  - {evt.type: execve, process: web, proc.cmdline: bash -i}\n"
      "  - {evt.type: dup3, process: child, evt.rawres: 1, fd.sip: 203.0.113.9, fd.sport: 4444}\n");
  Event event = event_at(s, 0);
  EXPECT_EQ(param(event, "res").i64(), 0);
  EXPECT_EQ(param(event, "oldfd").i64(), 4);
  EXPECT_EQ(param(event, "newfd").i64(), 0);
  const int64_t web = event.tid();
  ASSERT_EQ(s.snapshot.fd_lists.size(), 2u);
  EXPECT_EQ(s.snapshot.fd_lists[0].tid, web);
  EXPECT_EQ(s.snapshot.fd_lists[0].fds[0].first, 4);
  EXPECT_EQ(s.snapshot.fd_lists[0].fds[0].second.type, FdType::ipv4);
  EXPECT_EQ(s.snapshot.fd_lists[0].fds[0].second.tuple.dest_port, 4444);
  event = event_at(s, 1);
  EXPECT_EQ(event.tid(), web);
  EXPECT_EQ(param(event, "comm").text(), "bash");
  EXPECT_EQ(param(event, "args").text(), "-i");
  EXPECT_EQ(param(event, "uid").u64(), 33u);
  EXPECT_EQ(thread(s, web)->comm, "nginx");
  event = event_at(s, 2);
  EXPECT_EQ(thread(s, event.tid())->ptid, web);
  EXPECT_NE(thread(s, event.tid())->cgroups.find("docker/3ad7b26ded6d"), std::string::npos);
  EXPECT_EQ(param(event, "res").i64(), 1);
  EXPECT_EQ(param(event, "newfd").i64(), 1);
  EXPECT_EQ(param(event, "oldfd").i64(), 3);
}

TEST(Scenario, ParametersInTheFormThatRulesSee) {
  const Scenario s = good(
      "events:\n"
      "  - {evt.type: fchmodat, proc.name: chmod, evt.arg.filename: /tmp/x, evt.arg.mode: S_ISUID|S_IXUSR}\n"
      "  - {evt.type: chmod, proc.name: chmod, evt.arg.filename: /tmp/x, evt.arg.mode: '04755'}\n"
      "  - {evt.type: socket, proc.name: x, evt.arg.domain: AF_PACKET}\n"
      "  - {evt.type: ptrace, proc.name: x, evt.arg.request: PTRACE_POKETEXT, evt.arg.pid: 77}\n"
      "  - {evt.type: bpf, proc.name: x, evt.arg.cmd: BPF_PROG_LOAD}\n"
      "  - {evt.type: unlinkat, proc.name: rm, evt.arg.name: /var/log/wtmp}\n"
      "  - {evt.type: setns, proc.name: x, fd.name: /proc/1/ns/mnt, evt.arg.nstype: CLONE_NEWNS}\n"
      "  - {evt.type: mount, proc.name: x, evt.arg.dev: none, evt.arg.dir: /mnt, evt.arg.type: cgroup}\n"
      "  - {evt.type: userfaultfd, proc.name: x, user.uid: 1000}\n"
      "  - {evt.type: finit_module, proc.name: x, fd.name: /tmp/r.ko}\n"
      "  - {evt.type: symlinkat, proc.name: ln, evt.arg.target: /dev/null, evt.arg.linkpath: /root/.bash_history}\n"
      "  - {evt.type: procexit, proc.name: x}\n");
  const FlagTable modes = flag_table("chmod_mode");
  EXPECT_EQ(param(event_at(s, 0), "mode").u64(), *flag_value(modes, "S_ISUID") | *flag_value(modes, "S_IXUSR"));
  EXPECT_EQ(param(event_at(s, 0), "dirfd").i64(), -100);
  EXPECT_EQ(param(event_at(s, 1), "mode").u64(), 04755u);
  EXPECT_EQ(param(event_at(s, 2), "domain").u64(), 17u);
  EXPECT_EQ(param(event_at(s, 2), "fd").i64(), 3);
  EXPECT_EQ(param(event_at(s, 3), "request").u64(), 5u);
  EXPECT_EQ(param(event_at(s, 3), "pid").i64(), 77);
  EXPECT_EQ(param(event_at(s, 4), "cmd").u64(), 5u);
  EXPECT_GE(param(event_at(s, 4), "fd").i64(), 0);
  EXPECT_EQ(param(event_at(s, 5), "name").text(), "/var/log/wtmp");
  EXPECT_EQ(param(event_at(s, 6), "fd").i64(), 3);
  EXPECT_EQ(param(event_at(s, 7), "type").text(), "cgroup");
  EXPECT_GE(param(event_at(s, 8), "res").i64(), 3);
  EXPECT_EQ(param(event_at(s, 9), "fd").i64(), 3);
  EXPECT_EQ(param(event_at(s, 10), "target").text(), "/dev/null");
  EXPECT_EQ(event_at(s, 11).code(), ev::PROCEXIT_1_E);
  for (int i = 0; i < 12; ++i) EXPECT_EQ(event_at(s, i).nparams(), event_at(s, i).spec().params.size()) << i;
}

TEST(Scenario, EveryCurrentSystemCallCanBeWritten) {
  for (const EventSpec& spec : kEventTable) {
    if (spec.source != EventClass::syscall || spec.has(kEvOldVersion) || spec.has(kEvUnused) ||
        spec.dir == EventDir::enter)
      continue;
    if (spec.code == ev::GENERIC_X) continue;
    const bool file = spec.name == "open_by_handle_at" || (spec.param_index("name") >= 0 && spec.has(kEvCreatesFd));
    const bool socket = spec.name == "connect" || spec.name == "bind" || spec.name.starts_with("accept") ||
                        spec.name.starts_with("send") || spec.name.starts_with("recv");
    std::string line = "  - {evt.type: " + std::string(spec.name) + ", proc.name: x";
    if (socket) line += ", fd.sip: 10.0.0.1, fd.sport: 80";
    if (file) line += ", fd.name: /x";
    const auto parsed = scenario("events:\n" + line + "}\n");
    ASSERT_TRUE(parsed) << parsed.error().str();
    const Event event = event_at(*parsed, 0);
    EXPECT_EQ(event.nparams(), event.spec().params.size()) << spec.name;
    EXPECT_EQ(event.spec().name, spec.name);
  }
}

TEST(Scenario, ExpectationsAndNearMisses) {
  const Scenario s = good("events:\n  - {evt.type: execve, proc.name: bash}\n  - {evt.type: execve, proc.name: ls}\n",
                          "expect: [{rule: A, event: 0, attack: T1059}]\n"
                          "near_miss: [{rule: A, event: 1, because: ls is no shell}]\n");
  ASSERT_EQ(s.expect.size(), 1u);
  EXPECT_EQ(s.expect[0].rule, "A");
  EXPECT_EQ(s.expect[0].attack, "T1059");
  ASSERT_EQ(s.near_misses.size(), 1u);
  EXPECT_EQ(s.near_misses[0].event, 1u);
  EXPECT_EQ(s.event_count, 2u);
}

struct Refusal {
  const char* body;
  const char* tail;
  const char* where;  // line:col
  const char* says;   // part of the message
};

TEST(Scenario, RefusalsSayWhereAndWhatWasMeant) {
  const Refusal refusals[] = {
      {"events:\n  - {evt.type: execve, proc.nmae: bash}\n", "expect: []\n", "4:24", "proc.name"},
      {"events:\n  - {evt.type: exceve, proc.name: bash}\n", "expect: []\n", "4:16", "execve"},
      {"events:\n  - {evt.type: unlink, proc.name: rm, evt.arg.pth: /x}\n", "expect: []\n", "4:39", "path"},
      {"events:\n  - {evt.type: unlink, proc.name: rm, fd.name: /x}\n", "expect: []\n", "4:39", "descriptor"},
      {"events:\n  - {evt.type: execve}\n", "expect: []\n", "4:5", "proc.name"},
      {"events:\n  - {evt.type: openat, proc.name: cat}\n", "expect: []\n", "4:5", "fd.name"},
      {"events:\n  - {evt.type: openat, proc.name: cat, fd.name: /x, evt.arg.flags: O_WRNLY}\n", "expect: []\n", "4:68",
       "O_WRONLY"},
      {"events:\n  - {evt.type: openat, proc.name: cat, fd.name: /x, evt.res: EWHAT}\n", "expect: []\n", "4:62",
       "errno"},
      {"events:\n  - {evt.type: execve, proc.name: sh, container.id: 3ad7}\n", "expect: []\n", "4:53", "12 hex"},
      {"events:\n  - {evt.type: execve, proc.name: sh, container.image: a}\n", "expect: []\n", "4:56", "container.id"},
      {"events:\n  - {evt.type: execve, process: ghost}\n", "expect: []\n", "4:33", "ghost"},
      {"events:\n  - {evt.type: execve, proc.name: a-name-of-16-byte}\n", "expect: []\n", "4:5", "15"},
      {"events:\n  - {evt.type: connect, proc.name: curl, fd.sip: 10.0.0.300, fd.sport: 80}\n", "expect: []\n", "4:50",
       "IP"},
      {"events:\n  - {evt.type: execve, proc.name: sh, 'proc.aname[2]': x}\n", "expect: []\n", "4:56", "proc.aname[1]"},
      {"events:\n  - {evt.type: asyncevent, proc.name: sh}\n", "expect: []\n", "4:16", "asyncevent"},
      {"events: []\n", "expect: []\n", "3:9", "empty"},
      {"events:\n  - {evt.type: execve, proc.name: sh}\n", "", "1:1", "expect"},
      {"events:\n  - {evt.type: execve, proc.name: sh}\n", "expect: [{rule: A, event: 1}]\n", "5:27", "no event 1"},
      {"events:\n  - {evt.type: execve, proc.name: sh}\n", "expect: []\nexpects: []\n", "6:1", "expect"},
      {"processes:\n  a: {proc.name: x, evt.type: y}\nevents:\n  - {evt.type: execve, process: a, proc.name: sh}\n",
       "expect: []\n", "4:21", "process"},
      {"processes:\n  a: {proc.name: x}\nevents:\n  - {evt.type: unlink, process: a, proc.name: sh}\n", "expect: []\n",
       "6:36", "execve"},
  };
  for (const Refusal& refusal : refusals) {
    const auto parsed = scenario(refusal.body, refusal.tail);
    ASSERT_FALSE(parsed) << refusal.body;
    EXPECT_TRUE(parsed.error().code == Code::invalid_argument || parsed.error().code == Code::unsupported);
    EXPECT_EQ(parsed.error().where, std::string("s.yaml:") + refusal.where) << parsed.error().str();
    EXPECT_NE(parsed.error().message.find(refusal.says), std::string::npos) << parsed.error().str();
  }
}

TEST(Scenario, SameTextSameBytes) {
  const std::string body = "events:\n  - {evt.type: execve, proc.name: sh, container.id: 3ad7b26ded6d}\n";
  const Scenario a = good(body), b = good(body);
  ASSERT_EQ(a.events.size(), b.events.size());
  for (size_t i = 0; i < a.events.size(); ++i) EXPECT_EQ(a.events[i].bytes, b.events[i].bytes);
}

}  // namespace
}  // namespace quell::capture
