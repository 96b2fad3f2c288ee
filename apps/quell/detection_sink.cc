#include "apps/quell/detection_sink.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "base/log.h"

namespace quell::cli {
namespace {

// Enough for a store to be fast at, and few enough that the first line of a burst does not wait for the last.
constexpr size_t kBatch = 100;
constexpr size_t kRememberedCaptures = 64;
constexpr std::chrono::seconds kSettlePatience{1};

}  // namespace

DetectionSink::DetectionSink(StreamFormat format, const DetectionStyle& style, record::Store& store, const Clock& clock)
    : printer_(format, style), store_(store), clock_(clock), thread_([this] { work(); }) {}

DetectionSink::~DetectionSink() { finish(); }

void DetectionSink::finish() {
  queue_.close();
  if (thread_.joinable()) thread_.join();
}

void DetectionSink::work() {
  std::vector<OutgoingDetection> batch;
  while (!queue_.closed_and_empty()) {
    auto first = queue_.pop(std::chrono::seconds(1));
    if (!first) continue;
    batch.clear();
    batch.push_back(std::move(*first));
    while (batch.size() < kBatch) {
      auto next = queue_.pop(std::chrono::nanoseconds(0));
      if (!next) break;
      batch.push_back(std::move(*next));
    }
    write(batch);
  }
}

void DetectionSink::settle() {
  std::unique_lock lock(mutex_);
  settled_.wait_for(lock, kSettlePatience, [this] { return is_settled_; });
}

void DetectionSink::write(std::span<OutgoingDetection> batch) {
  {
    std::lock_guard lock(mutex_);
    is_settled_ = false;
  }
  std::vector<Detection> to_store;
  to_store.reserve(batch.size());
  for (OutgoingDetection& outgoing : batch) {
    if (outgoing.finished_capture != nullptr) {
      attach_to_stored(outgoing.finished_capture, to_store);
      continue;
    }
    if (auto capture = finished_capture_of(outgoing.detection.id)) outgoing.detection.capture = std::move(capture);
    if (is_printed(outgoing)) print(outgoing);
    to_store.push_back(std::move(outgoing.detection));
  }
  store(to_store);
}

void DetectionSink::print(const OutgoingDetection& outgoing) {
  if (stdout_gone_) return;
  if (auto printed = printer_.print(outgoing.detection); !printed) {
    log::error("record", "{}; detections go on into the store", printed.error().str());
    stdout_gone_ = true;
    return;
  }
  ++printed_;
  const uint64_t now_ns = clock_.realtime_ns();
  // A summary is old by nature.
  if (!outgoing.is_update && now_ns > outgoing.detection.kernel_ns)
    print_seconds_.observe_ns(now_ns - outgoing.detection.kernel_ns);
}

void DetectionSink::store(std::span<const Detection> detections) {
  const auto stored = store_.insert(detections);
  std::lock_guard lock(mutex_);
  is_settled_ = true;
  settled_.notify_all();
  if (!stored && store_error_.empty()) log::error("record", "detections are not stored: {}", stored.error().str());
  if (stored && !store_error_.empty()) log::info("record", "detections are stored again");
  store_error_ = stored ? std::string() : stored.error().str();
  if (!stored) store_failures_ += detections.size();
}

void DetectionSink::attach_to_stored(const std::shared_ptr<const CaptureRef>& capture,
                                     std::vector<Detection>& to_store) {
  finished_captures_.push_back(capture);
  if (finished_captures_.size() > kRememberedCaptures) finished_captures_.pop_front();
  std::vector<std::string> ids = capture->also;
  ids.push_back(capture->id);
  for (const std::string& id : ids) {
    const auto waiting = std::find_if(to_store.begin(), to_store.end(), [&](const Detection& d) { return d.id == id; });
    if (waiting != to_store.end()) {
      waiting->capture = capture;
    } else if (auto stored = store_.detection(id)) {
      stored->capture = capture;
      to_store.push_back(*std::move(stored));
    }
  }
}

std::shared_ptr<const CaptureRef> DetectionSink::finished_capture_of(const std::string& detection_id) const {
  for (const auto& capture : finished_captures_) {
    const auto& also = capture->also;
    if (capture->id == detection_id || std::find(also.begin(), also.end(), detection_id) != also.end()) return capture;
  }
  return nullptr;
}

std::string DetectionSink::store_error() const {
  std::lock_guard lock(mutex_);
  return store_error_;
}

}  // namespace quell::cli
