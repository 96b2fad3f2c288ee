#include "apps/quell/held_detections.h"

#include <gtest/gtest.h>

namespace quell::cli {
namespace {

const std::string kFirst(64, 'a'), kSecond(64, 'b');

class Held : public ::testing::Test {
 protected:
  static Detection detection(const std::string& id, uint64_t at_ns, const std::string& container = {}) {
    Detection out;
    out.id = id;
    out.rule = "r";
    out.kernel_ns = at_ns;
    out.container_full_id = container;
    out.container_id = container.substr(0, 12);
    out.output_fields = {{"container.name", {}}};
    out.message = "in <NA>";
    return out;
  }
  static std::shared_ptr<const Container> container(const std::string& full_id, const std::string& name) {
    auto out = std::make_shared<Container>();
    out->id = std::string(12, name[0]);
    out->full_id = full_id;
    out->name = name;
    return out;
  }
  std::string sent() const {
    std::string out;
    for (const Detection& one : sent_)
      out += one.id + (one.container != nullptr ? "=" + one.container->name : "") + " ";
    return out;
  }

  std::vector<Detection> sent_;
  HeldDetections held_{{.patience_ns = 100, .capacity = 3},
                       [](std::string_view) { return std::string("in %container.name"); },
                       [this](Detection&& detection) { sent_.push_back(std::move(detection)); }};
};

TEST_F(Held, WhoAwaitsNothingPassesAtOnce) {
  held_.add(detection("1", 10));
  EXPECT_EQ(sent(), "1 ");
  EXPECT_TRUE(held_.empty());
}

TEST_F(Held, TheOrderOfEventsStays) {
  held_.add(detection("1", 10, kFirst));
  held_.add(detection("2", 11));
  held_.add(detection("3", 12, kSecond));
  held_.described(container(kSecond, "bbb"), 20);
  EXPECT_EQ(sent(), "") << "the first is still waiting";
  held_.described(container(kFirst, "aaa"), 30);
  EXPECT_EQ(sent(), "1=aaa 2 3=bbb ");
  EXPECT_EQ(sent_[0].message, "in aaa");
  EXPECT_EQ(sent_[0].completed_ns, 30u);
  EXPECT_EQ(sent_[2].completed_ns, 20u);
}

TEST_F(Held, AShortIdIsEnough) {
  held_.add(detection("1", 10, kFirst));
  held_.described(container({}, "aaa"), 20);
  EXPECT_EQ(sent(), "1=aaa ");
}

TEST_F(Held, OthersMetadataIsNotTheirs) {
  held_.add(detection("1", 10, kFirst));
  held_.described(container(kSecond, "bbb"), 20);
  held_.described(container({}, "ccc"), 30);
  EXPECT_EQ(sent(), "");
}

TEST_F(Held, PatienceEndsByTheCapturesTime) {
  held_.add(detection("1", 10, kFirst));
  held_.add(detection("2", 50, kSecond));
  held_.tick(109);
  EXPECT_EQ(sent(), "");
  held_.tick(110);
  EXPECT_EQ(sent(), "1 ");
  held_.add(detection("3", 150));
  EXPECT_EQ(sent(), "1 2 3 ") << "an event tells the time, too";
}

TEST_F(Held, TimeThatGoesBackwardsKeepsNobodyLonger) {
  held_.add(detection("1", 10, kFirst));
  held_.tick(90);
  held_.tick(5);
  held_.add(detection("2", 110, kSecond));
  EXPECT_EQ(sent(), "1 ");
}

TEST_F(Held, MoreThanThereIsRoomForPushTheOldestOut) {
  for (const char* id : {"1", "2", "3"}) held_.add(detection(id, 10, kFirst));
  EXPECT_EQ(sent(), "");
  held_.add(detection("4", 10, kFirst));
  EXPECT_EQ(sent(), "1 ");
  held_.described(container(kFirst, "aaa"), 20);
  EXPECT_EQ(sent(), "1 2=aaa 3=aaa 4=aaa ");
}

TEST_F(Held, TheEndSendsAllAndANewCaptureHasItsOwnTime) {
  held_.add(detection("1", 1000, kFirst));
  held_.flush();
  EXPECT_EQ(sent(), "1 ");
  held_.add(detection("2", 10, kFirst));
  EXPECT_FALSE(held_.empty());
}

}  // namespace
}  // namespace quell::cli
