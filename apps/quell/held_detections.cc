#include "apps/quell/held_detections.h"

#include <algorithm>
#include <utility>

#include "apps/quell/completion.h"

namespace quell::cli {

HeldDetections::HeldDetections(Options options, TemplateOf template_of, Emit emit)
    : options_(options), template_of_(std::move(template_of)), emit_(std::move(emit)) {}

void HeldDetections::add(Detection&& detection) {
  if (waiting_.empty() && !awaits_metadata(detection)) return emit_(std::move(detection));
  now_ns_ = std::max(now_ns_, detection.kernel_ns);
  waiting_.push_back(std::move(detection));
  if (waiting_.size() > options_.capacity) send_oldest();
  send_ready();
}

void HeldDetections::described(const std::shared_ptr<const Container>& container, uint64_t now_ns) {
  for (Detection& detection : waiting_) {
    // Other writers of the format may give the short id alone.
    const bool is_told_of =
        detection.container_full_id == container->full_id || detection.container_id == container->id;
    if (is_told_of && awaits_metadata(detection)) complete(detection, container, template_of_(detection.rule), now_ns);
  }
  tick(now_ns);
}

void HeldDetections::tick(uint64_t now_ns) {
  now_ns_ = std::max(now_ns_, now_ns);
  send_ready();
}

void HeldDetections::flush() {
  while (!waiting_.empty()) send_oldest();
  now_ns_ = 0;
}

void HeldDetections::send_ready() {
  while (!waiting_.empty() &&
         (!awaits_metadata(waiting_.front()) || now_ns_ >= waiting_.front().kernel_ns + options_.patience_ns))
    send_oldest();
}

void HeldDetections::send_oldest() {
  emit_(std::move(waiting_.front()));
  waiting_.pop_front();
}

}  // namespace quell::cli
