#include "record/sqlite/journal.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/json.h"
#include "base/log.h"
#include "base/sha256.h"
#include "model/action_json.h"
#include "model/audit_json.h"
#include "record/audit/small_file.h"
#include "record/sqlite/schema.h"

namespace quell::record {
namespace {

constexpr size_t kMaxLimit = 1'000;
constexpr std::chrono::seconds kHeadInterval{1};
constexpr std::chrono::hours kCutInterval{1};

int64_t clamp_time(uint64_t ns) { return static_cast<int64_t>(std::min<uint64_t>(ns, INT64_MAX)); }

Result<std::vector<ActionRecord>> read_actions(Statement& statement) {
  std::vector<ActionRecord> out;
  while (true) {
    QUELL_TRY(const bool row, statement.step());
    if (!row) return out;
    QUELL_TRY(ActionRecord record, action_from_json(statement.text(0)));
    out.push_back(std::move(record));
  }
}

AuditFact chain_fact(JsonWriter& body) {
  body.end_object();
  return {AuditKind::chain, "audit", "quell", body.take()};
}

}  // namespace

Result<std::unique_ptr<Journal>> Journal::open(const JournalOptions& options) {
  std::unique_ptr<Journal> journal(new Journal(options));
  QUELL_CHECK(journal->prepare());
  journal->keeper_ = std::thread([raw = journal.get()] { raw->keep(); });
  return journal;
}

Journal::~Journal() {
  {
    const std::lock_guard lock(keeper_mutex_);
    is_closing_ = true;
  }
  keeper_wakes_.notify_all();
  if (keeper_.joinable()) keeper_.join();
}

Result<void> Journal::prepare() {
  const std::string path = options_.folder + "/" + std::string(kActionsFile);
  QUELL_TRY(db_, Database::open(path, Database::Mode::read_write, Durability::power_cut));
  QUELL_CHECK(db_->migrate(kActionsApplicationId, kActionsSchema));
  QUELL_TRY(reader_, Database::open(path, Database::Mode::read_only, Durability::power_cut));
  QUELL_TRY(
      save_action_,
      db_->prepare("INSERT INTO actions (id, action, target, state, idempotency_key, requested_ns, unsettled, json) "
                   "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (id) DO UPDATE SET action = excluded.action, "
                   "target = excluded.target, state = excluded.state, idempotency_key = excluded.idempotency_key, "
                   "unsettled = excluded.unsettled, json = excluded.json"));
  QUELL_TRY(AuditTable table, AuditTable::open(*db_, *options_.clock));
  audit_.emplace(std::move(table));
  QUELL_TRY(AuditKey key, AuditKey::open_or_make(options_.folder));
  key_.emplace(std::move(key));
  if (audit_->head().seq == 0)
    QUELL_CHECK(begin_chain());
  else
    QUELL_CHECK(compare_with_head_file());
  newest_ = audit_->head();
  cut_old();
  return {};
}

// What was there before there was a chain is vouched for from its beginning on.
Result<void> Journal::begin_chain() {
  Sha256 sum;
  uint64_t count = 0;
  const auto add = [&](const std::string& text) {
    sum.update({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  };
  {
    QUELL_TRY(Statement rows, db_->prepare("SELECT json FROM actions ORDER BY seq"));
    while (true) {
      QUELL_TRY(const bool row, rows.step());
      if (!row) break;
      add(rows.text(0) + "\n");
      ++count;
    }
  }
  JsonWriter body;
  body.begin_object().text("event", "begin").integer("version", 1).text("public_key", key_->public_key());
  body.integer("earlier_actions", count).text("earlier_actions_sha256", sum.finish());
  QUELL_TRY(AuditHead head, change_locked(chain_fact(body), nullptr));
  (void)head;
  return {};
}

// A chain that ends before the head that was written last has lost its end. It goes on, and says so.
Result<void> Journal::compare_with_head_file() {
  const std::string path = options_.folder + "/" + std::string(kAuditHeadFile);
  const auto text = read_small_file(path);
  if (!text && text.error().code == Code::not_found) return {};
  if (!text) return Error(text.error());
  std::string finding;
  SignedAuditHead seen;
  if (auto parsed = audit_head_from_json(*text); !parsed) {
    finding = "the head file cannot be read: " + parsed.error().str();
  } else {
    seen = std::move(*parsed);
    if (seen.public_key != key_->public_key()) {
      finding = "the head file was signed by another key";
    } else if (!is_signature_good(seen)) {
      finding = "the signature of the head file is wrong";
    } else if (seen.head.seq > audit_->head().seq) {
      finding =
          fmt::format("the chain ends at entry {}, the head file knows entry {}", audit_->head().seq, seen.head.seq);
    } else {
      QUELL_TRY(Statement entry, db_->prepare("SELECT hash FROM audit WHERE seq = ?1"));
      QUELL_TRY(const bool row, entry.bind_u64(1, seen.head.seq).step());
      if (row && entry.text(0) != seen.head.hash)
        finding = fmt::format("entry {} is not the one that the head file knows", seen.head.seq);
    }
  }
  if (finding.empty()) return {};
  log::error("record", "the audit log was changed while quell did not run: {}; see `quell audit verify`", finding);
  JsonWriter body;
  body.begin_object().text("event", "inconsistent_head").text("finding", finding);
  body.integer("head_seq", seen.head.seq).text("head_hash", seen.head.hash).text("public_key", key_->public_key());
  QUELL_TRY(AuditHead head, change_locked(chain_fact(body), nullptr));
  (void)head;
  return {};
}

Result<AuditHead> Journal::change_locked(const AuditFact& fact, const std::function<Result<void>(Database&)>& change) {
  QUELL_TRY(Transaction transaction, Transaction::begin(*db_));
  if (change) QUELL_CHECK(change(*db_));
  QUELL_TRY(AuditHead head, audit_->append(fact));
  QUELL_CHECK(transaction.commit());
  committed(head);
  return head;
}

void Journal::committed(AuditHead head) {
  audit_->accept(head);
  {
    const std::lock_guard lock(keeper_mutex_);
    newest_ = std::move(head);
  }
  keeper_wakes_.notify_one();
}

Result<void> Journal::save_action(const ActionRecord& record) {
  const std::string json = action_to_json(record);
  const std::lock_guard lock(mutex_);
  const AuditFact fact = facts_.of(record, json, audit_->head().seq + 1);
  QUELL_TRY(
      const AuditHead head, change_locked(fact, [&](Database&) {
        save_action_.bind(1, record.id).bind(2, record.command.action).bind(3, record.target.str());
        save_action_.bind(4, to_string(record.state)).bind(5, record.command.idempotency_key);
        save_action_.bind(6, clamp_time(record.requested_ns)).bind(7, int64_t{is_unsettled(record)}).bind(8, json);
        return save_action_.run();
      }));
  (void)head;
  facts_.accept(record);
  return {};
}

Result<ActionRecord> Journal::find_action(std::string_view id) const {
  const std::lock_guard lock(mutex_);
  QUELL_TRY(Statement statement, db_->prepare("SELECT json FROM actions WHERE id = ?1"));
  QUELL_TRY(const bool found, statement.bind(1, id).step());
  if (!found) return Error{Code::not_found, fmt::format("there is no action {}", id), {}};
  return action_from_json(statement.text(0));
}

Result<std::string> Journal::setting(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  QUELL_TRY(Statement statement, db_->prepare("SELECT value FROM settings WHERE name = ?1"));
  QUELL_TRY(const bool found, statement.bind(1, name).step());
  return found ? std::string(statement.text(0)) : std::string();
}

Result<void> Journal::save_setting(std::string_view name, std::string_view value) {
  const std::lock_guard lock(mutex_);
  QUELL_TRY(const AuditHead head, change_locked(setting_fact(name, value), [&](Database& db) -> Result<void> {
              QUELL_TRY(Statement statement, db.prepare("INSERT INTO settings (name, value) VALUES (?1, ?2) "
                                                        "ON CONFLICT (name) DO UPDATE SET value = excluded.value"));
              return statement.bind(1, name).bind(2, value).run();
            }));
  (void)head;
  return {};
}

Result<std::optional<ActionRecord>> Journal::find_action_by_key(std::string_view key) const {
  const std::lock_guard lock(mutex_);
  QUELL_TRY(Statement statement,
            db_->prepare("SELECT json FROM actions WHERE idempotency_key = ?1 ORDER BY seq DESC LIMIT 1"));
  QUELL_TRY(const bool found, statement.bind(1, key).step());
  if (!found) return std::optional<ActionRecord>();
  QUELL_TRY(ActionRecord record, action_from_json(statement.text(0)));
  return std::optional(std::move(record));
}

Result<std::vector<ActionRecord>> Journal::list_actions(const ActionQuery& query) const {
  std::string sql = "SELECT json FROM actions WHERE 1";
  if (!query.action.empty()) sql += " AND action = ?1";
  if (!query.target.empty()) sql += " AND target = ?2";
  if (query.state) sql += " AND state = ?3";
  if (query.unsettled_only) sql += " AND unsettled = 1";
  if (!query.before_id.empty()) sql += " AND seq < (SELECT seq FROM actions WHERE id = ?4)";
  sql += " ORDER BY seq DESC LIMIT ?5";

  const std::lock_guard lock(mutex_);
  QUELL_TRY(Statement statement, db_->prepare(sql));
  if (!query.action.empty()) statement.bind(1, query.action);
  if (!query.target.empty()) statement.bind(2, query.target);
  if (query.state) statement.bind(3, to_string(*query.state));
  if (!query.before_id.empty()) statement.bind(4, query.before_id);
  statement.bind(5, static_cast<int64_t>(std::min(query.limit, kMaxLimit)));
  return read_actions(statement);
}

Result<std::vector<ActionRecord>> Journal::unsettled_actions() const {
  const std::lock_guard lock(mutex_);
  QUELL_TRY(Statement statement, db_->prepare("SELECT json FROM actions WHERE unsettled = 1 ORDER BY seq"));
  return read_actions(statement);
}

Result<AuditHead> Journal::append_audit(const AuditFact& fact) {
  const std::lock_guard lock(mutex_);
  return change_locked(fact, nullptr);
}

Result<std::vector<AuditEntry>> Journal::audit_entries(const AuditQuery& query) const {
  const std::lock_guard lock(reader_mutex_);
  return read_audit(*reader_, query);
}

Result<SignedAuditHead> Journal::audit_head() const {
  AuditHead head;
  {
    const std::lock_guard lock(mutex_);
    head = audit_->head();
  }
  return key_->sign(head);
}

Result<uint64_t> Journal::cut_audit(uint64_t before_seq, std::string_view actor) {
  const std::lock_guard lock(mutex_);
  return cut_locked(before_seq, actor);
}

Result<uint64_t> Journal::cut_locked(uint64_t before_seq, std::string_view actor) {
  if (before_seq > audit_->head().seq)
    return Error{Code::invalid_argument,
                 fmt::format("entry {} does not exist; at least entry {} has to stay", before_seq, audit_->head().seq),
                 {}};
  QUELL_TRY(const SignedAuditHead before, newest_cut(*db_));
  if (before_seq <= before.head.seq + 1) return uint64_t{0};
  JsonWriter body;
  body.begin_object().text("event", "cut").integer("before_seq", before_seq);
  body.integer("removed", before_seq - 1 - before.head.seq).end_object();
  const AuditFact fact{AuditKind::chain, "audit", std::string(actor), body.take()};
  uint64_t removed = 0;
  QUELL_TRY(const AuditHead head, change_locked(fact, [&](Database&) -> Result<void> {
              QUELL_TRY(removed, audit_->cut(before_seq, *key_));
              return {};
            }));
  (void)head;
  return removed;
}

// By the time of the chain itself, so that a clock that leaps forward for a moment takes nothing with it.
void Journal::cut_old() {
  if (options_.audit_max_age_ns == 0) return;
  const std::lock_guard lock(mutex_);
  const uint64_t reference = std::min(options_.clock->realtime_ns(), audit_->head().at_ns);
  if (reference <= options_.audit_max_age_ns) return;
  const auto first_young = [&]() -> Result<uint64_t> {
    QUELL_TRY(Statement statement, db_->prepare("SELECT seq FROM audit WHERE at_ns >= ?1 ORDER BY seq LIMIT 1"));
    QUELL_TRY(const bool row, statement.bind_u64(1, reference - options_.audit_max_age_ns).step());
    return row ? static_cast<uint64_t>(statement.integer(0)) : uint64_t{0};
  }();
  if (!first_young || *first_young == 0) return;
  if (const auto cut = cut_locked(*first_young, "quell"); !cut)
    log::warn("record", "old entries of the audit log could not be cut off: {}", cut.error().str());
}

void Journal::keep() {
  const std::string path = options_.folder + "/" + std::string(kAuditHeadFile);
  std::unique_lock lock(keeper_mutex_);
  AuditHead written;
  bool is_failing = false;
  auto next_cut = std::chrono::steady_clock::now() + kCutInterval;
  while (true) {
    keeper_wakes_.wait_until(lock, next_cut, [&] { return is_closing_ || newest_ != written; });
    if (newest_ != written) {
      const AuditHead head = newest_;
      lock.unlock();
      const auto done = replace_file(path, audit_head_to_json(key_->sign(head)) + "\n", 0600);
      if (!done && !is_failing)
        log::warn("record", "the head of the audit log was not written: {}", done.error().str());
      is_failing = !done;
      lock.lock();
      written = head;
    }
    if (is_closing_ && newest_ == written) return;
    if (std::chrono::steady_clock::now() >= next_cut) {
      lock.unlock();
      cut_old();
      lock.lock();
      next_cut = std::chrono::steady_clock::now() + kCutInterval;
    }
    // Entries may come by the hundred; the file follows once a second.
    keeper_wakes_.wait_for(lock, kHeadInterval, [&] { return is_closing_; });
  }
}

}  // namespace quell::record
