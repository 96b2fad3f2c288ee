#pragma once
// The flight recorder in a running quell: which detections get a capture, and where it goes.
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "apps/quell/rules.h"
#include "base/metrics.h"
#include "capture/flight/capture_files.h"
#include "capture/flight/recorder.h"
#include "enrich/tables.h"
#include "model/detection.h"

namespace quell::cli {

enum class CaptureMode {
  off,
  rules,  // detections of rules that say `capture: true`, and those at least as severe as `at_least`
  all,
};

struct FlightOptions {
  CaptureMode mode = CaptureMode::rules;
  std::optional<Priority> at_least;
  uint64_t before_ms = 30'000;
  uint64_t after_ms = 5'000;
  uint64_t memory_bytes = 16 << 20;
  uint64_t disk_bytes = 1 << 30;
  uint32_t per_rule_and_minute = 6;
};

/// A copy of the counters, for metrics and health.
struct FlightStatus {
  capture::flight::FlightCounters rings;
  uint64_t limited = 0;  // captures that a rule did not get because it had enough lately
};

class Flight {
 public:
  /// Captures go to DATA_DIR/captures. `on_done` is called on the writing thread.
  static Result<std::unique_ptr<Flight>> open(const FlightOptions& options, const std::string& data_dir,
                                              std::function<void(const CaptureRef&)> on_done);

  // Engine thread:
  /// Borrows the tables until finish(). The recorder keeps events only while `rules` can ask for a capture.
  void attach(const enrich::StateTables& tables, const LoadedRules& rules);
  /// New rules are in force.
  void use(const LoadedRules& rules);
  /// What the sensor has to tell: if rules can ask for captures also what no rule matches, because it surrounds what
  /// one does.
  Interest interest(const LoadedRules& rules) const;
  /// Null while no rule can ask for a capture.
  capture::flight::FlightRecorder* recorder() { return is_needed_ ? recorder_.get() : nullptr; }
  /// Begins a capture of what surrounds this detection's event, or joins one; says so in the detection.
  void on_detection(Detection& detection, const detect::Rule* rule);
  void tick(uint64_t now_ns, uint64_t lost_events);
  /// Ends and writes out every capture.
  void finish();
  FlightStatus status() const;

  // Any thread:
  capture::flight::CaptureFileCounters files() const { return files_->counters(); }

 private:
  struct Allowance {
    double captures = 0;
    uint64_t at_ns = 0;
  };
  explicit Flight(const FlightOptions& options) : options_(options) {}
  bool wants(bool rule_asks, Priority priority) const;
  bool may_capture(const LoadedRules& rules) const;
  bool allows(const Detection& detection);

  const FlightOptions options_;
  std::unique_ptr<capture::flight::CaptureFiles> files_;
  std::unique_ptr<capture::flight::FlightRecorder> recorder_;
  bool is_needed_ = false;
  std::map<std::string, Allowance> allowances_;  // by rule
  uint64_t limited_ = 0;
};

void collect_flight(const FlightStatus& status, const capture::flight::CaptureFileCounters& files, metrics::Page& page);

/// "off", "rules", "all". Errors: invalid_argument.
Result<CaptureMode> parse_capture_mode(const std::string& text);
/// "512K", "16M", "2G", or bytes. Errors: invalid_argument.
Result<uint64_t> parse_size(std::string_view text);

}  // namespace quell::cli
