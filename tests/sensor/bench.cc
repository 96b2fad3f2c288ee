// What the sensor costs the programs that it watches and itself. Run by hand as root:
//   sensor_bench [rounds]
// Each load runs in a child in a group of its own, alternating without a sensor, with one, and (open loop) with one
// that wants neither opens nor closes to be delivered elsewhere. Prints medians over the rounds.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <optional>
#include <thread>

#include "sandbox.h"

namespace {

using namespace quell::capture;
using namespace quell::capture::test;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point from) { return std::chrono::duration<double>(Clock::now() - from).count(); }
double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}
double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Load {
  const char* name;
  int count;
  std::function<void(int)> run;
};

/// ns per call of the load in a child, which waits until `enter` has put it in its place.
double measure(const Load& load, const std::function<void(pid_t)>& enter) {
  int gate[2], out[2];
  if (pipe(gate) != 0 || pipe(out) != 0) abort();
  const pid_t pid = fork();
  if (pid == 0) {
    char byte = 0;
    if (read(gate[0], &byte, 1) != 1) _exit(1);
    const auto started = Clock::now();
    load.run(load.count);
    const double ns = 1e9 * seconds_since(started) / load.count;
    if (write(out[1], &ns, sizeof ns) != sizeof ns) _exit(1);
    _exit(0);
  }
  enter(pid);
  if (write(gate[1], "x", 1) != 1) abort();
  double ns = 0;
  if (read(out[0], &ns, sizeof ns) != sizeof ns) abort();
  waitpid(pid, nullptr, 0);
  for (const int fd : {gate[0], gate[1], out[0], out[1]}) close(fd);
  return ns;
}

}  // namespace

int main(int argc, char** argv) {
  if (const std::string why = why_not(); !why.empty()) {
    std::printf("SKIPPED: %s\n", why.c_str());
    return 0;
  }
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 5;
  const Load loads[] = {
      {"getpid", 2'000'000,
       [](int n) {
         for (int i = 0; i < n; ++i) syscall(SYS_getpid);
       }},
      {"open+read+close", 200'000,
       [](int n) {
         char byte = 0;
         for (int i = 0; i < n; ++i) {
           const int fd = open("/etc/hostname", O_RDONLY);
           if (read(fd, &byte, 1) < 0) _exit(1);
           close(fd);
         }
       }},
      {"fork+exec true+wait", 300,
       [](int n) {
         for (int i = 0; i < n; ++i) {
           const pid_t pid = fork();
           if (pid == 0) {
             execl("/bin/true", "true", nullptr);
             _exit(1);
           }
           waitpid(pid, nullptr, 0);
         }
       }},
  };
  for (const Load& load : loads) {
    std::vector<double> without, with, cpu_per_event;
    uint64_t events = 0, lost = 0;
    for (int round = 0; round < rounds; ++round) {
      without.push_back(measure(load, [](pid_t) {}));
      Sandbox box;
      std::atomic<bool> stop{false};
      double cpu = 0;
      std::thread reader([&] {
        quell::EventBatch batch;
        const double from = cpu_seconds();
        while (!stop) (void)box.source().fill(batch, 10'000'000);
        (void)box.source().fill(batch, 0);
        cpu = cpu_seconds() - from;
      });
      with.push_back(measure(load, [&](pid_t pid) { box.enter(pid); }));
      stop = true;
      reader.join();
      const SourceCounters counters = box.source().counters();
      events = counters.events;
      lost += counters.lost();
      if (counters.events != 0) cpu_per_event.push_back(1e9 * cpu / static_cast<double>(counters.events));
    }
    std::printf(
        "%-20s without %8.0f ns  with %8.0f ns  ratio %.2f  events %llu  lost %llu  reader %.0f ns CPU per event\n",
        load.name, median(without), median(with), median(with) / median(without),
        static_cast<unsigned long long>(events), static_cast<unsigned long long>(lost), median(cpu_per_event));
  }
  // Latency: one open after a pause, from just before the call to fill() having returned its event.
  Sandbox box;
  int ping[2];
  if (pipe(ping) != 0) abort();
  const pid_t pid = fork();
  if (pid == 0) {
    char byte = 0;
    while (read(ping[0], &byte, 1) == 1) {
      const int fd = open("/etc/hostname", O_RDONLY);
      close(fd);
    }
    _exit(0);
  }
  box.enter(pid);
  usleep(100'000);
  box.collect();
  std::vector<double> latencies;
  quell::EventBatch batch;
  for (int i = 0; i < 300; ++i) {
    usleep(5'000);
    if (write(ping[1], "x", 1) != 1) abort();
    bool found = false;
    while (!found) {
      (void)box.source().fill(batch, 1'000'000'000);
      timespec time{};
      clock_gettime(CLOCK_REALTIME, &time);
      for (size_t k = 0; k < batch.size() && !found; ++k) {
        quell::Event event;
        if (!quell::Event::parse(batch.event(k), event) || event.code() != quell::ev::SYSCALL_OPENAT_2_X) continue;
        found = true;
        latencies.push_back(static_cast<double>(static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 +
                                                static_cast<uint64_t>(time.tv_nsec) - event.ts_ns()) /
                            1e6);
      }
    }
    while (box.source().fill(batch, 0) && !batch.empty()) {
    }
  }
  close(ping[1]);
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  std::sort(latencies.begin(), latencies.end());
  std::printf("kernel timestamp to fill() returned: p50 %.3f ms  p90 %.3f  p99 %.3f  max %.3f\n", latencies[150],
              latencies[270], latencies[297], latencies.back());
  return 0;
}
