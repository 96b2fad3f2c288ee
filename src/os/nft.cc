#include "os/nft.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <optional>

#include "base/clock.h"
#include "base/text.h"

namespace quell::os {
namespace {

constexpr uint64_t kTimeoutNs = 10'000'000'000;
constexpr size_t kMaxOutput = size_t{64} << 20;

std::optional<std::string> find_program() {
  const char* path = std::getenv("PATH");
  for (const std::string_view folder : split(path == nullptr ? "/usr/sbin:/usr/bin:/sbin:/bin" : path, ':')) {
    if (!folder.starts_with('/')) continue;  // never the current folder
    std::string candidate = std::string(folder) + "/nft";
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return std::nullopt;
}

Error nft_error(int status, const std::string& words) {
  // nft says the kernel's errors in the words of the C library; the C locale makes them these.
  static constexpr struct {
    const char* words;
    Code code;
  } kCodes[] = {{"No such file or directory", Code::not_found},
                {"File exists", Code::already_exists},
                {"Operation not permitted", Code::permission_denied},
                {"Permission denied", Code::permission_denied},
                {"Operation not supported", Code::unsupported},
                {"Protocol not supported", Code::unsupported},
                {"No space left on device", Code::limit},
                {"Too many open files in system", Code::limit},
                {"interval overlaps", Code::conflict}};
  Code code = Code::io;
  for (const auto& row : kCodes)
    if (code == Code::io && words.find(row.words) != std::string::npos) code = row.code;
  const std::string text = to_valid_utf8(words.substr(0, 400));
  if (code == Code::permission_denied)
    return {code, fmt::format("not allowed to change nftables: CAP_NET_ADMIN is needed ({})", text), {}};
  if (code == Code::unsupported) return {code, fmt::format("this kernel's nf_tables cannot do that: {}", text), {}};
  if (words.empty()) return {code, fmt::format("nft ended with status {} and no word", status), {}};
  return {code, "nft: " + text, {}};
}

/// Reads both pipes to their end. False when the time was over or too much came.
bool read_all(int out_fd, int err_fd, std::string& out, std::string& err) {
  const uint64_t deadline = system_clock().monotonic_ns() + kTimeoutNs;
  pollfd fds[2] = {{.fd = out_fd, .events = POLLIN, .revents = 0}, {.fd = err_fd, .events = POLLIN, .revents = 0}};
  std::string* texts[2] = {&out, &err};
  while (fds[0].fd >= 0 || fds[1].fd >= 0) {
    const uint64_t now = system_clock().monotonic_ns();
    if (now >= deadline) return false;
    const int ready = ::poll(fds, 2, static_cast<int>((deadline - now) / 1'000'000 + 1));
    if (ready < 0 && errno != EINTR) return false;
    for (int i = 0; ready > 0 && i < 2; ++i) {
      if (fds[i].fd < 0 || fds[i].revents == 0) continue;
      char buffer[16384];
      const ssize_t size = ::read(fds[i].fd, buffer, sizeof buffer);
      if (size > 0) texts[i]->append(buffer, static_cast<size_t>(size));
      if (size == 0 || (size < 0 && errno != EINTR)) fds[i].fd = -1;
      if (texts[i]->size() > kMaxOutput) return false;
    }
  }
  return true;
}

/// On a thread that is in the namespace already: a child is where its parent's thread is.
Result<std::string> spawn(const std::string& program, const std::vector<std::string>& arguments,
                          const std::string& input) {
  Descriptor in(::memfd_create("nft", MFD_CLOEXEC));
  if (!in || ::write(in.get(), input.data(), input.size()) != static_cast<ssize_t>(input.size()) ||
      ::lseek(in.get(), 0, SEEK_SET) != 0)
    return errno_error(errno, "cannot hold the rules for nft");
  int out[2], err[2];
  if (::pipe2(out, O_CLOEXEC) != 0) return errno_error(errno, "pipe");
  Descriptor out_in(out[0]), out_out(out[1]);
  if (::pipe2(err, O_CLOEXEC) != 0) return errno_error(errno, "pipe");
  Descriptor err_in(err[0]), err_out(err[1]);

  std::vector<char*> argv{const_cast<char*>("nft")};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  char locale[] = "LC_ALL=C";
  char* environment[] = {locale, nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&actions, in.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out_out.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err_out.get(), STDERR_FILENO);
  sigset_t none, pipe_signal;
  sigemptyset(&none);
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &pipe_signal);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t pid = -1;
  const int number = ::posix_spawn(&pid, program.c_str(), &actions, &attributes, argv.data(), environment);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (number != 0) return errno_error(number, "cannot start nft", program);
  out_out.reset();
  err_out.reset();
  std::string text, words;
  const bool whole = read_all(out_in.get(), err_in.get(), text, words);
  if (!whole) ::kill(pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!whole)
    return Error{Code::timeout, "nft neither ended within 10 s nor kept its answer under 64 MiB; it was ended",
                 program};
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return text;
  return nft_error(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), words);
}

}  // namespace

Result<std::string> run_nft(const NetNamespace& ns, const std::vector<std::string>& arguments,
                            const std::string& input) {
  const auto program = find_program();
  if (!program)
    return Error{Code::unsupported,
                 "the program nft is not in PATH: install the package nftables, or add the folder that has it",
                 {}};
  Result<std::string> result = Error{Code::internal, "nft was not run", {}};
  QUELL_CHECK(ns.run([&] { result = spawn(*program, arguments, input); }));
  return result;
}

}  // namespace quell::os
