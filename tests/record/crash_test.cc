// kill -9 of a writer, again and again: what it was told is stored must be there after each, and the lock must be free.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <random>

#include "fixtures.h"

namespace quell::record {
namespace {

constexpr int kRounds = 12;
constexpr uint64_t kBatch = 5;

/// Writes batches and actions, and the number of each acknowledged round to `out`, until it is killed.
[[noreturn]] void write_forever(const std::string& data_dir, uint64_t first, int out) {
  auto store = open_store({.data_dir = data_dir});
  if (!store) _exit(1);
  for (uint64_t number = first;; ++number) {
    std::vector<Detection> batch;
    for (uint64_t i = 0; i < kBatch; ++i) batch.push_back(make_detection(number * kBatch + i));
    if (!(*store)->insert(batch) || !(*store)->save_action(make_action(number))) _exit(2);
    if (write(out, &number, sizeof number) != sizeof number) _exit(3);
  }
}

TEST(StoreCrash, AcknowledgedWritesSurviveKillNine) {
  TempDir dir;
  std::mt19937 random(7);
  uint64_t next = 0;
  for (int round = 0; round < kRounds; ++round) {
    int pipes[2];
    ASSERT_EQ(pipe(pipes), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      close(pipes[0]);
      write_forever(dir.data(), next, pipes[1]);
    }
    close(pipes[1]);
    // At least one acknowledgement, then a moment that lands anywhere in a write.
    uint64_t acknowledged = 0;
    ASSERT_EQ(read(pipes[0], &acknowledged, sizeof acknowledged), ssize_t{sizeof acknowledged});
    usleep(std::uniform_int_distribution<useconds_t>(0, 20'000)(random));
    ASSERT_EQ(kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer failed by itself: " << WEXITSTATUS(status);
    while (read(pipes[0], &acknowledged, sizeof acknowledged) == ssize_t{sizeof acknowledged}) {
    }
    close(pipes[0]);

    auto store = open_store({.data_dir = dir.data()});
    ASSERT_TRUE(store) << store.error().str();
    for (uint64_t number = 0; number <= acknowledged; ++number) {
      ASSERT_TRUE((*store)->find_action(make_action(number).id)) << number;
      for (uint64_t i = 0; i < kBatch; ++i)
        ASSERT_TRUE((*store)->detection(make_detection(number * kBatch + i).id)) << number;
    }
    EXPECT_EQ((*store)->counters()->detections % kBatch, 0u) << "a batch is there whole or not at all";
    next = acknowledged + 1;
  }
}

}  // namespace
}  // namespace quell::record
