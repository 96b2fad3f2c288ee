#include "support/command.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "base/text.h"

namespace quell::test {
namespace {

std::string search_path() {
  const char* path = std::getenv("PATH");
  return std::string(path == nullptr ? "/usr/bin:/bin" : path) + ":/usr/local/sbin:/usr/sbin:/sbin";
}

/// All that the child of a fork needs, made before: other threads may hold the allocator's lock at that moment.
struct Program {
  explicit Program(const std::vector<std::string>& argv) {
    const std::string folders = search_path();
    path = argv[0];
    for (std::string_view folder : split(folders, ':')) {
      const std::string candidate = std::string(folder) + "/" + argv[0];
      if (argv[0].find('/') != std::string::npos || ::access(candidate.c_str(), X_OK) != 0) continue;
      path = candidate;
      break;
    }
    for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    path_variable = "PATH=" + folders;
    for (char** variable = environ; *variable != nullptr; ++variable)
      if (!std::string_view(*variable).starts_with("PATH=")) environment.push_back(*variable);
    environment.push_back(path_variable.data());
    environment.push_back(nullptr);
  }
  [[noreturn]] void become() const {
    ::execve(path.c_str(), arguments.data(), environment.data());
    ::_exit(127);
  }
  std::string path, path_variable;
  std::vector<char*> arguments, environment;
};

}  // namespace

Result<std::string> run_command(const std::vector<std::string>& argv) {
  int out[2], err[2];
  if (::pipe2(out, O_CLOEXEC) != 0) return errno_error(errno, "pipe");
  if (::pipe2(err, O_CLOEXEC) != 0) {
    ::close(out[0]), ::close(out[1]);
    return errno_error(errno, "pipe");
  }
  const Program program(argv);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::dup2(out[1], STDOUT_FILENO);
    ::dup2(err[1], STDERR_FILENO);
    program.become();
  }
  ::close(out[1]);
  ::close(err[1]);
  std::string text[2];
  pollfd fds[2] = {{.fd = out[0], .events = POLLIN, .revents = 0}, {.fd = err[0], .events = POLLIN, .revents = 0}};
  while (fds[0].fd >= 0 || fds[1].fd >= 0) {
    if (::poll(fds, 2, -1) < 0 && errno != EINTR) break;
    for (int i = 0; i < 2; ++i) {
      if (fds[i].fd < 0 || fds[i].revents == 0) continue;
      char buffer[8192];
      const ssize_t size = ::read(fds[i].fd, buffer, sizeof buffer);
      if (size > 0) text[i].append(buffer, static_cast<size_t>(size));
      if (size == 0 || (size < 0 && errno != EINTR)) fds[i].fd = -1;
    }
  }
  ::close(out[0]);
  ::close(err[0]);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return std::move(text[0]);
  std::string command;
  for (const std::string& argument : argv) command += (command.empty() ? "" : " ") + argument;
  return Error{Code::io, fmt::format("`{}` failed: {}", command, text[1].substr(0, 2000)), {}};
}

Result<pid_t> start_program(const std::vector<std::string>& argv, const std::string& log) {
  const int fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return errno_error(errno, "cannot write", log);
  const Program program(argv);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::setsid();
    const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ::dup2(null, STDIN_FILENO);
    ::dup2(fd, STDOUT_FILENO);
    ::dup2(fd, STDERR_FILENO);
    program.become();
  }
  ::close(fd);
  if (pid < 0) return errno_error(errno, "fork");
  return pid;
}

bool have_program(const std::string& name) {
  const std::string path = search_path();
  for (std::string_view folder : split(path, ':'))
    if (::access((std::string(folder) + "/" + name).c_str(), X_OK) == 0) return true;
  return false;
}

}  // namespace quell::test
