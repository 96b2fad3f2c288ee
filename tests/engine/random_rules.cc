#include "random_rules.h"

#include "detect/falco/condition_parser.h"

namespace quell::detect {
namespace {

constexpr const char* kTexts[] = {"bash",     "sh",     "init",  "b",         "s",           "/etc",     "/etc/shadow",
                                  "/var/run", "shadow", "/bin/", "/BIN/bash", "docker.sock", "root",     "relative",
                                  "-c",       "-c id",  "id",    "O_CREAT",   "SUCCESS",     "ENOENT",   "file",
                                  "/tmp/",    "host",   "ipv4",  "tcp",       "1",           "bash-init"};
constexpr const char* kPatterns[] = {"b*h", "*s*", "/etc/*", "?ash", "*", "*shadow", "/var/*/docker.sock", "B*"};
constexpr const char* kRegexes[] = {"b.*h", ".*s.*", "/etc/[a-z]+", "bash|sh", "(/[a-z]+)+", "init"};
constexpr const char* kPrefixes[] = {"/etc", "/var/run", "/var/*", "/", "etc", "/etc/shadow", "/tmp"};

constexpr const char* kTextFields[] = {"proc.name",
                                       "proc.pname",
                                       "proc.cmdline",
                                       "proc.pcmdline",
                                       "proc.exe",
                                       "proc.args",
                                       "proc.args[0]",
                                       "proc.aname[2]",
                                       "proc.aname[9]",
                                       "proc.cwd",
                                       "proc.env[HOME]",
                                       "proc.aname",
                                       "fd.name",
                                       "fd.directory",
                                       "fd.filename",
                                       "fd.type",
                                       "fd.typechar",
                                       "fd.l4proto",
                                       "evt.arg.name",
                                       "evt.arg.flags",
                                       "evt.res",
                                       "user.name",
                                       "container.id",
                                       "container.image.repository",
                                       "fd.nameraw",
                                       "evt.type",
                                       "proc.exepath",
                                       "fd.sproto",
                                       "thread.cap_effective"};
constexpr const char* kTransformed[] = {
    "tolower(proc.exe)",    "toupper(proc.name)",    "basename(fd.name)",
    "basename(proc.exe)",   "b64(proc.args)",        "concat(proc.name, \"-\", proc.pname)",
    "tolower(fd.filename)", "join(\"+\", fd.types)", "getopt(proc.args, \"c:\")[c]"};
constexpr const char* kNumberFields[] = {"fd.num",   "evt.rawres", "user.uid",       "proc.tty",      "proc.vpid",
                                         "proc.pid", "proc.ppid",  "evt.num",        "fd.sport",      "fd.cport",
                                         "fd.port",  "evt.buflen", "len(proc.name)", "evt.rawarg.fd", "proc.apid[1]"};
constexpr const char* kNumbers[] = {"0", "1", "2", "3", "4", "-1", "7", "22", "443", "8080", "40000", "1000", "34816"};
constexpr const char* kPorts[] = {"0", "22", "443", "https", "8080", "40000"};
constexpr const char* kFixed[] = {"evt.type = open",
                                  "evt.type in (open, openat, execve)",
                                  "evt.type != close",
                                  "evt.type startswith exec",
                                  "evt.dir = <",
                                  "evt.is_open_read = true",
                                  "evt.is_open_write = true",
                                  "evt.is_open_write = false",
                                  "evt.is_open_exec in (true, false)",
                                  "evt.failed = true",
                                  "evt.failed != true",
                                  "proc.is_exe_upper_layer = true",
                                  "evt.buffer contains GET",
                                  "evt.buffer bcontains 474554",
                                  "evt.buffer bstartswith 47",
                                  "evt.buffer startswith GE",
                                  "evt.buffer endswith T",
                                  "fd.types in (file, ipv4)",
                                  "fd.types intersects (ipv4)",
                                  "proc.name = val(proc.pname)",
                                  "proc.name != val(proc.pname)",
                                  "proc.exe endswith val(proc.name)",
                                  "fd.name startswith val(proc.cwd)",
                                  "proc.cmdline contains val(proc.args)",
                                  "proc.pid > val(proc.ppid)",
                                  "evt.rawres <= val(fd.num)",
                                  "tolower(proc.exe) = tolower(proc.exepath)",
                                  "fd.sip = val(fd.cip)"};

}  // namespace

std::string Generator::texts(size_t most) {
  std::string out = "(";
  const size_t count = 1 + pick(most);
  for (size_t i = 0; i < count; ++i) out += (i == 0 ? "\"" : ", \"") + any(kTexts) + "\"";
  return out + ")";
}

std::string Generator::text_check(const std::string& operand) {
  static const char* const kScalar[] = {"=", "!=", "contains", "icontains", "startswith", "endswith"};
  static const char* const kModifiers[] = {"oneof", "anyof", "allof"};
  switch (pick(8)) {
    case 0: return operand + " exists";
    case 1: return operand + " in " + texts(5);
    case 2: return operand + " intersects " + texts(3);
    case 3: return operand + " pmatch (" + any(kPrefixes) + ", " + any(kPrefixes) + ")";
    case 4: return operand + (pick(2) == 0 ? " glob " : " iglob ") + any(kPatterns);
    case 5: return operand + " regex \"" + any(kRegexes) + "\"";
    case 6: return operand + " " + any(kScalar) + " " + any(kModifiers) + " " + texts(3);
    default: return operand + " " + any(kScalar) + " \"" + any(kTexts) + "\"";
  }
}

std::string Generator::number_check(const std::string& operand) {
  static const char* const kScalar[] = {"=", "!=", "<", "<=", ">", ">="};
  const std::string op = any(kScalar);
  const auto constant = [&] { return operand.ends_with("port") ? any(kPorts) : any(kNumbers); };
  switch (pick(5)) {
    case 0: return operand + " exists";
    case 1: return operand + " in (" + constant() + ", " + constant() + ", " + constant() + ")";
    case 2:
      return operand + (op == "!=" ? " != " : " = ") + (pick(2) == 0 ? "oneof (" : "allof (") + constant() + ", " +
             constant() + ")";
    default: {
      // Only numbers have an order in the grammar.
      const std::string value = constant();
      return operand + " " + (value == "https" ? "=" : op) + " " + value;
    }
  }
}

std::string Generator::address_check() {
  static const char* const kChecks[] = {"fd.ip = 10.0.0.1",
                                        "fd.ip != 10.0.0.1",
                                        "fd.ip in (10.0.0.1, 192.168.0.2)",
                                        "fd.sip = 10.0.0.2",
                                        "fd.sip != 10.0.0.2",
                                        "fd.sip in (10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.5)",
                                        "fd.cip exists",
                                        "fd.net = 10.0.0.0/8",
                                        "fd.net != 10.0.0.0/8",
                                        "fd.snet in (192.168.0.0/16, 10.0.0.0/24)",
                                        "fd.cnet = 10.0.0.0/31",
                                        "fd.sport in (22, 443, https)"};
  return any(kChecks);
}

std::string Generator::check() {
  switch (pick(10)) {
    case 0:
    case 1:
    case 2:
    case 3: {
      const std::string field = any(kTextFields);
      // An unknown name of an event is an error, and evt.type takes no pattern of paths.
      return field == "evt.type" ? any(kFixed) : text_check(field);
    }
    case 4: return text_check(any(kTransformed));
    case 5:
    case 6: return number_check(any(kNumberFields));
    case 7: return address_check();
    default: return any(kFixed);
  }
}

std::string Generator::condition(int depth) {
  if (depth == 0 || pick(4) == 0) return (pick(4) == 0 ? "not " : "") + check();
  const char* glue = pick(2) == 0 ? " and " : " or ";
  std::string out = "(" + condition(depth - 1);
  const size_t terms = 1 + pick(3);
  for (size_t i = 0; i < terms; ++i) out += glue + condition(depth - 1);
  out += ")";
  return pick(4) == 0 ? "not " + out : out;
}

RuleSet Generator::rules(size_t count) {
  RuleSet out;
  for (size_t i = 0; i < count; ++i) {
    Rule rule;
    rule.name = "rule " + std::to_string(i);
    rule.condition_text = condition(3);
    auto parsed = falco::parse_condition(rule.condition_text);
    if (!parsed) return {};
    rule.condition = *std::move(parsed);
    out.rules.push_back(std::move(rule));
  }
  return out;
}

void Generator::dress(Thread& t) {
  static const char* const kNames[] = {"bash", "sh", "init", "nginx", "b", "id"};
  t.comm = any(kNames);
  t.exe = pick(2) == 0 ? "/BIN/bash" : "/bin/sh";
  t.exepath = pick(2) == 0 ? "/bin/bash" : "";
  t.args = pick(2) == 0 ? std::string("-c\0id\0", 6) : std::string();
  t.uid = pick(2) == 0 ? 0 : 1000;
  t.tty = pick(2) == 0 ? 0 : 34816;
  t.vpid = pick(2) == 0 ? 1 : -1;
  t.cwd = pick(2) == 0 ? "/tmp/" : "/etc";
  t.env = std::string("HOME=/root\0A=b\0", 15);
  t.exe_upper_layer = pick(2) == 0;
  t.cap_effective = pick(2) == 0 ? uint64_t{1} << 21 : 0;
}

void Generator::populate(FakeState& state) {
  const size_t processes = 2 + pick(5);
  for (size_t i = 0; i < processes; ++i, ++next_tid_) {
    Thread& t = state.add(next_tid_, next_tid_ - 1, "");
    dress(t);
    Fd file;
    file.type = FdType::file;
    file.name = pick(2) == 0 ? "/etc/shadow" : "/var/run/docker.sock";
    t.fds->set(3, boost::make_local_shared<const Fd>(file));
    Fd socket;
    socket.type = pick(6) == 0 ? FdType::ipv4_server : FdType::ipv4;
    socket.l4 = pick(2) == 0 ? L4Proto::tcp : L4Proto::udp;
    socket.role = pick(3) == 0 ? SocketRole::none : SocketRole::client;
    const uint8_t a[4] = {10, 0, 0, 1};
    const uint8_t b[4] = {static_cast<uint8_t>(pick(2) == 0 ? 10 : 192), static_cast<uint8_t>(pick(2) == 0 ? 0 : 168),
                          0, 2};
    socket.tuple = {IpAddress::v4(a), IpAddress::v4(b), 40000, static_cast<uint16_t>(pick(2) == 0 ? 443 : 8080)};
    t.fds->set(4, boost::make_local_shared<const Fd>(socket));
  }
  if (pick(2) == 0) state.users[0] = {0, 0, "root", "/root", "/bin/sh"};
}

void Generator::disturb(FakeState& state) {
  const auto tid = static_cast<int64_t>(1 + pick(static_cast<size_t>(next_tid_)));
  auto* thread = const_cast<Thread*>(state.thread(tid));
  if (thread == nullptr) return;
  switch (pick(4)) {
    case 0: {  // a fork: the child is as its parent was, but for the ids
      Thread& child = state.add(next_tid_++, tid, thread->comm);
      child.exe = thread->exe;
      child.args = thread->args;
      child.uid = thread->uid;
      child.cwd = thread->cwd;
      child.fds = thread->fds;
      break;
    }
    case 1:
      dress(*thread);
      thread->changed();
      break;
    case 2:
      thread->comm = pick(2) == 0 ? "bash" : "renamed";
      thread->changed();
      break;
    default:
      if (thread->ptid > 1) {
        thread->ptid = 1;
        thread->changed();
      }
      break;
  }
  state.bump_lineage();
}

std::unique_ptr<FakeEvent> Generator::event(FakeState& state) {
  const auto tid = static_cast<int64_t>(1 + pick(static_cast<size_t>(next_tid_)));
  const int64_t res = pick(3) == 0 ? -2 : static_cast<int64_t>(3 + pick(2));
  static const char* const kPaths[] = {"/etc/shadow", "relative", "/var/run/docker.sock", "/bin/sh", ""};
  const std::string path = any(kPaths);
  const auto flags = static_cast<uint32_t>(pick(8));
  const auto made = [&](EventBuilder&& builder) { return std::make_unique<FakeEvent>(builder.build(), state); };
  std::unique_ptr<FakeEvent> out;
  switch (pick(7)) {
    case 0:
      out = made(std::move(
          EventBuilder(ev::SYSCALL_OPEN_X, 9, tid).num(res).text(path).num<uint32_t>(flags).num<uint32_t>(0)));
      break;
    case 1:
      out = made(std::move(
          EventBuilder(ev::SYSCALL_OPENAT_2_X, 9, tid).num(res).num<int64_t>(-100).text(path).num<uint32_t>(flags)));
      break;
    case 2:
      out = made(std::move(EventBuilder(ev::SYSCALL_EXECVE_19_X, 9, tid).num<int64_t>(pick(2) == 0 ? 0 : -2)));
      break;
    case 3:
      out = made(std::move(EventBuilder(ev::SOCKET_CONNECT_X, 9, tid).num<int64_t>(0).empty().num<int64_t>(4)));
      break;
    case 4: out = made(std::move(EventBuilder(ev::SYSCALL_CLOSE_X, 9, tid).num<int64_t>(0).num<int64_t>(3))); break;
    case 5:
      out = made(std::move(EventBuilder(ev::SYSCALL_READ_X, 9, tid)
                               .num<int64_t>(3)
                               .raw("GET", pick(2) == 0 ? 3 : 2)
                               .num<int64_t>(3)
                               .num<uint32_t>(64)));
      break;
    default: out = made(std::move(EventBuilder(ev::GENERIC_X, 9, tid).num<uint16_t>(16).num<uint16_t>(39))); break;
  }
  if (out->context.has_fd_class && out->context.thread != nullptr && res >= 0 && out->context.thread->fds)
    out->attach(out->event.code() == ev::SOCKET_CONNECT_X ? 4 : 3);
  return out;
}

}  // namespace quell::detect
