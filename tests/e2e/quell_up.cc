#include "quell_up.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "api/client.h"
#include "base/clock.h"
#include "base/text.h"

namespace quell::test {
namespace {

pid_t spawn(const std::vector<std::string>& arguments, int& out, int& err) {
  int out_pipe[2], err_pipe[2];
  if (pipe2(out_pipe, O_CLOEXEC) != 0 || pipe2(err_pipe, O_CLOEXEC) != 0) return -1;
  const pid_t child = fork();
  if (child == 0) {
    dup2(out_pipe[1], 1);
    dup2(err_pipe[1], 2);
    const int null = open("/dev/null", O_RDONLY);
    dup2(null, 0);
    std::vector<char*> argv{const_cast<char*>(QUELL_BINARY)};
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    execv(argv[0], argv.data());
    _exit(127);
  }
  close(out_pipe[1]);
  close(err_pipe[1]);
  out = out_pipe[0];
  err = err_pipe[0];
  return child;
}

// Appends what is there; false at the end of the stream.
bool drain(int fd, std::string& into) {
  char buffer[65536];
  const ssize_t count = read(fd, buffer, sizeof buffer);
  if (count > 0) into.append(buffer, static_cast<size_t>(count));
  return count > 0;
}

int exit_code_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

}  // namespace

CommandResult run_quell(const std::vector<std::string>& arguments) {
  CommandResult result;
  int out = -1, err = -1;
  const pid_t child = spawn(arguments, out, err);
  pollfd fds[2] = {{out, POLLIN, 0}, {err, POLLIN, 0}};
  for (int open_count = 2; open_count > 0;) {
    poll(fds, 2, -1);
    std::string* const texts[2] = {&result.out, &result.err};
    for (int i = 0; i < 2; ++i)
      if (fds[i].fd >= 0 && fds[i].revents != 0 && !drain(fds[i].fd, *texts[i])) {
        close(fds[i].fd);
        fds[i].fd = -1;
        --open_count;
      }
  }
  int status = 0;
  waitpid(child, &status, 0);
  result.exit_code = exit_code_of(status);
  return result;
}

std::unique_ptr<QuellUp> QuellUp::start(const std::vector<std::string>& arguments) {
  auto up = std::make_unique<QuellUp>();
  char folder[] = "/var/tmp/quell-e2e-XXXXXX";
  if (mkdtemp(folder) == nullptr) return nullptr;
  up->data_dir_ = folder;
  std::vector<std::string> all{"up", "-o", "json", "--data-dir", up->data_dir_, "--listen", "127.0.0.1:0"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  up->pid_ = spawn(all, up->out_, up->err_);
  const uint64_t deadline = system_clock().monotonic_ns() + 60'000'000'000;
  while (system_clock().monotonic_ns() < deadline && up->messages_.find("watching") == std::string::npos)
    if (!up->pump(500) && waitpid(up->pid_, nullptr, WNOHANG) == up->pid_) {
      up->pid_ = -1;
      break;
    }
  if (up->messages_.find("watching") == std::string::npos) {
    ADD_FAILURE() << "quell up did not become ready: " << up->messages_;
    return nullptr;
  }
  return up;
}

QuellUp::~QuellUp() {
  if (pid_ > 0) stop();
  if (out_ >= 0) close(out_);
  if (err_ >= 0) close(err_);
  if (!data_dir_.empty()) std::filesystem::remove_all(data_dir_);
}

bool QuellUp::pump(int timeout_ms) {
  pollfd fds[2] = {{out_, POLLIN, 0}, {err_, POLLIN, 0}};
  if (poll(fds, 2, timeout_ms) <= 0) return true;
  bool open_still = true;
  if (fds[1].revents != 0) open_still = drain(err_, messages_) && open_still;
  if (fds[0].revents != 0) {
    open_still = drain(out_, pending_) && open_still;
    for (size_t end; (end = pending_.find('\n')) != std::string::npos;) {
      take_line(pending_.substr(0, end));
      pending_.erase(0, end + 1);
    }
  }
  return open_still;
}

void QuellUp::take_line(const std::string& line) {
  auto json = Json::parse(line);
  EXPECT_TRUE(json) << "stdout holds something else than JSON: " << line;
  if (json) all_.push_back({std::move(*json), system_clock().realtime_ns()});
}

std::optional<SeenDetection> QuellUp::wait_for(const std::function<bool(const Json&)>& wanted, int timeout_ms) {
  const uint64_t deadline = system_clock().monotonic_ns() + static_cast<uint64_t>(timeout_ms) * 1'000'000;
  for (;;) {
    for (; taken_ < all_.size(); ++taken_)
      if (wanted(all_[taken_].json)) return all_[taken_++];
    if (system_clock().monotonic_ns() >= deadline || !pump(50)) return {};
  }
}

int QuellUp::stop() {
  kill(pid_, SIGTERM);
  while (pump(1000) && kill(pid_, 0) == 0) {
    siginfo_t info{};
    if (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid_) {
      while (pump(100) && (!pending_.empty())) {
      }
      pump(100);
      break;
    }
  }
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return exit_code_of(status);
}

double QuellUp::metric(const std::string& name) const {
  const size_t at = messages_.find("http://");
  const auto client = api::Client::open(messages_.substr(at, messages_.find_first_of("; \n", at) - at), 5000);
  if (!client) return -1;
  const auto page = client->call(api::Method::get, "/metrics");
  if (!page) return -1;
  double sum = -1;
  for (const std::string_view line : split(*page, '\n')) {
    if (!line.starts_with(name) || (line[name.size()] != ' ' && line[name.size()] != '{')) continue;
    sum = (sum < 0 ? 0 : sum) + std::strtod(std::string(line.substr(line.rfind(' '))).c_str(), nullptr);
  }
  return sum;
}

CommandResult QuellUp::command(std::vector<std::string> arguments) const {
  arguments.push_back("--data-dir");
  arguments.push_back(data_dir_);
  return run_quell(arguments);
}

}  // namespace quell::test
