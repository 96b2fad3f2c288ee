#pragma once
// Thresholds: sliding windows of event time, one per group; and rates: sliding windows of decisions.
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "respond/policy/lru.h"
#include "respond/policy/policy.h"

namespace quell::respond::policy {

struct WindowEntry {
  uint64_t at_ns = 0;
  std::string value;         // of the field whose different values are counted; empty if detections are
  std::string detection_id;  // what it came from
};

/// The windows of one policy. Entries may come out of order, as late as the engine allows; what it says is what looking
/// at the whole history would say.
class GroupWindows {
 public:
  GroupWindows(const Threshold& threshold, size_t max_groups, size_t max_entries)
      : threshold_(threshold), max_entries_(max_entries), groups_(max_groups) {}

  /// Adds to a group. If some window that holds the entry reaches the threshold, the group starts anew, and what stood
  /// in it is returned, oldest first. `keep_from_ns`: entries before it can no longer be in a window with any that is
  /// still to come.
  std::optional<std::vector<WindowEntry>> add(std::string_view group, WindowEntry entry, uint64_t keep_from_ns);
  void clear() { groups_.clear(); }
  /// Puts a saved group back.
  void restore(std::string_view group, std::vector<WindowEntry> entries);

  using Group = std::vector<WindowEntry>;  // by time
  const Lru<Group>& groups() const { return groups_; }
  uint64_t forgotten_entries() const { return forgotten_entries_; }

 private:
  bool reaches(const Group& group, size_t at) const;
  void drop_redundant(Group& group, size_t at) const;

  const Threshold& threshold_;
  const size_t max_entries_;
  Lru<Group> groups_;
  uint64_t forgotten_entries_ = 0;
};

/// When something happened, as far back as a rate looks.
class RateWindow {
 public:
  /// Whether one more is allowed now. A clock that went back takes away what lies in its future.
  bool has_room(const Rate& rate, uint64_t now_ns);
  void take(uint64_t now_ns) { times_.push_back(now_ns); }
  bool is_idle(const Rate& rate, uint64_t now_ns) const {
    return times_.empty() || times_.back() + rate.window_ns <= now_ns;
  }
  const std::deque<uint64_t>& times() const { return times_; }

 private:
  std::deque<uint64_t> times_;
};

}  // namespace quell::respond::policy
