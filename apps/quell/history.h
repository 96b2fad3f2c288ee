#pragma once
// Stored detections, wherever they are: with the running quell, or in the data directory when none runs.
#include <memory>
#include <string>
#include <vector>

#include "apps/quell/cli.h"
#include "record/store.h"

namespace quell::cli {

class History {
 public:
  /// Errors: not_found (nothing was ever stored there), those of the API client and of open_store().
  static Result<History> open(const Globals& globals);

  /// Errors: not_found.
  Result<Detection> find(const std::string& id) const;
  /// Newest first, at most `limit`.
  Result<std::vector<Detection>> of_rule(const std::string& rule, uint64_t since_ns, size_t limit) const;
  /// The next page in the order in which they were stored: those behind `after_id`, the last of the page before; empty
  /// for the first page. Empty: there are no more.
  Result<std::vector<Detection>> oldest_first(uint64_t since_ns, const std::string& after_id) const;

 private:
  static Result<std::vector<Detection>> read_list(const std::string& answer);
  explicit History(const Globals& globals) : globals_(&globals) {}
  Result<std::vector<Detection>> page(const std::string& rule, uint64_t since_ns, const std::string& before_id) const;

  const Globals* globals_;
  std::shared_ptr<record::Store> store_;  // null: the running quell is asked
};

}  // namespace quell::cli
