#pragma once
// Evidence, where using it must leave a trace: by the running quell, or by the data directory when none runs.
#include <memory>
#include <string>

#include "apps/quell/cli.h"
#include "record/evidence/files.h"
#include "record/store.h"

namespace quell::cli {

class EvidenceAccess {
 public:
  /// Errors: not_found (nothing was ever stored there), those of the API client and of open_store().
  static Result<EvidenceAccess> open(const Globals& globals);

  /// Where the object lies, after it was audited that it is exported; and as whom we were seen.
  struct Handed {
    std::string path, actor;
  };
  Result<Handed> hand_out(const std::string& id);
  Result<EvidenceItem> set_hold(const std::string& id, bool is_held, const std::string& reason);

 private:
  explicit EvidenceAccess(const Globals& globals) : globals_(&globals) {}
  const Globals* globals_;
  std::shared_ptr<record::Store> store_;  // null: the running quell is asked
  std::shared_ptr<record::EvidenceFiles> files_;
};

}  // namespace quell::cli
