#include "loads.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

extern char** environ;

namespace quell::bench {
namespace {

// Time on a CPU, so that other work on the machine does not count as the sensor's. What programs in the kernel add to a
// call is the caller's time.
uint64_t own_cpu_ns() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

template <typename Work>
double per_operation(uint64_t count, uint64_t operations_each, Work&& work) {
  const uint64_t start = own_cpu_ns();
  for (uint64_t i = 0; i < count; ++i) work();
  return static_cast<double>(own_cpu_ns() - start) / static_cast<double>(count * operations_each);
}

}  // namespace

double load_getpid(uint64_t count) {
  return per_operation(count, 1, [] { syscall(SYS_getpid); });
}

double load_read_write(uint64_t count) {
  const int zero = open("/dev/zero", O_RDONLY);
  const int null = open("/dev/null", O_WRONLY);
  char buffer[64];
  return per_operation(count, 2, [&] {
    if (read(zero, buffer, sizeof buffer) < 0 || write(null, buffer, sizeof buffer) < 0) _exit(1);
  });
}

double load_open_read_close(uint64_t count) {
  char buffer[64];
  return per_operation(count, 3, [&] {
    const int fd = open("/etc/hostname", O_RDONLY);
    if (fd < 0 || read(fd, buffer, sizeof buffer) < 0) _exit(1);
    close(fd);
  });
}

double load_connect(uint64_t count) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), length) != 0 || listen(listener, 64) != 0) _exit(1);
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  const linger abort_on_close{1, 0};  // no TIME_WAIT: the ports would run out
  return per_operation(count, 1, [&] {
    const int client = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(client, SOL_SOCKET, SO_LINGER, &abort_on_close, sizeof abort_on_close);
    if (connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) _exit(1);
    const int server = accept(listener, nullptr, nullptr);
    close(client);
    close(server);
  });
}

double load_spawn(uint64_t count) {
  char path[] = "/bin/true";
  char* arguments[] = {path, nullptr};
  // Most of it is the child's work: by the clock on the wall.
  const uint64_t start = system_clock().monotonic_ns();
  for (uint64_t i = 0; i < count; ++i) {
    pid_t child = 0;
    if (posix_spawn(&child, path, nullptr, nullptr, arguments, environ) != 0) _exit(1);
    waitpid(child, nullptr, 0);
  }
  return static_cast<double>(system_clock().monotonic_ns() - start) / static_cast<double>(count);
}

}  // namespace quell::bench
