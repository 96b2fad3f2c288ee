#include "record/sqlite/audit_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "model/audit_json.h"

namespace quell::record {
namespace {
constexpr size_t kMaxLimit = 1'000;
int64_t clamp_time(uint64_t ns) { return static_cast<int64_t>(std::min<uint64_t>(ns, INT64_MAX)); }
}  // namespace

AuditEntry audit_entry_of(const Statement& row) {
  AuditEntry entry;
  entry.seq = static_cast<uint64_t>(row.integer(0));
  entry.at_ns = static_cast<uint64_t>(row.integer(1));
  entry.kind = row.text(2);
  entry.subject = row.text(3);
  entry.actor = row.text(4);
  entry.body_json = row.text(5);
  entry.previous = row.text(6);
  entry.hash = row.text(7);
  return entry;
}

Result<SignedAuditHead> newest_cut(Database& db) {
  SignedAuditHead out;
  out.head.hash = kAuditOrigin;
  QUELL_TRY(Statement statement,
            db.prepare("SELECT seq, at_ns, hash, public_key, signature FROM audit_cuts ORDER BY seq DESC LIMIT 1"));
  QUELL_TRY(const bool row, statement.step());
  if (!row) return out;
  out.head = {static_cast<uint64_t>(statement.integer(0)), static_cast<uint64_t>(statement.integer(1)),
              statement.text(2)};
  out.public_key = statement.text(3);
  out.signature = statement.text(4);
  return out;
}

Result<AuditTable> AuditTable::open(Database& db, const Clock& clock) {
  AuditTable table(db, clock);
  QUELL_TRY(table.insert_,
            db.prepare(fmt::format("INSERT INTO audit ({}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", kAuditColumns)));
  QUELL_CHECK(table.read_head());
  return table;
}

Result<AuditTable> AuditTable::open_read_only(Database& db) {
  AuditTable table(db, system_clock());
  QUELL_CHECK(table.read_head());
  return table;
}

Result<void> AuditTable::read_head() {
  QUELL_TRY(Statement last, db_->prepare("SELECT seq, at_ns, hash FROM audit ORDER BY seq DESC LIMIT 1"));
  QUELL_TRY(const bool row, last.step());
  if (row) {
    head_ = {static_cast<uint64_t>(last.integer(0)), static_cast<uint64_t>(last.integer(1)), last.text(2)};
    return {};
  }
  QUELL_TRY(const SignedAuditHead cut, newest_cut(*db_));
  head_ = cut.head;
  return {};
}

Result<AuditHead> AuditTable::append(const AuditFact& fact) {
  if (fact.body_json.size() > kMaxAuditBody)
    return Error{Code::limit,
                 fmt::format("an audit entry of {} bytes is too large; at most {} are possible", fact.body_json.size(),
                             kMaxAuditBody),
                 fact.subject};
  AuditEntry entry;
  entry.seq = head_.seq + 1;
  entry.at_ns = static_cast<uint64_t>(clamp_time(clock_->realtime_ns()));
  entry.kind = to_string(fact.kind);
  // What is hashed must survive JSON, or an export could not be verified.
  entry.subject = to_valid_utf8(fact.subject);
  entry.actor = to_valid_utf8(fact.actor);
  entry.body_json = to_valid_utf8(fact.body_json.empty() ? "{}" : fact.body_json);
  entry.previous = head_.hash;
  entry.hash = audit_hash(entry);
  insert_.bind_u64(1, entry.seq).bind_u64(2, entry.at_ns).bind(3, entry.kind).bind(4, entry.subject);
  insert_.bind(5, entry.actor).bind(6, entry.body_json).bind(7, entry.previous).bind(8, entry.hash);
  QUELL_CHECK(insert_.run());
  return AuditHead{entry.seq, entry.at_ns, entry.hash};
}

Result<uint64_t> AuditTable::cut(uint64_t before_seq, const AuditKey& key) {
  AuditHead at;
  {
    QUELL_TRY(Statement last, db_->prepare("SELECT seq, at_ns, hash FROM audit WHERE seq = ?1"));
    QUELL_TRY(const bool row, last.bind_u64(1, before_seq - 1).step());
    if (!row) return uint64_t{0};
    at = {static_cast<uint64_t>(last.integer(0)), static_cast<uint64_t>(last.integer(1)), last.text(2)};
  }
  const SignedAuditHead head = key.sign(at);
  QUELL_TRY(
      Statement insert,
      db_->prepare("INSERT INTO audit_cuts (seq, at_ns, hash, public_key, signature) VALUES (?1, ?2, ?3, ?4, ?5)"));
  insert.bind_u64(1, at.seq).bind_u64(2, at.at_ns).bind(3, at.hash).bind(4, head.public_key).bind(5, head.signature);
  QUELL_CHECK(insert.run());
  QUELL_TRY(Statement drop, db_->prepare("DELETE FROM audit WHERE seq < ?1"));
  QUELL_CHECK(drop.bind_u64(1, before_seq).run());
  QUELL_TRY(Statement changes, db_->prepare("SELECT changes()"));
  QUELL_TRY(const bool row, changes.step());
  return row ? static_cast<uint64_t>(changes.integer(0)) : uint64_t{0};
}

Result<std::vector<AuditEntry>> read_audit(Database& db, const AuditQuery& query) {
  std::string sql = fmt::format("SELECT {} FROM audit WHERE seq > ?1 AND at_ns >= ?2 AND at_ns < ?3", kAuditColumns);
  if (!query.kind.empty()) sql += " AND kind = ?4";
  if (!query.subject.empty()) sql += " AND subject = ?5";
  if (!query.actor.empty()) sql += " AND substr(actor, 1, length(?6)) = ?6";
  sql += query.newest_first ? " ORDER BY seq DESC LIMIT ?7" : " ORDER BY seq LIMIT ?7";
  QUELL_TRY(Statement statement, db.prepare(sql));
  statement.bind(1, clamp_time(query.after_seq))
      .bind(2, clamp_time(query.since_ns))
      .bind(3, clamp_time(query.until_ns));
  if (!query.kind.empty()) statement.bind(4, query.kind);
  if (!query.subject.empty()) statement.bind(5, query.subject);
  if (!query.actor.empty()) statement.bind(6, query.actor);
  statement.bind(7, static_cast<int64_t>(std::min(query.limit, kMaxLimit)));
  std::vector<AuditEntry> out;
  while (true) {
    QUELL_TRY(const bool row, statement.step());
    if (!row) return out;
    out.push_back(audit_entry_of(statement));
  }
}

}  // namespace quell::record
