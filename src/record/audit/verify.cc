#include "record/audit/verify.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/clock.h"
#include "base/json.h"
#include "base/sha256.h"
#include "model/action_json.h"
#include "model/audit_json.h"
#include "record/audit/action_fact.h"
#include "record/audit/small_file.h"
#include "record/sqlite/audit_table.h"
#include "record/sqlite/database.h"
#include "record/sqlite/journal.h"

namespace quell::record {
namespace {

constexpr std::string_view kTriggers[] = {
    "audit_is_never_changed",       "audit_is_never_deleted",       "audit_is_appended",
    "audit_cuts_are_never_changed", "audit_cuts_are_never_deleted", "audit_is_cut_at_an_entry"};

std::string sha256_of(std::string_view text) {
  Sha256 sum;
  sum.update({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  return sum.finish();
}

Result<std::unique_ptr<Database>> open_actions(const std::string& data_dir) {
  const std::string path = data_dir + "/" + std::string(kActionsFile);
  std::error_code error;
  if (!std::filesystem::exists(path, error))
    return Error{error ? Code::permission_denied : Code::not_found,
                 "there is no audit log here; name the data directory of a `quell up` with --data-dir", data_dir};
  QUELL_TRY(std::unique_ptr<Database> db, Database::open(path, Database::Mode::read_only, Durability::power_cut));
  QUELL_TRY(Statement table, db->prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'audit'"));
  QUELL_TRY(const bool row, table.step());
  if (!row)
    return Error{Code::not_found, "an older version of Quell wrote this directory: it has no audit log yet", path};
  return db;
}

Result<bool> has_entry(Database& db, std::string_view condition, uint64_t seq, AuditEntry& out) {
  QUELL_TRY(Statement statement,
            db.prepare(fmt::format("SELECT {} FROM audit WHERE {} LIMIT 1", kAuditColumns, condition)));
  QUELL_TRY(const bool row, statement.bind_u64(1, seq).step());
  if (row) out = audit_entry_of(statement);
  return row;
}

// An altered entry may be a whole one in another's place: then its hash holds with that one's number.
Result<void> look_for_its_place(Database& db, AuditBreak& found) {
  if (found.fault != AuditFault::altered) return {};
  AuditEntry entry;
  QUELL_TRY(const bool is_there, has_entry(db, "seq = ?1", found.seq, entry));
  if (!is_there) return {};
  std::vector<uint64_t> places;
  {
    QUELL_TRY(Statement before, db.prepare("SELECT seq + 1 FROM audit WHERE hash = ?1 "
                                           "UNION SELECT seq - 1 FROM audit WHERE previous = ?2 LIMIT 8"));
    before.bind(1, entry.previous).bind(2, entry.hash);
    while (true) {
      QUELL_TRY(const bool row, before.step());
      if (!row) break;
      places.push_back(static_cast<uint64_t>(before.integer(0)));
    }
  }
  places.push_back(found.seq + 1);
  places.push_back(found.seq - 1);
  for (const uint64_t place : places) {
    entry.seq = place;
    if (place == found.seq || audit_hash(entry) != entry.hash) continue;
    found.fault = AuditFault::reordered;
    found.expected = fmt::format("entry {}", found.seq);
    found.found = fmt::format("entry {}", place);
    return {};
  }
  return {};
}

/// The newest entry of a subject, for what else is stored of it.
struct Vouched {
  uint64_t seq = 0;
  std::string hash;
};
Result<Vouched> newest_of(Database& db, std::string_view subject, std::string_view kinds) {
  Vouched out;
  QUELL_TRY(Statement statement,
            db.prepare(fmt::format("SELECT seq, body FROM audit WHERE subject = ?1 AND kind IN ({}) "
                                   "AND instr(body, '\"record_sha256\"') > 0 "
                                   "ORDER BY seq DESC LIMIT 1",
                                   kinds)));
  QUELL_TRY(const bool row, statement.bind(1, subject).step());
  if (!row) return out;
  out.seq = static_cast<uint64_t>(statement.integer(0));
  out.hash = record_hash_in(statement.text(1));
  return out;
}

/// Whether the journal's records are those that the chain saw.
Result<void> compare_rows(Database& db, const char* sql, std::string_view kinds, std::string_view noun,
                          ChainCheck& chain) {
  uint64_t unknown = 0;
  QUELL_TRY(Statement rows, db.prepare(sql));
  while (!chain.broken()) {
    QUELL_TRY(const bool row, rows.step());
    if (!row) break;
    const std::string subject = rows.text(0);
    QUELL_TRY(const Vouched vouched, newest_of(db, subject, kinds));
    if (vouched.seq == 0) {
      ++unknown;
      continue;
    }
    const std::string hash = sha256_of(rows.text(1));
    if (hash != vouched.hash)
      chain.fail({AuditFault::altered, vouched.seq,
                  fmt::format("{} {} with the sha256 {}", noun, subject, vouched.hash), hash});
  }
  if (unknown != 0)
    chain.notes().push_back(fmt::format("{} {}{} from before the chain's first entry: not compared", unknown, noun,
                                        unknown == 1 ? "" : "s"));
  return {};
}

Result<void> check_cut(Database& db, const SignedAuditHead& cut, const std::string& key, ChainCheck& chain) {
  if (cut.head.seq == 0) return {};
  if (cut.public_key != key || !is_signature_good(cut)) {
    chain.fail(
        {AuditFault::bad_signature, cut.head.seq, fmt::format("a cut signed by {}", key),
         fmt::format("a signature by {} that is {}", cut.public_key, is_signature_good(cut) ? "good" : "wrong")});
    return {};
  }
  QUELL_TRY(Statement rows,
            db.prepare("SELECT body FROM audit WHERE subject = 'audit' AND kind = 'chain' ORDER BY seq"));
  while (true) {
    QUELL_TRY(const bool row, rows.step());
    if (!row) break;
    const auto body = Json::parse(rows.text(0));
    if (body && body->at("event").str() == "cut" && body->at("before_seq").u64() == cut.head.seq + 1) return {};
  }
  chain.fail({AuditFault::bad_cut, cut.head.seq + 1,
              fmt::format("an entry that tells of the cut before {}", cut.head.seq + 1), "none"});
  return {};
}

// What a start of quell found wrong stays in the chain; here it is said again.
Result<void> repeat_findings(Database& db, ChainCheck& chain) {
  QUELL_TRY(Statement rows, db.prepare("SELECT seq, body FROM audit WHERE subject = 'audit' AND kind = 'chain' "
                                       "ORDER BY seq DESC LIMIT 1000"));
  while (true) {
    QUELL_TRY(const bool row, rows.step());
    if (!row) return {};
    const auto body = Json::parse(rows.text(1));
    if (body && body->at("event").str() == "inconsistent_head")
      chain.notes().push_back(
          fmt::format("entry {} tells that at a start of quell {}", rows.integer(0), body->at("finding").str()));
  }
}

Result<void> check_database(Database& db, ChainCheck& chain) {
  QUELL_TRY(Statement rows, db.prepare(fmt::format("SELECT {} FROM audit ORDER BY seq", kAuditColumns)));
  while (true) {
    auto row = rows.step();
    if (!row) {
      chain.fail({AuditFault::unreadable, chain.last().seq + 1, "a row", row.error().str()});
      return {};
    }
    if (!*row || chain.next(audit_entry_of(rows))) break;
  }
  rows.reset();
  chain.finish();
  if (chain.broken()) QUELL_CHECK(look_for_its_place(db, *chain.broken()));
  if (chain.broken()) return {};
  for (const std::string_view trigger : kTriggers) {
    QUELL_TRY(Statement there, db.prepare("SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND name = ?1"));
    QUELL_TRY(const bool row, there.bind(1, trigger).step());
    if (!row) chain.notes().push_back(fmt::format("the trigger {} is gone: somebody changed the schema", trigger));
  }
  QUELL_CHECK(compare_rows(db, "SELECT id, json FROM actions ORDER BY seq", "'action', 'refusal'", "action", chain));
  QUELL_CHECK(compare_rows(db, "SELECT name, value FROM settings ORDER BY name", "'setting'", "setting", chain));
  QUELL_TRY(Statement evidence, db.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'evidence'"));
  QUELL_TRY(const bool has_evidence, evidence.step());
  evidence.reset();
  if (has_evidence)
    QUELL_CHECK(compare_rows(db, "SELECT id, json FROM evidence ORDER BY seq", "'evidence'", "evidence", chain));
  return repeat_findings(db, chain);
}

}  // namespace

Result<AuditVerification> verify_audit_of(const std::string& data_dir, const AuditExpectations& expected) {
  const uint64_t began = system_clock().monotonic_ns();
  AuditVerification out;
  // The head is read first: the chain only grows, so what it vouches for must be there afterwards.
  const auto head_text = read_small_file(data_dir + "/" + std::string(kAuditHeadFile));
  QUELL_TRY(const std::unique_ptr<Database> db, open_actions(data_dir));
  QUELL_CHECK(db->execute("BEGIN"));  // one view of it all, whoever writes meanwhile
  out.public_key = expected.public_key;
  if (out.public_key.empty()) {
    auto key = read_audit_public_key(data_dir);
    if (key) out.public_key = std::move(*key);
  }
  QUELL_TRY(const SignedAuditHead cut, newest_cut(*db));
  out.start = cut.head;
  ChainCheck chain(cut.head);
  if (out.public_key.empty())
    chain.fail({AuditFault::bad_signature, 0, "the public key of this installation", "none that can be read"});

  const auto expect_signed = [&](const SignedAuditHead& head, const std::string& name) {
    if (head.public_key != out.public_key || !is_signature_good(head))
      chain.fail(
          {AuditFault::bad_signature, head.head.seq, fmt::format("{} signed by {}", name, out.public_key),
           fmt::format("a signature by {} that is {}", head.public_key, is_signature_good(head) ? "good" : "wrong")});
    chain.expect(head.head, name);
  };
  QUELL_CHECK(check_cut(*db, cut, out.public_key, chain));
  if (head_text) {
    const auto head = audit_head_from_json(*head_text);
    if (head)
      expect_signed(*head, "the head file");
    else
      chain.fail({AuditFault::bad_signature, 0, "a head file", head.error().str()});
  } else {
    chain.notes().push_back("there is no head file: whether the newest entries are missing, cannot be said");
  }
  if (expected.head) expect_signed(*expected.head, "the given head");
  if (!expected.hash.empty()) chain.expect_hash(expected.hash);
  QUELL_CHECK(check_database(*db, chain));
  out.entries = chain.entries();
  out.end = chain.last();
  out.broken = chain.broken();
  out.notes = std::move(chain.notes());
  out.duration_ns = system_clock().monotonic_ns() - began;
  return out;
}

Result<AuditHead> export_audit_of(const std::string& data_dir, uint64_t after_seq,
                                  const std::function<Result<void>(std::string_view line)>& write) {
  QUELL_TRY(const std::unique_ptr<Database> db, open_actions(data_dir));
  // Signing needs the private key: who may not read it gets no export that could be believed.
  QUELL_TRY(const AuditKey key, AuditKey::open(data_dir));
  QUELL_CHECK(db->execute("BEGIN"));
  QUELL_TRY(const SignedAuditHead cut, newest_cut(*db));
  AuditHead start = cut.head;
  if (after_seq > start.seq) {
    AuditEntry at;
    QUELL_TRY(const bool is_there, has_entry(*db, "seq = ?1", after_seq, at));
    if (!is_there) return Error{Code::not_found, fmt::format("there is no entry {}", after_seq), {}};
    start = {at.seq, at.at_ns, at.hash};
  }
  QUELL_CHECK(write(fmt::format(R"({{"apiVersion":"{}","kind":"AuditExport","version":1,"start":{}}})", kApiVersion,
                                audit_head_to_json(key.sign(start)))));
  QUELL_TRY(Statement rows,
            db->prepare(fmt::format("SELECT {} FROM audit WHERE seq > ?1 ORDER BY seq", kAuditColumns)));
  rows.bind_u64(1, start.seq);
  AuditHead last = start;
  while (true) {
    QUELL_TRY(const bool row, rows.step());
    if (!row) break;
    const AuditEntry entry = audit_entry_of(rows);
    last = {entry.seq, entry.at_ns, entry.hash};
    QUELL_CHECK(write(audit_entry_to_export(entry)));
  }
  QUELL_CHECK(write(audit_head_to_json(key.sign(last))));
  return last;
}

Result<std::vector<AuditEntry>> read_audit_of(const std::string& data_dir, const AuditQuery& query) {
  QUELL_TRY(const std::unique_ptr<Database> db, open_actions(data_dir));
  return read_audit(*db, query);
}

Result<SignedAuditHead> audit_head_of(const std::string& data_dir) {
  QUELL_TRY(const std::unique_ptr<Database> db, open_actions(data_dir));
  QUELL_TRY(const AuditKey key, AuditKey::open(data_dir));
  QUELL_TRY(const AuditTable table, AuditTable::open_read_only(*db));
  return key.sign(table.head());
}

}  // namespace quell::record
