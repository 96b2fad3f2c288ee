#include "detect/rule_profile.h"

#include <algorithm>

#include "base/clock.h"
#include "detect/program.h"

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace quell::detect {

uint64_t cpu_ticks() {
#if defined(__x86_64__)
  return __rdtsc();
#else
  return system_clock().monotonic_ns();
#endif
}

RuleProfile::RuleProfile(uint32_t every)
    : every_(std::max(every, 1u)), first_tick_(cpu_ticks()), first_ns_(system_clock().monotonic_ns()) {}

void RuleProfile::use(const Program& program) {
  std::lock_guard lock(mutex_);
  of_rule_.clear();
  for (const Program::RuleOutput& rule : program.rules) {
    const auto [found, is_new] = by_name_.try_emplace(rule.name, static_cast<uint32_t>(totals_.size()));
    if (is_new) {
      names_.push_back(rule.name);
      totals_.emplace_back();
    }
    of_rule_.push_back(found->second);
  }
}

void RuleProfile::matched(RuleIndex rule) {
  std::lock_guard lock(mutex_);
  ++totals_[of_rule_[rule]].matches;
}

void RuleProfile::rendered(RuleIndex rule, uint64_t ticks) {
  std::lock_guard lock(mutex_);
  totals_[of_rule_[rule]].render_ticks += ticks;
}

double RuleProfile::ticks_to_ns() const {
  const uint64_t ticks = cpu_ticks() - first_tick_;
  const uint64_t ns = system_clock().monotonic_ns() - first_ns_;
  return ticks == 0 ? 1.0 : static_cast<double>(ns) / static_cast<double>(ticks);
}

RuleProfile::Report RuleProfile::report() const {
  Report out;
  const double factor = ticks_to_ns();
  const auto ns = [&](uint64_t ticks) { return static_cast<uint64_t>(static_cast<double>(ticks) * factor); };
  {
    std::lock_guard lock(mutex_);
    out.events = published_events_;
    out.sampled = sampled_;
    out.every = every_;
    for (size_t i = 0; i < totals_.size(); ++i) {
      const Totals& totals = totals_[i];
      out.rules.push_back(
          {names_[i], ns(totals.test_ticks), totals.candidates, totals.matches, ns(totals.render_ticks)});
    }
  }
  std::stable_sort(out.rules.begin(), out.rules.end(), [](const RuleCost& a, const RuleCost& b) {
    return a.test_ns + a.render_ns > b.test_ns + b.render_ns;
  });
  return out;
}

double RuleProfile::Report::ns_per_event(const RuleCost& cost) const {
  return sampled == 0 ? 0.0 : static_cast<double>(cost.test_ns) / static_cast<double>(sampled);
}

}  // namespace quell::detect
