// Files that are opened unseen, and whose closing is therefore left out: whatever else comes to stand behind their
// descriptors, its closing is told. Seen with a filter that drops plain files although a rule asks about sockets: a
// close that is missing leaves a socket in the table, and duplicating a file of that number looks like duplicating the
// socket.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <thread>

#include "needs_sensor.h"
#include "side_by_side.h"

namespace quell::capture::test {
namespace {

constexpr int kNumber = 40;  // free in every process here, and not one that a program's start uses

[[noreturn]] void give_up(int line) {
  fprintf(stderr, "the load failed in line %d\n", line);
  _exit(9);
}
#define MUST(what) \
  if (!(what)) give_up(__LINE__)

// Takes every number below kNumber. What is above is of the sensors.
void fill() {
  MUST(syscall(SYS_close_range, kNumber, ~0u, 0) == 0);
  while (true) {
    const int fd = fcntl(0, F_DUPFD_CLOEXEC, 0);
    MUST(fd >= 0 && fd <= kNumber);
    if (fd == kNumber) break;
  }
  close(kNumber);
}

// Opens a file that nobody wants to know of.
void drop() { MUST(open("/etc/hostname", O_RDONLY | O_CLOEXEC) == kNumber); }
void put_socket() { MUST(socket(AF_INET, SOCK_DGRAM, 0) == kNumber); }

// Does the table still have something there?
void probe() {
  drop();
  const int copy = dup(kNumber);
  MUST(copy > kNumber);
  close(copy);
  close(kNumber);
}

// The plain case, at the end of each load: a file, closed, a socket, closed.
void in_turn() {
  drop();
  close(kNumber);
  put_socket();
  const int copy = dup(kNumber);  // this one is a socket
  close(copy);
  close(kNumber);
  probe();
}

void socket_and_probe() {
  put_socket();
  close(kNumber);
  probe();
}

// After the exec, the test program comes here before anything else of it.
const bool kAfterExec = [] {
  const char* load = getenv("QUELL_TEST_DROPPED_EXEC");
  if (load == nullptr) return false;
  fill();
  socket_and_probe();
  in_turn();
  _exit(0);
}();

struct Views {
  BothViews both;
  size_t closes(const Events& events) const {
    size_t count = 0;
    for (const Captured* close : all_of(events, ev::SYSCALL_CLOSE_X)) count += close->num("fd") == kNumber;
    return count;
  }
  /// How many closes were left out of those of kNumber.
  size_t left_out() const { return closes(both.all_events) - closes(both.few_events); }
};

Interest filter_of(const cli::LoadedRules& rules) {
  Interest filter = rules.interest();
  filter.plain_files_matter = false;  // what no rule set says that asks dup() about its descriptor
  filter.needs.resize(kEventCodeCount);
  for (const EventCode code : {ev::SYSCALL_OPEN_X, ev::SYSCALL_OPENAT_2_X, ev::SYSCALL_OPENAT2_X}) {
    filter.needs[code] = Need{2, 2};
  }
  return filter;
}

std::shared_ptr<const cli::LoadedRules> rules_of_sockets() {
  const std::string path = "/tmp/quell-dropped-" + std::to_string(getpid()) + ".yaml";
  std::ofstream(path) << R"(
- rule: duplicated
  desc: a socket takes another number
  condition: evt.type in (dup, dup2, dup3) and fd.type in (ipv4, ipv6)
  output: "%fd.type %evt.args"
  priority: INFO
- rule: written
  desc: a file is written
  condition: evt.type in (open, openat, openat2) and evt.is_open_write=true
  output: "%fd.name"
  priority: INFO
)";
  const auto rules = cli::load_rules({.paths = {path}}, {}, false);
  unlink(path.c_str());
  EXPECT_TRUE(rules) << rules.error().str();
  return rules ? *rules : nullptr;
}

Views look(const std::function<void()>& load, const std::function<void(LiveSource&)>& change = {}) {
  Views views;
  const auto rules = rules_of_sockets();
  if (!rules) return views;
  const auto whole = [&] {
    fill();
    in_turn();
    load();
    in_turn();
  };
  views.both = see_both(*rules, filter_of(*rules), whole, change);
  EXPECT_EQ(views.both.status, 0);
  EXPECT_GE(views.both.all.detections.size(), 1u) << "the rule works";
  EXPECT_GE(views.left_out(), 2u) << "files are dropped at all";
  return views;
}

TEST(SensorDropped, InTurn) {
  NEEDS_UNCHANGED_PROCESSES();
  EXPECT_EQ(look([] {}).left_out(), 4u) << "two of in_turn(), twice";
}

TEST(SensorDropped, ClosedByExec) {
  NEEDS_SENSOR();
  const auto views = look([] {
    drop();
    setenv("QUELL_TEST_DROPPED_EXEC", "1", 1);
    execl("/proc/self/exe", "after-exec", nullptr);
    give_up(__LINE__);
  });
  EXPECT_GE(views.both.all.detections.size(), 2u);
}

TEST(SensorDropped, ReplacedByAThreadThatIsGone) {
  NEEDS_UNCHANGED_PROCESSES();
  look([] {
    drop();
    std::thread([] {
      close(kNumber);
      put_socket();
    }).join();
    close(kNumber);
    probe();
  });
}

TEST(SensorDropped, ClosedAsRange) {
  NEEDS_SENSOR();
  look([] {
    drop();
    MUST(syscall(SYS_close_range, kNumber, kNumber + 3, 0) == 0);
    socket_and_probe();
    drop();
    MUST(syscall(SYS_close_range, kNumber, kNumber, 2 /* CLOSE_RANGE_UNSHARE */) == 0);
    socket_and_probe();
  });
}

TEST(SensorDropped, ReplacedByDuplicates) {
  NEEDS_UNCHANGED_PROCESSES();
  for (const bool with_flags : {false, true}) {
    look([&] {
      drop();
      const int socket_there = socket(AF_INET, SOCK_DGRAM, 0);
      MUST((with_flags ? dup3(socket_there, kNumber, O_CLOEXEC) : dup2(socket_there, kNumber)) == kNumber);
      close(socket_there);
      close(kNumber);
      probe();
    });
  }
}

TEST(SensorDropped, RingsCloseUnseen) {
  NEEDS_SENSOR();
  io_uring_params params{};
  const auto ring = static_cast<int>(syscall(SYS_io_uring_setup, 4, &params));
  if (ring < 0) GTEST_SKIP() << "io_uring is not permitted here: " << strerror(errno);
  close(ring);
  const auto rules = rules_of_sockets();
  ASSERT_TRUE(rules);
  Views views;
  views.both = see_both(*rules, filter_of(*rules), [] {
    fill();
    drop();  // before there is a ring
    io_uring_params own{};
    MUST(syscall(SYS_io_uring_setup, 4, &own) > kNumber);
    close(kNumber);
    drop();
    close(kNumber);
    socket_and_probe();
  });
  EXPECT_EQ(views.both.status, 0);
  EXPECT_EQ(views.left_out(), 0u) << "every close is told from the ring on";
}

TEST(SensorDropped, ChildHasItsOwn) {
  NEEDS_UNCHANGED_PROCESSES();
  const auto views = look([] {
    drop();
    const pid_t pid = fork();
    MUST(pid >= 0);
    if (pid == 0) {
      close(kNumber);
      socket_and_probe();
      _exit(0);
    }
    int status = 0;
    MUST(waitpid(pid, &status, 0) == pid && status == 0);
    close(kNumber);  // the parent's own is still the dropped one
    socket_and_probe();
  });
  EXPECT_EQ(views.left_out(), 7u) << "4, the probes' two, the parent's; not the child's copy";
}

TEST(SensorDropped, ChildThatSharesTheTable) {
  NEEDS_UNCHANGED_PROCESSES();
  look([] {
    drop();
    // A process of its own with our table: its close and its socket are ours.
    const auto pid = static_cast<pid_t>(syscall(SYS_clone, 0x400 /* CLONE_FILES */ | SIGCHLD, 0, 0, 0, 0));
    MUST(pid >= 0);
    if (pid == 0) {
      close(kNumber);
      put_socket();
      _exit(0);
    }
    int status = 0;
    MUST(waitpid(pid, &status, 0) == pid && status == 0);
    close(kNumber);
    probe();
  });
}

// A group's list of processes, open at a number that is in nobody's way.
int list_of(const std::string& group) {
  const int list = open((group + "/cgroup.procs").c_str(), O_WRONLY);
  const int away = fcntl(list, F_DUPFD, kNumber + 100);
  MUST(list >= 0 && away >= 0);
  close(list);
  return away;
}

TEST(SensorDropped, ReplacedOutOfScope) {
  NEEDS_UNCHANGED_PROCESSES();
  look([] {
    std::string line, own, root = CgroupMounts::find()->v2;
    for (std::ifstream file("/proc/self/cgroup"); std::getline(file, line);) {
      if (line.starts_with("0::")) own = root + line.substr(3);
    }
    const int elsewhere = list_of(root), back = list_of(own);
    drop();
    MUST(write(elsewhere, "0", 1) == 1);  // where nobody looks
    MUST(syscall(SYS_close_range, kNumber, kNumber, 0) == 0);
    MUST(write(back, "0", 1) == 1);
    socket_and_probe();
  });
}

TEST(SensorDropped, WhatWasNotedBeforeAReload) {
  NEEDS_SENSOR();
  const auto rules = rules_of_sockets();
  ASSERT_TRUE(rules);
  int ready[2], done[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(done), 0);
  char byte = 'x';
  const auto wait_for_change = [&] {
    MUST(write(ready[1], &byte, 1) == 1);
    char got = 0;
    MUST(read(done[0], &got, 1) == 1);
  };
  look(
      [&] {
        drop();
        wait_for_change();  // to rules that ask about every file
        close(kNumber);
        put_socket();
        wait_for_change();  // and back
        close(kNumber);
        probe();
      },
      [&](LiveSource& source) {
        Interest interest = filter_of(*rules);
        for (const bool matter : {true, false}) {
          char got = 0;
          pollfd waiting{ready[0], POLLIN, 0};
          if (poll(&waiting, 1, 20'000) != 1 || read(ready[0], &got, 1) != 1) {
            ADD_FAILURE() << "the load did not come this far";
            return;
          }
          interest.plain_files_matter = matter;
          EXPECT_TRUE(source.set_interest(interest));
          if (write(done[1], &got, 1) != 1) return;
        }
      });
  for (const int fd : {ready[0], ready[1], done[0], done[1]}) close(fd);
}

}  // namespace
}  // namespace quell::capture::test
