#pragma once
// The daemon's side of the socket: a responder that lives in another process.
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "model/detection.h"
#include "respond/responder.h"

namespace quell::responder {

class RemoteResponder final : public respond::Responder {
 public:
  struct Options {
    std::string socket;
    std::string key;
    /// What a command's detection:ID means is sent along.
    std::function<Result<Detection>(std::string_view id)> find_detection;
    uint64_t timeout_ms = 120'000;  // of a verb: a stop waits for its grace, a proof for what it sees
  };
  explicit RemoteResponder(Options options) : options_(std::move(options)) {}

  Result<respond::Preview> preview(const Command& command) override;
  Result<respond::Outcome> run(const Command& command) override;
  Result<respond::Outcome> undo(const Verdict& request) override;
  Result<respond::Outcome> approve(const Verdict& verdict) override;
  Result<respond::Outcome> cancel(const Verdict& verdict) override;
  Result<std::vector<ActionRecord>> list(const ActionQuery& query) override;
  Result<ActionRecord> show(std::string_view action_id) override;
  Result<std::vector<Standing>> in_effect() override;
  /// On when the responder does not answer: nothing will take effect.
  StopSwitch stop_switch() override;
  Result<void> set_stop_switch(const StopSwitch& wanted) override;

  /// See respond::catalogue_json().
  Result<std::string> catalogue();

  struct Changes {
    uint64_t last = 0;    // ask for what comes after it
    uint64_t missed = 0;  // records that nobody remembers any more: list() has their last state
    std::vector<ActionRecord> records;
  };
  /// Records journaled after number `after`; waits up to `wait_ms` for one. Number 0 begins with what is remembered.
  Result<Changes> changes(uint64_t after, uint64_t wait_ms);

 private:
  Result<std::string> call(std::string_view verb, std::string_view asked, uint64_t timeout_ms) const;
  Result<std::string> with_detection(const Command& command) const;

  const Options options_;
};

}  // namespace quell::responder
