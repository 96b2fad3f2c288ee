#pragma once
// What the data directory keeps about policies: reports of back-tests, and who promoted what.
#include <functional>
#include <string>

#include "base/result.h"
#include "respond/policy/backtest.h"

namespace quell::cli {

/// One promotion.
struct Promotion {
  std::string policy, hash, file;
  uint64_t version = 0;
  std::string from, to;
  std::string report;  // id of the back-test; empty if it was forced
  std::string reason;  // why it was forced, or why at all
  std::string actor;   // "uid:0 (root)"
  uint64_t time_ns = 0;
};
std::string promotion_json(const Promotion& promotion);

class PolicyLedger {
 public:
  explicit PolicyLedger(std::string data_dir) : data_dir_(std::move(data_dir)) {}

  /// Keeps the report under its id. Errors: io, permission_denied, not_found (no data directory).
  Result<void> keep(const respond::policy::BacktestReport& report) const;
  /// Errors: not_found, malformed, invalid_argument (no id).
  Result<respond::policy::KeptReport> find(const std::string& id) const;
  /// Appends one line, on stable storage when it returns. Errors: as keep().
  Result<void> append(const Promotion& promotion) const;

 private:
  std::string reports() const { return data_dir_ + "/policy-reports"; }
  std::string data_dir_;
};

/// Replaces the file's content at once or not at all; owner and mode stay. `before` runs when the new content is on
/// stable storage and the old one still stands; its error leaves the old one. Errors: also what the system says.
Result<void> replace_file(const std::string& path, const std::string& content,
                          const std::function<Result<void>()>& before = {});

}  // namespace quell::cli
