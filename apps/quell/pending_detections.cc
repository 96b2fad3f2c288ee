#include "apps/quell/pending_detections.h"

#include <utility>

#include "apps/quell/completion.h"

namespace quell::cli {

PendingDetections::PendingDetections(Options options, TemplateOf template_of, Emit emit)
    : options_(options), template_of_(std::move(template_of)), emit_(std::move(emit)) {}

void PendingDetections::add(Detection&& detection, uint64_t now_ns) {
  const bool is_settled = !awaits_metadata(detection);
  if (is_settled && waiting_.empty()) {
    emit_({std::move(detection)});
    return;
  }
  waiting_.push_back({std::move(detection), now_ns + options_.patience_ns, is_settled});
  if (waiting_.size() > options_.capacity) {
    Entry oldest = std::move(waiting_.front());
    waiting_.pop_front();
    send(std::move(oldest));
  }
}

void PendingDetections::answer(const std::string& full_id, const std::shared_ptr<const Container>& info,
                               const std::string& reason, bool final) {
  for (Entry& entry : waiting_) {
    if (entry.is_settled || entry.detection.container_full_id != full_id) continue;
    if (info != nullptr) {
      complete(entry.detection, info, template_of_(entry.detection.rule));
    } else {
      entry.detection.container_missing_reason = reason;
    }
    entry.is_settled = true;
  }
  if (info != nullptr || final) {
    std::deque<Detection> kept;
    for (Detection& detection : late_) {
      if (detection.container_full_id != full_id) {
        kept.push_back(std::move(detection));
      } else if (info != nullptr) {
        complete(detection, info, template_of_(detection.rule));
        emit_({.detection = std::move(detection), .is_update = true, .is_printed = false});
      }
    }
    late_ = std::move(kept);
  }
  drain(0);
}

void PendingDetections::note_folded(const Detection& summary) {
  for (Detection& detection : late_) {
    if (detection.id == summary.id) detection.folded = summary.folded;
  }
}

void PendingDetections::tick(uint64_t now_ns) { drain(now_ns); }

void PendingDetections::flush() { drain(UINT64_MAX); }

void PendingDetections::drain(uint64_t now_ns) {
  while (!waiting_.empty() && (waiting_.front().is_settled || waiting_.front().deadline_ns <= now_ns)) {
    Entry entry = std::move(waiting_.front());
    waiting_.pop_front();
    send(std::move(entry));
  }
}

void PendingDetections::send(Entry&& entry) {
  if (awaits_metadata(entry.detection)) {
    ++sent_incomplete_;
    if (entry.detection.container_missing_reason.empty()) {
      entry.detection.container_missing_reason = "the container runtime has not answered in time";
    }
    late_.push_back(entry.detection);
    if (late_.size() > options_.late_capacity) {
      late_.pop_front();
      ++forgotten_;
    }
  }
  emit_({std::move(entry.detection)});
}

}  // namespace quell::cli
