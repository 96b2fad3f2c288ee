#pragma once
// Metadata of containers, asked for while events flow. The engine thread names an id and goes on; a worker asks the
// runtimes, again and again while a container is young, and leaves answers to be fetched.
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "model/container.h"
#include "os/runtime.h"

namespace quell::os {

struct LookupAnswer {
  std::string full_id;                    // as requested
  std::shared_ptr<const Container> info;  // null: not known, for `reason`
  std::string reason;                     // for operators; empty with info
  /// Without info: true if nobody will ask again by himself. False after the quick attempts failed while slow ones go
  /// on: stop holding events back, better news may follow.
  bool final = true;
};

/// Counters since the start; each request ends in one of hits, deduplicated, rejected, found, failed.
struct LookupCounters {
  uint64_t requests = 0;
  uint64_t hits = 0;          // answered from the cache
  uint64_t deduplicated = 0;  // the same id was waiting already
  uint64_t rejected = 0;      // the queue was full: a reason is answered at once
  uint64_t found = 0;
  uint64_t failed = 0;                              // given up
  uint64_t attempts = 0;                            // rounds through the runtimes
  std::map<std::string, uint64_t> failed_attempts;  // of one runtime, by "runtime:code"
};

/// request() and poll() belong to any thread, usually the engine's; neither ever waits for a runtime. Answers wait
/// without a bound of their own: whoever requests also polls, and there are at most two answers to a request.
class ContainerLookup {
 public:
  using Milliseconds = std::chrono::milliseconds;
  struct Options {
    size_t capacity = 1024;        // ids waiting for an answer
    size_t cache_capacity = 4096;  // answers remembered; the oldest go first
    Milliseconds found_ttl{std::chrono::minutes(10)};
    Milliseconds failed_ttl{std::chrono::seconds(30)};
    /// Waits before the attempts. A runtime answers for a container 10 to 100 ms after its first process appeared.
    std::vector<Milliseconds> quick{Milliseconds(0),  Milliseconds(30), Milliseconds(30),
                                    Milliseconds(30), Milliseconds(30), Milliseconds(30)};
    std::vector<Milliseconds> slow{Milliseconds(1000), Milliseconds(5000)};
    /// A runtime that timed out is left alone for so long, or one that hangs would hold up the answers of the other.
    Milliseconds hung_pause{2000};
  };

  /// Borrows the runtimes (make_runtimes, best with a short timeout such as 1 s) until destruction. Starts the worker.
  explicit ContainerLookup(const std::vector<std::unique_ptr<Runtime>>& runtimes)
      : ContainerLookup(runtimes, Options()) {}
  ContainerLookup(const std::vector<std::unique_ptr<Runtime>>& runtimes, Options options);
  /// Waits for the call under way, at most the runtimes' timeout.
  ~ContainerLookup();
  ContainerLookup(const ContainerLookup&) = delete;
  ContainerLookup& operator=(const ContainerLookup&) = delete;

  /// `guess` decides which runtime is asked first; any of them may answer. An answer follows through poll(), always.
  void request(const std::string& full_id, ContainerType guess);
  /// Moves the answers since the last call to the end of `answers`.
  void poll(std::vector<LookupAnswer>& answers);
  /// The container ended: its cached answer is dropped and nobody asks for it any longer (no answer follows).
  void forget(const std::string& full_id);

  LookupCounters counters() const;

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Waiting {
    ContainerType guess;
    size_t attempt = 0;   // index into quick, then slow
    uint64_t serial = 0;  // tells it from a later request for the same id
  };
  struct Cached {
    LookupAnswer answer;
    Time expires;
    uint64_t serial = 0;
  };

  void work();
  struct Outcome {
    std::shared_ptr<const Container> info;
    std::string reason;
  };
  Outcome ask(const std::string& full_id, ContainerType guess);
  Milliseconds wait_before(size_t attempt) const;
  size_t attempts() const { return options_.quick.size() + options_.slow.size(); }
  void remember(LookupAnswer answer, Milliseconds ttl);  // mutex_ held

  // constant
  const std::vector<std::unique_ptr<Runtime>>& runtimes_;
  const Options options_;

  // guarded by mutex_
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  uint64_t serial_ = 0;
  std::unordered_map<std::string, Waiting> waiting_;
  std::multimap<Time, std::pair<std::string, uint64_t>> due_;  // id and serial; stale entries are skipped
  std::unordered_map<std::string, Cached> cache_;
  std::map<uint64_t, std::string> cache_order_;  // serial → id, oldest first
  std::vector<LookupAnswer> answers_;
  LookupCounters counters_;

  // the worker's own
  std::vector<Time> hung_until_;

  std::thread worker_;  // last: starts when all else is there
};

}  // namespace quell::os
