#include "side_by_side.h"

#include <gtest/gtest.h>

#include <thread>

#include "apps/quell/evaluator.h"
#include "apps/quell/live_tables.h"
#include "capture/ebpf/call_tracepoints.h"

namespace quell::capture::test {

Seen judge(const Events& events, const cli::LoadedRules& rules, const Snapshot& snapshot) {
  Seen seen;
  seen.events = events.size();
  enrich::StateTables tables{enrich::Options{}};
  detect::Engine engine(rules.program);
  cli::EvaluatorOptions options;
  options.on_detection = [&](Detection&& detection) {
    seen.detections.insert(detection.rule + " pid " + std::to_string(detection.process.pid) + ": " + detection.message);
  };
  cli::Evaluator evaluator(tables, engine, options);
  evaluator.load(snapshot);
  EventBatch batch;
  for (const auto& event : events) batch.append(event->bytes, event->cpu);
  evaluator.run(batch);
  return seen;
}

BothViews see_both(const cli::LoadedRules& rules, const Interest& filter, const std::function<void()>& load,
                   const std::function<void(LiveSource&)>& change) {
  BothViews views;
  const auto snapshot = cli::scan_machine();
  EXPECT_TRUE(snapshot);
  if (!snapshot) return views;
  EbpfOptions everything;
  everything.interest = Interest(detect::wanted_event_codes(*rules.program));
  Sandbox all({}, everything);
  EbpfOptions filtered;
  filtered.scope = {Scope::Kind::cgroup, all.group(), 0};
  filtered.interest = filter;
  if (CallTracepoints::open()) filtered.attach = Attach::singly;
  Sandbox few({}, filtered);
  std::thread changer;
  if (change) changer = std::thread([&] { change(few.source()); });
  views.all_events = all.run(load);
  if (changer.joinable()) changer.join();
  views.few_events = few.collect();
  views.status = all.status();
  views.all = judge(views.all_events, rules, *snapshot);
  views.few = judge(views.few_events, rules, *snapshot);
  EXPECT_EQ(views.few.detections, views.all.detections);
  EXPECT_EQ(all.source().counters().lost(), 0u);
  EXPECT_EQ(few.source().counters().lost(), 0u);
  printf("%zu of %zu events, %zu detections\n", views.few.events, views.all.events, views.all.detections.size());
  return views;
}

}  // namespace quell::capture::test
