// The evidence store: written once, named by content, bounded, held, and honest about what it lost.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "base/json.h"
#include "base/sha256.h"
#include "fixtures.h"
#include "model/evidence_json.h"
#include "record/audit/verify.h"
#include "record/evidence/files.h"
#include "record/evidence/verify.h"

namespace quell::record {
namespace {

std::span<const uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::string sha256_of(std::string_view text) {
  Sha256 sum;
  sum.update(bytes_of(text));
  return sum.finish();
}

class Evidence : public testing::Test {
 protected:
  void SetUp() override { reopen(); }
  void reopen(EvidenceOptions options = {}) {
    files_.reset();
    store_.reset();
    auto store = open_store({.data_dir = dir_.data()});
    ASSERT_TRUE(store) << store.error().str();
    store_ = std::move(*store);
    options.folder = dir_.data() + "/evidence";
    options.clock = &clock_;
    auto files = EvidenceFiles::open(options, *store_, *store_);
    ASSERT_TRUE(files) << files.error().str();
    files_ = std::move(*files);
  }
  Result<EvidenceItem> add(std::string_view content, const std::string& action_id = {}) {
    EvidenceRequest request;
    request.kind = EvidenceKind::process_tree;
    request.name = "tree";
    request.action_id = action_id;
    request.collector = "test";
    QUELL_TRY(const auto writer, files_->begin(request));
    QUELL_CHECK(writer->write(bytes_of(content)));
    return writer->finish();
  }
  std::string path_of(const EvidenceItem& item) { return evidence_object_path(dir_.data() + "/evidence", item.sha256); }
  std::vector<std::string> custody(const std::string& id) {
    std::vector<std::string> out;
    const auto entries = store_->audit_entries({.subject = id});
    for (const AuditEntry& entry : *entries) out.push_back(Json::parse(entry.body_json)->at("event").str());
    return out;
  }
  size_t files_in(const std::string& folder) {
    size_t count = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_.data() + "/evidence/" + folder))
      count += entry.is_regular_file() ? 1 : 0;
    return count;
  }

  TempDir dir_;
  ManualClock clock_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<EvidenceFiles> files_;
};

TEST_F(Evidence, AnObjectIsItsContentAndIsWrittenOnce) {
  const auto item = add("hello");
  ASSERT_TRUE(item) << item.error().str();
  EXPECT_EQ(item->sha256, sha256_of("hello"));
  EXPECT_EQ(item->size, 5u);
  EXPECT_FALSE(item->host.empty());
  EXPECT_TRUE(item->clock.is_known);
  struct stat info {};
  ASSERT_EQ(stat(path_of(*item).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0400u);
  EXPECT_EQ(evidence_to_json(*files_->find(item->id)), evidence_to_json(*item));
  EXPECT_EQ(custody(item->id), (std::vector<std::string>{"collected"}));
  // The same content again: another entry, the same object, the same room.
  const auto again = add("hello");
  ASSERT_TRUE(again);
  EXPECT_NE(again->id, item->id);
  EXPECT_EQ(files_in("objects"), 1u);
  EXPECT_EQ(files_->counters()->items, 2u);
  EXPECT_EQ(files_->counters()->bytes, 5u);
  EXPECT_EQ(files_->find("e-none").error().code, Code::not_found);
  EXPECT_EQ(files_->list({.kind = EvidenceKind::memory})->size(), 0u);
  EXPECT_EQ(files_->list({.before_id = again->id})->size(), 1u);
  EXPECT_TRUE(verify_evidence_of(dir_.data(), {}, nullptr)->findings.empty());
}

TEST_F(Evidence, ADescriptorIsStreamedAndNotesAreKept) {
  std::ofstream(dir_.path() + "/source") << std::string(700'000, 'x') << "end";
  const int fd = open((dir_.path() + "/source").c_str(), O_RDONLY);
  const auto writer = files_->begin({.kind = EvidenceKind::file, .name = "/source"});
  ASSERT_TRUE(writer);
  EXPECT_EQ(*(*writer)->copy_from(fd), 700'003u);
  close(fd);
  (*writer)->note_skipped("its attributes");
  for (int i = 0; i < 500; ++i) (*writer)->note_error("one of very many");
  const auto item = (*writer)->finish();
  ASSERT_TRUE(item);
  EXPECT_EQ(item->sha256, sha256_of(std::string(700'000, 'x') + "end"));
  EXPECT_EQ(item->skipped.size(), 1u);
  EXPECT_EQ(item->errors.size(), 101u) << "bounded";
  EXPECT_FALSE((*writer)->finish());
  EXPECT_FALSE((*writer)->write(bytes_of("more")));
}

TEST_F(Evidence, WhatIsNotFinishedLeavesNothing) {
  {
    const auto writer = files_->begin({});
    ASSERT_TRUE((*writer)->write(bytes_of("half")));
    EXPECT_EQ(files_in("parts"), 1u);
  }
  EXPECT_EQ(files_in("parts"), 0u);
  EXPECT_EQ(files_in("objects"), 0u);
  EXPECT_EQ(files_->counters()->items, 0u);
}

TEST_F(Evidence, EveryReadExportAndHoldIsInTheCustody) {
  const auto item = add("0123456789");
  EXPECT_EQ(*files_->read(item->id, "uid:5", 0, UINT64_MAX), "0123456789");
  EXPECT_EQ(*files_->read(item->id, "uid:5", 4, 3), "456");
  EXPECT_EQ(files_->read(item->id, "uid:5", 11, 1).error().code, Code::invalid_argument);
  ASSERT_TRUE(files_->hand_out(item->id, "uid:6", "exported"));
  ASSERT_TRUE(files_->set_hold(item->id, true, "uid:7", "case 12"));
  EXPECT_TRUE(files_->find(item->id)->is_held);
  ASSERT_TRUE(files_->set_hold(item->id, false, "uid:7", "closed"));
  EXPECT_EQ(custody(item->id),
            (std::vector<std::string>{"collected", "read", "read 4+3", "exported", "held", "released"}));
  EXPECT_EQ(store_->audit_entries({.subject = item->id})->back().actor, "uid:7");
  EXPECT_EQ(files_->hand_out("e-none", "x", "read").error().code, Code::not_found);
  EXPECT_EQ(files_->set_hold("e-none", true, "x", "").error().code, Code::not_found);
  const auto chain = verify_audit_of(dir_.data(), {});
  EXPECT_FALSE(chain->broken) << chain->broken->found;
}

TEST_F(Evidence, TheOldestGoesForRoomButNotWhatIsHeldOrOfAnOpenAction) {
  reopen({.max_bytes = 100, .max_object_bytes = 60});
  ASSERT_TRUE(store_->save_action(make_action(1, ActionState::executing)));
  const auto open_one = add(std::string(30, 'a'), make_action(1).id);
  const auto held = add(std::string(30, 'b'));
  ASSERT_TRUE(files_->set_hold(held->id, true, "uid:0", ""));
  const auto old = add(std::string(30, 'c'));
  const auto young = add(std::string(30, 'd'));
  ASSERT_TRUE(young) << young.error().str();
  EXPECT_EQ(files_->find(old->id).error().code, Code::not_found);
  EXPECT_EQ(custody(old->id), (std::vector<std::string>{"collected", "deleted"}));
  EXPECT_EQ(files_->counters()->dropped, 1u);
  EXPECT_EQ(files_->counters()->dropped_bytes, 30u);
  EXPECT_EQ(files_in("objects"), 3u);
  // Too large for one, and for all.
  EXPECT_EQ(add(std::string(61, 'x')).error().code, Code::limit);
  ASSERT_TRUE(files_->set_hold(young->id, true, "uid:0", ""));
  const auto refused = add(std::string(30, 'e'));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::limit);
  EXPECT_EQ(files_->counters()->refused, 1u);
  EXPECT_EQ(files_->counters()->items, 3u);
  // The action is over: what was its evidence may go.
  ASSERT_TRUE(store_->save_action(make_action(1, ActionState::failed)));
  ASSERT_TRUE(add(std::string(30, 'e')));
  EXPECT_EQ(files_->find(open_one->id).error().code, Code::not_found);
  EXPECT_TRUE(files_->find(held->id));
  EXPECT_TRUE(verify_evidence_of(dir_.data(), {}, nullptr)->findings.empty());
}

TEST_F(Evidence, ItemsAreBoundedToo) {
  reopen({.max_items = 3});
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(add(""));
  EXPECT_EQ(files_->counters()->items, 3u);
}

TEST_F(Evidence, WhatIsTooOldGoesAndSharedContentStays) {
  const uint64_t day = 86'400ull * 1'000'000'000;
  // The journal tells the time by its own clock, which is the machine's: the items are made old instead.
  const auto held = add("held");
  const auto shared = add("shared");
  ASSERT_TRUE(files_->set_hold(held->id, true, "uid:0", ""));
  clock_ = ManualClock(system_clock().realtime_ns());
  const auto young = add("shared");
  reopen({.max_age_ns = 90 * day});
  EXPECT_EQ(files_->find(shared->id).error().code, Code::not_found);
  EXPECT_TRUE(files_->find(held->id));
  EXPECT_TRUE(files_->find(young->id));
  EXPECT_EQ(files_in("objects"), 2u);
  EXPECT_EQ(*files_->read(young->id, "x", 0, 100), "shared");
}

TEST_F(Evidence, AlteredMissingAndUncataloguedObjectsAreFound) {
  const auto altered = add("altered"), missing = add("missing"), fine = add("fine");
  ASSERT_EQ(chmod(path_of(*altered).c_str(), 0600), 0);
  std::ofstream(path_of(*altered)) << "Altered";
  std::filesystem::remove(path_of(*missing));
  const std::string stray = sha256_of("stray");
  std::filesystem::create_directories(dir_.data() + "/evidence/objects/" + stray.substr(0, 2));
  std::ofstream(dir_.data() + "/evidence/objects/" + stray.substr(0, 2) + "/" + stray) << "stray";
  const auto found = verify_evidence_of(dir_.data(), {}, nullptr);
  ASSERT_TRUE(found);
  ASSERT_EQ(found->findings.size(), 3u);
  for (const EvidenceFinding& finding : found->findings) {
    if (finding.id == altered->id) {
      EXPECT_EQ(finding.fault, EvidenceFault::altered);
    }
    if (finding.id == missing->id) {
      EXPECT_EQ(finding.fault, EvidenceFault::missing);
    }
    if (finding.id.empty()) {
      EXPECT_EQ(finding.fault, EvidenceFault::uncatalogued);
    }
    EXPECT_NE(finding.id, fine->id);
  }
  EXPECT_EQ(copy_evidence(path_of(*altered), *altered, dir_.path() + "/copy").error().code, Code::malformed);
  EXPECT_FALSE(std::filesystem::exists(dir_.path() + "/copy"));
  EXPECT_TRUE(copy_evidence(path_of(*fine), *fine, dir_.path() + "/copy"));
  EXPECT_EQ(copy_evidence(path_of(*fine), *fine, dir_.path() + "/copy").error().code, Code::already_exists);
  EXPECT_EQ(files_->hand_out(missing->id, "x", "read").error().code, Code::gone);
  // The next start catalogues what it does not know.
  reopen();
  const auto orphans = files_->list({.kind = EvidenceKind::orphan});
  ASSERT_EQ(orphans->size(), 1u);
  EXPECT_EQ(orphans->at(0).sha256, stray);
  EXPECT_EQ(orphans->at(0).size, 5u);
  reopen();
  EXPECT_EQ(files_->list({.kind = EvidenceKind::orphan})->size(), 1u);
}

TEST_F(Evidence, AStartRemovesPartsAndFinishesDeletions) {
  const auto item = add("going");
  std::ofstream(dir_.data() + "/evidence/parts/e-left") << "half";
  EvidenceItem going = *item;
  going.is_deleting = true;
  ASSERT_TRUE(store_->save_evidence(going, {AuditKind::evidence, going.id, "quell", R"({"event":"deleted"})"}));
  reopen();
  EXPECT_EQ(files_in("parts"), 0u);
  EXPECT_EQ(files_in("objects"), 0u);
  EXPECT_EQ(files_->find(item->id).error().code, Code::not_found);
  EXPECT_EQ(files_->counters()->dropped, 1u);
}

TEST_F(Evidence, ManyWriteAtOnceWithinTheBounds) {
  reopen({.max_bytes = 40'000});
  std::atomic<int> failed = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 25; ++i) {
        // Half of them the same content as the neighbour's.
        const auto item = add(std::string(1'000, 'a') + std::to_string(i % 2 == 0 ? i : 100 * t + i));
        if (!item) ++failed;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  EXPECT_LE(files_->counters()->bytes, 40'000u);
  EXPECT_TRUE(verify_evidence_of(dir_.data(), {}, nullptr)->findings.empty());
  EXPECT_EQ(files_->counters()->items + files_->counters()->dropped, 100u);
  reopen({.max_bytes = 40'000});
  EXPECT_FALSE(verify_audit_of(dir_.data(), {})->broken);
}

// On a file system of its own, which is full before the store's own bound is reached.
TEST(EvidenceDisk, AFullDiskIsAnErrorAndLeavesNothingHalf) {
  TempDir dir;
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const std::string place = dir.path() + "/disk";
    if (mkdir(place.c_str(), 0700) != 0) _exit(10);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("tmpfs", place.c_str(), "tmpfs", 0, "size=2m") != 0)
      _exit(77);
    auto store = open_store({.data_dir = place + "/data"});
    if (!store) _exit(11);
    auto files = EvidenceFiles::open({.folder = place + "/data/evidence"}, **store, **store);
    if (!files) _exit(12);
    const auto add = [&](size_t size, char what) -> Result<EvidenceItem> {
      QUELL_TRY(const auto writer, (*files)->begin({}));
      QUELL_CHECK(writer->write(bytes_of(std::string(size, what))));
      return writer->finish();
    };
    if (!add(10'000, 'a')) _exit(13);
    const auto full = add(4 << 20, 'b');
    if (full || full.error().code != Code::io) _exit(14);
    if (!add(10'000, 'c')) _exit(15);  // it goes on when there is room
    for (int i = 0; i < 400; ++i) (void)add(50'000, static_cast<char>(i));
    const auto found = verify_evidence_of(place + "/data", {}, nullptr);
    if (!found || !found->findings.empty()) _exit(16);
    if (!std::filesystem::is_empty(place + "/data/evidence/parts")) _exit(17);
    files->reset();
    store->reset();
    const auto chain = verify_audit_of(place + "/data", {});
    if (!chain || chain->broken) _exit(18);
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "a mount namespace needs root";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace quell::record
