#include "machine.h"

#include <algorithm>

namespace quell::test {
namespace {

std::string nul_list(std::initializer_list<std::string_view> parts) {
  std::string out;
  for (const std::string_view part : parts) out.append(part).push_back('\0');
  return out;
}

size_t width_of(ParamType type) {
  switch (type) {
    case ParamType::int8:
    case ParamType::uint8:
    case ParamType::flags8:
    case ParamType::enumflags8:
    case ParamType::sigtype: return 1;
    case ParamType::int16:
    case ParamType::uint16:
    case ParamType::flags16:
    case ParamType::enumflags16:
    case ParamType::syscallid: return 2;
    case ParamType::int32:
    case ParamType::uint32:
    case ParamType::flags32:
    case ParamType::enumflags32:
    case ParamType::uid:
    case ParamType::gid:
    case ParamType::mode: return 4;
    default: return 8;
  }
}

bool is_text(ParamType type) {
  return type == ParamType::charbuf || type == ParamType::fspath || type == ParamType::fsrelpath;
}

}  // namespace

std::vector<uint8_t> make_event(EventCode code, uint64_t ts_ns, int64_t tid,
                                const std::vector<std::pair<std::string_view, Argument>>& arguments) {
  EventBuilder event(code, ts_ns, tid);
  for (const ParamSpec& param : event_spec(code).params) {
    const auto given =
        std::find_if(arguments.begin(), arguments.end(), [&](const auto& a) { return a.first == param.name; });
    if (given == arguments.end()) {
      if (is_text(param.type) || param.type == ParamType::bytebuf || param.type == ParamType::sockaddr ||
          param.type == ParamType::socktuple) {
        event.empty();
      } else {
        const uint64_t zero = 0;
        event.raw(&zero, width_of(param.type));
      }
    } else if (const auto* number = std::get_if<int64_t>(&given->second)) {
      event.raw(number, width_of(param.type));
    } else if (is_text(param.type)) {
      event.text(std::get<std::string>(given->second));
    } else {
      const auto& bytes = std::get<std::string>(given->second);
      event.raw(bytes.data(), bytes.size());
    }
  }
  return event.build();
}

Machine::Machine(uint32_t seed) : random_(seed) {
  snapshot_.machine = {2, 8u << 30, 4'194'304, "node", kMachineStartNs - 1'000'000'000'000, ""};
  snapshot_.users = {{0, 0, "root", "/root", "/bin/sh"}, {1000, 1000, "ann", "/home/ann", "/bin/bash"}};
  snapshot_.groups = {{0, "root"}, {1000, "ann"}};
  int64_t pid = 1;
  for (const char* comm : {"init", "sshd", "bash", "cron", "shim", "web", "web"}) {
    Thread thread;
    thread.tid = thread.pid = thread.vtid = thread.vpid = thread.pgid = thread.vpgid = pid;
    thread.ptid = pid == 1 ? 0 : pid == 3 ? 2 : 1;
    thread.sid = pid == 3 ? 2 : 1;
    thread.comm = thread.exe = comm;
    thread.exepath = std::string("/usr/bin/") + comm;
    thread.args = nul_list({"-x", comm});
    thread.env = nul_list({"HOME=/root", "SEED=" + std::to_string(pid)});
    thread.cwd = "/home/";
    thread.cgroups = cgroups(0);
    thread.uid = thread.gid = pid == 3 ? 1000 : 0;
    thread.loginuid = 1000;
    thread.clone_ns = kMachineStartNs - 1'000'000'000 * static_cast<uint64_t>(100 - pid);
    thread.exe_ino = static_cast<uint64_t>(pid) * 7;
    thread.exe_ino_ctime_ns = 5;
    snapshot_.threads.push_back(thread);
    Snapshot::FdList list{pid, {}};
    for (int64_t number = 0; number < 3; ++number) {
      Fd fd;
      fd.type = number == 2 ? FdType::memfd : FdType::file;
      fd.name = "/dev/tty" + std::to_string(pid);
      fd.name_raw = "tty";
      fd.flags = number == 1 ? kFdCloexec : 0;
      list.fds.emplace_back(number, fd);
    }
    snapshot_.fd_lists.push_back(list);
    lives_[pid] = {pid, pid, thread.ptid, 0, comm, comm, {0, 1, 2}, 3};
    ++pid;
  }
  start_container();
  start_container();
}

std::string Machine::container_id(int number) {
  std::string id(64, 'a');
  const std::string text = std::to_string(number);
  id.replace(0, text.size(), text);
  return id;
}

std::string Machine::cgroups(int container) const {
  return container == 0
             ? nul_list({"cpu=/user.slice"})
             : nul_list({"cpu=/docker/" + container_id(container), "memory=/docker/" + container_id(container)});
}

void Machine::emit(EventCode code, int64_t tid, std::vector<std::pair<std::string_view, Argument>> arguments) {
  now_ns_ += 100'000 + pick(2'000'000);
  out_.push_back(make_event(code, now_ns_, tid, arguments));
}

Machine::Life& Machine::any() {
  auto at = lives_.begin();
  std::advance(at, static_cast<ptrdiff_t>(pick(lives_.size())));
  return at->second;
}

Machine::Life* Machine::any_process() {
  for (int i = 0; i < 20; ++i) {
    Life& life = any();
    if (life.tid == life.pid && life.pid != 1) return &life;
  }
  return nullptr;
}

void Machine::fork(Life& parent, bool is_thread) {
  Life child = parent;
  child.tid = next_tid_++;
  child.pid = is_thread ? parent.pid : child.tid;
  child.ptid = is_thread ? parent.ptid : parent.pid;
  if (is_thread) child.fds.clear();
  const bool by_child = parent.container != 0 || chance(50);
  const int64_t flags = (is_thread ? 0x2000 : 0) | (parent.container != 0 ? 0x20000000 : 0);
  const auto clone = [&](int64_t res, const Life& self) {
    emit(ev::SYSCALL_CLONE_20_X, self.tid,
         {{"res", res},
          {"exe", self.exe},
          {"args", nul_list({"-x", self.comm})},
          {"tid", self.tid},
          {"pid", self.pid},
          {"ptid", self.ptid},
          {"fdlimit", int64_t{1024}},
          {"comm", self.comm},
          {"cgroups", cgroups(self.container)},
          {"flags", flags},
          {"vtid", self.container != 0 ? self.tid % 1000 : self.tid},
          {"vpid", self.container != 0 ? self.pid % 1000 : self.pid}});
  };
  const bool child_first = chance(50);
  if (by_child && child_first) clone(0, child);
  clone(parent.container != 0 ? child.tid % 1000 : child.tid, parent);
  if (by_child && !child_first) clone(0, child);
  lives_[child.tid] = child;
}

void Machine::exec(Life& life, int container) {
  static constexpr std::string_view kNames[] = {"sh", "ls", "curl", "nc", "cat", "python3"};
  // The other threads are gone, without events of their own.
  for (auto at = lives_.begin(); at != lives_.end();)
    at = at->second.pid == life.pid && at->first != life.tid ? lives_.erase(at) : std::next(at);
  life.container = container;
  life.comm = life.exe = kNames[pick(std::size(kNames))];
  emit(ev::SYSCALL_EXECVE_19_X, life.tid,
       {{"res", int64_t{0}},
        {"exe", life.exe},
        {"args", nul_list({"-c", std::to_string(pick(1000))})},
        {"tid", life.tid},
        {"pid", life.pid},
        {"ptid", life.ptid},
        {"cwd", std::string("/work")},
        {"comm", life.comm},
        {"cgroups", cgroups(container)},
        {"env", nul_list({"A=1", "B=" + std::to_string(pick(9))})},
        {"tty", static_cast<int64_t>(chance(30) ? 34816 : 0)},
        {"vpgid", life.pid},
        {"loginuid", int64_t{1000}},
        {"flags", static_cast<int64_t>(pick(4))},
        {"exe_ino", static_cast<int64_t>(pick(99))},
        {"exe_ino_ctime", static_cast<int64_t>(now_ns_ - 50)},
        {"uid", static_cast<int64_t>(chance(50) ? 0 : 1000)},
        {"trusted_exepath", "/usr/bin/" + life.exe},
        {"pgid", life.pid},
        {"filename", "/usr/bin/" + life.exe}});
}

void Machine::open(Life& life, std::string_view name) {
  Life& owner = lives_.contains(life.pid) ? lives_[life.pid] : life;
  const int64_t number = owner.next_fd++;
  owner.fds.push_back(number);
  emit(ev::SYSCALL_OPENAT_2_X, life.tid,
       {{"fd", number},
        {"dirfd", int64_t{-100}},
        {"name", std::string(name)},
        {"flags", static_cast<int64_t>(chance(30) ? 4097 : 1)},
        {"dev", int64_t{8}},
        {"ino", static_cast<int64_t>(pick(99))}});
}

void Machine::exit(int64_t tid) {
  const Life life = lives_[tid];
  const bool has_threads = std::any_of(lives_.begin(), lives_.end(), [&](const auto& other) {
    return other.second.pid == life.pid && other.first != tid;
  });
  if (life.tid == life.pid && has_threads) return;
  emit(ev::PROCEXIT_1_E, tid, {{"reaper_tid", int64_t{1}}});
  for (auto& [other, child] : lives_)
    if (child.ptid == life.pid && life.tid == life.pid) child.ptid = 1;
  lives_.erase(tid);
}

/// A runtime's helper on the host forks, and its child becomes the container's first process. The helper goes away.
void Machine::start_container() {
  const int container = ++last_container_;
  if (!lives_.contains(5)) return;
  Life helper = lives_[5];
  fork(lives_[5], false);
  const int64_t runc = next_tid_ - 1;
  exec(lives_[runc], 0);
  fork(lives_[runc], false);
  const int64_t init = next_tid_ - 1;
  if (chance(50)) open(lives_[init], "/etc/runc.conf");
  exec(lives_[init], container);
  undescribed_.push_back(container);
  if (chance(70)) exit(runc);
}

void Machine::describe_container(int container) {
  const std::string id = container_id(container);
  const std::string json = R"({"container":{"type":0,"id":")" + id.substr(0, 12) + R"(","full_id":")" + id +
                           R"(","name":"web-)" + std::to_string(container) +
                           R"(","image":"busybox:1","labels":{"app":"shop"},"ip":"10.0.0.9"}})";
  now_ns_ += 1000;
  out_.push_back(EventBuilder(ev::CONTAINER_JSON_2_E, now_ns_, -1).text(json).build());
  out_.push_back(make_event(ev::USER_ADDED_E, now_ns_, -1,
                            {{"uid", int64_t{1000}},
                             {"gid", int64_t{1000}},
                             {"name", "bob" + std::to_string(container)},
                             {"home", std::string("/home/bob")},
                             {"shell", std::string("/bin/ash")},
                             {"container_id", id.substr(0, 12)}}));
}

std::vector<std::vector<uint8_t>> Machine::step() {
  static constexpr std::string_view kPaths[] = {"/etc/passwd", "data",       "/tmp/x", "/proc/self/maps",
                                                "/etc/hosts",  "/var/log/y", "../up"};
  const size_t what = pick(100);
  Life& life = any();
  if (what < 30) {
    open(life, kPaths[pick(std::size(kPaths))]);
  } else if (what < 34) {
    open(life, "/etc/shadow");
  } else if (what < 54) {
    Life& owner = lives_.contains(life.pid) ? lives_[life.pid] : life;
    if (!owner.fds.empty()) {
      const size_t at = pick(owner.fds.size());
      const int64_t number = owner.fds[at];
      if (chance(60)) {
        owner.fds.erase(owner.fds.begin() + static_cast<ptrdiff_t>(at));
        emit(ev::SYSCALL_CLOSE_X, life.tid, {{"res", int64_t{0}}, {"fd", number}});
      } else {
        emit(ev::SYSCALL_DUP2_X, life.tid, {{"res", int64_t{0}}, {"oldfd", number}, {"newfd", int64_t{0}}});
      }
    }
  } else if (what < 62) {
    if (lives_.size() < 60) fork(life, chance(25));
  } else if (what < 72) {
    if (Life* process = any_process(); process != nullptr && process->tid > 7) exec(*process, process->container);
  } else if (what < 80) {
    if (life.tid > 7) exit(life.tid);
  } else if (what < 84) {
    emit(ev::SYSCALL_CHDIR_X, life.tid, {{"res", int64_t{0}}, {"path", std::string(chance(50) ? "/srv" : "sub")}});
  } else if (what < 88) {
    emit(ev::SYSCALL_SETUID_X, life.tid, {{"res", int64_t{0}}, {"uid", static_cast<int64_t>(chance(50) ? 0 : 1000)}});
  } else if (what < 89) {
    start_container();
  } else if (what < 91) {
    if (!undescribed_.empty()) {
      describe_container(undescribed_.front());
      undescribed_.erase(undescribed_.begin());
    }
  } else if (what < 93) {
    emit(ev::SYSCALL_UNLINKAT_2_X, 5000 + static_cast<int64_t>(pick(3)),  // nobody knows these
         {{"res", int64_t{0}}, {"dirfd", int64_t{-100}}, {"name", std::string("/tmp/gone")}});
  } else {
    emit(ev::SYSCALL_READ_X, life.tid, {{"res", int64_t{4}}, {"fd", static_cast<int64_t>(pick(6))}});
  }
  return std::exchange(out_, {});
}

}  // namespace quell::test
