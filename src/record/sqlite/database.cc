#include "record/sqlite/database.h"

#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace quell::record {
namespace {

constexpr int kBusyTimeoutMs = 5'000;

Code code_of(int result) {
  switch (result & 0xFF) {
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_NOMEM: return Code::io;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return Code::malformed;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH: return Code::permission_denied;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return Code::timeout;
    case SQLITE_CONSTRAINT: return Code::conflict;
    case SQLITE_CANTOPEN: return Code::io;
    default: return Code::internal;
  }
}

std::string_view remedy(int result) {
  switch (result & 0xFF) {
    case SQLITE_FULL: return "; free space on that disk, or move the data directory with --data-dir";
    case SQLITE_IOERR:
      return "; check that the disk has room and is healthy, or move the data directory with --data-dir";
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return "; move the file away (a .bak copy may stand beside it) and start again";
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN: return "; check the owner and the mode of the data directory";
    case SQLITE_CONSTRAINT: return "; another program changed the file meanwhile";
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return "; another program holds the file open for writing";
    default: return "";
  }
}

}  // namespace

Statement::Statement(Statement&& other) noexcept
    : db_(other.db_), handle_(std::exchange(other.handle_, nullptr)), owner_(other.owner_) {}

Statement& Statement::operator=(Statement&& other) noexcept {
  if (this != &other) {
    sqlite3_finalize(handle_);
    db_ = other.db_;
    handle_ = std::exchange(other.handle_, nullptr);
    owner_ = other.owner_;
  }
  return *this;
}

Statement::~Statement() { sqlite3_finalize(handle_); }

Statement& Statement::bind(int index, std::string_view value) {
  // TRANSIENT: the text need not outlive this call. A failure (index, memory) makes the next step fail.
  sqlite3_bind_text64(handle_, index, value.data() != nullptr ? value.data() : "", value.size(), SQLITE_TRANSIENT,
                      SQLITE_UTF8);
  return *this;
}

Statement& Statement::bind(int index, int64_t value) {
  sqlite3_bind_int64(handle_, index, value);
  return *this;
}

Result<bool> Statement::step() {
  const int result = sqlite3_step(handle_);
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) {
    reset();
    return false;
  }
  Error error = owner_->error(sqlite3_extended_errcode(db_), "a statement failed");
  reset();
  return error;
}

Result<void> Statement::run() {
  QUELL_TRY(const bool row, step());
  if (row) reset();
  return {};
}

void Statement::reset() {
  sqlite3_reset(handle_);
  sqlite3_clear_bindings(handle_);
}

std::string Statement::text(int column) const {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(handle_, column));
  return bytes == nullptr ? std::string()
                          : std::string(bytes, static_cast<size_t>(sqlite3_column_bytes(handle_, column)));
}

int64_t Statement::integer(int column) const { return sqlite3_column_int64(handle_, column); }

Result<std::unique_ptr<Database>> Database::open(const std::string& path, Mode mode, Durability durability) {
  std::unique_ptr<Database> db(new Database(path));
  const int flags = mode == Mode::read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  // SQLite makes files 0644 less the umask; detections and reasons are not for everybody.
  const mode_t previous = umask(0077);
  const int result = sqlite3_open_v2(path.c_str(), &db->db_, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  if (result != SQLITE_OK) {
    umask(previous);
    return db->error(result, "cannot open the database");
  }
  sqlite3_extended_result_codes(db->db_, 1);
  sqlite3_busy_timeout(db->db_, kBusyTimeoutMs);
  Result<void> ready;
  if (mode == Mode::read_write) {
    ready = db->execute("PRAGMA page_size=8192; PRAGMA journal_mode=WAL;");
    if (ready)
      ready =
          db->execute(durability == Durability::power_cut ? "PRAGMA synchronous=FULL;" : "PRAGMA synchronous=NORMAL;");
  }
  umask(previous);
  if (!ready) return std::move(ready).error();
  return db;
}

Database::~Database() { sqlite3_close_v2(db_); }

Error Database::error(int result, std::string_view what) const {
  const char* text = db_ != nullptr ? sqlite3_errmsg(db_) : sqlite3_errstr(result);
  return Error{code_of(result), fmt::format("{}: {}{}", what, text, remedy(result)), path_};
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* handle = nullptr;
  const int result =
      sqlite3_prepare_v3(db_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &handle, nullptr);
  if (result != SQLITE_OK) return error(sqlite3_extended_errcode(db_), "cannot prepare a statement");
  return Statement(db_, handle, this);
}

Result<void> Database::execute(const std::string& sql) {
  const int result = sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr);
  if (result != SQLITE_OK) return error(sqlite3_extended_errcode(db_), "a statement failed");
  return {};
}

Result<int64_t> Database::pragma(const std::string& name) {
  QUELL_TRY(Statement statement, prepare("PRAGMA " + name));
  QUELL_TRY(const bool row, statement.step());
  return row ? statement.integer(0) : 0;
}

Result<void> Database::backup_to(const std::string& path) {
  // Made beside and renamed: a backup is whole or not there.
  const std::string partial = path + ".partial";
  unlink(partial.c_str());
  sqlite3* copy = nullptr;
  int result = sqlite3_open_v2(partial.c_str(), &copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  if (result == SQLITE_OK) {
    sqlite3_backup* backup = sqlite3_backup_init(copy, "main", db_, "main");
    if (backup != nullptr) sqlite3_backup_step(backup, -1);
    result = backup != nullptr ? sqlite3_backup_finish(backup) : sqlite3_errcode(copy);
  }
  std::string text = copy != nullptr ? sqlite3_errmsg(copy) : sqlite3_errstr(result);
  sqlite3_close(copy);
  if (result != SQLITE_OK) {
    unlink(partial.c_str());
    return Error{code_of(result),
                 fmt::format("cannot copy the database before its upgrade: {}{}", text, remedy(result)), path};
  }
  chmod(partial.c_str(), 0600);
  if (rename(partial.c_str(), path.c_str()) != 0)
    return errno_error(errno, "cannot name the copy of the database", path);
  return {};
}

Result<void> Database::migrate(int32_t application_id, std::span<const std::string_view> steps) {
  QUELL_TRY(const int64_t found_id, pragma("application_id"));
  QUELL_TRY(const int64_t version, pragma("user_version"));
  QUELL_TRY(const int64_t schema_size, pragma("schema_version"));
  const auto newest = static_cast<int64_t>(steps.size());
  if (found_id != application_id && (found_id != 0 || schema_size != 0))
    return Error{Code::malformed, "this database is not Quell's; choose another place with --data-dir", path_};
  if (version > newest)
    return Error{
        Code::unsupported,
        fmt::format("the database has schema {}, this version of Quell knows up to {}: install the newer version, or "
                    "put the .bak copy of the older schema in its place",
                    version, newest),
        path_};
  if (version > 0 && version < newest) QUELL_CHECK(backup_to(fmt::format("{}.v{}.bak", path_, version)));
  for (int64_t step = version; step < newest; ++step) {
    QUELL_TRY(Transaction transaction, Transaction::begin(*this));
    QUELL_CHECK(execute(std::string(steps[static_cast<size_t>(step)])));
    QUELL_CHECK(execute(fmt::format("PRAGMA application_id={}; PRAGMA user_version={};", application_id, step + 1)));
    QUELL_CHECK(transaction.commit());
  }
  return {};
}

Result<Transaction> Transaction::begin(Database& db) {
  QUELL_CHECK(db.execute("BEGIN IMMEDIATE"));
  return Transaction(&db);
}

Result<void> Transaction::commit() {
  QUELL_CHECK(db_->execute("COMMIT"));
  db_ = nullptr;
  return {};
}

Transaction::~Transaction() {
  // After some errors (disk full) SQLite has rolled back by itself; then this one has nothing to do and says so.
  if (db_ != nullptr) (void)db_->execute("ROLLBACK");
}

}  // namespace quell::record
