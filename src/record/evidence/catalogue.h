#pragma once
// The catalogue of evidence, as a store keeps it: beside the journal, so that an entry and what the audit log says
// about it are committed together.
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/audit_log.h"
#include "model/evidence_store.h"

namespace quell::record {

/// Thread-safe. Errors of every call: Code::io, Code::malformed.
class EvidenceCatalogue {
 public:
  virtual ~EvidenceCatalogue() = default;
  /// Inserts the item, or replaces the one with its id, together with the audit entry.
  virtual Result<void> save_evidence(const EvidenceItem& item, const AuditFact& fact) = 0;
  /// Takes an item out whose deletion was audited, and counts it.
  virtual Result<void> forget_evidence(const EvidenceItem& item) = 0;
  /// Errors: also Code::not_found.
  virtual Result<EvidenceItem> find_evidence(std::string_view id) const = 0;
  /// Newest first.
  virtual Result<std::vector<EvidenceItem>> list_evidence(const EvidenceQuery& query) const = 0;
  /// The oldest that may go: not held, and of no action that is still open. Stored before `before_ns`.
  virtual Result<std::vector<EvidenceItem>> evictable_evidence(uint64_t before_ns, size_t limit) const = 0;
  /// Those whose deletion was begun and not finished.
  virtual Result<std::vector<EvidenceItem>> deleting_evidence() const = 0;
  virtual Result<EvidenceCounters> count_evidence() const = 0;
};

}  // namespace quell::record
