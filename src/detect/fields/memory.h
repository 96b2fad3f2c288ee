#pragma once
// What a few fields remember from one event to the next: the time since the last look (evt.deltatime), a count of looks
// (util.cnt), processor time since a switch (thread.exectime). The engine keeps one memory for all conditions and one
// for the output of each rule; a field asked twice about one event answers the same both times.
#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>

namespace quell::detect {

enum class Remembered : uint8_t {
  delta,
  delta_s,
  delta_ns,
  count,
  exec_time,
  total_exec_time,
  cpu,
  cpu_user,
  cpu_system,
  kCount
};

/// Used by one thread.
class FieldMemory {
 public:
  struct Entry {
    uint64_t event_number = 0;  // the event that `answer` is about; 0: none yet
    uint64_t answer = 0;
    uint64_t last_ns = 0;
    std::unordered_map<int64_t, uint64_t> by_key;  // processor or thread to what was seen last, at most kMaxKeys

    /// The remembered number of `key`, 0 the first time.
    uint64_t& of(int64_t key) {
      if (by_key.size() >= kMaxKeys && !by_key.contains(key)) {
        forgotten += by_key.size();
        by_key.clear();
      }
      return by_key[key];
    }
    uint64_t forgotten = 0;  // keys dropped because there were too many
  };
  static constexpr size_t kMaxKeys = 16384;

  Entry& entry(Remembered what) {
    auto& slot = entries_[static_cast<size_t>(what)];
    if (!slot) slot = std::make_unique<Entry>();
    return *slot;
  }
  /// What `compute(entry)` gives the first time that this event is asked about.
  template <typename Compute>
  uint64_t once_per_event(Remembered what, uint64_t event_number, Compute&& compute) {
    Entry& kept = entry(what);
    if (kept.event_number != event_number || event_number == 0) {
      kept.answer = compute(kept);
      kept.event_number = event_number;
    }
    return kept.answer;
  }

 private:
  std::array<std::unique_ptr<Entry>, static_cast<size_t>(Remembered::kCount)> entries_;
};

}  // namespace quell::detect
