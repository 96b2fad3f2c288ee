#pragma once
// The engine thread of a running quell: the sensor's events through the tables and the rules. Everything slow is
// elsewhere; what others want from here is applied between two batches.
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "apps/quell/coverage.h"
#include "apps/quell/evaluator.h"
#include "apps/quell/flight.h"
#include "apps/quell/noise.h"
#include "apps/quell/pending_detections.h"
#include "apps/quell/rules.h"
#include "base/metrics.h"
#include "capture/ebpf/ebpf.h"
#include "os/container_lookup.h"

namespace quell::cli {

/// A copy of the lane's counters, published a few times a second.
struct LaneStatus {
  capture::SourceCounters source;
  enrich::Counters tables;
  uint64_t events = 0;  // shown to the rules
  uint64_t detections = 0;
  uint64_t rules = 0;
  uint64_t rule_swaps = 0;
  uint64_t rules_generation = 0;
  NoiseCounters noise;
  uint64_t sent_incomplete = 0;    // detections that went out without their container's metadata
  uint64_t completed_late = 0;     // of these, completed where they are stored
  uint64_t not_completed = 0;      // of these, forgotten for room before an answer came
  uint64_t held = 0, awaited = 0;  // detections now: not yet out; out and to be completed
  uint64_t published_ns = 0;       // wall clock, of this copy: it stands still when the engine does
  uint64_t started_ns = 0;         // wall clock
  uint64_t last_loss_ns = 0;       // wall clock; 0 while nothing was lost
  std::shared_ptr<const std::vector<LossSecond>> losses;  // oldest first; null while nothing was lost
  uint64_t recorded_events = 0;
  FlightStatus flight;
  std::string record_error;  // why the recording ended early; empty while all is well
  bool is_running = false;
};

class LiveLane {
 public:
  struct Options {
    enrich::Options tables;  // how /proc is read; on_new_container belongs to the lane
    std::string boot_id;
    std::string hostname;
    std::string record_path;   // empty: nothing is recorded
    Flight* flight = nullptr;  // borrowed; null: no flight recorder
    const Clock* clock = nullptr;
    detect::RuleProfile* profile = nullptr;  // borrowed; null: none is taken
    os::ContainerLookup* lookup = nullptr;   // borrowed; null: containers stay without metadata
    /// Start of a process as /proc counts it, for the identity that responses compare; 0 if it is gone.
    std::function<uint64_t(int64_t pid)> start_ticks_of;
    NoiseOptions noise;
    std::function<void(OutgoingDetection&&)> emit;
  };

  /// Loads the source's tables and starts the recording. Errors: those of ScapWriter::create().
  static Result<std::unique_ptr<LiveLane>> create(std::unique_ptr<capture::LiveSource> source,
                                                  std::shared_ptr<const LoadedRules> rules, Options options);

  /// Runs until stop() or until the source ends; then sends what is held back and closes the recording. The calling
  /// thread is the engine thread. Errors: those of the source (gone), and of closing the recording.
  Result<void> run();

  // Any thread:
  void stop() { stopping_ = true; }
  void set_rules(std::shared_ptr<const LoadedRules> rules);
  /// The newest generation of rules that events are shown to.
  uint64_t rules_generation() const { return rules_generation_; }
  LaneStatus status() const;
  /// From the kernel's timestamp to the match.
  const metrics::Histogram& detect_seconds() const { return detect_seconds_; }

 private:
  LiveLane(std::unique_ptr<capture::LiveSource> source, std::shared_ptr<const LoadedRules> rules, Options options);
  void settle_identity(ProcessId& process) const;
  void wait_for_first_answers();
  void take_answers();
  void tell_losses(Detection& detection);
  void observe_losses(uint64_t now_ns);
  void apply_commands();
  void evaluate();
  void publish();
  Result<void> finish();

  const Options options_;

  // Engine thread.
  std::unique_ptr<capture::LiveSource> source_;
  std::shared_ptr<const LoadedRules> rules_;
  enrich::StateTables tables_;
  detect::Engine engine_;
  NoiseFilter noise_;
  PendingDetections pending_;
  Evaluator evaluator_;
  std::unique_ptr<capture::ScapWriter> recorder_;
  EventBatch batch_;
  std::vector<os::LookupAnswer> answers_;
  uint64_t lookups_open_ = 0;
  uint64_t last_event_ns_ = 0;
  uint64_t next_publish_ns_ = 0;
  uint64_t rule_swaps_ = 0;
  Coverage coverage_;
  std::shared_ptr<const std::vector<LossSecond>> losses_;

  // Synchronised by themselves.
  std::atomic<bool> stopping_{false};
  std::atomic<bool> has_new_rules_{false};
  std::atomic<uint64_t> rules_generation_{0};
  metrics::Histogram detect_seconds_;

  // Guarded by mutex_.
  mutable std::mutex mutex_;
  std::shared_ptr<const LoadedRules> new_rules_;
  LaneStatus status_;
};

}  // namespace quell::cli
