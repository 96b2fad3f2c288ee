#pragma once
// Detections of containers that nobody has described yet. They wait a moment for the runtime's answer, in order, while
// events are evaluated on; then they go out as they are and are completed where they are stored.
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "model/container.h"
#include "model/detection.h"

namespace quell::cli {

/// A detection on its way out.
struct OutgoingDetection {
  Detection detection;
  bool is_update = false;  // replaces one of the same id that went out before
  bool is_printed = true;  // false: into the store alone
};

/// Used by the engine thread alone. Time is monotonic and given by the caller.
class PendingDetections {
 public:
  struct Options {
    uint64_t patience_ns = 200'000'000;
    size_t capacity = 4096;       // more push the oldest out early
    size_t late_capacity = 1024;  // sent incomplete and remembered for completion; the oldest are forgotten and counted
  };
  using Emit = std::function<void(OutgoingDetection&&)>;
  /// The output template of a rule by name; empty if there is none.
  using TemplateOf = std::function<std::string(std::string_view rule)>;

  PendingDetections(Options options, TemplateOf template_of, Emit emit);

  void add(Detection&& detection, uint64_t now_ns);
  /// The runtime's answer. `info` null: not known for `reason`; `final`: nobody asks again.
  void answer(const std::string& full_id, const std::shared_ptr<const Container>& info, const std::string& reason,
              bool final);
  /// Later facts about one that may have gone out incomplete: its completion will have them, too.
  void note_folded(const Detection& summary);
  /// Sends what has waited long enough.
  void tick(uint64_t now_ns);
  /// Sends everything: the end.
  void flush();

  bool empty() const { return waiting_.empty(); }
  uint64_t sent_incomplete() const { return sent_incomplete_; }
  uint64_t forgotten() const { return forgotten_; }

 private:
  struct Entry {
    Detection detection;
    uint64_t deadline_ns;
    bool is_settled;
  };
  void drain(uint64_t now_ns);
  void send(Entry&& entry);

  const Options options_;
  const TemplateOf template_of_;
  const Emit emit_;
  std::deque<Entry> waiting_;
  std::deque<Detection> late_;
  uint64_t sent_incomplete_ = 0;
  uint64_t forgotten_ = 0;
};

}  // namespace quell::cli
