// kill -9 of a process that appends, at random moments: the chain verifies, and no acknowledged entry is lost.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <random>

#include "fixtures.h"
#include "record/audit/verify.h"

namespace quell::record {
namespace {

int rounds() {
  const char* wanted = std::getenv("QUELL_AUDIT_CRASHES");
  return wanted != nullptr ? std::atoi(wanted) : 100;
}

struct Acknowledged {
  uint64_t seq = 0;
  char hash[64] = {};
};

[[noreturn]] void append_forever(const std::string& data_dir, int out) {
  auto store = open_store({.data_dir = data_dir});
  if (!store) _exit(1);
  for (uint64_t number = 0;; ++number) {
    if (!(*store)->save_action(
            make_action(number % 50, number % 3 == 0 ? ActionState::executing : ActionState::contained)))
      _exit(2);
    if (number % 40 == 39 && !(*store)->cut_audit((*store)->audit_head()->head.seq - 10, "quell")) _exit(3);
    const auto head = (*store)->append_audit({AuditKind::policy, "p", "quell", R"({"a":1})"});
    if (!head) _exit(4);
    Acknowledged done;
    done.seq = head->seq;
    head->hash.copy(done.hash, sizeof done.hash);
    if (write(out, &done, sizeof done) != sizeof done) _exit(5);
  }
}

TEST(AuditCrash, TheChainHoldsAfterKillNine) {
  TempDir dir;
  std::mt19937 random(5);
  const int count = rounds();
  for (int round = 0; round < count; ++round) {
    int pipes[2];
    ASSERT_EQ(pipe(pipes), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      close(pipes[0]);
      append_forever(dir.data(), pipes[1]);
    }
    close(pipes[1]);
    Acknowledged last, next;
    // Mostly after an acknowledgement, sometimes while it starts.
    if (round % 5 != 0) {
      ASSERT_EQ(read(pipes[0], &last, sizeof last), ssize_t{sizeof last});
    }
    usleep(std::uniform_int_distribution<useconds_t>(0, 15'000)(random));
    ASSERT_EQ(kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer failed by itself: " << WEXITSTATUS(status);
    while (read(pipes[0], &next, sizeof next) == ssize_t{sizeof next}) last = next;
    close(pipes[0]);
    if (last.seq == 0 && !std::filesystem::exists(dir.data() + "/audit.pub")) continue;  // it had hardly begun

    AuditExpectations expected;
    if (last.seq != 0) expected.hash.assign(last.hash, sizeof last.hash);
    const auto found = verify_audit_of(dir.data(), expected);
    if (last.seq == 0 && !found && found.error().code == Code::not_found) continue;
    ASSERT_TRUE(found) << found.error().str();
    ASSERT_FALSE(found->broken) << "round " << round << ": " << to_string(found->broken->fault) << " at "
                                << found->broken->seq << ", expected " << found->broken->expected << ", found "
                                << found->broken->found;
    ASSERT_GE(found->end.seq, last.seq);
  }
  printf("%d injected crashes\n", count);
}

}  // namespace
}  // namespace quell::record
