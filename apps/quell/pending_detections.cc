#include "apps/quell/pending_detections.h"

#include <utility>

#include "apps/quell/completion.h"

namespace quell::cli {

const PendingDetections::BadNews PendingDetections::kNoNewsYet{
    ContainerMissing::pending, "the container runtimes have not told of it yet; what is stored is completed", false};

PendingDetections::PendingDetections(Options options, TemplateOf template_of, Emit emit)
    : options_(options), template_of_(std::move(template_of)), emit_(std::move(emit)) {}

void PendingDetections::add(Detection&& detection, uint64_t now_ns) {
  if (!awaits_metadata(detection)) {
    emit_({std::move(detection), false});
    return;
  }
  if (const auto bad = bad_news_.find(detection.container_full_id); bad != bad_news_.end()) {
    send_incomplete(std::move(detection), bad->second);
    return;
  }
  waiting_.push_back({std::move(detection), now_ns + options_.patience_ns});
  if (waiting_.size() > options_.capacity) {
    Detection oldest = std::move(waiting_.front().detection);
    waiting_.pop_front();
    send_incomplete(std::move(oldest), kNoNewsYet);
  }
}

void PendingDetections::answer(const ContainerNews& news, uint64_t wall_ns) {
  const auto concerns = [&](const Detection& detection) { return detection.container_full_id == news.full_id; };
  if (news.info != nullptr || news.is_final) {
    std::deque<Detection> kept;
    for (Detection& detection : late_) {
      if (!concerns(detection)) {
        kept.push_back(std::move(detection));
        continue;
      }
      if (news.info != nullptr) {
        complete(detection, news.info, template_of_(detection.rule), wall_ns);
        ++completed_late_;
      } else {
        detection.container_missing = news.missing;
        detection.container_missing_detail = news.detail;
      }
      emit_({std::move(detection), true});
    }
    late_ = std::move(kept);
  }
  remember(news);
  std::deque<Entry> kept;
  for (Entry& entry : waiting_) {
    if (!concerns(entry.detection)) {
      kept.push_back(std::move(entry));
    } else if (news.info != nullptr) {
      complete(entry.detection, news.info, template_of_(entry.detection.rule), wall_ns);
      emit_({std::move(entry.detection), false});
    } else {
      send_incomplete(std::move(entry.detection), bad_news_.at(news.full_id));
    }
  }
  waiting_ = std::move(kept);
}

void PendingDetections::remember(const ContainerNews& news) {
  if (news.info != nullptr) {
    bad_news_.erase(news.full_id);
    std::erase(bad_news_order_, news.full_id);
    return;
  }
  BadNews bad{news.missing, news.detail, news.is_final};
  if (!bad_news_.insert_or_assign(news.full_id, std::move(bad)).second) return;
  bad_news_order_.push_back(news.full_id);
  if (bad_news_order_.size() <= options_.bad_news_capacity) return;
  bad_news_.erase(bad_news_order_.front());
  bad_news_order_.pop_front();
}

void PendingDetections::note_folded(const Detection& summary) {
  for (Detection& detection : late_) {
    if (detection.id == summary.id) detection.folded = summary.folded;
  }
}

void PendingDetections::tick(uint64_t now_ns) {
  while (!waiting_.empty() && waiting_.front().deadline_ns <= now_ns) {
    Detection detection = std::move(waiting_.front().detection);
    waiting_.pop_front();
    send_incomplete(std::move(detection), kNoNewsYet);
  }
}

void PendingDetections::send_incomplete(Detection&& detection, const BadNews& news) {
  ++sent_incomplete_;
  detection.container_missing = news.missing;
  detection.container_missing_detail = news.detail;
  if (!news.is_final) {
    late_.push_back(detection);
    if (late_.size() > options_.late_capacity) {
      late_.pop_front();
      ++forgotten_;
    }
  }
  emit_({std::move(detection), false});
}

}  // namespace quell::cli
