#include "apps/quell/noise.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace quell::cli {

NoiseFilter::NoiseFilter(NoiseOptions options, triage::Folder::WindowOf window_of, Emit emit)
    : emit_(std::move(emit)),
      limit_(options.max_per_minute,
             [](const std::string& rule, uint64_t count) {
               log::warn("triage", "\"{}\": {} more detections within a minute are in the store, but were not printed",
                         rule, count);
             }),
      folder_({.window_ns = options.fold_window_ns}, std::move(window_of),
              [this](Detection&& detection, bool is_summary) {
                const bool is_shown = limit_.admit(detection.rule, now_ns_);
                emit_({std::move(detection), is_summary, nullptr, is_summary, is_shown});
              }) {}

void NoiseFilter::take(OutgoingDetection&& outgoing, uint64_t now_ns) {
  now_ns_ = std::max(now_ns_, now_ns);
  if (!outgoing.is_update) return folder_.add(std::move(outgoing.detection), now_ns_);
  folder_.update(outgoing.detection);
  emit_(std::move(outgoing));
}

void NoiseFilter::tick(uint64_t now_ns) {
  now_ns_ = std::max(now_ns_, now_ns);
  folder_.tick(now_ns_);
  limit_.tick(now_ns_);
}

void NoiseFilter::flush() {
  folder_.flush();
  limit_.flush();
}

}  // namespace quell::cli
