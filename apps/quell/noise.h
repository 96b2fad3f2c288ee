#pragma once
// Between the rules and whoever reads: repeats are folded, floods are kept off the screen. Never in silence: everything
// held back is counted, and what was counted is told.
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "apps/quell/pending_detections.h"
#include "triage/folder.h"
#include "triage/show_limit.h"

namespace quell::cli {

struct NoiseOptions {
  uint64_t fold_window_ns = 0;  // 0: nothing is folded
  uint64_t max_per_minute = 0;  // printed lines per rule; 0: no limit
};

struct NoiseCounters {
  triage::FoldCounters fold;
  uint64_t unshown = 0;  // stored, but not printed
};

/// Used by one thread. Time as for triage::Folder.
class NoiseFilter {
 public:
  using Emit = std::function<void(OutgoingDetection&&)>;
  NoiseFilter(NoiseOptions options, triage::Folder::WindowOf window_of, Emit emit);

  void take(OutgoingDetection&& outgoing, uint64_t now_ns);
  void tick(uint64_t now_ns);
  void flush();
  NoiseCounters counters() const { return {folder_.counters(), limit_.unshown()}; }

 private:
  const Emit emit_;
  uint64_t now_ns_ = 0;
  triage::ShowLimit limit_;
  triage::Folder folder_;
};

}  // namespace quell::cli
