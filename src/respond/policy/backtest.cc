#include "respond/policy/backtest.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <unordered_set>

#include "base/moment.h"
#include "respond/policy/steps.h"

namespace quell::respond::policy {
namespace {

constexpr size_t kMaxKeptRows = 200'000;
constexpr size_t kMaxKeptTargets = 1'000'000;  // of one policy
constexpr uint64_t kProgressEvery = 4096;

/// Rows by "policy\nday\ntarget\naction".
using Rows = std::unordered_map<std::string, uint64_t>;

const Rate& limit_of(const Policy& policy, Refusal refusal) {
  if (refusal == Refusal::per_target) return policy.limits.per_target;
  return refusal == Refusal::per_cluster ? policy.limits.per_cluster : policy.limits.per_policy;
}

/// One set of policies and all that it would have done.
class Run {
 public:
  Run(const std::vector<std::shared_ptr<const Policy>>& policies, const BacktestInput& input)
      : input_(input), engine_(policies, options(input)) {
    for (const auto& policy : policies) {
      index_.emplace(policy.get(), tallies_.size());
      Tally& tally = tallies_.emplace_back();
      tally.out.name = policy->name;
      tally.out.hash = policy->hash;
      tally.out.version = policy->version;
    }
  }

  void feed(const Detection& detection, uint64_t now_ns) {
    decisions_.clear();
    engine_.feed(detection, {.now_ns = now_ns}, decisions_);
    for (const Decision& decision : decisions_) count(detection, decision, tallies_[index_.at(decision.policy.get())]);
  }

  std::vector<BacktestPolicy> finish() {
    const auto status = engine_.status();
    std::vector<BacktestPolicy> out;
    for (size_t i = 0; i < tallies_.size(); ++i) {
      tallies_[i].out.counters = status[i].counters;
      tallies_[i].out.targets = tallies_[i].targets.size();
      out.push_back(std::move(tallies_[i].out));
    }
    return out;
  }

  const Rows& rows() const { return rows_; }
  uint64_t rows_forgotten() const { return rows_forgotten_; }

 private:
  struct Tally {
    BacktestPolicy out;
    std::unordered_set<std::string> targets;
    std::array<uint64_t, 6> last_refused_ns{};  // by Refusal
    std::array<size_t, 6> trip{};               // the last one in out.trips; beyond its size: none, or not kept
  };

  static EngineOptions options(const BacktestInput& input) {
    EngineOptions out;
    out.config = input.config;
    out.mode = Mode::enforce;
    out.never_disarm = true;
    return out;
  }

  void count(const Detection& detection, const Decision& decision, Tally& tally) {
    if (decision.kind == DecisionKind::refused) return refused(decision, tally);
    if (tally.targets.size() < kMaxKeptTargets) tally.targets.insert(decision.target.key + "@" + decision.target.start);
    if (const size_t open = engine_.open_targets(tally.out.name); open > tally.out.most_targets_at_once) {
      tally.out.most_targets_at_once = open;
      tally.out.most_targets_at_ns = decision.event_ns;
    }
    if (decision.kind != DecisionKind::run) return;
    const auto verdict = input_.verdict ? input_.verdict(detection) : std::nullopt;
    ++(!verdict ? tally.out.unjudged : *verdict ? tally.out.confirmed : tally.out.false_alarms);
    const std::string day = date_utc(decision.event_ns);
    std::vector<StepOutcome> outcomes;
    for (;;) {
      const NextStep next = next_step(decision, outcomes, ApprovalState::granted);
      if (next.kind == NextStep::Kind::done || next.kind == NextStep::Kind::wait) return;
      StepOutcome& outcome = outcomes.emplace_back(StepOutcome{next.step, ActionState::contained});
      if (next.kind == NextStep::Kind::notify) continue;
      if (!next.action->joins.empty()) {
        outcome.state = ActionState::already_in_effect;
        continue;
      }
      if (const auto why = input_.guard ? input_.guard(detection, *next.action) : std::nullopt) {
        ++tally.out.guard_refusals[*why];
        outcome.state = ActionState::refused_guard;
        continue;
      }
      ++tally.out.actions[next.action->action];
      std::string key = tally.out.name + "\n" + day + "\n" + next.action->target.label + "\n" + next.action->action;
      if (const auto found = rows_.find(key); found != rows_.end()) {
        ++found->second;
      } else if (rows_.size() < kMaxKeptRows) {
        rows_.emplace(std::move(key), 1);
      } else {
        ++rows_forgotten_;
      }
    }
  }

  void refused(const Decision& decision, Tally& tally) {
    ++tally.out.refusals[std::string(to_string(decision.refusal))];
    if (decision.refusal < Refusal::per_target) return;
    const auto kind = static_cast<size_t>(decision.refusal);
    const Rate& rate = limit_of(*decision.policy, decision.refusal);
    const bool is_new =
        tally.last_refused_ns[kind] == 0 || decision.decided_ns - tally.last_refused_ns[kind] > rate.window_ns;
    tally.last_refused_ns[kind] = decision.decided_ns;
    if (is_new) {
      ++tally.out.trip_count;
      tally.trip[kind] = tally.out.trip_count <= BacktestReport::kMaxTrips ? tally.out.trips.size() : SIZE_MAX;
      if (tally.trip[kind] != SIZE_MAX) tally.out.trips.push_back({decision.refusal, decision.decided_ns, 0});
    }
    if (tally.trip[kind] != SIZE_MAX) ++tally.out.trips[tally.trip[kind]].firings_stopped;
  }

  const BacktestInput& input_;
  PolicyEngine engine_;
  std::vector<Decision> decisions_;
  std::vector<Tally> tallies_;
  std::unordered_map<const Policy*, size_t> index_;
  Rows rows_;
  uint64_t rows_forgotten_ = 0;
};

BacktestRow row_of(const std::string& key, uint64_t count) {
  BacktestRow out;
  std::string* const parts[] = {&out.policy, &out.day, &out.target, &out.action};
  size_t from = 0;
  for (std::string* part : parts) {
    const size_t end = std::min(key.find('\n', from), key.size());
    *part = key.substr(from, end - from);
    from = end + 1;
  }
  out.count = count;
  return out;
}

bool is_earlier(const BacktestRow& a, const BacktestRow& b) {
  return std::tie(a.day, a.policy, a.target, a.action) < std::tie(b.day, b.policy, b.target, b.action);
}

/// Rows of `rows` that `others` has not: how many, and the first few.
uint64_t only_in(const Rows& rows, const Rows& others, std::vector<BacktestRow>& samples) {
  std::vector<BacktestRow> all;
  for (const auto& [key, count] : rows)
    if (others.find(key) == others.end()) all.push_back(row_of(key, count));
  std::sort(all.begin(), all.end(), is_earlier);
  const uint64_t total = all.size();
  all.resize(std::min(all.size(), BacktestReport::kMaxSamples));
  samples = std::move(all);
  return total;
}

}  // namespace

Result<BacktestReport> backtest(const BacktestInput& input) {
  BacktestReport out;
  Run run(input.policies, input);
  std::optional<Run> previous;
  if (input.previous) previous.emplace(*input.previous, input);
  uint64_t now_ns = 0;
  for (;;) {
    QUELL_TRY(const Detection* detection, input.next());
    if (detection == nullptr) break;
    // Recorded time stands for the clock, and a clock does not go back.
    now_ns = std::max(now_ns, detection->kernel_ns);
    if (out.detections == 0) out.from_ns = detection->kernel_ns;
    ++out.detections;
    run.feed(*detection, now_ns);
    if (previous) previous->feed(*detection, now_ns);
    if (input.progress && out.detections % kProgressEvery == 0) input.progress(out.detections, now_ns);
  }
  out.to_ns = now_ns;
  out.policies = run.finish();
  out.row_count = run.rows().size();
  out.rows_forgotten = run.rows_forgotten();
  for (const auto& [key, count] : run.rows()) out.rows.push_back(row_of(key, count));
  std::sort(out.rows.begin(), out.rows.end(), [](const BacktestRow& a, const BacktestRow& b) {
    return a.count != b.count ? a.count > b.count : is_earlier(a, b);
  });
  out.rows.resize(std::min(out.rows.size(), BacktestReport::kMaxRows));
  if (previous) {
    BacktestComparison& comparison = out.comparison.emplace();
    comparison.added = only_in(run.rows(), previous->rows(), comparison.added_rows);
    comparison.removed = only_in(previous->rows(), run.rows(), comparison.removed_rows);
    comparison.same = run.rows().size() - comparison.added;
  }
  return out;
}

}  // namespace quell::respond::policy
