#pragma once
// Detections of containers that nobody has described yet. They wait a moment for the runtime's answer while events are
// evaluated on, and others pass them; then they go out as they are, with the reason, and are completed where they are
// stored.
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "model/container.h"
#include "model/detection.h"

namespace quell::cli {

/// A detection on its way out.
struct OutgoingDetection {
  Detection detection;
  bool is_update = false;  // replaces one of the same id that went out before
  /// Not null: a capture has been finished; `detection` is empty then.
  std::shared_ptr<const CaptureRef> finished_capture{};
  bool is_summary = false;  // an update that is shown, too: the count of its repeats
  bool is_shown = true;     // false: into the store alone
};

inline bool is_printed(const OutgoingDetection& outgoing) {
  return outgoing.is_shown && (!outgoing.is_update || outgoing.is_summary);
}

/// What a runtime said of a container. `info` null: nothing, for `missing`; `is_final`: nobody asks again.
struct ContainerNews {
  const std::string& full_id;
  const std::shared_ptr<const Container>& info;
  ContainerMissing missing = ContainerMissing::none;
  const std::string& detail;
  bool is_final = false;
};

/// Used by the engine thread alone. Those of one container leave in the order in which they came. Monotonic times
/// decide who has waited long enough; wall time is what a completed detection carries.
class PendingDetections {
 public:
  struct Options {
    /// The promise is a complete line, or one with the reason, within 2 s of the event.
    uint64_t patience_ns = 1'500'000'000;
    size_t capacity = 4096;       // more push the oldest out early
    size_t late_capacity = 4096;  // sent incomplete and remembered for completion; the oldest are forgotten and counted
    size_t bad_news_capacity = 1024;
  };
  using Emit = std::function<void(OutgoingDetection&&)>;
  /// The output template of a rule by name; empty if there is none.
  using TemplateOf = std::function<std::string(std::string_view rule)>;

  PendingDetections(Options options, TemplateOf template_of, Emit emit);

  void add(Detection&& detection, uint64_t now_ns);
  void answer(const ContainerNews& news, uint64_t wall_ns);
  /// Later facts about one that may have gone out incomplete: its completion will have them, too.
  void note_folded(const Detection& summary);
  /// Sends what has waited long enough.
  void tick(uint64_t now_ns);
  /// Sends everything: the end.
  void flush() { tick(UINT64_MAX); }

  bool empty() const { return waiting_.empty(); }
  size_t waiting() const { return waiting_.size(); }
  size_t late() const { return late_.size(); }
  uint64_t sent_incomplete() const { return sent_incomplete_; }
  uint64_t completed_late() const { return completed_late_; }
  uint64_t forgotten() const { return forgotten_; }

 private:
  struct Entry {
    Detection detection;
    uint64_t deadline_ns;
  };
  struct BadNews {
    ContainerMissing missing = ContainerMissing::none;
    std::string detail;
    bool is_final = false;
  };
  static const BadNews kNoNewsYet;
  void remember(const ContainerNews& news);
  void send_incomplete(Detection&& detection, const BadNews& news);

  const Options options_;
  const TemplateOf template_of_;
  const Emit emit_;
  std::deque<Entry> waiting_;  // in the order of their deadlines
  std::deque<Detection> late_;
  // By full id, of containers that could not be told of: what follows from there need not wait. The oldest are dropped.
  std::unordered_map<std::string, BadNews> bad_news_;
  std::deque<std::string> bad_news_order_;
  uint64_t sent_incomplete_ = 0, completed_late_ = 0, forgotten_ = 0;
};

}  // namespace quell::cli
