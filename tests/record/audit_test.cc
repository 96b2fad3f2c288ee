// The audit chain: what is appended verifies; whatever is done to it afterwards is found, and where.
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <random>

#include "base/json.h"
#include "base/text.h"
#include "fixtures.h"
#include "model/audit_json.h"
#include "record/audit/small_file.h"
#include "record/audit/verify.h"
#include "record/sqlite/journal.h"

namespace quell::record {
namespace {

constexpr const char* kDropTriggers =
    "DROP TRIGGER audit_is_never_changed; DROP TRIGGER audit_is_never_deleted; DROP TRIGGER audit_is_appended; "
    "DROP TRIGGER audit_cuts_are_never_changed; DROP TRIGGER audit_cuts_are_never_deleted; "
    "DROP TRIGGER audit_is_cut_at_an_entry;";

int try_sql(const std::string& data_dir, const std::string& text) {
  sqlite3* db = nullptr;
  EXPECT_EQ(sqlite3_open((data_dir + "/actions.db").c_str(), &db), SQLITE_OK);
  const int result = sqlite3_exec(db, text.c_str(), nullptr, nullptr, nullptr);
  sqlite3_close(db);
  return result;
}

/// Changes the database behind Quell's back, looks, and puts everything back.
class Audit : public testing::Test {
 protected:
  void fill(uint64_t actions, uint64_t seed = 7) {
    auto store = open_store({.data_dir = dir_.data()});
    ASSERT_TRUE(store) << store.error().str();
    std::mt19937_64 random(seed);
    for (uint64_t i = 0; i < actions; ++i) {
      ActionRecord record =
          make_action(random() % 5, random() % 2 == 0 ? ActionState::executing : ActionState::contained);
      record.preview_json = random() % 2 == 0 ? R"({"effects":["a","b"]})" : R"({"effects":[]})";
      record.command.actor = "uid:0 (root)";
      record.reason = std::string("odd \xff \" text", 11);
      ASSERT_TRUE((*store)->save_action(record));
      if (random() % 4 == 0) {
        ASSERT_TRUE((*store)->save_setting("stop_switch", R"({"is_on":true,"actor":"uid:7"})"));
      }
      if (random() % 4 == 0) {
        ASSERT_TRUE((*store)->append_audit({AuditKind::sign_in, "uid:" + std::to_string(i), "quell",
                                            fmt::format(R"({{"number":{}}})", random() % 1000)}));
      }
    }
    last_ = (*store)->audit_head()->head;
  }

  AuditVerification verify(const AuditExpectations& expected = {}) {
    auto out = verify_audit_of(dir_.data(), expected);
    EXPECT_TRUE(out) << out.error().str();
    return out ? *out : AuditVerification{};
  }

  /// What a verification finds after `change`; afterwards all is as before.
  AuditVerification after(const std::string& change) {
    const std::string kept = dir_.path() + "/kept.db";
    EXPECT_EQ(try_sql(dir_.data(), "PRAGMA wal_checkpoint(TRUNCATE);"), SQLITE_OK);
    std::filesystem::copy_file(dir_.data() + "/actions.db", kept, std::filesystem::copy_options::overwrite_existing);
    EXPECT_EQ(try_sql(dir_.data(), std::string(kDropTriggers) + change), SQLITE_OK) << change;
    const AuditVerification out = verify();
    std::filesystem::remove(dir_.data() + "/actions.db-wal");
    std::filesystem::remove(dir_.data() + "/actions.db-shm");
    std::filesystem::copy_file(kept, dir_.data() + "/actions.db", std::filesystem::copy_options::overwrite_existing);
    return out;
  }

  TempDir dir_;
  AuditHead last_;
};

#define EXPECT_BREAK(verification, wanted_fault, wanted_seq)                                       \
  do {                                                                                             \
    const AuditVerification found_ = (verification);                                               \
    ASSERT_TRUE(found_.broken.has_value());                                                        \
    EXPECT_EQ(to_string(found_.broken->fault), to_string(wanted_fault))                            \
        << found_.broken->seq << ": " << found_.broken->expected << " / " << found_.broken->found; \
    EXPECT_EQ(found_.broken->seq, uint64_t{wanted_seq});                                           \
  } while (false)

TEST_F(Audit, EverySaveIsAnEntryAndTheChainHolds) {
  fill(60);
  const AuditVerification found = verify();
  EXPECT_FALSE(found.broken) << found.broken->expected << " / " << found.broken->found;
  EXPECT_EQ(found.end.seq, last_.seq);
  EXPECT_EQ(found.end.hash, last_.hash);
  EXPECT_EQ(found.entries, last_.seq);
  EXPECT_TRUE(found.notes.empty()) << found.notes[0];
  EXPECT_GE(found.entries, 61u);
}

TEST_F(Audit, AnEntryStandsForItselfAndPartsAreNotRepeated) {
  auto store = open_store({.data_dir = dir_.data()});
  ASSERT_TRUE(store);
  ActionRecord record = make_action(1, ActionState::executing);
  record.command.actor = "uid:0 (root)";
  record.command.reason = "miner";
  record.preview_json = R"({"effects":["it stops"]})";
  ASSERT_TRUE((*store)->save_action(record));
  record.state = ActionState::contained;
  record.expires_ns = 1;
  record.proof_json = R"({"immediate":{"frozen":true}})";
  ASSERT_TRUE((*store)->save_action(record));
  record.state = ActionState::refused_guard;
  ASSERT_TRUE((*store)->save_action(record));
  const auto entries = (*store)->audit_entries({.subject = record.id});
  ASSERT_TRUE(entries);
  ASSERT_EQ(entries->size(), 3u);
  const auto first = Json::parse((*entries)[0].body_json), second = Json::parse((*entries)[1].body_json);
  EXPECT_EQ((*entries)[0].kind, "action");
  EXPECT_EQ((*entries)[2].kind, "refusal");
  EXPECT_EQ((*entries)[0].actor, "uid:0 (root)");
  EXPECT_EQ(first->at("reason").str(), "miner");
  EXPECT_EQ(first->at("target").at("container").at("id").str(), record.target.container_id);
  EXPECT_EQ(first->at("preview").at("content").dump(), record.preview_json);
  EXPECT_EQ(second->at("preview").at("in_entry").u64(), (*entries)[0].seq);
  EXPECT_EQ(second->at("preview").at("sha256").str(), first->at("preview").at("sha256").str());
  EXPECT_EQ(second->at("preview").find("content"), nullptr);
  EXPECT_EQ(second->at("proof").at("content").dump(), record.proof_json);
}

TEST_F(Audit, AnUndoIsTheDeedOfWhoUndid) {
  auto store = open_store({.data_dir = dir_.data()});
  ASSERT_TRUE(store);
  ActionRecord record = make_action(1, ActionState::undone);
  record.command.actor = "uid:1";
  record.undo_actor = "uid:2";
  ASSERT_TRUE((*store)->save_action(record));
  EXPECT_EQ((*store)->audit_entries({.subject = record.id})->at(0).actor, "uid:2");
  ASSERT_TRUE((*store)->save_setting("stop_switch", R"({"is_on":true,"actor":"uid:3"})"));
  EXPECT_EQ((*store)->audit_entries({.kind = "setting"})->at(0).actor, "uid:3");
}

TEST_F(Audit, ABodyWithoutMeasureIsRefusedAndAHugeRecordIsVouchedForByItsHash) {
  auto store = open_store({.data_dir = dir_.data()});
  ASSERT_TRUE(store);
  const auto refused = (*store)->append_audit({AuditKind::policy, "p", "quell", std::string(kMaxAuditBody + 1, ' ')});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::limit);
  ActionRecord record = make_action(1);
  record.target.cmdline = std::string(2 << 20, 'x');
  record.target.process.pid = 5;
  ASSERT_TRUE((*store)->save_action(record));
  EXPECT_LT((*store)->audit_entries({.subject = record.id})->at(0).body_json.size(), 20'000u);
  store->reset();
  EXPECT_FALSE(verify().broken);
}

TEST_F(Audit, EveryAlteredByteOfEveryColumnIsFoundWhereItIs) {
  fill(14);
  std::mt19937 random(11);
  for (uint64_t seq = 1; seq <= last_.seq; ++seq) {
    for (const char* column : {"kind", "subject", "actor", "body", "previous", "hash"}) {
      // One byte of it, anywhere: replaced by another that it is not.
      const std::string at = std::to_string(1 + random() % 200);
      const std::string change = fmt::format(
          "UPDATE audit SET {0} = substr({0}, 1, {1} % length({0})) || CASE substr({0}, {1} % length({0}) + 1, 1) "
          "WHEN "
          "'0' "
          "THEN '1' ELSE '0' END || substr({0}, {1} % length({0}) + 2) WHERE seq = {2};",
          column, at, seq);
      EXPECT_BREAK(after(change), AuditFault::altered, seq);
    }
    EXPECT_BREAK(after(fmt::format("UPDATE audit SET at_ns = at_ns + {} WHERE seq = {};", 1 + random() % 9, seq)),
                 AuditFault::altered, seq);
  }
}

TEST_F(Audit, RemovedDuplicatedAndSwappedRowsAreFoundWhereTheyAre) {
  fill(12);
  for (uint64_t seq = 1; seq < last_.seq; ++seq) {
    EXPECT_BREAK(after(fmt::format("DELETE FROM audit WHERE seq = {};", seq)), AuditFault::missing, seq);
    EXPECT_BREAK(after(fmt::format("DELETE FROM audit WHERE seq >= {};", seq + 1)), AuditFault::truncated, seq + 1);
    EXPECT_BREAK(
        after(fmt::format("UPDATE audit SET seq = -1 WHERE seq = {0}; UPDATE audit SET seq = {0} WHERE seq = {1}; "
                          "UPDATE audit SET seq = {1} WHERE seq = -1;",
                          seq, seq + 1)),
        AuditFault::reordered, seq);
    // A copy at the end is an entry of another place; one in the middle pushes the others on.
    EXPECT_BREAK(
        after(fmt::format("INSERT INTO audit SELECT {}, at_ns, kind, subject, actor, body, previous, hash FROM "
                          "audit WHERE seq = {};",
                          last_.seq + 1, seq)),
        AuditFault::reordered, last_.seq + 1);
    EXPECT_BREAK(
        after(fmt::format("UPDATE audit SET seq = -seq WHERE seq > {0}; UPDATE audit SET seq = 1 - seq WHERE seq < 0; "
                          "INSERT INTO audit SELECT {0} + 1, at_ns, kind, subject, actor, body, previous, hash "
                          "FROM audit WHERE seq = {0};",
                          seq)),
        AuditFault::reordered, seq + 1);
    // Distant rows, too.
    if (seq + 3 <= last_.seq)
      EXPECT_BREAK(
          after(fmt::format("UPDATE audit SET seq = -1 WHERE seq = {0}; UPDATE audit SET seq = {0} WHERE seq = {1}; "
                            "UPDATE audit SET seq = {1} WHERE seq = -1;",
                            seq, seq + 3)),
          AuditFault::reordered, seq);
  }
  EXPECT_BREAK(after("DELETE FROM audit;"), AuditFault::truncated, 1);
  EXPECT_FALSE(verify().broken);
}

TEST_F(Audit, ARewrittenEntryBreaksTheLinkAfterIt) {
  fill(8);
  auto db = Database::open(dir_.data() + "/actions.db", Database::Mode::read_only, Durability::power_cut);
  const auto entries = read_audit(**db, {.after_seq = 3, .limit = 1});
  db->reset();
  AuditEntry forged = entries->at(0);
  forged.actor = "uid:999";
  forged.hash = audit_hash(forged);
  EXPECT_BREAK(
      after(fmt::format("UPDATE audit SET actor = '{}', hash = '{}' WHERE seq = 4;", forged.actor, forged.hash)),
      AuditFault::unlinked, 5);
}

TEST_F(Audit, AChangedRecordOrSettingIsNotTheOneThatWasAudited) {
  fill(8);
  auto found = after("UPDATE actions SET json = replace(json, 'container.pause', 'container.kill');");
  ASSERT_TRUE(found.broken);
  EXPECT_EQ(found.broken->fault, AuditFault::altered);
  ASSERT_TRUE(after("UPDATE settings SET value = '{}';").broken);
}

TEST_F(Audit, SqlAloneCannotChangeIt) {
  fill(5);
  EXPECT_NE(try_sql(dir_.data(), "UPDATE audit SET actor = 'x' WHERE seq = 2;"), SQLITE_OK);
  EXPECT_NE(try_sql(dir_.data(), "DELETE FROM audit WHERE seq = 2;"), SQLITE_OK);
  EXPECT_NE(try_sql(dir_.data(), "DELETE FROM audit;"), SQLITE_OK);
  EXPECT_NE(try_sql(dir_.data(),
                    "REPLACE INTO audit SELECT seq, at_ns, kind, subject, 'x', body, previous, hash FROM audit "
                    "WHERE seq = 2;"),
            SQLITE_OK);
  EXPECT_NE(try_sql(dir_.data(),
                    "INSERT INTO audit SELECT seq + 100, at_ns, kind, subject, actor, body, previous, hash FROM "
                    "audit WHERE seq = 2;"),
            SQLITE_OK);
  EXPECT_NE(try_sql(dir_.data(), "INSERT INTO audit_cuts VALUES (3, 1, 'x', 'x', 'x');"), SQLITE_OK);
  EXPECT_FALSE(verify().broken);
}

TEST_F(Audit, AHeadThatWasStoredElsewhereFindsALostTail) {
  fill(10);
  const SignedAuditHead exported = *audit_head_from_json(*read_small_file(dir_.data() + "/audit.head"));
  EXPECT_EQ(exported.head, last_);
  EXPECT_FALSE(verify({.head = exported}).broken);
  EXPECT_FALSE(verify({.hash = last_.hash}).broken);
  // The attacker takes the head file away with the tail.
  ASSERT_EQ(try_sql(dir_.data(), std::string(kDropTriggers) + "DELETE FROM audit WHERE seq > 4;"), SQLITE_OK);
  std::filesystem::remove(dir_.data() + "/audit.head");
  const auto unaware = verify();
  ASSERT_FALSE(unaware.broken && unaware.broken->fault == AuditFault::truncated);
  EXPECT_FALSE(unaware.notes.empty()) << "that nothing can be said of the tail, is said";
  EXPECT_BREAK(verify({.head = exported}), AuditFault::truncated, 5);
  EXPECT_BREAK(verify({.hash = last_.hash}), AuditFault::truncated, 5);
  SignedAuditHead forged = exported;
  forged.head.seq = 4;
  EXPECT_EQ(verify({.head = forged}).broken->fault, AuditFault::bad_signature);
}

TEST_F(Audit, AStartSaysThatTheTailIsLost) {
  fill(10);
  ASSERT_EQ(try_sql(dir_.data(), std::string(kDropTriggers) + "DELETE FROM audit WHERE seq > 4;"), SQLITE_OK);
  fill(1);
  auto store = open_store({.data_dir = dir_.data()});
  const auto chain = (*store)->audit_entries({.kind = "chain"});
  ASSERT_EQ(chain->size(), 2u);
  EXPECT_EQ(Json::parse(chain->at(1).body_json)->at("event").str(), "inconsistent_head");
  EXPECT_EQ(chain->at(1).seq, 5u);
}

TEST_F(Audit, ACutKeepsASignedHeadFromWhichTheRestVerifies) {
  fill(20);
  auto store = open_store({.data_dir = dir_.data()});
  EXPECT_EQ((*store)->cut_audit(last_.seq + 1, "uid:0").error().code, Code::invalid_argument);
  const auto removed = (*store)->cut_audit(9, "uid:0");
  ASSERT_TRUE(removed) << removed.error().str();
  EXPECT_EQ(*removed, 8u);
  EXPECT_EQ(*(*store)->cut_audit(5, "uid:0"), 0u);
  EXPECT_EQ(*(*store)->cut_audit(12, "uid:0"), 3u);
  store->reset();
  const AuditVerification found = verify();
  EXPECT_FALSE(found.broken) << found.broken->expected << " / " << found.broken->found;
  EXPECT_EQ(found.start.seq, 11u);
  EXPECT_EQ(found.end.seq, last_.seq + 2);
  // Who removes more than was cut, or moves the cut, is found.
  EXPECT_BREAK(after("DELETE FROM audit WHERE seq <= 14;"), AuditFault::missing, 12);
  EXPECT_BREAK(after("UPDATE audit_cuts SET at_ns = at_ns + 1 WHERE seq = 11;"), AuditFault::bad_signature, 11);
  EXPECT_BREAK(after("DELETE FROM audit_cuts;"), AuditFault::missing, 1);
  EXPECT_BREAK(after("DELETE FROM audit_cuts WHERE seq = 11;"), AuditFault::missing, 9);
}

TEST_F(Audit, WhatIsOlderThanItsTimeIsCutAtAStart) {
  const uint64_t day = 86'400ull * 1'000'000'000;
  ManualClock clock;
  mkdir(dir_.data().c_str(), 0700);
  for (int i = 0; i < 3; ++i) {
    auto journal = Journal::open({.folder = dir_.data(), .audit_max_age_ns = 0, .clock = &clock});
    ASSERT_TRUE(journal);
    for (int j = 0; j < 3; ++j) ASSERT_TRUE((*journal)->append_audit({AuditKind::policy, "p", "quell", "{}"}));
    clock.advance_ns(200 * day);
  }
  {
    // A clock that leaps does not empty the chain: its own time counts.
    ManualClock leaping(4'000'000'000'000'000'000);
    auto journal = Journal::open({.folder = dir_.data(), .audit_max_age_ns = 300 * day, .clock = &leaping});
    EXPECT_EQ((*journal)->audit_entries({})->size(), 7u) << "the oldest four of ten went, the cut came";
  }
  const AuditVerification found = verify();
  EXPECT_FALSE(found.broken);
  EXPECT_EQ(found.start.seq, 4u);
}

TEST_F(Audit, KeysAreForTheOwnerAndAWrongOneIsFound) {
  fill(3);
  struct stat info {};
  ASSERT_EQ(stat((dir_.data() + "/audit.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_TRUE(replace_file(dir_.data() + "/audit.pub", std::string(64, 'a') + "\n", 0600));
  EXPECT_EQ(verify().broken->fault, AuditFault::bad_signature);
  EXPECT_EQ(verify({.public_key = std::string(64, 'b')}).broken->fault, AuditFault::bad_signature);
  std::ofstream(dir_.data() + "/audit.key") << "nonsense";
  EXPECT_EQ(open_store({.data_dir = dir_.data()}).error().code, Code::malformed);
}

TEST_F(Audit, ASecondWriterIsRefused) {
  fill(1);
  // The lock of the data directory keeps a second quell away; who goes around it finds the chain has moved on.
  auto one = Journal::open({.folder = dir_.data()});
  auto other = Journal::open({.folder = dir_.data()});
  ASSERT_TRUE(one && other);
  ASSERT_TRUE((*one)->append_audit({AuditKind::policy, "p", "one", "{}"}));
  EXPECT_EQ((*other)->append_audit({AuditKind::policy, "p", "other", "{}"}).error().code, Code::conflict);
  EXPECT_EQ((*other)->save_action(make_action(77)).error().code, Code::conflict);
  EXPECT_EQ((*other)->find_action(make_action(77).id).error().code, Code::not_found) << "neither without the other";
  ASSERT_TRUE((*one)->save_action(make_action(78)));
  EXPECT_FALSE(verify().broken);
}

TEST_F(Audit, ItIsVerifiedWhileItIsWritten) {
  auto store = open_store({.data_dir = dir_.data()});
  for (uint64_t i = 0; i < 30; ++i) {
    ASSERT_TRUE((*store)->save_action(make_action(i)));
    const AuditVerification found = verify();
    EXPECT_FALSE(found.broken);
    EXPECT_EQ(found.entries, i + 2);
  }
}

TEST_F(Audit, AnOlderJournalGetsAChainThatVouchesForWhatItHeld) {
  fill(3);
  // As the version before left it.
  ASSERT_EQ(try_sql(dir_.data(),
                    "DROP TABLE audit; DROP TABLE audit_cuts; DROP TABLE evidence; DROP TABLE evidence_dropped; PRAGMA "
                    "user_version = 2;"),
            SQLITE_OK);
  for (const char* name : {"/audit.head", "/audit.key", "/audit.pub"}) std::filesystem::remove(dir_.data() + name);
  EXPECT_EQ(verify_audit_of(dir_.data(), {}).error().code, Code::not_found);
  fill(1, 99);
  const AuditVerification found = verify();
  EXPECT_FALSE(found.broken);
  ASSERT_EQ(found.notes.size(), 2u) << "actions and a setting that no entry vouches for";
  auto store = open_store({.data_dir = dir_.data()});
  const auto first = (*store)->audit_entries({.limit = 1});
  EXPECT_GT(Json::parse(first->at(0).body_json)->at("earlier_actions").u64(), 0u);
}

class AuditExport : public Audit {
 protected:
  std::vector<std::string> lines(uint64_t after_seq = 0) {
    std::vector<std::string> out;
    const auto done = export_audit_of(dir_.data(), after_seq, [&](std::string_view line) -> Result<void> {
      out.emplace_back(line);
      return {};
    });
    EXPECT_TRUE(done) << done.error().str();
    return out;
  }
  static AuditVerification check(const std::vector<std::string>& lines, const AuditExpectations& expected = {}) {
    ExportCheck check(expected);
    for (const std::string& line : lines) check.line(line);
    return check.finish();
  }
};

TEST_F(AuditExport, VerifiesElsewhereAndFindsWhatWasChanged) {
  fill(8);
  const std::vector<std::string> good = lines();
  EXPECT_FALSE(check(good).broken) << check(good).broken->found;
  EXPECT_EQ(check(good).entries, last_.seq);
  EXPECT_FALSE(check(lines(4)).broken);
  EXPECT_EQ(check(lines(4)).start.seq, 4u);
  std::mt19937 random(3);
  for (size_t i = 0; i < good.size(); ++i) {
    auto removed = good;
    removed.erase(removed.begin() + static_cast<ptrdiff_t>(i));
    EXPECT_TRUE(check(removed).broken) << i;
    auto repeated = good;
    repeated.insert(repeated.begin() + static_cast<ptrdiff_t>(i), good[i]);
    EXPECT_TRUE(check(repeated).broken) << i;
    if (i + 2 < good.size() && i > 0) {
      auto swapped = good;
      std::swap(swapped[i], swapped[i + 1]);
      EXPECT_BREAK(check(swapped), AuditFault::reordered, i);
      EXPECT_BREAK(check(removed), AuditFault::missing, i);
      EXPECT_BREAK(check(repeated), AuditFault::repeated, i + 1);
    }
    for (int n = 0; n < 20; ++n) {
      auto altered = good;
      char& byte = altered[i][random() % altered[i].size()];
      byte = byte == '7' ? '8' : '7';
      const bool is_readable_time = i == 0 || i + 1 == good.size();  // at_time of a head is for people
      EXPECT_TRUE(check(altered).broken || is_readable_time) << altered[i];
    }
  }
}

TEST_F(AuditExport, OnlyTheNamedKeyIsBelieved) {
  fill(3);
  const auto good = lines();
  const std::string key = check(good).public_key;
  EXPECT_FALSE(check(good, {.public_key = key}).broken);
  EXPECT_EQ(check(good, {.public_key = std::string(64, '0')}).broken->fault, AuditFault::bad_signature);
  EXPECT_TRUE(check({}).broken);
  EXPECT_TRUE(check({"{}", "nonsense"}).broken);
  EXPECT_EQ(verify_audit_export("/nonexistent", {}).error().code, Code::not_found);
  std::ofstream file(dir_.path() + "/export.jsonl");
  for (const std::string& line : good) file << line << "\n";
  file.close();
  EXPECT_FALSE(verify_audit_export(dir_.path() + "/export.jsonl", {.hash = last_.hash})->broken);
  EXPECT_BREAK(*verify_audit_export(dir_.path() + "/export.jsonl", {.hash = std::string(64, 'e')}),
               AuditFault::truncated, last_.seq + 1);
}

}  // namespace
}  // namespace quell::record
