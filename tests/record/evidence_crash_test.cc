// kill -9 of a process that collects evidence, at random moments: after the next start nothing acknowledged is lost,
// nothing half is left, and every object has its entry.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <random>

#include "fixtures.h"
#include "record/audit/verify.h"
#include "record/evidence/files.h"
#include "record/evidence/verify.h"

namespace quell::record {
namespace {

struct Acknowledged {
  char id[18] = {};
};

EvidenceOptions options_for(const std::string& data_dir) {
  // Small, so that objects are deleted for room all the time.
  return {.folder = data_dir + "/evidence", .max_bytes = 400'000};
}

[[noreturn]] void collect_forever(const std::string& data_dir, uint32_t seed, int out) {
  auto store = open_store({.data_dir = data_dir});
  if (!store) _exit(1);
  auto files = EvidenceFiles::open(options_for(data_dir), **store, **store);
  if (!files) _exit(2);
  std::mt19937 random(seed);
  while (true) {
    auto writer = (*files)->begin({.kind = EvidenceKind::file, .name = "x"});
    if (!writer) _exit(3);
    const std::vector<uint8_t> piece(random() % 3'000, static_cast<uint8_t>(random()));
    for (uint32_t i = 0; i < 1 + random() % 8; ++i)
      if (!(*writer)->write(piece)) _exit(4);
    if (random() % 8 == 0) continue;  // given up
    const auto item = (*writer)->finish();
    if (!item) _exit(5);
    const bool is_kept = random() % 16 == 0;
    if (is_kept && !(*files)->set_hold(item->id, true, "test", "")) _exit(6);
    Acknowledged done;
    item->id.copy(done.id, sizeof done.id);
    if (is_kept && write(out, &done, sizeof done) != sizeof done) _exit(7);
    if (is_kept && random() % 2 == 0 && !(*files)->hand_out(item->id, "test", "read")) _exit(8);
  }
}

TEST(EvidenceCrash, NothingIsLostAfterKillNine) {
  const char* wanted = std::getenv("QUELL_AUDIT_CRASHES");
  const int count = wanted != nullptr ? std::atoi(wanted) : 100;
  std::mt19937 random(9);
  uint64_t orphans = 0, seen = 0;
  std::unique_ptr<TempDir> dir;
  for (int round = 0; round < count; ++round) {
    if (round % 20 == 0) dir = std::make_unique<TempDir>();  // held ones fill it
    const std::string data = dir->data();
    int pipes[2];
    ASSERT_EQ(pipe(pipes), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      close(pipes[0]);
      collect_forever(data, static_cast<uint32_t>(round), pipes[1]);
    }
    close(pipes[1]);
    usleep(std::uniform_int_distribution<useconds_t>(2'000, 30'000)(random));
    ASSERT_EQ(kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the collector failed by itself: " << WEXITSTATUS(status);
    std::vector<std::string> kept;
    Acknowledged one;
    while (read(pipes[0], &one, sizeof one) == ssize_t{sizeof one}) kept.emplace_back(one.id, sizeof one.id);
    close(pipes[0]);

    auto store = open_store({.data_dir = data});
    ASSERT_TRUE(store) << store.error().str();
    auto files = EvidenceFiles::open(options_for(data), **store, **store);
    ASSERT_TRUE(files) << files.error().str();
    for (const std::string& id : kept) {
      const auto item = (*files)->find(id);
      ASSERT_TRUE(item) << id;
      EXPECT_TRUE(item->is_held);
    }
    EXPECT_TRUE(std::filesystem::is_empty(data + "/evidence/parts"));
    const auto found = verify_evidence_of(data, {}, nullptr);
    ASSERT_TRUE(found);
    ASSERT_TRUE(found->findings.empty()) << "round " << round << ": " << to_string(found->findings[0].fault) << " "
                                         << found->findings[0].detail;
    const uint64_t known = (*files)->list({.kind = EvidenceKind::orphan})->size();
    orphans += known - std::min(known, round % 20 == 0 ? 0 : seen);
    seen = known;
    const auto chain = verify_audit_of(data, {});
    ASSERT_TRUE(chain);
    ASSERT_FALSE(chain->broken) << to_string(chain->broken->fault) << chain->broken->found;
  }
  printf("%d injected crashes, %lu orphans\n", count, static_cast<unsigned long>(orphans));
}

}  // namespace
}  // namespace quell::record
