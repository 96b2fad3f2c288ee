// What every store must do, run over each row of stores.h.
#include <gtest/gtest.h>
#include <atomic>
#include <thread>

#include "fixtures.h"

namespace quell::record {
namespace {

class StoreConformance : public testing::TestWithParam<StoreSpec> {
 protected:
  void SetUp() override { reopen(); }
  void reopen(uint64_t max_detections = 1'000'000) {
    store_.reset();
    auto opened = GetParam().open({.data_dir = dir_.data(), .max_detections = max_detections});
    ASSERT_TRUE(opened) << opened.error().str();
    store_ = std::move(*opened);
  }
  void insert(std::vector<Detection> batch) { ASSERT_TRUE(store_->insert(batch)); }
  std::vector<std::string> query(const DetectionQuery& query) {
    auto found = store_->detections(query);
    EXPECT_TRUE(found) << found.error().str();
    return found ? ids(*found) : std::vector<std::string>{};
  }

  TempDir dir_;
  std::unique_ptr<Store> store_;
};

std::string id(uint64_t number) { return make_detection(number).id; }

TEST_P(StoreConformance, ADetectionComesBackAsItWas) {
  const Detection d = make_detection(1);
  insert({d});
  const auto back = store_->detection(d.id);
  ASSERT_TRUE(back);
  EXPECT_EQ(detection_to_json(*back), detection_to_json(d));
  reopen();
  EXPECT_EQ(detection_to_json(*store_->detection(d.id)), detection_to_json(d));
  EXPECT_EQ(store_->detection("d-none").error().code, Code::not_found);
}

TEST_P(StoreConformance, ALaterVersionReplacesAndKeepsItsPlace) {
  insert({make_detection(1), make_detection(2)});
  Detection completed = make_detection(1);
  completed.container_id = "feedfacefeed";
  insert({completed});
  EXPECT_EQ(query({}), (std::vector{id(2), id(1)}));
  EXPECT_EQ(query({.container_id = "feedfacefeed"}), (std::vector{id(1)}));
  EXPECT_EQ(store_->counters()->detections, 2u);
}

TEST_P(StoreConformance, FiltersAndPages) {
  std::vector<Detection> batch;
  for (uint64_t i = 0; i < 10; ++i)
    batch.push_back(make_detection(i, i < 5 ? "first" : "second", i == 7 ? Priority::critical : Priority::notice));
  insert(batch);
  EXPECT_EQ(query({.limit = 2}), (std::vector{id(9), id(8)}));
  EXPECT_EQ(query({.before_id = id(8), .limit = 2}), (std::vector{id(7), id(6)}));
  EXPECT_EQ(query({.oldest_first = true, .after_id = id(5), .limit = 2}), (std::vector{id(6), id(7)}));
  EXPECT_EQ(query({.rule = "first", .limit = 2}), (std::vector{id(4), id(3)}));
  EXPECT_EQ(query({.at_least = Priority::error}), (std::vector{id(7)}));
  EXPECT_EQ(query({.since_ns = 1'000'003, .until_ns = 1'000'005}), (std::vector{id(4), id(3)}));
  EXPECT_EQ(query({.container_id = "3ad7b26ded6d", .limit = 1}), (std::vector{id(8)}));
  EXPECT_EQ(query({.container_id = "3ad7b26ded6d" + std::string(52, '0'), .limit = 1}), (std::vector{id(8)}));
  EXPECT_TRUE(query({.rule = "no such rule' OR 1=1"}).empty());
  EXPECT_EQ(query({.limit = 0}).size(), 0u);
}

TEST_P(StoreConformance, HostileTextIsKeptAsText) {
  Detection d = make_detection(1);
  d.rule = "x'); DROP TABLE detections;--";
  d.message = std::string("nul \0 and \xff bytes", 17);
  insert({d});
  EXPECT_EQ(query({.rule = d.rule}).size(), 1u);
}

TEST_P(StoreConformance, ForgetsTheOldestAndCounts) {
  reopen(10);
  for (uint64_t i = 0; i < 25; ++i) insert({make_detection(i)});
  const auto counters = store_->counters();
  ASSERT_TRUE(counters);
  EXPECT_EQ(counters->detections, 10u);
  EXPECT_EQ(counters->detections_forgotten, 15u);
  EXPECT_EQ(store_->detection(id(14)).error().code, Code::not_found);
  EXPECT_TRUE(store_->detection(id(15)));
}

TEST_P(StoreConformance, MetaIsSetAndReplaced) {
  EXPECT_EQ(*store_->meta("name"), std::nullopt);
  ASSERT_TRUE(store_->set_meta("name", "one"));
  ASSERT_TRUE(store_->set_meta("name", "two"));
  reopen();
  EXPECT_EQ(*store_->meta("name"), "two");
}

TEST_P(StoreConformance, TheJournalKeepsTheLatestOfEachAction) {
  ASSERT_TRUE(store_->save_action(make_action(1, ActionState::executing)));
  ASSERT_TRUE(store_->save_action(make_action(1, ActionState::contained)));
  const auto found = store_->find_action(make_action(1).id);
  ASSERT_TRUE(found);
  EXPECT_EQ(action_to_json(*found), action_to_json(make_action(1, ActionState::contained)));
  EXPECT_EQ(store_->find_action("a-none").error().code, Code::not_found);
  reopen();
  EXPECT_TRUE(store_->find_action(make_action(1).id));
}

TEST_P(StoreConformance, TheJournalFindsTheNewestByKey) {
  ActionRecord first = make_action(1);
  ActionRecord second = make_action(2);
  second.command.idempotency_key = first.command.idempotency_key;
  ASSERT_TRUE(store_->save_action(first));
  ASSERT_TRUE(store_->save_action(second));
  EXPECT_EQ(store_->find_action_by_key(first.command.idempotency_key)->value().id, second.id);
  EXPECT_EQ(*store_->find_action_by_key("other"), std::nullopt);
}

TEST_P(StoreConformance, UnsettledActionsAreAllThereOldestFirst) {
  std::vector<ActionRecord> records;
  records.push_back(make_action(1, ActionState::executing));
  records.push_back(make_action(2, ActionState::contained));
  records.push_back(make_action(3, ActionState::contained));
  records.back().expires_ns = 9;
  records.push_back(make_action(4, ActionState::partially_contained));
  records.back().watch_until_ns = 9;
  records.push_back(make_action(5, ActionState::unknown));
  records.push_back(make_action(6, ActionState::undone));
  records.back().expires_ns = 9;
  for (const ActionRecord& record : records) ASSERT_TRUE(store_->save_action(record));
  EXPECT_EQ(ids(*store_->unsettled_actions()),
            (std::vector{records[0].id, records[2].id, records[3].id, records[4].id}));
  records[0].state = ActionState::failed;
  ASSERT_TRUE(store_->save_action(records[0]));
  EXPECT_EQ(store_->unsettled_actions()->size(), 3u);
}

TEST_P(StoreConformance, ActionsAreListedByFilter) {
  for (uint64_t i = 1; i <= 5; ++i)
    ASSERT_TRUE(store_->save_action(make_action(i, i == 3 ? ActionState::failed : ActionState::contained)));
  EXPECT_EQ(ids(*store_->list_actions({.limit = 2})), (std::vector{make_action(5).id, make_action(4).id}));
  EXPECT_EQ(ids(*store_->list_actions({.before_id = make_action(2).id})), (std::vector{make_action(1).id}));
  EXPECT_EQ(ids(*store_->list_actions({.state = ActionState::failed})), (std::vector{make_action(3).id}));
  EXPECT_EQ(store_->list_actions({.action = "container.kill"})->size(), 0u);
  EXPECT_EQ(store_->list_actions({.target = make_action(1).target.str()})->size(), 5u);
}

TEST_P(StoreConformance, OneOwner) {
  const auto second = GetParam().open({.data_dir = dir_.data()});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::conflict);
  EXPECT_NE(second.error().message.find(std::to_string(getpid())), std::string::npos) << second.error().str();
  reopen();
}

TEST_P(StoreConformance, ReadersAndTheWriterDoNotDisturbEachOther) {
  std::atomic<bool> failed = false;
  std::thread writer([&] {
    for (uint64_t i = 0; i < 40; ++i) {
      std::vector<Detection> batch;
      for (uint64_t j = 0; j < 10; ++j) batch.push_back(make_detection(i * 10 + j));
      if (!store_->insert(batch)) failed = true;
    }
  });
  std::thread journal([&] {
    for (uint64_t i = 0; i < 20; ++i)
      if (!store_->save_action(make_action(i))) failed = true;
  });
  for (int i = 0; i < 40; ++i) {
    const auto found = store_->detections({.limit = 1000});
    if (!found || found->size() % 10 != 0) failed = true;  // a batch is seen whole or not at all
  }
  writer.join();
  journal.join();
  EXPECT_FALSE(failed);
  EXPECT_EQ(store_->counters()->detections, 400u);
}

INSTANTIATE_TEST_SUITE_P(EveryStore, StoreConformance, testing::ValuesIn(kStores),
                         [](const auto& spec) { return std::string(spec.param.name); });

}  // namespace
}  // namespace quell::record
