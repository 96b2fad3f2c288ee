#pragma once
// Runs the built quell and catches what it says.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace quell::cli {

/// A folder of its own for each test.
class TempFolder {
 public:
  TempFolder() {
    char name[] = "/tmp/quell-cli-XXXXXX";
    if (mkdtemp(name) == nullptr) std::abort();
    path_ = name;
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }
  std::string file(const std::string& name, const std::string& content) const {
    std::ofstream(path_ + "/" + name) << content;
    return path_ + "/" + name;
  }

 private:
  std::string path_;
};

inline std::string read_file(const std::string& path) {
  std::ifstream file(path);
  std::stringstream out;
  out << file.rdbuf();
  return out.str();
}

/// A running quell. stdin is /dev/null; stdout and stderr go to files, so that no pipe can fill up.
class Process {
 public:
  Process(const TempFolder& folder, std::vector<std::string> arguments, const std::string& tag = "run")
      : out_(folder.path() + "/" + tag + ".out"), err_(folder.path() + "/" + tag + ".err") {
    arguments.insert(arguments.begin(), QUELL_BINARY);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ != 0) return;
    dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
    dup2(open(out_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
    dup2(open(err_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() {
    if (is_running()) {
      kill(pid_, SIGKILL);
      wait();
    }
  }

  void signal(int number) const { kill(pid_, number); }
  bool is_running() {
    if (status_ >= 0) return false;
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) != pid_) return true;
    status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return false;
  }
  /// The exit status; 128 + signal if one ended it.
  int wait() {
    if (status_ < 0) {
      int status = 0;
      waitpid(pid_, &status, 0);
      status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    return status_;
  }
  std::string out() const { return read_file(out_); }
  std::string err() const { return read_file(err_); }
  /// Waits until stdout or stderr holds `text`; false if the process ends or `limit` passes first.
  bool says(const std::string& text, std::chrono::seconds limit = std::chrono::seconds(60)) {
    const auto end = std::chrono::steady_clock::now() + limit;
    for (;;) {
      const bool was_running = is_running();
      if (out().find(text) != std::string::npos || err().find(text) != std::string::npos) return true;
      if (!was_running || std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }

 private:
  std::string out_, err_;
  pid_t pid_ = -1;
  int status_ = -1;
};

struct Finished {
  int status = -1;
  std::string out, err;
};

inline Finished quell(const TempFolder& folder, std::vector<std::string> arguments) {
  Process process(folder, std::move(arguments));
  const int status = process.wait();
  return {status, process.out(), process.err()};
}

}  // namespace quell::cli
