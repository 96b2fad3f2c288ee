#pragma once
// What the engine tells about the course of one evaluation. Without a profile nothing is told, at no cost.
#include <algorithm>
#include <bit>

#include "detect/plan.h"
#include "detect/rule_profile.h"

namespace quell::detect {

struct SilentProbe {
  void begin(const std::vector<Word>&, const std::vector<Word>&) {}
  void end() {}
  void process_decided(const std::vector<Word>&) {}
};

class ProfilingProbe {
 public:
  ProfilingProbe(RuleProfile& profile, const Plan& plan) : profile_(profile), plan_(plan), lock_(profile.mutex_) {
    ++profile.sampled_;
    profile.published_events_ = profile.events_;
  }

  /// Something is about to be asked for those of `possible` that need it. Of a step that only mixed tests need, the
  /// time is shared by all rules that are left.
  void begin(const std::vector<Word>& possible, const std::vector<Word>& needs) {
    askers_.assign(plan_.rule_words, 0);
    Word any = 0;
    for (uint32_t i = 0; i < plan_.rule_words; ++i) any |= askers_[i] = possible[i] & needs[i];
    if (any == 0) std::copy_n(possible.begin(), plan_.rule_words, askers_.begin());
    started_ = cpu_ticks();
  }
  void end() {
    const uint64_t ticks = cpu_ticks() - started_;
    uint32_t count = 0;
    for (const Word word : askers_) count += static_cast<uint32_t>(std::popcount(word));
    if (count != 0) for_each(askers_, [&](RuleProfile::Totals& totals) { totals.test_ticks += ticks / count; });
  }
  void process_decided(const std::vector<Word>& possible) {
    for_each(possible, [](RuleProfile::Totals& totals) { ++totals.candidates; });
  }

 private:
  template <typename Visit>
  void for_each(const std::vector<Word>& words, Visit&& visit) {
    for (uint32_t i = 0; i < plan_.rule_words; ++i)
      for (Word word = words[i]; word != 0; word &= word - 1)
        visit(profile_.totals_[profile_.of_rule_[plan_.rules[i * 64 + static_cast<size_t>(std::countr_zero(word))]]]);
  }

  RuleProfile& profile_;
  const Plan& plan_;
  std::lock_guard<std::mutex> lock_;
  std::vector<Word> askers_;
  uint64_t started_ = 0;
};

}  // namespace quell::detect
