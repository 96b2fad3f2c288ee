#pragma once
// The responder's side of the socket: who may ask, and which verb is meant.
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>

#include "api/http.h"
#include "base/json.h"
#include "respond/responder.h"

namespace quell::responder {

/// Thread-safe.
class Service {
 public:
  struct Options {
    std::string key;           // of this start: whoever does not know it is refused
    uint32_t allowed_uid = 0;  // the daemon's; nobody else, whatever he knows
    std::function<std::string()> catalogue;
    size_t max_changes = 4096;  // remembered for who asks what changed
  };
  /// Borrows the responder.
  Service(respond::Responder& responder, Options options);

  api::Response handle(const api::Request& request);
  /// A record was journaled: whoever waits for changes is told. Never blocks for long.
  void note(const ActionRecord& record);
  /// Nobody waits any more.
  void stop();

 private:
  struct Change {
    uint64_t number;
    std::string record;
  };
  api::Response changes(const Json& asked);

  respond::Responder& responder_;
  const Options options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Change> changes_;  // guarded by mutex_, like the rest
  uint64_t last_ = 0;
  bool stopping_ = false;
};

}  // namespace quell::responder
