#pragma once
// The rules of a running quell over time: read when it starts, and again when somebody asks, when their files change,
// or when an exception ends. They are compiled on the thread that asks, beside those in force; what does not hold
// changes nothing but what health says.
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "apps/quell/rules.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "os/file_watch.h"

namespace quell::cli {

class RuleReload {
 public:
  enum class Cause : uint8_t { request, signal, file, expiry };
  struct Options {
    RuleSources sources;
    detect::EngineOptions engine;
    bool show_warnings = false;
    bool watch_files = true;
    const Clock* clock = nullptr;
    /// Hands new rules to whoever evaluates them. Called by the thread that reloads, one call at a time.
    std::function<void(std::shared_ptr<const LoadedRules>)> apply;
  };
  struct State {
    std::shared_ptr<const LoadedRules> rules;  // the newest that hold
    uint64_t loaded_ns = 0;                    // realtime
    std::string error;                         // why the files as they are now are not in force; empty while they are
  };

  /// Loads the first generation; `apply` is not called for it. Errors: those of load_rules().
  static Result<std::unique_ptr<RuleReload>> create(Options options);

  // Any thread:
  /// Reads the files again. The same content gives the same rules: nothing is swapped then.
  /// Errors: those of load_rules(); the rules in force stay.
  Result<std::shared_ptr<const LoadedRules>> reload(Cause cause);
  State state() const;
  void collect(metrics::Page& page) const;

  /// One thread, a few times a second: reloads when files have changed and are quiet again, and when an exception ends.
  void tick();

 private:
  explicit RuleReload(Options options);
  void watch(const RuleFiles& files);
  /// What the files hold now, or what is wrong with them: changes when either does.
  std::string look() const;

  const Options options_;
  std::atomic<uint64_t> failures_{0};
  std::atomic<uint64_t> reloads_[4]{};  // by Cause

  // The ticking thread.
  std::optional<os::FileWatch> watch_;
  uint64_t first_change_ns_ = 0, last_change_ns_ = 0;  // monotonic; 0: nothing has changed

  std::mutex reload_mutex_;  // one at a time
  std::string seen_;         // look() of the latest attempt; guarded by reload_mutex_
  mutable std::mutex mutex_;
  State state_;  // guarded by mutex_
};

}  // namespace quell::cli
