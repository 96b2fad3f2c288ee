#include "run.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/clock.h"

namespace quell::bench {

Usage run(const std::vector<std::string>& command, const std::string& stdout_path, const std::string& stderr_path) {
  Usage out;
  const uint64_t start = system_clock().monotonic_ns();
  const pid_t child = fork();
  if (child == 0) {
    const int out_fd = open(stdout_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const int err_fd = open(stderr_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(out_fd, 1);
    dup2(err_fd, 2);
    std::vector<char*> arguments;
    for (const std::string& part : command) arguments.push_back(const_cast<char*>(part.c_str()));
    arguments.push_back(nullptr);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  rusage usage{};
  wait4(child, &out.status, 0, &usage);
  out.wall_s = static_cast<double>(system_clock().monotonic_ns() - start) / 1e9;
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  out.cpu_s = seconds(usage.ru_utime) + seconds(usage.ru_stime);
  out.max_rss_kb = static_cast<uint64_t>(usage.ru_maxrss);
  return out;
}

uint64_t instructions(const std::vector<std::string>& command) {
  const std::string report = scratch() + "/callgrind.txt";
  std::vector<std::string> full{"valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"};
  full.insert(full.end(), command.begin(), command.end());
  const Usage usage = run(full, "/dev/null", report);
  if (!WIFEXITED(usage.status) || WEXITSTATUS(usage.status) == 127) return 0;
  std::ifstream file(report);
  for (std::string line; std::getline(file, line);)
    if (const size_t at = line.find("Collected : "); at != std::string::npos)
      return std::strtoull(line.c_str() + at + 12, nullptr, 10);
  return 0;
}

void figure(const std::string& name, double value, const std::string& unit) {
  std::printf("%s: %.6g %s\n", name.c_str(), value, unit.c_str());
  std::fflush(stdout);
}

bool has_flag(int argc, char** argv, const std::string& flag) {
  for (int i = 1; i < argc; ++i)
    if (flag == argv[i]) return true;
  return false;
}

std::string quell_binary() {
  const char* path = std::getenv("QUELL");
  if (path == nullptr) {
    std::fprintf(stderr, "bench: set QUELL to the path of the quell binary (script/bench does)\n");
    std::exit(2);
  }
  return path;
}

const std::string& scratch() {
  static const struct Folder {
    Folder() {
      char pattern[] = "/var/tmp/quell-bench-XXXXXX";
      if (mkdtemp(pattern) == nullptr) std::exit(1);
      path = pattern;
    }
    ~Folder() { std::filesystem::remove_all(path); }
    std::string path;
  } folder;
  return folder.path;
}

}  // namespace quell::bench
