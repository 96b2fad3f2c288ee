// The compiled program and the naive evaluator agree on random rules over random events.
#include <gtest/gtest.h>

#include <random>

#include "detect/engine.h"
#include "detect/falco/condition_parser.h"
#include "fake_state.h"
#include "naive.h"

namespace quell::detect {
namespace {

class Generator {
 public:
  explicit Generator(uint32_t seed) : random_(seed) {}

  size_t pick(size_t count) { return std::uniform_int_distribution<size_t>(0, count - 1)(random_); }
  template <size_t N>
  std::string any(const char* const (&choices)[N]) {
    return choices[pick(N)];
  }

  std::string check() {
    static const char* const kChecks[] = {"evt.type = open",
                                          "evt.type in (open, openat, execve)",
                                          "evt.type != close",
                                          "evt.type startswith exec",
                                          "evt.dir = <",
                                          "proc.name = bash",
                                          "proc.name in (bash, sh, dash)",
                                          "proc.name startswith ba",
                                          "proc.name contains s",
                                          "proc.name != sh",
                                          "proc.name = oneof (bash, ba, sh)",
                                          "proc.name startswith anyof (b, x)",
                                          "proc.name != allof (a, b)",
                                          "proc.name regex b.*h",
                                          "proc.name glob b?sh",
                                          "proc.name iglob B*",
                                          "proc.name icontains BA",
                                          "proc.name exists",
                                          "proc.pname = init",
                                          "proc.pname exists",
                                          "proc.aname = init",
                                          "proc.aname != bash",
                                          "proc.aname in (init, systemd)",
                                          "proc.aname[2] = init",
                                          "proc.aname[9] exists",
                                          "proc.cmdline contains \"-c\"",
                                          "proc.args contains id",
                                          "proc.args[0] = -c",
                                          "proc.name = val(proc.pname)",
                                          "tolower(proc.exe) = /bin/bash",
                                          "len(proc.name) > 3",
                                          "concat(proc.name, \"-\", proc.pname) = bash-init",
                                          "fd.name startswith /etc",
                                          "fd.name pmatch (/etc, /var/run)",
                                          "fd.name in (/etc/shadow, /etc/passwd)",
                                          "fd.name endswith shadow",
                                          "fd.name exists",
                                          "fd.directory = /etc",
                                          "fd.filename = shadow",
                                          "fd.num >= 0",
                                          "fd.num < 0",
                                          "fd.typechar = f",
                                          "fd.type = file",
                                          "fd.sport = 443",
                                          "fd.sport in (22, 443, https)",
                                          "fd.port = 443",
                                          "fd.port != 443",
                                          "fd.ip = 10.0.0.1",
                                          "fd.ip != 10.0.0.1",
                                          "fd.sip = 10.0.0.2",
                                          "fd.net = 10.0.0.0/8",
                                          "fd.net != 10.0.0.0/8",
                                          "fd.snet in (192.168.0.0/16, 10.0.0.0/24)",
                                          "fd.cip exists",
                                          "fd.l4proto = tcp",
                                          "evt.is_open_read = true",
                                          "evt.is_open_write = true",
                                          "evt.is_open_write = false",
                                          "evt.arg.flags contains O_CREAT",
                                          "evt.arg.name startswith /etc",
                                          "evt.rawres >= 0",
                                          "evt.rawres < 0",
                                          "evt.res = SUCCESS",
                                          "evt.res = ENOENT",
                                          "evt.failed = true",
                                          "user.uid = 0",
                                          "user.uid != 0",
                                          "user.uid = -1",
                                          "user.name = root",
                                          "proc.tty != 0",
                                          "proc.vpid = 1",
                                          "proc.is_exe_upper_layer = true",
                                          "container.id = host",
                                          "container.id != host",
                                          "container.image.repository exists",
                                          "evt.num >= 0",
                                          "evt.num = 0",
                                          "evt.rawarg.fd > 2",
                                          "proc.env[HOME] = /root",
                                          "proc.cwd = /tmp/",
                                          "thread.cap_effective contains CAP_SYS_ADMIN"};
    return any(kChecks);
  }
  std::string condition(int depth) {
    if (depth == 0 || pick(4) == 0) return (pick(4) == 0 ? "not " : "") + check();
    const char* glue = pick(2) == 0 ? " and " : " or ";
    std::string out = "(" + condition(depth - 1);
    const size_t terms = 1 + pick(3);
    for (size_t i = 0; i < terms; ++i) out += glue + condition(depth - 1);
    out += ")";
    return pick(5) == 0 ? "not " + out : out;
  }

  void world(FakeState& state) {
    static const char* const kNames[] = {"bash", "sh", "init", "nginx", "systemd", "ba"};
    const size_t processes = 1 + pick(5);
    for (size_t i = 0; i < processes; ++i) {
      Thread& t = state.add(static_cast<int64_t>(i + 1), static_cast<int64_t>(i), any(kNames));
      t.exe = pick(2) == 0 ? "/BIN/bash" : "/bin/sh";
      if (pick(2) == 0) t.args = std::string("-c\0id\0", 6);
      t.uid = pick(2) == 0 ? 0 : 1000;
      t.tty = pick(2) == 0 ? 0 : 34816;
      t.vpid = pick(2) == 0 ? 1 : -1;
      t.cwd = "/tmp/";
      t.env = std::string("HOME=/root\0A=b\0", 15);
      t.exe_upper_layer = pick(2) == 0;
      t.cap_effective = pick(2) == 0 ? uint64_t{1} << 21 : 0;
      Fd file;
      file.type = FdType::file;
      file.name = pick(2) == 0 ? "/etc/shadow" : "/var/run/docker.sock";
      t.fds->set(3, make_fd(file));
      Fd socket;
      socket.type = FdType::ipv4;
      socket.l4 = pick(2) == 0 ? L4Proto::tcp : L4Proto::udp;
      socket.role = pick(3) == 0 ? SocketRole::none : SocketRole::client;
      const uint8_t a[4] = {10, 0, 0, 1};
      const uint8_t b[4] = {static_cast<uint8_t>(pick(2) == 0 ? 10 : 192), static_cast<uint8_t>(pick(2) == 0 ? 0 : 168),
                            0, 2};
      socket.tuple = {IpAddress::v4(a), IpAddress::v4(b), 40000, static_cast<uint16_t>(pick(2) == 0 ? 443 : 8080)};
      t.fds->set(4, make_fd(socket));
    }
    if (pick(2) == 0) state.users[0] = {0, 0, "root", "/root", "/bin/sh"};
  }

  std::unique_ptr<FakeEvent> event(FakeState& state) {
    const auto tid = static_cast<int64_t>(1 + pick(6));
    const int64_t res = pick(3) == 0 ? -2 : static_cast<int64_t>(3 + pick(2));
    const char* path = pick(2) == 0 ? "/etc/shadow" : "relative";
    std::unique_ptr<FakeEvent> out;
    switch (pick(6)) {
      case 0:
        out = std::make_unique<FakeEvent>(EventBuilder(ev::SYSCALL_OPEN_X, 9, tid)
                                              .num(res)
                                              .text(path)
                                              .num<uint32_t>(static_cast<uint32_t>(pick(8)))
                                              .num<uint32_t>(0)
                                              .build(),
                                          state);
        break;
      case 1:
        out = std::make_unique<FakeEvent>(EventBuilder(ev::SYSCALL_OPENAT_2_X, 9, tid)
                                              .num(res)
                                              .num<int64_t>(-100)
                                              .text(path)
                                              .num<uint32_t>(static_cast<uint32_t>(pick(8)))
                                              .build(),
                                          state);
        break;
      case 2:
        out = std::make_unique<FakeEvent>(
            EventBuilder(ev::SYSCALL_EXECVE_19_X, 9, tid).num<int64_t>(pick(2) == 0 ? 0 : -2).build(), state);
        break;
      case 3:
        out = std::make_unique<FakeEvent>(
            EventBuilder(ev::SOCKET_CONNECT_X, 9, tid).num<int64_t>(0).empty().num<int64_t>(4).build(), state);
        break;
      case 4:
        out = std::make_unique<FakeEvent>(
            EventBuilder(ev::SYSCALL_CLOSE_X, 9, tid).num<int64_t>(0).num<int64_t>(3).build(), state);
        break;
      default:
        out = std::make_unique<FakeEvent>(
            EventBuilder(ev::GENERIC_X, 9, tid).num<uint16_t>(16).num<uint16_t>(39).build(), state);
        break;
    }
    if (out->context.has_fd_class && out->context.thread != nullptr && res >= 0)
      out->attach(out->event.code() == ev::SOCKET_CONNECT_X ? 4 : 3);
    return out;
  }

 private:
  std::mt19937 random_;
};

TEST(Agreement, ProgramEqualsNaiveEvaluation) {
  constexpr uint32_t kSeeds = 300;
  size_t matches = 0;
  for (uint32_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Generator g(seed);
    RuleSet rules;
    const size_t count = 1 + g.pick(20);
    for (size_t i = 0; i < count; ++i) {
      Rule rule;
      rule.name = "rule " + std::to_string(i);
      rule.condition_text = g.condition(3);
      const auto parsed = falco::parse_condition(rule.condition_text);
      ASSERT_TRUE(parsed) << rule.condition_text << ": " << parsed.error().message;
      rule.condition = *parsed;
      rules.rules.push_back(std::move(rule));
    }
    const auto all = compile(rules, {});
    const auto first = compile(rules, {.match_all = false});
    ASSERT_TRUE(all) << all.error().message;
    Engine every(*all);
    Engine one(*first);
    FakeState state;
    g.world(state);
    for (int i = 0; i < 30; ++i) {
      const auto event = g.event(state);
      std::vector<RuleIndex> expected;
      for (size_t r = 0; r < count; ++r)
        if (naive_holds(*rules.rules[r].condition, event->context)) expected.push_back(static_cast<RuleIndex>(r));
      const auto got = every.evaluate(event->context);
      ASSERT_EQ(std::vector<RuleIndex>(got.begin(), got.end()), expected) << event->event.spec().name;
      const auto best = one.evaluate(event->context);
      ASSERT_EQ(best.size(), expected.empty() ? 0u : 1u);
      ASSERT_TRUE(expected.empty() || best[0] == expected[0]);
      matches += expected.size();
      if (g.pick(5) == 0 && event->context.thread != nullptr) {  // a change must not be missed by what was remembered
        auto* thread = const_cast<Thread*>(event->context.thread);
        thread->comm = g.pick(2) == 0 ? "bash" : "other";
        thread->changed();
        state.bump_lineage();
      }
    }
  }
  EXPECT_GT(matches, 1000u) << "random rules that never match prove nothing";
}

}  // namespace
}  // namespace quell::detect
