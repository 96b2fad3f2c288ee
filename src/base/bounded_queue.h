#pragma once
// The queue between two threads. It states its bound and what happens when full, and counts what it dropped.
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>

namespace quell {

enum class WhenFull { wait, drop_and_count };

/// Many producers, many consumers. Used for low rates (detections, commands, records); events travel in batches.
template <typename T>
class BoundedQueue {
 public:
  struct Options {
    size_t capacity = 1024;
    WhenFull when_full = WhenFull::wait;
  };
  explicit BoundedQueue(Options options) : options_(options) {}

  /// False when the queue is closed, or full with drop_and_count (then dropped() grew by one).
  bool push(T item) {
    std::unique_lock lock(mutex_);
    if (items_.size() >= options_.capacity) {
      if (options_.when_full == WhenFull::drop_and_count) {
        ++dropped_;
        return false;
      }
      room_.wait(lock, [&] { return closed_ || items_.size() < options_.capacity; });
    }
    if (closed_) return false;
    items_.push_back(std::move(item));
    lock.unlock();
    filled_.notify_one();
    return true;
  }

  /// Waits up to `timeout`, 0 not at all; empty when nothing came or the queue is closed and drained.
  std::optional<T> pop(std::chrono::nanoseconds timeout) {
    std::unique_lock lock(mutex_);
    const auto is_over = [&] { return closed_ || !items_.empty(); };
    // Even a wait of no length would go to sleep for a moment.
    if (timeout.count() > 0) filled_.wait_for(lock, timeout, is_over);
    if (items_.empty()) return {};
    T item = std::move(items_.front());
    items_.pop_front();
    lock.unlock();
    room_.notify_one();
    return item;
  }

  /// No more pushes; what is inside can still be popped.
  void close() {
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
    }
    filled_.notify_all();
    room_.notify_all();
  }
  bool closed_and_empty() const {
    std::lock_guard lock(mutex_);
    return closed_ && items_.empty();
  }
  size_t size() const {
    std::lock_guard lock(mutex_);
    return items_.size();
  }
  uint64_t dropped() const {
    std::lock_guard lock(mutex_);
    return dropped_;
  }

 private:
  const Options options_;
  mutable std::mutex mutex_;
  std::condition_variable filled_;
  std::condition_variable room_;
  std::deque<T> items_;
  uint64_t dropped_ = 0;
  bool closed_ = false;
};

}  // namespace quell
