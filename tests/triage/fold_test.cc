// Repeats become a counter, and nothing that differs is ever lost in one.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "triage/fold_key.h"
#include "triage/folder.h"

namespace quell::triage {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

Detection detection(const std::string& file, uint64_t kernel_ns = kSecond) {
  static uint64_t count = 0;
  Detection out;
  out.id = "d-" + std::to_string(++count);
  out.rule = "r";
  out.exepath = "/bin/cat";
  out.cmdline = "cat";
  out.user_name = "root";
  out.container_id = "host";
  out.kernel_ns = kernel_ns;
  out.evidence_ref = "scap:x#" + std::to_string(count);
  out.output_fields = {{"evt.time", kernel_ns}, {"fd.name", file}, {"proc.pid", int64_t(1000 + count)}};
  return out;
}

struct Sent {
  Detection detection;
  bool is_summary;
};

class Fold : public ::testing::Test {
 protected:
  Folder make(Folder::Options options) {
    return Folder(
        options,
        [this](std::string_view rule) {
          const auto found = windows_.find(std::string(rule));
          return found == windows_.end() ? std::optional<uint64_t>() : found->second;
        },
        [this](Detection&& out, bool is_summary) {
          sent_.push_back({std::move(out), is_summary});
        });
  }
  std::vector<Sent> sent_;
  std::map<std::string, uint64_t> windows_;
};

TEST(FoldKey, IgnoresWhatDiffersBetweenAnyTwoEvents) {
  const Detection one = detection("/etc/shadow", 1), other = detection("/etc/shadow", 2);
  EXPECT_EQ(fold_key(one), fold_key(other));
}

TEST(FoldKey, TellsApartWhatReadsDifferently) {
  const Detection base = detection("/etc/shadow");
  std::set<std::string> keys = {fold_key(base), fold_key(detection("/etc/passwd"))};
  const auto changed = [&](auto&& change) {
    Detection copy = base;
    change(copy);
    keys.insert(fold_key(copy));
  };
  changed([](Detection& d) { d.rule = "s"; });
  changed([](Detection& d) { d.exepath = "/tmp/cat"; });
  changed([](Detection& d) { d.cmdline = "cat -n"; });
  changed([](Detection& d) { d.user_name = "anna"; });
  changed([](Detection& d) { d.container_id = "3ad7b26ded6d"; });
  changed([](Detection& d) { d.container_full_id = std::string(64, 'a'); });
  changed([](Detection& d) { d.output_fields.emplace_back("proc.pname", std::string("sh")); });
  changed([](Detection& d) { d.output_fields.emplace_back("proc.pname", std::monostate()); });
  // Values cannot run into each other.
  changed([](Detection& d) { d.exepath = "/bin/catcat", d.cmdline = ""; });
  EXPECT_EQ(keys.size(), 11u);
}

TEST(FoldKey, AConnectionIsTheSameFromAnotherClientPort) {
  Detection one = detection("10.0.0.1:40001->203.0.113.9:443"), other = detection("10.0.0.1:40002->203.0.113.9:443");
  EXPECT_EQ(fold_key(one), fold_key(other));
  EXPECT_NE(fold_key(one), fold_key(detection("10.0.0.1:40001->203.0.113.9:80")));
  EXPECT_NE(fold_key(one), fold_key(detection("10.0.0.2:40001->203.0.113.9:443")));
  EXPECT_EQ(fold_key(detection("[::1]:40001->[::2]:443")), fold_key(detection("[::1]:40002->[::2]:443")));
}

TEST(FoldKey, MetadataThatComesLateChangesNothing) {
  Detection early = detection("/x");
  early.output_fields.emplace_back("container.name", std::monostate());
  Detection late = early;
  late.output_fields.back().second = std::string("web");
  EXPECT_EQ(fold_key(early), fold_key(late));
}

TEST(FoldKey, TheFieldsOfTheRuleDecideAlone) {
  Detection one = detection("/etc/shadow"), other = detection("/etc/passwd");
  one.fold_key = other.fold_key = std::string("sh\0", 3);
  other.container_id = "elsewhere";
  EXPECT_EQ(fold_key(one), fold_key(other));
  other.fold_key = std::string("bash\0", 5);
  EXPECT_NE(fold_key(one), fold_key(other));
}

TEST_F(Fold, TheFirstGoesOutAtOnceAndTheRestAsACount) {
  Folder folder = make({.window_ns = 10 * kSecond});
  Detection first = detection("/x", 100 * kSecond);
  const std::string id = first.id;
  folder.add(std::move(first), 0);
  ASSERT_EQ(sent_.size(), 1u);
  EXPECT_FALSE(sent_[0].is_summary);
  EXPECT_EQ(sent_[0].detection.folded.count, 0u);
  folder.add(detection("/x", 103 * kSecond), 3 * kSecond);
  Detection last = detection("/x", 102 * kSecond);  // of another processor: earlier, but told later
  const std::string evidence = last.evidence_ref;
  folder.add(std::move(last), 4 * kSecond);
  EXPECT_EQ(sent_.size(), 1u);
  folder.tick(9 * kSecond);
  EXPECT_EQ(sent_.size(), 1u);
  folder.tick(10 * kSecond);
  ASSERT_EQ(sent_.size(), 2u);
  EXPECT_TRUE(sent_[1].is_summary);
  EXPECT_EQ(sent_[1].detection.id, id);
  EXPECT_EQ(sent_[1].detection.folded.count, 2u);
  EXPECT_EQ(sent_[1].detection.folded.first_ns, 103 * kSecond);
  EXPECT_EQ(sent_[1].detection.folded.last_ns, 103 * kSecond);
  EXPECT_EQ(sent_[1].detection.folded.last_evidence_ref, evidence);
  EXPECT_EQ(folder.counters().folded, 2u);
  EXPECT_EQ(folder.counters().summaries, 1u);
  EXPECT_EQ(folder.counters().open, 0u);
  folder.add(detection("/x"), 11 * kSecond);
  EXPECT_EQ(sent_.size(), 3u) << "a new window begins with a detection that goes out";
}

TEST_F(Fold, AWindowWithoutRepeatsEndsSilently) {
  Folder folder = make({.window_ns = kSecond});
  folder.add(detection("/x"), 0);
  folder.flush();
  EXPECT_EQ(sent_.size(), 1u);
}

TEST_F(Fold, RulesHaveWindowsOfTheirOwn) {
  windows_ = {{"r", 60 * kSecond}, {"never", 0}};
  Folder folder = make({.window_ns = kSecond});
  folder.add(detection("/x"), 0);
  folder.add(detection("/x"), 50 * kSecond);
  EXPECT_EQ(sent_.size(), 1u);
  for (int i = 0; i < 3; ++i) {
    Detection other = detection("/x");
    other.rule = "never";
    folder.add(std::move(other), 50 * kSecond);
  }
  EXPECT_EQ(sent_.size(), 4u);
}

TEST_F(Fold, OffIsOffForRulesWithAWindowToo) {
  windows_ = {{"r", 60 * kSecond}};
  Folder folder = make({.window_ns = 0});
  for (int i = 0; i < 3; ++i) folder.add(detection("/x"), 0);
  EXPECT_EQ(sent_.size(), 3u);
  EXPECT_EQ(folder.counters().open, 0u);
}

TEST_F(Fold, AFullTableEndsTheOldestWindowAndTellsItsCount) {
  Folder folder = make({.window_ns = 10 * kSecond, .capacity = 2});
  folder.add(detection("/a"), 0);
  folder.add(detection("/a"), 0);
  folder.add(detection("/b"), 1);
  folder.add(detection("/c"), 2);
  EXPECT_EQ(folder.counters().evicted, 1u);
  EXPECT_EQ(folder.counters().open, 2u);
  ASSERT_EQ(sent_.size(), 4u);
  EXPECT_TRUE(sent_[3].is_summary);
  EXPECT_EQ(sent_[3].detection.folded.count, 1u);
}

TEST_F(Fold, LateFactsReachTheSummaryAndKeepTheCount) {
  Folder folder = make({.window_ns = 10 * kSecond});
  Detection first = detection("/x");
  Detection completed = first;
  completed.container = std::make_shared<const Container>();
  folder.add(std::move(first), 0);
  folder.add(detection("/x"), 1);
  folder.update(completed);
  EXPECT_EQ(completed.folded.count, 1u) << "what replaces it in the store must not lose the count so far";
  folder.flush();
  ASSERT_EQ(sent_.size(), 2u);
  EXPECT_NE(sent_[1].detection.container, nullptr);
  EXPECT_EQ(sent_[1].detection.folded.count, 1u);
}

// Whatever comes in whatever order: every key is seen, and every detection is either delivered or counted, once.
TEST_F(Fold, NothingIsEverLost) {
  std::mt19937 random(7);
  Folder folder = make({.window_ns = 50, .capacity = 8});
  std::map<std::string, uint64_t> in;
  uint64_t now = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::string file = "/" + std::to_string(random() % 24);
    ++in[file];
    folder.add(detection(file), now += random() % 5);
  }
  folder.flush();
  std::map<std::string, uint64_t> out;
  for (const Sent& sent : sent_) {
    const std::string& file = std::get<std::string>(sent.detection.output_fields[1].second);
    out[file] += sent.is_summary ? sent.detection.folded.count : 1;
  }
  EXPECT_EQ(in, out);
  EXPECT_GT(folder.counters().folded, 0u);
  EXPECT_GT(folder.counters().evicted, 0u);
}

}  // namespace
}  // namespace quell::triage
