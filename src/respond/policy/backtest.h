#pragma once
// What policies would have done to the detections of a time that is over: the same engine, every policy as if it were
// enforced and everybody had agreed. Nothing is done.
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "respond/policy/engine.h"

namespace quell::respond::policy {

struct BacktestInput {
  std::vector<std::shared_ptr<const Policy>> policies;
  /// Earlier versions to compare with, by name; nothing: no comparison.
  std::optional<std::vector<std::shared_ptr<const Policy>>> previous{};
  PolicyConfig config{};
  /// The next detection, oldest first; null at the end. It must stay until the next call.
  std::function<Result<const Detection*>()> next;
  /// Why a guard would refuse the action; nothing if none would. Null: no guards are asked.
  std::function<std::optional<std::string>(const Detection&, const PlannedAction&)> guard{};
  /// Whether people found it to be an attack; nothing if nobody said. Null: nobody ever said.
  std::function<std::optional<bool>(const Detection&)> verdict{};
  /// Called now and then. Null: never.
  std::function<void(uint64_t done, uint64_t at_ns)> progress{};
};

/// One limit of one policy that was reached. It would have disarmed the policy (or dropped the firing) from then on;
/// the figures assume that somebody arms it again at once.
struct LimitTrip {
  Refusal limit = Refusal::per_policy;
  uint64_t at_ns = 0;
  uint64_t firings_stopped = 0;  // until it was below the limit again for a whole window
};

struct BacktestPolicy {
  std::string name, hash;
  uint64_t version = 0;
  PolicyCounters counters;
  std::map<std::string, uint64_t> actions;         // by name
  std::map<std::string, uint64_t> guard_refusals;  // by reason
  std::map<std::string, uint64_t> refusals;        // by reason of the engine
  std::vector<LimitTrip> trips;                    // the first kMaxTrips
  uint64_t trip_count = 0;
  uint64_t targets = 0;  // different ones that were acted on
  uint64_t most_targets_at_once = 0;
  uint64_t most_targets_at_ns = 0;
  uint64_t confirmed = 0, false_alarms = 0, unjudged = 0;  // firings, by what people said
};

/// What one policy would have done to one target on one day (UTC).
struct BacktestRow {
  std::string policy, day, target, action;
  uint64_t count = 0;
};

struct BacktestComparison {
  uint64_t same = 0, added = 0, removed = 0;          // rows, whatever their counts
  std::vector<BacktestRow> added_rows, removed_rows;  // the first kMaxSamples
};

struct BacktestReport {
  static constexpr size_t kMaxTrips = 100, kMaxRows = 1'000, kMaxSamples = 20;

  uint64_t detections = 0;
  uint64_t from_ns = 0, to_ns = 0;  // event time of the first and of the last
  std::vector<BacktestPolicy> policies;
  std::vector<BacktestRow> rows;  // most often first, at most kMaxRows
  uint64_t row_count = 0;         // all of them
  uint64_t rows_forgotten = 0;    // beyond what is kept in memory; their actions are counted all the same
  std::optional<BacktestComparison> comparison;
  uint64_t elapsed_ms = 0;  // of the run; set by whoever has a clock, and no part of the id

  /// Canonical: the same input gives the same bytes.
  std::string canonical_json() const;
  /// SHA-256 over them: what promotion stores.
  std::string id() const;
  /// {"id", "elapsed_ms", "report"}: what is kept.
  std::string json() const;
  /// For people.
  std::string text() const;
};

/// Errors: those of `next`.
Result<BacktestReport> backtest(const BacktestInput& input);

/// What promotion asks of a report that was kept.
struct KeptReport {
  std::string id;
  std::vector<std::pair<std::string, std::string>> policies;  // name and hash
};
/// Errors: malformed (no report, or not the one that its id names).
Result<KeptReport> read_report(std::string_view json);

}  // namespace quell::respond::policy
