// Capabilities that were dropped are gone: for the process, and for what it starts.
#include "apps/responder/privileges.h"

#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>

namespace quell::responder {
namespace {

/// The exit status of a child that runs it.
int in_child(const std::function<int()>& what) {
  const pid_t pid = fork();
  if (pid == 0) _exit(what());
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

constexpr uint64_t bit(int capability) { return uint64_t{1} << capability; }

TEST(Privileges, OnlyTheWantedStay) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  EXPECT_EQ(in_child([] {
              if (!keep_only(bit(CAP_KILL))) return 1;
              const auto left = permitted_capabilities();
              if (!left || *left != bit(CAP_KILL)) return 2;
              if (mount("none", "/mnt", "tmpfs", 0, nullptr) == 0 || errno != EPERM) return 3;
              if (!keep_only(bit(CAP_KILL) | bit(CAP_SYS_ADMIN))) return 4;
              if (*permitted_capabilities() != bit(CAP_KILL)) return 5;
              // A program of root's gains none back.
              return execl("/bin/sh", "sh", "-c",
                           "grep -q '^CapEff:\t0000000000000020$' /proc/self/status || grep -q "
                           "'^CapEff:\t0000000000000000$' /proc/self/status",
                           nullptr);
            }),
            0);
}

TEST(Privileges, NothingIsLeftWhereNothingIsWanted) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  EXPECT_EQ(in_child([] {
              if (!keep_only(0)) return 1;
              return *permitted_capabilities() == 0 ? 0 : 2;
            }),
            0);
}

}  // namespace
}  // namespace quell::responder
