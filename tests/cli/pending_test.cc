#include "apps/quell/pending_detections.h"

#include <gtest/gtest.h>

#include "apps/quell/completion.h"

namespace quell::cli {
namespace {

constexpr std::string_view kTemplate =
    "%proc.name ran (port=%fd.sport name=%container.name image=%container.image.repository).";

Detection detection(const std::string& id, const std::string& container = {}) {
  Detection out;
  out.id = id;
  out.rule = "r";
  out.container_full_id = container;
  out.output_fields = {{"container.image.repository", {}},
                       {"container.name", {}},
                       {"fd.sport", uint64_t{443}},
                       {"proc.name", std::string("sh")}};
  out.message = "sh ran (port=443 name=<NA> image=<NA>).";
  return out;
}

std::shared_ptr<const Container> container(const std::string& name) {
  auto out = std::make_shared<Container>();
  out->name = name;
  out->image_repository = "library/nginx";
  return out;
}

class Pending : public ::testing::Test {
 protected:
  std::vector<OutgoingDetection> sent_;
  PendingDetections pending_{{.patience_ns = 200, .capacity = 3, .late_capacity = 2, .bad_news_capacity = 2},
                             [](std::string_view) { return std::string(kTemplate); },
                             [this](OutgoingDetection&& outgoing) { sent_.push_back(std::move(outgoing)); }};
  static constexpr uint64_t kWall = 77;
  void told(const std::string& id, std::shared_ptr<const Container> info,
            ContainerMissing missing = ContainerMissing::none, bool is_final = true) {
    const std::string detail = info != nullptr ? "" : "said so";
    pending_.answer({.full_id = id, .info = info, .missing = missing, .detail = detail, .is_final = is_final}, kWall);
  }
  std::vector<std::string> sent_ids() const {
    std::vector<std::string> ids;
    for (const OutgoingDetection& outgoing : sent_)
      ids.push_back(outgoing.detection.id + (outgoing.is_update ? "*" : ""));
    return ids;
  }
};

TEST_F(Pending, HostDetectionsPassAtOnce) {
  pending_.add(detection("1"), 0);
  EXPECT_EQ(sent_ids(), std::vector<std::string>{"1"});
  EXPECT_TRUE(pending_.empty());
}

TEST_F(Pending, AnswerCompletesAndOthersPass) {
  pending_.add(detection("1", "aa"), 0);
  pending_.add(detection("2"), 1);
  pending_.add(detection("3", "aa"), 2);
  EXPECT_EQ(sent_ids(), std::vector<std::string>{"2"}) << "who waits holds nobody up";
  pending_.tick(199);
  EXPECT_EQ(sent_.size(), 1u);
  told("aa", container("web"));
  ASSERT_EQ(sent_ids(), (std::vector<std::string>{"2", "1", "3"})) << "in order within their container";
  EXPECT_EQ(sent_[1].detection.message, "sh ran (port=443 name=web image=library/nginx).");
  EXPECT_EQ(std::get<std::string>(sent_[1].detection.output_fields[1].second), "web");
  EXPECT_EQ(sent_[1].detection.container->name, "web");
  EXPECT_EQ(sent_[1].detection.completed_ns, kWall);
  EXPECT_EQ(sent_[0].detection.message, "sh ran (port=443 name=<NA> image=<NA>).");
  EXPECT_EQ(sent_[0].detection.completed_ns, 0u);
}

TEST_F(Pending, GoesOutWithoutAfterItsPatienceAndIsCompletedLater) {
  pending_.add(detection("1", "aa"), 0);
  pending_.tick(200);
  ASSERT_EQ(sent_ids(), std::vector<std::string>{"1"});
  EXPECT_EQ(sent_[0].detection.container, nullptr);
  EXPECT_EQ(sent_[0].detection.container_missing, ContainerMissing::pending);
  told("bb", container("other"));
  EXPECT_EQ(sent_.size(), 1u);
  told("aa", container("web"));
  ASSERT_EQ(sent_ids(), (std::vector<std::string>{"1", "1*"}));
  EXPECT_EQ(sent_[1].detection.container->name, "web");
  EXPECT_EQ(sent_[1].detection.container_missing, ContainerMissing::none);
  told("aa", container("web"));
  EXPECT_EQ(sent_.size(), 2u) << "once completed is enough";
  EXPECT_EQ(pending_.completed_late(), 1u);
}

TEST_F(Pending, BadNewsSendsItOnWithTheReasonAndBetterNewsCompletesIt) {
  pending_.add(detection("1", "aa"), 0);
  told("aa", nullptr, ContainerMissing::runtime_timeout, false);
  ASSERT_EQ(sent_ids(), std::vector<std::string>{"1"});
  EXPECT_EQ(sent_[0].detection.container_missing, ContainerMissing::runtime_timeout);
  EXPECT_EQ(sent_[0].detection.container_missing_detail, "said so");
  pending_.add(detection("2", "aa"), 1);
  ASSERT_EQ(sent_.size(), 2u) << "what follows need not wait again";
  EXPECT_EQ(sent_[1].detection.container_missing, ContainerMissing::runtime_timeout);
  told("aa", container("web"));
  EXPECT_EQ(sent_ids(), (std::vector<std::string>{"1", "2", "1*", "2*"}));
  pending_.add(detection("3", "aa"), 2);
  EXPECT_EQ(pending_.waiting(), 1u) << "the bad news is void";
}

TEST_F(Pending, TheLastWordIsStoredToo) {
  pending_.add(detection("1", "aa"), 0);
  pending_.tick(200);
  told("aa", nullptr, ContainerMissing::container_gone, true);
  ASSERT_EQ(sent_ids(), (std::vector<std::string>{"1", "1*"}));
  EXPECT_EQ(sent_[1].detection.container_missing, ContainerMissing::container_gone);
  EXPECT_EQ(pending_.late(), 0u);
  pending_.add(detection("2", "aa"), 300);
  EXPECT_EQ(sent_.size(), 3u);
  EXPECT_EQ(pending_.late(), 0u) << "nothing is awaited any more";
}

TEST_F(Pending, BoundsHold) {
  for (const char* id : {"1", "2", "3", "4"}) pending_.add(detection(id, "aa"), 0);
  EXPECT_EQ(sent_ids(), std::vector<std::string>{"1"}) << "the oldest makes room";
  pending_.flush();
  EXPECT_EQ(sent_.size(), 4u);
  EXPECT_EQ(pending_.forgotten(), 2u) << "two are remembered for completion, two are not";
  EXPECT_EQ(pending_.sent_incomplete(), 4u);
  for (const char* id : {"a", "b", "c"}) told(id, nullptr, ContainerMissing::container_gone, true);
  pending_.add(detection("5", "a"), 0);
  EXPECT_EQ(pending_.waiting(), 1u) << "the oldest bad news is forgotten";
  pending_.add(detection("6", "c"), 0);
  EXPECT_EQ(pending_.waiting(), 1u);
}

TEST(Completion, LeavesAMessageAloneThatItCannotFollow) {
  Detection odd = detection("1", "aa");
  odd.message = "something else entirely";
  complete(odd, container("web"), kTemplate, 1);
  EXPECT_EQ(odd.message, "something else entirely");
  EXPECT_EQ(std::get<std::string>(odd.output_fields[1].second), "web");
}

TEST(Completion, ValuesThatLookLikeTheTemplateDoNotLeadAstray) {
  Detection hostile = detection("1", "aa");
  hostile.output_fields[3].second = std::string("x ran (port=1 name=<NA> image=<NA>).");
  hostile.message = "x ran (port=1 name=<NA> image=<NA>). ran (port=443 name=<NA> image=<NA>).";
  complete(hostile, container("web"), kTemplate, 1);
  EXPECT_EQ(hostile.message, "x ran (port=1 name=<NA> image=<NA>). ran (port=443 name=web image=library/nginx).");
}

}  // namespace
}  // namespace quell::cli
