#pragma once
// What each rule costs while it runs, by sampling: every so many events are timed step by step, and the time of a step
// is split evenly among the rules that needed it.
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "detect/engine.h"

namespace quell::detect {

/// The figures of one rule. Costs are of the sampled events alone.
struct RuleCost {
  std::string rule;
  uint64_t test_ns = 0;     // its share of the steps that it needed
  uint64_t candidates = 0;  // sampled events in which the rule was still possible after what the process decides
  uint64_t matches = 0;     // of all events
  uint64_t render_ns = 0;   // of all its detections: making the message and the fields
};

class RuleProfile {
 public:
  /// One event in `every` is timed; at least 1.
  explicit RuleProfile(uint32_t every);

  struct Report {
    uint64_t events = 0;   // that some rule could have matched
    uint64_t sampled = 0;  // of those
    uint32_t every = 1;
    std::vector<RuleCost> rules;  // dearest first
    /// test_ns over sampled: what the rule adds to an event on average.
    double ns_per_event(const RuleCost& cost) const;
  };
  /// Any thread.
  Report report() const;

 private:
  // The rest is for the engine, on its thread.
  friend class Engine;
  friend class ProfilingProbe;
  void use(const Program& program);
  bool next_is_sampled() {
    ++events_;
    return events_ % every_ == 0;
  }
  void matched(RuleIndex rule);
  void rendered(RuleIndex rule, uint64_t ticks);
  double ticks_to_ns() const;

  struct Totals {
    uint64_t test_ticks = 0, candidates = 0, matches = 0, render_ticks = 0;
  };
  const uint32_t every_;
  const uint64_t first_tick_, first_ns_;  // the time stamp counter against the clock
  uint64_t events_ = 0;                   // engine's thread; published with each sample
  mutable std::mutex mutex_;              // guards the rest; taken once for each sampled event and detection
  uint64_t published_events_ = 0, sampled_ = 0;
  std::vector<std::string> names_;
  std::vector<Totals> totals_;                         // by name
  std::unordered_map<std::string, uint32_t> by_name_;  // index of totals_: rules keep theirs when they are read again
  std::vector<uint32_t> of_rule_;                      // by RuleIndex of the program in force
};

/// A counter that goes on with the processor, for differences alone.
uint64_t cpu_ticks();

}  // namespace quell::detect
