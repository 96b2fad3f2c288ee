#pragma once
// Detections of a replay, in the order of their events, although the container of some is described only later in the
// capture.
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "model/container.h"
#include "model/detection.h"

namespace quell::cli {

/// A detection whose container is unknown waits for the event that tells of it, and whatever came after the detection
/// waits behind it. All times are the capture's own, so that the same capture gives the same lines. One thread.
class HeldDetections {
 public:
  struct Options {
    /// Longer than a live Quell needs to complete what it has stored; a capture may have been written without metadata.
    uint64_t patience_ns = 10'000'000'000;
    size_t capacity = 4096;  // more push the oldest out as it is
  };
  using Emit = std::function<void(Detection&&)>;
  /// The output template of a rule by name; empty if there is none.
  using TemplateOf = std::function<std::string(std::string_view rule)>;

  HeldDetections(Options options, TemplateOf template_of, Emit emit);

  void add(Detection&& detection);
  /// The capture tells of a container at this time.
  void described(const std::shared_ptr<const Container>& container, uint64_t now_ns);
  /// The capture has come to this time: sends what has waited long enough.
  void tick(uint64_t now_ns);
  /// Sends everything: the end of the capture.
  void flush();

  bool empty() const { return waiting_.empty(); }

 private:
  void send_ready();
  void send_oldest();

  const Options options_;
  const TemplateOf template_of_;
  const Emit emit_;
  std::deque<Detection> waiting_;
  uint64_t now_ns_ = 0;
};

}  // namespace quell::cli
