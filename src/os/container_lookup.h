#pragma once
// Metadata of containers, asked for while events flow. The engine thread names a container and goes on; a few workers
// ask the runtimes, again and again while a container is young, and leave answers to be fetched.
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

struct LookupRequest {
  std::string full_id;
  ContainerType guess = ContainerType::unknown;  // decides which runtime is asked first; any of them may answer
  // Where it was seen: tells a container that has ended from one that no runtime knows. Both may be left out.
  std::string cgroup_path = {};
  int64_t pid = -1;
};

struct LookupAnswer {
  std::string full_id;                    // as requested
  std::shared_ptr<const Container> info;  // null: not known, for `missing`
  ContainerMissing missing = ContainerMissing::none;
  std::string detail;  // for operators: who was asked and what he said; empty with info
  /// Without info: true if nobody will ask again by himself. False while attempts go on: better news may follow.
  bool final = true;
};

/// Counters since the start; each request ends in one of hits, deduplicated, rejected, found, failed, forgotten.
struct LookupCounters {
  uint64_t requests = 0;
  uint64_t hits = 0;          // answered from the cache
  uint64_t deduplicated = 0;  // the same id was waiting already
  uint64_t rejected = 0;      // the queue was full: a reason is answered at once
  uint64_t found = 0;
  uint64_t failed = 0;                              // given up
  uint64_t forgotten = 0;                           // by forget(), before there was an answer
  uint64_t attempts = 0;                            // rounds through the runtimes
  uint64_t waiting = 0;                             // now
  uint64_t cached = 0;                              // now
  std::map<std::string, uint64_t> failed_attempts;  // of one runtime, by "runtime:code"
};

/// How a runtime did when it was asked last, by a lookup or, when there was none for a while, by a ping.
struct RuntimeHealth {
  std::string name;
  bool is_present = false;   // there is a socket, or a state folder
  bool is_answering = true;  // false after two silences in a row, or one refusal; true while it was never asked
  std::string error = {};    // of the last failure; empty while it answers
};

/// request() and poll() belong to any thread, usually the engine's; neither ever waits for a runtime. Answers wait
/// without a bound of their own: whoever requests also polls, and there are at most three answers to a request.
class ContainerLookup {
 public:
  using Milliseconds = std::chrono::milliseconds;
  struct Options {
    size_t capacity = 1024;        // ids waiting for an answer
    size_t cache_capacity = 4096;  // answers remembered; the oldest go first
    Milliseconds found_ttl{std::chrono::minutes(10)};
    Milliseconds failed_ttl{std::chrono::seconds(30)};
    /// Waits before the attempts. Docker keeps a container locked while it starts it and answers right after.
    std::vector<Milliseconds> quick{Milliseconds(0),   Milliseconds(20),  Milliseconds(40), Milliseconds(80),
                                    Milliseconds(160), Milliseconds(320), Milliseconds(640)};
    std::vector<Milliseconds> slow{Milliseconds(1500), Milliseconds(5000), Milliseconds(15'000), Milliseconds(60'000)};
    /// A runtime that was silent twice in a row is left alone for so long: its silence takes a worker each time.
    Milliseconds hung_pause{500};
    /// Questions under way at once. One runtime gets all but one of them at most: one that hangs does not hold up the
    /// answers of the others.
    size_t workers = 8;
    /// A runtime that nobody asked for so long is pinged, so that its silence is known before it matters. 0: never.
    Milliseconds ping_interval{10'000};
    /// Labels whose value is longer (bytes) are left out, as Falco does. 0: no bound.
    size_t label_max_len = 100;
  };

  /// Borrows the runtimes (make_runtimes, best with a short timeout such as 2 s) until destruction. Starts the workers.
  explicit ContainerLookup(const std::vector<std::unique_ptr<Runtime>>& runtimes)
      : ContainerLookup(runtimes, Options()) {}
  ContainerLookup(const std::vector<std::unique_ptr<Runtime>>& runtimes, Options options);
  /// Waits for the calls under way, at most the runtimes' timeout.
  ~ContainerLookup();
  ContainerLookup(const ContainerLookup&) = delete;
  ContainerLookup& operator=(const ContainerLookup&) = delete;

  /// An answer follows through poll(), always.
  void request(LookupRequest request);
  /// Moves the answers since the last call to the end of `answers`.
  void poll(std::vector<LookupAnswer>& answers);
  /// The container ended: its cached answer is dropped and nobody asks for it any longer (no answer follows).
  void forget(const std::string& full_id);

  LookupCounters counters() const;
  /// In the order of the runtimes.
  std::vector<RuntimeHealth> runtimes() const;

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Waiting {
    LookupRequest request;
    size_t attempt = 0;         // index into quick, then slow
    uint64_t serial = 0;        // tells it from a later request for the same id
    bool has_bad_news = false;  // an answer without metadata went out
  };
  struct Cached {
    LookupAnswer answer;
    Time expires;
    uint64_t serial = 0;
  };
  struct Asked {  // of one runtime
    size_t in_flight = 0;
    size_t silences = 0;  // timeouts in a row
    Time hung_until{};
    Time last{};  // end of the last question
    std::string error;
  };
  struct Outcome {
    std::shared_ptr<const Container> info;
    ContainerMissing missing = ContainerMissing::none;
    std::string detail;
    bool is_hopeless = false;     // later attempts could not do better
    bool nobody_listens = false;  // there is no runtime to wait for
  };

  void work();
  void attempt(std::unique_lock<std::mutex>& lock, const std::string& id, uint64_t serial);
  void ping_the_unasked(std::unique_lock<std::mutex>& lock);
  Outcome ask(const LookupRequest& request);
  bool begin(size_t runtime, Error& error);
  void end(size_t runtime, const Error* error);
  std::shared_ptr<const Container> without_long_labels(std::shared_ptr<const Container> info) const;
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
  bool is_pinging_ = false;
  uint64_t serial_ = 0;
  std::unordered_map<std::string, Waiting> waiting_;
  std::multimap<Time, std::pair<std::string, uint64_t>> due_;  // id and serial; stale entries are skipped
  std::unordered_map<std::string, Cached> cache_;
  std::map<uint64_t, std::string> cache_order_;  // serial → id, oldest first
  std::vector<LookupAnswer> answers_;
  std::vector<Asked> asked_;  // by runtime
  LookupCounters counters_;

  std::vector<std::thread> workers_;  // last: they start when all else is there
};

}  // namespace quell::os
