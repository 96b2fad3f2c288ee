#pragma once
// The output thread: prints detections, then stores them. Printed first, because a line should not wait for a database;
// whoever reads one and acts on its id at once waits in settle().
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>

#include "apps/quell/detection_printer.h"
#include "apps/quell/pending_detections.h"
#include "base/bounded_queue.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "record/store.h"

namespace quell::cli {

class DetectionSink {
 public:
  /// Borrows the store and the clock until finish(). Starts the thread.
  DetectionSink(StreamFormat format, const DetectionStyle& style, record::Store& store, const Clock& clock);
  ~DetectionSink();

  /// Waits while 1024 are queued: a detection is never dropped.
  void push(OutgoingDetection&& detection) { queue_.push(std::move(detection)); }
  /// A capture is complete or has failed: the detections in it say so from now on.
  void attach(const CaptureRef& capture) { queue_.push({{}, false, std::make_shared<const CaptureRef>(capture)}); }
  /// Returns when what is printed by now is stored, too; after a second at the latest. Any thread.
  void settle();
  /// Writes out what is queued and ends the thread. Idempotent.
  void finish();

  size_t queued() const { return queue_.size(); }
  uint64_t printed() const { return printed_; }
  uint64_t store_failures() const { return store_failures_; }
  /// Of the last write that failed; empty once one has succeeded again.
  std::string store_error() const;
  /// Stdout is gone: nobody reads any more.
  bool is_stdout_gone() const { return stdout_gone_; }
  /// From the kernel's timestamp to the printed line.
  const metrics::Histogram& print_seconds() const { return print_seconds_; }

 private:
  void work();
  void write(std::span<OutgoingDetection> batch);
  void print(const OutgoingDetection& outgoing);
  void store(std::span<const Detection> detections);
  void attach_to_stored(const std::shared_ptr<const CaptureRef>& capture, std::vector<Detection>& to_store);
  std::shared_ptr<const CaptureRef> finished_capture_of(const std::string& detection_id) const;

  DetectionPrinter printer_;
  record::Store& store_;
  const Clock& clock_;
  BoundedQueue<OutgoingDetection> queue_{{.capacity = 1024, .when_full = WhenFull::wait}};
  std::atomic<uint64_t> printed_{0}, store_failures_{0};
  std::atomic<bool> stdout_gone_{false};
  metrics::Histogram print_seconds_;
  // Finished lately: a detection may be stored, or stored again with its container's metadata, after its capture ended.
  std::deque<std::shared_ptr<const CaptureRef>> finished_captures_;
  mutable std::mutex mutex_;
  std::condition_variable settled_;
  bool is_settled_ = true;  // false from the first printed line of a batch until it is stored
  std::string store_error_;
  std::thread thread_;  // last: starts when all else is there
};

}  // namespace quell::cli
