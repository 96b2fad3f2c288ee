#include "sensor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/clock.h"
#include "run.h"

namespace quell::bench {

Result<std::unique_ptr<LoadGroup>> LoadGroup::create() {
  const char* mounts[] = {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"};
  for (const char* mount : mounts) {
    if (access((std::string(mount) + "/cgroup.controllers").c_str(), F_OK) != 0) continue;
    auto group = std::make_unique<LoadGroup>();
    group->relative_ = "quell-bench-" + std::to_string(getpid());
    group->path_ = std::string(mount) + "/" + group->relative_;
    if (mkdir(group->path_.c_str(), 0755) != 0)
      return errno_error(errno, "cannot make a cgroup for the loads (root is needed)", group->path_);
    return group;
  }
  return Error{Code::unsupported, "no cgroup v2 hierarchy is mounted", "/sys/fs/cgroup"};
}

LoadGroup::~LoadGroup() {
  for (int i = 0; i < 50 && rmdir(path_.c_str()) != 0 && errno == EBUSY; ++i) usleep(20'000);
}

pid_t LoadGroup::start(const std::function<void()>& work) const {
  const pid_t child = fork();
  if (child == 0) {
    std::ofstream(path_ + "/cgroup.procs") << getpid() << std::endl;
    work();
    _exit(0);
  }
  return child;
}

double LoadGroup::run(const std::function<double()>& work) const {
  auto* result = static_cast<double*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  *result = 0;
  const pid_t child = start([&] { *result = work(); });
  waitpid(child, nullptr, 0);
  const double out = *result;
  munmap(result, 4096);
  return out;
}

void wait_for_quiet_tracepoints() {
  const auto lingers = [] {
    std::error_code ignored;
    for (const auto& process : std::filesystem::directory_iterator("/proc", ignored)) {
      std::ifstream file(process.path() / "comm");
      std::string name;
      if (std::getline(file, name) && name == "quell-detach") return true;
    }
    return false;
  };
  for (int i = 0; i < 600 && lingers(); ++i) usleep(100'000);
}

Result<std::unique_ptr<Sensor>> Sensor::start(const LoadGroup& group, const std::vector<std::string>& rules) {
  auto sensor = std::make_unique<Sensor>();
  static int number = 0;
  sensor->folder_ = scratch() + "/data-" + std::to_string(++number);
  std::vector<std::string> command{quell_binary(),
                                   "up",
                                   "--scope",
                                   "cgroup:" + group.relative(),
                                   "--data-dir",
                                   sensor->folder_,
                                   "--listen",
                                   "127.0.0.1:0",
                                   "-o",
                                   "json",
                                   "--fold-window",
                                   "0"};  // a line per event
  for (const std::string& file : rules) command.insert(command.end(), {"--rules", file});
  int out[2], err[2];
  if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) return errno_error(errno, "cannot make a pipe");
  fcntl(out[1], F_SETPIPE_SZ, 1 << 20);
  const uint64_t begin = system_clock().monotonic_ns();
  sensor->pid_ = fork();
  if (sensor->pid_ == 0) {
    dup2(out[1], 1);
    dup2(err[1], 2);
    std::vector<char*> arguments;
    for (const std::string& part : command) arguments.push_back(const_cast<char*>(part.c_str()));
    arguments.push_back(nullptr);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  close(out[1]);
  close(err[1]);
  sensor->out_ = out[0];
  sensor->err_ = err[0];
  // Messages on stderr say where it listens and when it watches.
  std::string messages;
  char buffer[4096];
  while (system_clock().monotonic_ns() - begin < 30'000'000'000) {
    pollfd ready{sensor->err_, POLLIN, 0};
    if (poll(&ready, 1, 1000) <= 0) continue;
    const ssize_t count = read(sensor->err_, buffer, sizeof buffer);
    if (count <= 0) return Error{Code::unavailable, "quell up ended early: " + messages, {}};
    messages.append(buffer, static_cast<size_t>(count));
    if (const size_t at = messages.find("http://"); at != std::string::npos) {
      const size_t end = messages.find_first_not_of("0123456789.:[]", at + 7);
      if (end != std::string::npos) sensor->address_ = messages.substr(at + 7, end - at - 7);
    }
    if (!sensor->address_.empty() && messages.find("watching") != std::string::npos) {
      sensor->start_s_ = static_cast<double>(system_clock().monotonic_ns() - begin) / 1e9;
      fcntl(sensor->err_, F_SETFL, O_NONBLOCK);
      return sensor;
    }
  }
  return Error{Code::timeout, "quell up did not become ready within 30 s: " + messages, {}};
}

Sensor::~Sensor() {
  if (pid_ > 0) {
    kill(pid_, SIGTERM);
    // It may be writing to the pipe while it drains.
    for (int i = 0; i < 100 && waitpid(pid_, nullptr, WNOHANG) == 0; ++i) read_line(100);
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  if (out_ >= 0) close(out_);
  if (err_ >= 0) close(err_);
}

std::string Sensor::read_line(int timeout_ms) {
  char buffer[65536];
  while (read(err_, buffer, sizeof buffer) > 0) {  // keep it from blocking on its messages
  }
  for (;;) {
    if (const size_t end = pending_.find('\n'); end != std::string::npos) {
      std::string line = pending_.substr(0, end);
      pending_.erase(0, end + 1);
      return line;
    }
    pollfd ready{out_, POLLIN, 0};
    if (poll(&ready, 1, timeout_ms) <= 0) return {};
    const ssize_t count = read(out_, buffer, sizeof buffer);
    if (count <= 0) return {};
    pending_.append(buffer, static_cast<size_t>(count));
  }
}

double Sensor::cpu_s() const {
  std::ifstream file("/proc/" + std::to_string(pid_) + "/stat");
  std::string text(std::istreambuf_iterator<char>(file), {});
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  std::string skip;
  for (int i = 0; i < 11; ++i) fields >> skip;
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

uint64_t Sensor::rss_kb() const {
  std::ifstream file("/proc/" + std::to_string(pid_) + "/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("VmRSS:")) return std::strtoull(line.c_str() + 6, nullptr, 10);
  return 0;
}

double Sensor::metric(const std::string& name) const {
  const std::string file = scratch() + "/metrics";
  run({"curl", "-s", "--max-time", "5", "http://" + address_ + "/metrics"}, file);
  std::ifstream text(file);
  double sum = -1;
  for (std::string line; std::getline(text, line);) {
    if (!line.starts_with(name) || (line[name.size()] != ' ' && line[name.size()] != '{')) continue;
    sum = (sum < 0 ? 0 : sum) + std::strtod(line.c_str() + line.rfind(' '), nullptr);
  }
  return sum;
}

}  // namespace quell::bench
