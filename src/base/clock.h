#pragma once
// Time as a dependency: everything that decides by time takes a Clock, so that tests and replay own it.
#include <cstdint>

namespace quell {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual uint64_t realtime_ns() const = 0;   // since the Unix epoch
  virtual uint64_t monotonic_ns() const = 0;  // never steps; only differences mean something
};

/// The machine's clocks. Thread-safe.
const Clock& system_clock();

/// A clock that stands still until told otherwise. For tests and replay; one thread.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(uint64_t realtime_ns = 1'700'000'000'000'000'000) : realtime_ns_(realtime_ns) {}
  uint64_t realtime_ns() const override { return realtime_ns_; }
  uint64_t monotonic_ns() const override { return monotonic_ns_; }
  void advance_ns(uint64_t by) { realtime_ns_ += by, monotonic_ns_ += by; }

 private:
  uint64_t realtime_ns_;
  uint64_t monotonic_ns_ = 1;
};

}  // namespace quell
