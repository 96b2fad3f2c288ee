// Captures on disk: whole under their name or not there, within a budget, and honest when the disk is not.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>

#include "capture/flight/capture_files.h"
#include "capture/scap/reader.h"
#include "machine.h"

namespace quell::capture::flight {
namespace {

namespace fs = std::filesystem;

class Captures : public ::testing::Test {
 protected:
  Captures() {
    char name[] = "/tmp/quell-captures-XXXXXX";
    root_ = ::mkdtemp(name);
    folder_ = root_ + "/captures";
  }
  ~Captures() override { fs::remove_all(root_); }

  std::unique_ptr<CaptureFiles> open(uint64_t max_disk = 1 << 30, size_t max_queue = 16 << 20) {
    auto files = CaptureFiles::open({.folder = folder_,
                                     .max_disk_bytes = max_disk,
                                     .max_queue_bytes = max_queue,
                                     .on_done = [this](const CaptureRef& ref) { done_.push_back(ref); }});
    EXPECT_TRUE(files) << (files ? "" : files.error().str());
    return files ? *std::move(files) : nullptr;
  }
  /// Events whose text does not compress to nothing.
  static std::shared_ptr<const Chunk> chunk(int events, uint32_t seed = 1) {
    auto out = std::make_shared<Chunk>();
    std::mt19937 random(seed);
    for (int i = 0; i < events; ++i) {
      std::string name = "/";
      for (int k = 0; k < 40; ++k) name += static_cast<char>('a' + random() % 26);
      out->append_event(test::make_event(ev::SYSCALL_UNLINKAT_2_X, test::kMachineStartNs + static_cast<uint64_t>(i), 1,
                                         {{"res", int64_t{0}}, {"name", name}}),
                        0, false);
    }
    return out;
  }
  static CaptureRef ref(const std::string& id) {
    CaptureRef out;
    out.id = id;
    out.rule = "r";
    out.trigger_ns = 5;
    out.events = 1;
    return out;
  }
  void write(CaptureFiles& files, const std::string& id, int events, uint32_t seed = 1) {
    files.begin(id);
    EXPECT_TRUE(files.add(id, chunk(events, seed)));
    Snapshot base;
    base.threads.emplace_back();
    base.threads[0].tid = base.threads[0].pid = 1;
    base.threads[0].comm = "init";
    files.finish(ref(id), base, {});
  }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(folder_)) out.push_back(entry.path().filename());
    std::sort(out.begin(), out.end());
    return out;
  }

  std::string root_, folder_;
  std::vector<CaptureRef> done_;
};

TEST_F(Captures, AreWholeReadableAndTheOwnersAlone) {
  auto files = open();
  write(*files, "d-1", 500);
  files->close();
  EXPECT_EQ(names(), (std::vector<std::string>{"d-1.json", "d-1.scap"}));
  ASSERT_EQ(done_.size(), 1u);
  EXPECT_EQ(done_[0].state, CaptureState::complete);
  EXPECT_EQ(done_[0].size_bytes, fs::file_size(folder_ + "/d-1.scap"));
  EXPECT_EQ(done_[0].sha256, *sha256_of_file(folder_ + "/d-1.scap"));
  for (const char* name : {"", "/d-1.scap", "/d-1.json"}) {
    struct stat status {};
    ASSERT_EQ(stat((folder_ + name).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0077, 0u) << name;
  }
  const auto source = capture::open_scap(folder_ + "/d-1.scap");
  ASSERT_TRUE(source) << source.error().str();
  EXPECT_EQ((*source)->snapshot().threads.at(0).comm, "init");
  EventBatch batch;
  size_t events = 0;
  for (;;) {
    const auto pull = (*source)->fill(batch, 0);
    ASSERT_TRUE(pull) << pull.error().str();
    events += batch.size();
    if (*pull == capture::Pull::ended) break;
  }
  EXPECT_EQ(events, 500u);

  const auto listed = list_captures(folder_);
  ASSERT_TRUE(listed);
  ASSERT_EQ(listed->size(), 1u);
  EXPECT_EQ(capture_ref_to_json(listed->at(0)), capture_ref_to_json(done_[0]));
  EXPECT_EQ(find_capture(folder_, "d-2").error().code, Code::not_found);
  EXPECT_EQ(find_capture(folder_, "../captures/d-1").error().code, Code::not_found);
}

TEST_F(Captures, TheOldestGoForRoom) {
  {
    auto files = open();
    for (int i = 0; i < 4; ++i) {
      write(*files, "d-" + std::to_string(i), 1000, static_cast<uint32_t>(i));
    }
    files->close();
  }
  const uint64_t one = fs::file_size(folder_ + "/d-0.scap");
  // The budget holds over a restart.
  auto files = open(3 * one + one / 2);
  EXPECT_EQ(files->counters().files, 4u);
  write(*files, "d-4", 1000, 4);
  files->close();
  EXPECT_EQ(files->counters().removed_for_room, 2u);
  EXPECT_EQ(files->counters().files, 3u);
  EXPECT_LE(files->counters().bytes, 3 * one + one / 2);
  EXPECT_EQ(names(),
            (std::vector<std::string>{"d-2.json", "d-2.scap", "d-3.json", "d-3.scap", "d-4.json", "d-4.scap"}));
}

TEST_F(Captures, ACaptureLargerThanTheBudgetFailsAndTouchesNoOther) {
  auto files = open(40'000);
  write(*files, "d-small", 100);
  write(*files, "d-large", 5'000);
  files->close();
  ASSERT_EQ(done_.size(), 2u);
  EXPECT_EQ(done_[1].state, CaptureState::failed);
  EXPECT_FALSE(done_[1].note.empty());
  EXPECT_EQ(files->counters().failed, 1u);
  EXPECT_FALSE(files->counters().error.empty());
  EXPECT_EQ(names(), (std::vector<std::string>{"d-small.json", "d-small.scap"}));
}

TEST_F(Captures, AFullDiskEndsTheCaptureAndIsSaid) {
  auto files = open();
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  rlimit small = before;
  small.rlim_cur = 20'000;  // what a write beyond it meets is like a full disk
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  write(*files, "d-1", 5'000);
  files->close();
  ::setrlimit(RLIMIT_FSIZE, &before);
  ASSERT_EQ(done_.size(), 1u);
  EXPECT_EQ(done_[0].state, CaptureState::failed);
  EXPECT_EQ(files->counters().failed, 1u);
  EXPECT_FALSE(files->counters().error.empty());
  EXPECT_TRUE(names().empty());

  auto again = open();
  write(*again, "d-2", 100);
  again->close();
  EXPECT_TRUE(again->counters().error.empty()) << "well again";
  EXPECT_EQ(again->counters().leftovers, 0u);
}

TEST_F(Captures, ASlowDiskCutsTheCapture) {
  auto files = open(1 << 30, 1);
  files->begin("d-1");
  bool is_taken = true;
  const auto large = chunk(50'000);
  for (int i = 0; i < 100 && is_taken; ++i) is_taken = files->add("d-1", large);
  EXPECT_FALSE(is_taken) << "what waits has a bound";
  EXPECT_FALSE(files->add("d-1", chunk(1))) << "no holes: once cut, it stays cut";
  files->finish(ref("d-1"), {}, {});
  files->close();
  ASSERT_EQ(done_.size(), 1u);
  EXPECT_EQ(done_[0].state, CaptureState::complete) << "what was taken is there";
}

TEST_F(Captures, UnfinishedFilesAreRemovedAtTheStart) {
  fs::create_directory(folder_);
  for (const char* name : {".d-1.events.part", ".d-1.scap.part", "d-2.json", "d-3.scap", "d-3.json", "notes.txt"})
    std::ofstream(folder_ + "/" + name) << "x";
  auto files = open();
  EXPECT_EQ(files->counters().leftovers, 3u);
  EXPECT_EQ(files->counters().files, 1u);
  files->close();
  EXPECT_EQ(names(), (std::vector<std::string>{"d-3.json", "d-3.scap", "notes.txt"}));
}

TEST_F(Captures, AFolderThatCannotBeMadeIsRefused) {
  const auto files = CaptureFiles::open({.folder = root_ + "/no/such/captures", .on_done = {}});
  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().code, Code::not_found);
}

TEST_F(Captures, AKillInTheMiddleLeavesNothingUnderTheFinalName) {
  for (int round = 0; round < 8; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      auto files = CaptureFiles::open({.folder = folder_, .on_done = {}});
      if (!files) ::_exit(1);
      for (int i = 0;; ++i) {
        while ((*files)->counters().queued_bytes > (1 << 20)) ::usleep(1'000);
        write(**files, "d-" + std::to_string(round) + "-" + std::to_string(i), 2'000);
      }
    }
    ::usleep(static_cast<useconds_t>(20'000 + 13'000 * round));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "it ended by itself";
    auto files = open();
    for (const std::string& name : names()) EXPECT_FALSE(name.ends_with(".part")) << name;
    files->close();
    const auto listed = list_captures(folder_);
    ASSERT_TRUE(listed);
    for (const CaptureRef& ref : *listed) EXPECT_EQ(*sha256_of_file(ref.path), ref.sha256) << ref.path;
    done_.clear();
  }
}

}  // namespace
}  // namespace quell::capture::flight
