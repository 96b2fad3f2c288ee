#pragma once
// The table of the audit chain: appends within a transaction of its owner, reads, cuts. The owner holds the lock.
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "model/audit_log.h"
#include "record/audit/signing.h"
#include "record/sqlite/database.h"

namespace quell::record {

inline constexpr std::string_view kAuditColumns = "seq, at_ns, kind, subject, actor, body, previous, hash";
/// A row of kAuditColumns.
AuditEntry audit_entry_of(const Statement& row);

/// The newest cut: where the chain begins. Seq 0 where there is none.
Result<SignedAuditHead> newest_cut(Database& db);

class AuditTable {
 public:
  /// `db` outlives it.
  static Result<AuditTable> open(Database& db, const Clock& clock);

  /// For its head only.
  static Result<AuditTable> open_read_only(Database& db);

  /// In the owner's transaction; the chain goes on from it once it was accepted.
  Result<AuditHead> append(const AuditFact& fact);
  void accept(AuditHead head) { head_ = std::move(head); }
  const AuditHead& head() const { return head_; }

  /// Marks the place and deletes what is before `before_seq`, in the owner's transaction. Returns how many went.
  Result<uint64_t> cut(uint64_t before_seq, const AuditKey& key);

 private:
  AuditTable(Database& db, const Clock& clock) : db_(&db), clock_(&clock) {}
  Result<void> read_head();
  Database* db_;
  const Clock* clock_;
  Statement insert_;
  AuditHead head_;
};

/// Entries that a query asks for, by a connection of the caller's.
Result<std::vector<AuditEntry>> read_audit(Database& db, const AuditQuery& query);

}  // namespace quell::record
