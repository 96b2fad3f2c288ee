#pragma once
// How many detections of one rule a person is shown in a minute. What is beyond goes into the store like the rest, and
// is counted and told.
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace quell::triage {

/// Used by one thread. Time is given by the caller.
class ShowLimit {
 public:
  /// Told at the end of a minute in which detections of `rule` were not shown.
  using Report = std::function<void(const std::string& rule, uint64_t unshown_count)>;

  /// `per_minute` 0: no limit.
  ShowLimit(uint64_t per_minute, Report report);

  /// Whether one more of this rule is to be shown.
  bool admit(std::string_view rule, uint64_t now_ns);
  /// Ends the minutes that are over. One of a rule begins with its first detection.
  void tick(uint64_t now_ns);
  void flush() { tick(UINT64_MAX); }

  uint64_t unshown() const { return unshown_; }

 private:
  struct Minute {
    uint64_t end_ns = 0;
    uint64_t shown = 0, unshown = 0;
  };
  const uint64_t per_minute_;
  const Report report_;
  std::unordered_map<std::string, Minute> minutes_;  // at most one per rule
  uint64_t next_end_ns_ = UINT64_MAX;                // of all of them
  uint64_t unshown_ = 0;
};

}  // namespace quell::triage
