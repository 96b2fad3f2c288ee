#include "record/sqlite/sqlite_store.h"

#include <fmt/format.h>
#include <algorithm>
#include <mutex>

#include "base/text.h"
#include "model/detection_json.h"
#include "record/data_dir.h"
#include "record/sqlite/database.h"
#include "record/sqlite/journal.h"
#include "record/sqlite/schema.h"

namespace quell::record {
namespace {

constexpr size_t kMaxLimit = 1'000;
constexpr std::string_view kForgotten = "detections_forgotten";

/// A connection with the statements prepared on it, and the lock that makes it one thread's at a time.
struct Connection {
  std::mutex mutex;
  std::unique_ptr<Database> db;
};

int64_t clamp_time(uint64_t ns) { return static_cast<int64_t>(std::min<uint64_t>(ns, INT64_MAX)); }

class SqliteStore final : public Store {
 public:
  static Result<std::unique_ptr<Store>> open(const StoreOptions& options) {
    QUELL_TRY(DataDir dir, DataDir::lock(options.data_dir));
    std::unique_ptr<SqliteStore> store(new SqliteStore(std::move(dir), options));
    QUELL_CHECK(store->prepare());
    return std::unique_ptr<Store>(std::move(store));
  }

  Result<void> insert(std::span<const Detection> batch) override {
    const std::lock_guard lock(writer_.mutex);
    QUELL_TRY(Transaction transaction, Transaction::begin(*writer_.db));
    for (const Detection& d : batch) {
      insert_detection_.bind(1, d.id).bind(2, clamp_time(d.kernel_ns)).bind(3, to_valid_utf8(d.rule));
      insert_detection_.bind(4, static_cast<int64_t>(d.priority)).bind(5, d.container_id).bind(6, d.container_full_id);
      insert_detection_.bind(7, detection_to_json(d));
      QUELL_CHECK(insert_detection_.run());
    }
    const size_t inserted = inserted_since_trim_ + batch.size();
    const bool trim_now = inserted >= trim_every_;
    if (trim_now) QUELL_CHECK(trim());
    QUELL_CHECK(transaction.commit());
    inserted_since_trim_ = trim_now ? 0 : inserted;
    return {};
  }

  Result<Detection> detection(std::string_view id) const override {
    const std::lock_guard lock(reader_.mutex);
    QUELL_TRY(Statement statement, reader_.db->prepare("SELECT json FROM detections WHERE id = ?1"));
    QUELL_TRY(const bool found, statement.bind(1, id).step());
    if (!found) return Error{Code::not_found, fmt::format("there is no detection {}", id), {}};
    return detection_from_json(statement.text(0));
  }

  Result<std::vector<Detection>> detections(const DetectionQuery& query) const override {
    std::string sql = "SELECT json FROM detections WHERE kernel_ns >= ?1 AND kernel_ns < ?2";
    if (!query.rule.empty()) sql += " AND rule = ?3";
    if (!query.container_id.empty()) sql += " AND (container_id = ?4 OR container_full_id = ?4)";
    if (query.at_least) sql += " AND priority <= ?5";
    if (!query.before_id.empty()) sql += " AND seq < (SELECT seq FROM detections WHERE id = ?6)";
    if (!query.after_id.empty()) sql += " AND seq > (SELECT seq FROM detections WHERE id = ?8)";
    sql += query.oldest_first ? " ORDER BY seq LIMIT ?7" : " ORDER BY seq DESC LIMIT ?7";

    const std::lock_guard lock(reader_.mutex);
    QUELL_TRY(Statement statement, reader_.db->prepare(sql));
    statement.bind(1, clamp_time(query.since_ns)).bind(2, clamp_time(query.until_ns));
    if (!query.rule.empty()) statement.bind(3, query.rule);
    if (!query.container_id.empty()) statement.bind(4, query.container_id);
    if (query.at_least) statement.bind(5, static_cast<int64_t>(*query.at_least));
    if (!query.before_id.empty()) statement.bind(6, query.before_id);
    if (!query.after_id.empty()) statement.bind(8, query.after_id);
    statement.bind(7, static_cast<int64_t>(std::min(query.limit, kMaxLimit)));
    std::vector<Detection> out;
    while (true) {
      QUELL_TRY(const bool row, statement.step());
      if (!row) return out;
      QUELL_TRY(Detection detection, detection_from_json(statement.text(0)));
      out.push_back(std::move(detection));
    }
  }

  Result<std::optional<std::string>> meta(std::string_view name) const override {
    const std::lock_guard lock(reader_.mutex);
    QUELL_TRY(Statement statement, reader_.db->prepare("SELECT value FROM meta WHERE name = ?1"));
    QUELL_TRY(const bool found, statement.bind(1, name).step());
    return found ? std::optional(statement.text(0)) : std::nullopt;
  }

  Result<void> set_meta(std::string_view name, std::string_view value) override {
    const std::lock_guard lock(writer_.mutex);
    return write_meta(name, value);
  }

  Result<StoreCounters> counters() const override {
    const std::lock_guard lock(reader_.mutex);
    QUELL_TRY(Statement statement,
              reader_.db->prepare("SELECT count(*), (SELECT value FROM meta WHERE name = ?1) FROM detections"));
    QUELL_TRY(const bool row, statement.bind(1, kForgotten).step());
    StoreCounters out;
    if (row) {
      out.detections = static_cast<uint64_t>(statement.integer(0));
      parse_u64(statement.text(1), out.detections_forgotten);
    }
    return out;
  }

  // The journal: its own file, its own connection, every commit on stable storage.

  Result<void> save_action(const ActionRecord& record) override { return journal_->save_action(record); }
  Result<ActionRecord> find_action(std::string_view id) const override { return journal_->find_action(id); }
  Result<std::string> setting(std::string_view name) const override { return journal_->setting(name); }
  Result<void> save_setting(std::string_view name, std::string_view value) override {
    return journal_->save_setting(name, value);
  }
  Result<std::optional<ActionRecord>> find_action_by_key(std::string_view key) const override {
    return journal_->find_action_by_key(key);
  }
  Result<std::vector<ActionRecord>> list_actions(const ActionQuery& query) const override {
    return journal_->list_actions(query);
  }
  Result<std::vector<ActionRecord>> unsettled_actions() const override { return journal_->unsettled_actions(); }

  Result<AuditHead> append_audit(const AuditFact& fact) override { return journal_->append_audit(fact); }
  Result<std::vector<AuditEntry>> audit_entries(const AuditQuery& query) const override {
    return journal_->audit_entries(query);
  }
  Result<SignedAuditHead> audit_head() const override { return journal_->audit_head(); }
  Result<uint64_t> cut_audit(uint64_t before_seq, std::string_view actor) override {
    return journal_->cut_audit(before_seq, actor);
  }

  Result<void> save_evidence(const EvidenceItem& item, const AuditFact& fact) override {
    return journal_->save_evidence(item, fact);
  }
  Result<void> forget_evidence(const EvidenceItem& item) override { return journal_->forget_evidence(item); }
  Result<EvidenceItem> find_evidence(std::string_view id) const override { return journal_->find_evidence(id); }
  Result<std::vector<EvidenceItem>> list_evidence(const EvidenceQuery& query) const override {
    return journal_->list_evidence(query);
  }
  Result<std::vector<EvidenceItem>> evictable_evidence(uint64_t before_ns, size_t limit) const override {
    return journal_->evictable_evidence(before_ns, limit);
  }
  Result<std::vector<EvidenceItem>> deleting_evidence() const override { return journal_->deleting_evidence(); }
  Result<EvidenceCounters> count_evidence() const override { return journal_->count_evidence(); }

 private:
  SqliteStore(DataDir dir, const StoreOptions& options)
      : dir_(std::move(dir)),
        max_detections_(options.max_detections),
        trim_every_(static_cast<size_t>(std::clamp<uint64_t>(options.max_detections / 100, 1, 10'000))),
        audit_max_age_ns_(options.audit_max_age_ns) {}

  Result<void> prepare() {
    QUELL_TRY(writer_.db,
              Database::open(dir_.file("detections.db"), Database::Mode::read_write, Durability::process_crash));
    QUELL_CHECK(writer_.db->migrate(kDetectionsApplicationId, kDetectionsSchema));
    QUELL_TRY(reader_.db,
              Database::open(dir_.file("detections.db"), Database::Mode::read_only, Durability::process_crash));
    QUELL_TRY(journal_, Journal::open({.folder = dir_.path(), .audit_max_age_ns = audit_max_age_ns_}));
    QUELL_TRY(insert_detection_,
              writer_.db->prepare(
                  "INSERT INTO detections (id, kernel_ns, rule, priority, container_id, container_full_id, json) "
                  "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO UPDATE SET kernel_ns = excluded.kernel_ns, "
                  "rule = excluded.rule, priority = excluded.priority, container_id = excluded.container_id, "
                  "container_full_id = excluded.container_full_id, json = excluded.json"));
    return {};
  }

  // Inside the writer's transaction.
  Result<void> write_meta(std::string_view name, std::string_view value) {
    QUELL_TRY(Statement statement, writer_.db->prepare("INSERT INTO meta (name, value) VALUES (?1, ?2) "
                                                       "ON CONFLICT (name) DO UPDATE SET value = excluded.value"));
    return statement.bind(1, name).bind(2, value).run();
  }

  // Counting a million rows takes milliseconds, so it is done once per trim_every_ rows, not once per batch.
  Result<void> trim() {
    QUELL_TRY(Statement count, writer_.db->prepare("SELECT count(*) FROM detections"));
    QUELL_TRY(bool row, count.step());
    const uint64_t held = row ? static_cast<uint64_t>(count.integer(0)) : 0;
    count.reset();
    if (held <= max_detections_) return {};
    const uint64_t surplus = held - max_detections_;
    QUELL_TRY(
        Statement drop,
        writer_.db->prepare("DELETE FROM detections WHERE seq IN (SELECT seq FROM detections ORDER BY seq LIMIT ?1)"));
    QUELL_CHECK(drop.bind_u64(1, surplus).run());
    QUELL_TRY(Statement before, writer_.db->prepare("SELECT value FROM meta WHERE name = ?1"));
    QUELL_TRY(row, before.bind(1, kForgotten).step());
    uint64_t forgotten = 0;
    if (row) parse_u64(before.text(0), forgotten);
    before.reset();
    return write_meta(kForgotten, std::to_string(forgotten + surplus));
  }

  // Constant after open().
  DataDir dir_;  // first in, last out: the lock covers every connection
  const uint64_t max_detections_;
  const size_t trim_every_;
  const uint64_t audit_max_age_ns_;
  // Guarded by the connection's mutex each.
  Connection writer_;
  mutable Connection reader_;
  std::unique_ptr<Journal> journal_;
  Statement insert_detection_;  // after the connections: finalized before they close
  size_t inserted_since_trim_ = 0;
};

}  // namespace

Result<std::unique_ptr<Store>> open_sqlite(const StoreOptions& options) { return SqliteStore::open(options); }

}  // namespace quell::record
