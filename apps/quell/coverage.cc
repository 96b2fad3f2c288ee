#include "apps/quell/coverage.h"

#include <algorithm>

namespace quell::cli {
namespace {
constexpr uint64_t kSecond = 1'000'000'000;
}

void Coverage::observe(uint64_t now_ns, uint64_t lost_total, uint64_t last_loss_ns) {
  if (lost_total <= total_) return;
  const uint64_t lost = lost_total - total_;
  total_ = lost_total;
  last_loss_ns_ = last_loss_ns != 0 ? std::min(last_loss_ns, now_ns) : now_ns;
  const uint64_t second = last_loss_ns_ / kSecond;
  if (!seconds_.empty() && seconds_.back().second >= second) {
    seconds_.back().lost += lost;
  } else {
    seconds_.push_back({second, lost});
  }
  if (seconds_.size() <= kKept) return;
  forgotten_.second = seconds_.front().second;
  forgotten_.lost += seconds_.front().lost;
  seconds_.pop_front();
}

LossWindow Coverage::window(uint64_t from_ns, uint64_t until_ns) const {
  LossWindow out{.is_known = true, .from_ns = std::max(from_ns, start_ns_), .count = 0, .last_ns = 0};
  const auto count = [&](const LossSecond& one) {
    out.count += one.lost;
    out.last_ns = std::max(out.last_ns, std::min((one.second + 1) * kSecond - 1, until_ns));
  };
  if (forgotten_.lost > 0 && out.from_ns / kSecond <= forgotten_.second) count(forgotten_);
  for (const LossSecond& one : seconds_)
    if (one.second >= out.from_ns / kSecond && one.second <= until_ns / kSecond) count(one);
  if (out.count > 0 && last_loss_ns_ <= until_ns) out.last_ns = std::min(out.last_ns, last_loss_ns_);
  return out;
}

uint64_t window_start_ns(const StateView& state, const Thread& thread) {
  constexpr int kMaxSteps = 1024;
  uint64_t oldest = 0;
  const Thread* at = &thread.group();
  for (int steps = 0; at != nullptr && steps < kMaxSteps; ++steps) {
    const bool is_kin = at == &thread.group() ||
                        (at->container == thread.container && (!thread.container->is_host() || at->sid == thread.sid));
    if (!is_kin) break;
    if (at->clone_ns != 0 && (oldest == 0 || at->clone_ns < oldest)) oldest = at->clone_ns;
    at = state.parent(*at);
  }
  return oldest;
}

}  // namespace quell::cli
