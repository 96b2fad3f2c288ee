#pragma once
// SQLite behind our own words: a connection, prepared statements, transactions, and schema steps. Nothing else includes
// sqlite3.h.
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace quell::record {

class Database;

/// A prepared statement, reset when a run ends. Belongs to its database's thread of the moment.
class Statement {
 public:
  Statement() = default;
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) noexcept;
  ~Statement();

  // Parameters count from 1, columns from 0, as SQL has it.
  Statement& bind(int index, std::string_view value);
  Statement& bind(int index, int64_t value);
  Statement& bind_u64(int index, uint64_t value) { return bind(index, static_cast<int64_t>(value)); }

  /// True: a row is there to be read. False: done. Either an error or false resets the statement for its next use.
  Result<bool> step();
  /// Runs a statement that gives no rows.
  Result<void> run();
  void reset();

  std::string text(int column) const;
  int64_t integer(int column) const;

 private:
  friend class Database;
  Statement(sqlite3* db, sqlite3_stmt* handle, const Database* owner) : db_(db), handle_(handle), owner_(owner) {}
  sqlite3* db_ = nullptr;
  sqlite3_stmt* handle_ = nullptr;
  const Database* owner_ = nullptr;
};

/// How much a commit promises.
enum class Durability {
  process_crash,  // survives the death of this process
  power_cut,      // on stable storage when commit returns
};

/// One connection; use by one thread at a time. Address is stable: statements point to it.
class Database {
 public:
  enum class Mode { read_write, read_only };

  /// Opens or makes the file (WAL). Errors: see Store.
  static Result<std::unique_ptr<Database>> open(const std::string& path, Mode mode, Durability durability);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  Result<Statement> prepare(std::string_view sql);
  /// One or more statements without parameters and rows.
  Result<void> execute(const std::string& sql);

  /// Brings the schema from the file's version to steps.size(), one transaction per step, after a copy of the file as
  /// "PATH.vN.bak" when it held something. `application_id` marks the file as ours.
  /// Errors: Code::unsupported (the file is newer), Code::malformed (someone else's file), Code::io.
  Result<void> migrate(int32_t application_id, std::span<const std::string_view> steps);

  Result<int64_t> pragma(const std::string& name);
  const std::string& path() const { return path_; }
  /// Error of the last call on this connection: `what` failed.
  Error error(int result, std::string_view what) const;

 private:
  explicit Database(std::string path) : path_(std::move(path)) {}
  Result<void> backup_to(const std::string& path);
  std::string path_;
  sqlite3* db_ = nullptr;
};

/// BEGIN IMMEDIATE … COMMIT; rolls back unless committed.
class Transaction {
 public:
  static Result<Transaction> begin(Database& db);
  Transaction(Transaction&& other) noexcept : db_(std::exchange(other.db_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  Result<void> commit();

 private:
  explicit Transaction(Database* db) : db_(db) {}
  Database* db_;
};

}  // namespace quell::record
