#pragma once
// Repeats of a detection become a counter. The first goes out at once; what says the same within a window of time from
// then on is counted; at the end of the window the first goes out again, with the count, if there is one to tell.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "model/detection.h"

namespace quell::triage {

struct FoldCounters {
  uint64_t folded = 0;     // repeats that went into a counter
  uint64_t summaries = 0;  // detections that went out again with their count
  uint64_t evicted = 0;    // windows that ended early for room; their counts went out
  size_t open = 0;         // windows open now
};

/// Used by one thread. Time is given by the caller and only compared with itself: a clock's for what is live, the
/// events' own in a replay, which gives the same result every time. It may go back a little; that counts as no time.
class Folder {
 public:
  struct Options {
    uint64_t window_ns = 10'000'000'000;  // 0: nothing is ever folded, whatever a rule says
    size_t capacity = 2048;  // windows open at once, each with its first detection: a few MB. More end the oldest early
  };
  /// The window of a rule that has one of its own (0: never fold); nothing: Options::window_ns.
  using WindowOf = std::function<std::optional<uint64_t>(std::string_view rule)>;
  /// `is_summary`: has the id of one that went out before, and replaces it.
  using Emit = std::function<void(Detection&&, bool is_summary)>;

  Folder(Options options, WindowOf window_of, Emit emit);

  /// Sends the detection, or counts it.
  void add(Detection&& detection, uint64_t now_ns);
  /// Facts that came late for a detection that went out. If its window is open, its summary will have them; then
  /// the count so far is put into `detection`.
  void update(Detection& detection);
  /// Ends the windows that are over.
  void tick(uint64_t now_ns);
  /// Ends all windows.
  void flush();

  FoldCounters counters() const;

 private:
  struct Window;
  // Keys and entries stay where they are while the table grows.
  using Table = std::unordered_map<std::string, Window>;
  using Deadlines = std::multimap<uint64_t, Table::pointer>;
  struct Window {
    Detection first;
    Deadlines::iterator deadline;
  };
  void end(Deadlines::iterator deadline);

  const Options options_;
  const WindowOf window_of_;
  const Emit emit_;
  Table windows_;
  Deadlines deadlines_;
  FoldCounters counters_;
};

}  // namespace quell::triage
