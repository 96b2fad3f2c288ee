// The catalogue of evidence in the journal's file.
#include <fmt/format.h>

#include <algorithm>

#include "model/evidence_json.h"
#include "record/sqlite/evidence_rows.h"
#include "record/sqlite/journal.h"

namespace quell::record {
namespace {

constexpr size_t kMaxLimit = 1'000;
int64_t clamp(uint64_t value) { return static_cast<int64_t>(std::min<uint64_t>(value, INT64_MAX)); }

Result<std::vector<EvidenceItem>> read_items(Statement& statement) {
  std::vector<EvidenceItem> out;
  while (true) {
    QUELL_TRY(const bool row, statement.step());
    if (!row) return out;
    QUELL_TRY(EvidenceItem item, evidence_from_json(statement.text(0)));
    out.push_back(std::move(item));
  }
}

}  // namespace

Result<void> Journal::save_evidence(const EvidenceItem& item, const AuditFact& fact) {
  const std::lock_guard lock(mutex_);
  QUELL_TRY(
      const AuditHead head, change_locked(fact, [&](Database& db) -> Result<void> {
        QUELL_TRY(Statement statement,
                  db.prepare("INSERT INTO evidence (id, sha256, size, evidence_kind, action_id, ended_ns, held, "
                             "deleting, json) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (id) DO "
                             "UPDATE SET held = excluded.held, deleting = excluded.deleting, json = excluded.json"));
        statement.bind(1, item.id).bind(2, item.sha256).bind(3, clamp(item.size));
        statement.bind(4, to_string(item.origin.kind)).bind(5, item.origin.action_id).bind(6, clamp(item.ended_ns));
        statement.bind(7, int64_t{item.is_held}).bind(8, int64_t{item.is_deleting});
        return statement.bind(9, evidence_to_json(item)).run();
      }));
  (void)head;
  return {};
}

Result<void> Journal::forget_evidence(const EvidenceItem& item) {
  const std::lock_guard lock(mutex_);
  QUELL_TRY(Transaction transaction, Transaction::begin(*db_));
  QUELL_TRY(Statement drop, db_->prepare("DELETE FROM evidence WHERE id = ?1"));
  QUELL_CHECK(drop.bind(1, item.id).run());
  QUELL_TRY(Statement count, db_->prepare("UPDATE evidence_dropped SET items = items + 1, bytes = bytes + ?1"));
  QUELL_CHECK(count.bind(1, clamp(item.size)).run());
  return transaction.commit();
}

Result<EvidenceItem> read_evidence_item(Database& db, std::string_view id) {
  QUELL_TRY(Statement statement, db.prepare("SELECT json FROM evidence WHERE id = ?1"));
  QUELL_TRY(const bool found, statement.bind(1, id).step());
  if (!found) return Error{Code::not_found, fmt::format("there is no evidence {}", id), {}};
  return evidence_from_json(statement.text(0));
}

Result<std::vector<EvidenceItem>> read_evidence(Database& db, const EvidenceQuery& query) {
  std::string sql = "SELECT json FROM evidence WHERE 1";
  if (!query.action_id.empty()) sql += " AND action_id = ?1";
  if (!query.sha256.empty()) sql += " AND sha256 = ?2";
  if (query.kind) sql += " AND evidence_kind = ?3";
  if (!query.before_id.empty()) sql += " AND seq < (SELECT seq FROM evidence WHERE id = ?4)";
  sql += " ORDER BY seq DESC LIMIT ?5";
  QUELL_TRY(Statement statement, db.prepare(sql));
  if (!query.action_id.empty()) statement.bind(1, query.action_id);
  if (!query.sha256.empty()) statement.bind(2, query.sha256);
  if (query.kind) statement.bind(3, to_string(*query.kind));
  if (!query.before_id.empty()) statement.bind(4, query.before_id);
  statement.bind(5, static_cast<int64_t>(std::min(query.limit, kMaxLimit)));
  return read_items(statement);
}

Result<EvidenceItem> Journal::find_evidence(std::string_view id) const {
  const std::lock_guard lock(reader_mutex_);
  return read_evidence_item(*reader_, id);
}

Result<std::vector<EvidenceItem>> Journal::list_evidence(const EvidenceQuery& query) const {
  const std::lock_guard lock(reader_mutex_);
  return read_evidence(*reader_, query);
}

Result<std::vector<EvidenceItem>> Journal::evictable_evidence(uint64_t before_ns, size_t limit) const {
  const std::lock_guard lock(reader_mutex_);
  QUELL_TRY(
      Statement statement,
      reader_->prepare("SELECT json FROM evidence WHERE held = 0 AND deleting = 0 AND ended_ns < ?1 AND NOT EXISTS "
                       "(SELECT 1 FROM actions WHERE actions.id = evidence.action_id AND unsettled = 1) "
                       "ORDER BY seq LIMIT ?2"));
  statement.bind(1, clamp(before_ns)).bind(2, static_cast<int64_t>(std::min(limit, kMaxLimit)));
  return read_items(statement);
}

Result<std::vector<EvidenceItem>> Journal::deleting_evidence() const {
  const std::lock_guard lock(reader_mutex_);
  QUELL_TRY(Statement statement, reader_->prepare("SELECT json FROM evidence WHERE deleting = 1 ORDER BY seq"));
  return read_items(statement);
}

Result<EvidenceCounters> Journal::count_evidence() const {
  const std::lock_guard lock(reader_mutex_);
  EvidenceCounters out;
  {
    QUELL_TRY(Statement statement,
              reader_->prepare("SELECT count(*), coalesce(sum(held), 0) FROM evidence WHERE deleting = 0"));
    QUELL_TRY(const bool row, statement.step());
    if (row)
      out.items = static_cast<uint64_t>(statement.integer(0)), out.held = static_cast<uint64_t>(statement.integer(1));
  }
  {
    QUELL_TRY(Statement statement, reader_->prepare("SELECT coalesce(sum(size), 0) FROM (SELECT max(size) AS size FROM "
                                                    "evidence WHERE deleting = 0 GROUP BY sha256)"));
    QUELL_TRY(const bool row, statement.step());
    if (row) out.bytes = static_cast<uint64_t>(statement.integer(0));
  }
  QUELL_TRY(Statement statement, reader_->prepare("SELECT items, bytes FROM evidence_dropped"));
  QUELL_TRY(const bool row, statement.step());
  if (row) {
    out.dropped = static_cast<uint64_t>(statement.integer(0));
    out.dropped_bytes = static_cast<uint64_t>(statement.integer(1));
  }
  return out;
}

}  // namespace quell::record
