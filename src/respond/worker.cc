#include "respond/worker.h"

#include <algorithm>
#include <chrono>

namespace quell::respond {

Worker::Worker(Runner& runner) : runner_(runner) {
  runner_.set_waker([this] {
    const std::lock_guard lock(mutex_);
    woken_ = true;
    wake_.notify_one();
  });
  thread_ = std::thread([this] { loop(); });
}

Worker::~Worker() {
  runner_.set_waker(nullptr);
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    wake_.notify_one();
  }
  thread_.join();
}

void Worker::loop() {
  // Wall time can be stepped under an expiry that is far away, so it is looked at every minute at least.
  constexpr uint64_t kLongestNs = 60'000'000'000;
  while (true) {
    const uint64_t due_ns = std::min(runner_.poll(), kLongestNs);
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, std::chrono::nanoseconds(due_ns), [this] { return stop_ || woken_; });
    if (stop_) return;
    woken_ = false;
  }
}

}  // namespace quell::respond
