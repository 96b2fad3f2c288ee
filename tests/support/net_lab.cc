#include "support/net_lab.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <new>
#include <thread>
#include <vector>

#include "os/cgroup_cut.h"
#include "os/proc_fs.h"
#include "support/command.h"

namespace quell::test {
namespace {

using Shared = NetChild::Shared;

void sleep_ms(unsigned ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  int family = AF_INET;
};
Address address_of(const std::string& text, uint16_t port) {
  Address out;
  if (text.find(':') != std::string::npos) {
    auto* in = reinterpret_cast<sockaddr_in6*>(&out.storage);
    in->sin6_family = AF_INET6;
    in->sin6_port = htons(port);
    ::inet_pton(AF_INET6, text.c_str(), &in->sin6_addr);
    out.size = sizeof *in;
    out.family = AF_INET6;
  } else {
    auto* in = reinterpret_cast<sockaddr_in*>(&out.storage);
    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    ::inet_pton(AF_INET, text.c_str(), &in->sin_addr);
    out.size = sizeof *in;
  }
  return out;
}

bool wait_for(int fd, short events, int ms) {
  pollfd entry{.fd = fd, .events = events, .revents = 0};
  return ::poll(&entry, 1, ms) > 0;
}

int connected(const Address& to, NetChild::Via via) {
  const int type = via == NetChild::Via::tcp ? SOCK_STREAM : SOCK_DGRAM;
  const int fd = ::socket(to.family, type | SOCK_NONBLOCK, 0);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to.storage), to.size) == 0) return fd;
  int error = errno;
  if (error == EINPROGRESS && wait_for(fd, POLLOUT, 300)) {
    socklen_t size = sizeof error;
    ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error == 0) return fd;
  }
  ::close(fd);
  return -1;
}

void talk(int fd, NetChild::Via via, Shared& shared) {
  const char bytes[64] = {};
  char buffer[4096];
  for (;;) {
    const ssize_t sent = ::send(fd, bytes, sizeof bytes, MSG_NOSIGNAL);
    // A datagram that a cut refuses (EPERM) is no end of the conversation.
    if (sent < 0 && errno != EAGAIN && (via == NetChild::Via::tcp || errno == ECONNABORTED)) return;
    if (wait_for(fd, POLLIN, 20)) {
      const ssize_t size = ::recv(fd, buffer, sizeof buffer, 0);
      if (size > 0) shared.echoed_bytes += static_cast<uint64_t>(size);
      if (via == NetChild::Via::tcp && (size == 0 || (size < 0 && errno != EAGAIN))) return;
      if (size < 0 && errno == ECONNABORTED) return;
    }
    sleep_ms(1);
  }
}

void echo(uint16_t port, Shared& shared) {
  std::vector<pollfd> fds;
  size_t listeners = 0;
  for (const char* any : {"0.0.0.0", "::"}) {
    for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
      const Address at = address_of(any, port);
      const int fd = ::socket(at.family, type, 0), on = 1;
      if (at.family == AF_INET6) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
      ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
      if (::bind(fd, reinterpret_cast<const sockaddr*>(&at.storage), at.size) != 0) ::_exit(3);
      if (type == SOCK_STREAM) ::listen(fd, 64);
      fds.push_back({.fd = fd, .events = POLLIN, .revents = 0});
    }
  }
  listeners = fds.size();
  shared.ready = 1;
  for (;;) {
    ::poll(fds.data(), fds.size(), -1);
    for (size_t i = 0; i < fds.size(); ++i) {
      if (fds[i].revents == 0) continue;
      char buffer[4096];
      if (i < listeners && i % 2 == 0) {
        const int fd = ::accept(fds[i].fd, nullptr, nullptr);
        if (fd >= 0) fds.push_back({.fd = fd, .events = POLLIN, .revents = 0});
      } else if (i < listeners) {
        sockaddr_storage from{};
        socklen_t length = sizeof from;
        const ssize_t size =
            ::recvfrom(fds[i].fd, buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &length);
        if (size > 0)
          (void)!::sendto(fds[i].fd, buffer, static_cast<size_t>(size), 0, reinterpret_cast<sockaddr*>(&from), length);
      } else {
        const ssize_t size = ::recv(fds[i].fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (size > 0) {
          (void)!::send(fds[i].fd, buffer, static_cast<size_t>(size), MSG_NOSIGNAL | MSG_DONTWAIT);
        } else if (size == 0 || errno != EAGAIN) {
          ::close(fds[i].fd);
          fds[i].fd = -1;
        }
      }
    }
  }
}

}  // namespace

bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 3000; ++i) {
    if (condition()) return true;
    sleep_ms(10);
  }
  return false;
}

std::string NetLab::missing() {
  if (::geteuid() != 0) return "needs root to make network namespaces";
  if (!have_program("ip")) return "needs the program ip (package iproute2)";
  if (auto made = make(); !made) return "cannot make a network here: " + made.error().str();
  return {};
}

Result<std::string> NetLab::run(const os::NetNamespace& ns, const std::vector<std::string>& argv) {
  Result<std::string> out = Error{Code::internal, "not run", {}};
  QUELL_CHECK(ns.run([&] { out = run_command(argv); }));
  return out;
}

Result<std::unique_ptr<NetLab>> NetLab::make() {
  QUELL_TRY(os::NetNamespace inside, os::NetNamespace::fresh());
  QUELL_TRY(os::NetNamespace outside, os::NetNamespace::fresh());
  const std::string other = fmt::format("/proc/{}/fd/{}", ::getpid(), outside.fd());
  const std::string make_pair = fmt::format(
      "ip link set lo up && ip link add veth0 type veth peer name veth1 netns {} && "
      "ip addr add {}/24 dev veth0 && ip addr add {}/64 dev veth0 nodad && ip link set veth0 up",
      other, kInside4, kInside6);
  QUELL_TRY(const std::string first, run(inside, {"sh", "-ec", make_pair}));
  const std::string other_end = fmt::format(
      "ip link set lo up && ip addr add {}/24 dev veth1 && ip addr add {}/64 dev veth1 nodad && ip link set veth1 up",
      kOutside4, kOutside6);
  QUELL_TRY(const std::string second, run(outside, {"sh", "-ec", other_end}));
  return std::unique_ptr<NetLab>(new NetLab(std::move(inside), std::move(outside)));
}

Result<std::unique_ptr<TestCgroup>> TestCgroup::make(const std::string& name) {
  QUELL_TRY(const std::string mountinfo, os::read_small_file("/proc/self/mountinfo"));
  for (const os::CgroupMount& mount : os::parse_cgroup_mounts(mountinfo)) {
    if (!mount.subsystem.empty()) continue;
    const std::string directory = fmt::format("{}/quell_test_{}_{}", mount.mount_point, ::getpid(), name);
    if (::mkdir(directory.c_str(), 0755) != 0) return errno_error(errno, "no right to make cgroups", directory);
    return std::unique_ptr<TestCgroup>(new TestCgroup(directory));
  }
  return Error{Code::unsupported, "cgroup v2 is not mounted", {}};
}
TestCgroup::~TestCgroup() {
  for (int i = 0; i < 200 && ::rmdir(directory_.c_str()) != 0 && errno != ENOENT; ++i) sleep_ms(10);
}
bool TestCgroup::add(pid_t pid) const {
  std::ofstream out(directory_ + "/cgroup.procs");
  out << pid;
  out.flush();
  return out.good();
}

NetChild::~NetChild() {
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  ::munmap(shared_, sizeof(Shared));
}

bool NetChild::talks() const {
  const uint64_t before = echoed();
  return eventually([&] { return echoed() > before + 256; });
}

bool NetChild::silent(unsigned ms) const {
  const uint64_t before = echoed();
  sleep_ms(ms);
  return echoed() == before;
}

std::unique_ptr<NetChild> NetChild::start(const os::NetNamespace& ns, const TestCgroup* cgroup,
                                          const std::function<void(Shared&)>& body) {
  std::unique_ptr<NetChild> child(new NetChild);
  void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  child->shared_ = new (memory) Shared;
  child->pid_ = ::fork();
  if (child->pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (cgroup != nullptr && !cgroup->add(::getpid())) ::_exit(4);
    if (::setns(ns.fd(), CLONE_NEWNET) != 0) ::_exit(5);
    body(*child->shared_);
    ::_exit(0);
  }
  return child;
}

std::unique_ptr<NetChild> NetChild::echo_server(const os::NetNamespace& ns, uint16_t port) {
  auto child = start(ns, nullptr, [port](Shared& shared) { echo(port, shared); });
  eventually([&] { return child->ready(); });
  return child;
}

std::unique_ptr<NetChild> NetChild::talker(const os::NetNamespace& ns, const std::string& address, uint16_t port,
                                           Via via, const TestCgroup* cgroup) {
  return start(ns, cgroup, [&address, port, via](Shared& shared) {
    const Address to = address_of(address, port);
    shared.ready = 1;
    for (;;) {
      const int fd = connected(to, via);
      if (fd >= 0) {
        ++shared.connections;
        talk(fd, via, shared);
        ::close(fd);
      }
      sleep_ms(5);
    }
  });
}

}  // namespace quell::test
