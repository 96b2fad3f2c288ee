#pragma once
// The thread that calls Runner::poll() when something is due.
#include <condition_variable>
#include <mutex>
#include <thread>

#include "respond/runner.h"

namespace quell::respond {

class Worker {
 public:
  /// `runner` is borrowed and outlives the worker.
  explicit Worker(Runner& runner);
  /// Ends the thread; what it is doing is finished first.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

 private:
  void loop();
  Runner& runner_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false, woken_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace quell::respond
