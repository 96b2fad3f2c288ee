#pragma once
// Processes that were moved into the sensor's scope, as the kernel knew them then: for the case that one is gone before
// anybody looks it up in /proc.
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "model/process.h"

namespace quell::capture {

struct Arrival {
  Thread thread;  // without descriptors
  Thread parent;  // its ids, name and start
  /// A mount namespace other than that of the machine's first process, as every container has.
  bool has_own_mounts = false;
};

/// The thread as it arrived, with what only /proc tells: `now` is what that says a little later. Arguments and
/// environment are those of now only if the program is still the same.
Thread as_it_arrived(Thread then, Thread now);

/// Bounded: the oldest are forgotten. One thread.
class Arrivals {
 public:
  explicit Arrivals(size_t capacity) : capacity_(capacity) {}

  /// `event` describes the process as an exec would; `more` is a quell_wire_arrival.
  void add(std::span<const uint8_t> event, std::span<const uint8_t> more);
  /// The thread that came under this id.
  std::optional<Arrival> find(int64_t tid) const;
  /// The process of this id that was the parent of one that came.
  std::optional<Thread> find_parent(int64_t pid) const;

 private:
  static std::optional<Arrival> parse(std::span<const uint8_t> bytes);

  const size_t capacity_;
  std::unordered_map<int64_t, std::vector<uint8_t>> by_tid_;  // the event with what follows it
  std::deque<int64_t> order_;
};

}  // namespace quell::capture
