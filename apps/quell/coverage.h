#pragma once
// Which seconds the sensor was blind in: events that it lost, in time. Answers whether a detection's window is whole.
#include <cstdint>
#include <deque>
#include <vector>

#include "model/detection.h"
#include "model/process.h"
#include "model/state_view.h"

namespace quell::cli {

/// A second in which events were lost.
struct LossSecond {
  uint64_t second = 0;  // since the epoch
  uint64_t lost = 0;
  bool operator==(const LossSecond&) const = default;
};

/// Used by one thread. Times are wall times in ns.
class Coverage {
 public:
  static constexpr size_t kKept = 3600;

  explicit Coverage(uint64_t start_ns) : start_ns_(start_ns) {}

  /// Tells the source's total so far. What is new in it was lost at `last_loss_ns` where the source knows that (else 0:
  /// by `now_ns`, and not before the last call).
  void observe(uint64_t now_ns, uint64_t lost_total, uint64_t last_loss_ns = 0);

  /// Losses of [from, until]. A second counts as a whole; what is older than the seconds kept counts as one time.
  LossWindow window(uint64_t from_ns, uint64_t until_ns) const;

  uint64_t start_ns() const { return start_ns_; }
  uint64_t last_loss_ns() const { return last_loss_ns_; }
  /// Oldest first, at most kKept.
  std::vector<LossSecond> seconds() const { return {seconds_.begin(), seconds_.end()}; }

 private:
  uint64_t start_ns_;
  uint64_t total_ = 0, last_loss_ns_ = 0;
  std::deque<LossSecond> seconds_;
  LossSecond forgotten_;  // the newest second that is no longer kept, and the sum of all of them
};

/// Since when losses could have touched what is known of this process: the start of the oldest among it and those of
/// its ancestors that live in the same container or, on the host, in the same session. 0 if no start is known.
uint64_t window_start_ns(const StateView& state, const Thread& thread);

}  // namespace quell::cli
