#include "triage/show_limit.h"

#include <algorithm>
#include <utility>

namespace quell::triage {

constexpr uint64_t kMinuteNs = 60'000'000'000;

ShowLimit::ShowLimit(uint64_t per_minute, Report report) : per_minute_(per_minute), report_(std::move(report)) {}

bool ShowLimit::admit(std::string_view rule, uint64_t now_ns) {
  if (per_minute_ == 0) return true;
  tick(now_ns);
  const auto [entry, is_new] = minutes_.try_emplace(std::string(rule));
  Minute& minute = entry->second;
  if (is_new) {
    minute.end_ns = now_ns + kMinuteNs;
    next_end_ns_ = std::min(next_end_ns_, minute.end_ns);
  }
  if (minute.shown < per_minute_) {
    ++minute.shown;
    return true;
  }
  ++minute.unshown;
  ++unshown_;
  return false;
}

void ShowLimit::tick(uint64_t now_ns) {
  if (now_ns < next_end_ns_ || minutes_.empty()) return;
  next_end_ns_ = UINT64_MAX;
  for (auto entry = minutes_.begin(); entry != minutes_.end();) {
    if (entry->second.end_ns > now_ns) {
      next_end_ns_ = std::min(next_end_ns_, entry->second.end_ns);
      ++entry;
      continue;
    }
    if (entry->second.unshown > 0) report_(entry->first, entry->second.unshown);
    entry = minutes_.erase(entry);
  }
}

}  // namespace quell::triage
