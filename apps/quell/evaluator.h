#pragma once
// One stream of events through the state tables and the rules, on the thread that calls. Replay and live go through
// here.
#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "capture/flight/recorder.h"
#include "capture/scap/writer.h"
#include "detect/engine.h"
#include "enrich/tables.h"
#include "model/detection.h"
#include "model/event.h"

namespace quell::cli {

struct EvaluatorOptions {
  bool is_live = false;
  std::string origin;            // what evidence references begin with: "scap:PATH", "live:BOOT_ID"
  std::string hostname;          // empty: the one of the stream's own machine
  const Clock* clock = nullptr;  // live: stamps when a rule had matched; null in replays
  std::function<void(Detection&&)> on_detection;
  /// Live: reads a thread that no event has told of, as enrich::Options::read_thread does. What it finds goes into the
  /// stream as events that no rule sees, so that a recording holds it and a replay knows it. Null: unknown threads stay
  /// unknown.
  std::function<bool(int64_t tid, Thread& out, std::vector<std::pair<int64_t, Fd>>& fds)> read_thread;
};

class Evaluator {
 public:
  /// Borrows both. `is_live` decides how ids are made: from the evidence in replays, so that the same capture gives the
  /// same ids; at random for live events.
  Evaluator(enrich::StateTables& tables, detect::Engine& engine, EvaluatorOptions options);

  /// Starts the stream, or starts it anew: everything known is void.
  void load(const Snapshot& snapshot);
  /// Every event of the batch goes through, in order.
  void run(const EventBatch& batch);
  /// An event of our own making takes its place in the stream, such as a container's metadata.
  void inject(std::span<const uint8_t> event);
  /// The same, for the recording alone: it changes nothing here any more.
  void note(std::span<const uint8_t> event);

  /// From now on every event is written there, too, and before it the users of its container when they were read for
  /// it; null ends it. Borrowed. A failing disk ends the recording with the writer's error in record_status(), never
  /// the detection.
  void record_to(capture::ScapWriter* writer) { recorder_ = writer; }
  /// From now on every event goes past it, too; null ends it. Borrowed.
  void fly_with(capture::flight::FlightRecorder* flight) { flight_ = flight; }
  const Result<void>& record_status() const { return record_status_; }

  uint64_t event_count() const { return event_count_; }
  uint64_t detection_count() const { return detection_count_; }

 private:
  bool passes(const EventBatch::Slot& slot);
  void evaluate(Event& event, const EventBatch::Slot& slot);
  void evaluate_own(std::span<const uint8_t> bytes, bool state_only);
  void record(const EventContext& context, const EventBatch::Slot& slot);
  void write(std::span<const uint8_t> event, uint16_t cpu, bool state_only);
  void detected(detect::RuleIndex rule, const EventContext& context);
  void learn_about(const Event& event);
  void learn_thread(int64_t tid, uint64_t ts_ns, int depth);
  std::string detection_id(const Detection& detection);

  enrich::StateTables& tables_;
  detect::Engine& engine_;
  const EvaluatorOptions options_;
  std::array<bool, kEventCodeCount> changes_state_;  // by code
  capture::ScapWriter* recorder_ = nullptr;
  capture::flight::FlightRecorder* flight_ = nullptr;
  Result<void> record_status_;
  uint64_t number_ = 0;
  uint64_t event_count_ = 0;  // shown to the rules
  uint64_t detection_count_ = 0;
};

}  // namespace quell::cli
