// What is particular to the SQLite store: its files, versions, migrations, and disks that fail.
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <fstream>

#include "fixtures.h"
#include "record/audit/verify.h"
#include "record/sqlite/database.h"

namespace quell::record {
namespace {

void sql(const std::string& path, const std::string& text) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, text.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
  sqlite3_close(db);
}

TEST(OpenStore, NamesTheStoresThereAre) {
  const auto store = open_store({.data_dir = "/nonexistent"}, "oracle");
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, Code::not_found);
  EXPECT_NE(store.error().message.find("sqlite"), std::string::npos);
}

TEST(SqliteStore, MissingParentAndFilesInTheWayAreSaid) {
  TempDir dir;
  EXPECT_EQ(open_sqlite({.data_dir = dir.path() + "/no/such"}).error().code, Code::not_found);
  std::ofstream(dir.path() + "/file") << "x";
  EXPECT_FALSE(open_sqlite({.data_dir = dir.path() + "/file"}));
}

TEST(SqliteStore, FilesAreForTheOwnerOnly) {
  TempDir dir;
  ASSERT_TRUE(open_sqlite({.data_dir = dir.data()}));
  auto store = open_sqlite({.data_dir = dir.data()});
  ASSERT_TRUE(store);
  ASSERT_TRUE((*store)->save_action(make_action(1)));
  for (const auto& entry : std::filesystem::directory_iterator(dir.data())) {
    struct stat info {};
    ASSERT_EQ(stat(entry.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 077, 0u) << entry.path();
  }
}

TEST(SqliteStore, ForeignFilesAreNotTouched) {
  TempDir dir;
  ASSERT_EQ(mkdir(dir.data().c_str(), 0700), 0);
  std::ofstream(dir.data() + "/detections.db") << std::string(10'000, 'x');
  EXPECT_EQ(open_sqlite({.data_dir = dir.data()}).error().code, Code::malformed);
  std::filesystem::remove(dir.data() + "/detections.db");
  sql(dir.data() + "/detections.db", "CREATE TABLE theirs (x);");
  EXPECT_EQ(open_sqlite({.data_dir = dir.data()}).error().code, Code::malformed);
}

TEST(SqliteStore, ANewerSchemaIsRefused) {
  TempDir dir;
  ASSERT_TRUE(open_sqlite({.data_dir = dir.data()}));
  sql(dir.data() + "/actions.db", "PRAGMA user_version = 99;");
  const auto store = open_sqlite({.data_dir = dir.data()});
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, Code::unsupported);
  EXPECT_NE(store.error().where.find("actions.db"), std::string::npos);
}

TEST(SqliteStore, ADamagedRecordIsAnError) {
  TempDir dir;
  {
    auto store = open_sqlite({.data_dir = dir.data()});
    ASSERT_TRUE(store);
    const std::vector batch = {make_detection(1)};
    ASSERT_TRUE((*store)->insert(batch));
  }
  sql(dir.data() + "/detections.db", "UPDATE detections SET json = '{';");
  auto store = open_sqlite({.data_dir = dir.data()});
  ASSERT_TRUE(store);
  EXPECT_EQ((*store)->detection(make_detection(1).id).error().code, Code::malformed);
}

TEST(Migration, GoesForwardStepByStepAndKeepsACopy) {
  TempDir dir;
  const std::string path = dir.path() + "/some.db";
  constexpr std::string_view kOne[] = {"CREATE TABLE t (x INTEGER) STRICT; INSERT INTO t VALUES (1);"};
  constexpr std::string_view kTwo[] = {kOne[0], "ALTER TABLE t ADD COLUMN y INTEGER; UPDATE t SET y = x + 1;"};
  {
    auto db = Database::open(path, Database::Mode::read_write, Durability::power_cut);
    ASSERT_TRUE(db);
    ASSERT_TRUE((*db)->migrate(7, kOne));
    ASSERT_TRUE((*db)->migrate(7, kOne)) << "a second start changes nothing";
    EXPECT_FALSE(std::filesystem::exists(path + ".v1.bak")) << "a first start has nothing to copy";
  }
  {
    auto db = Database::open(path, Database::Mode::read_write, Durability::power_cut);
    ASSERT_TRUE((*db)->migrate(7, kTwo));
    EXPECT_EQ(*(*db)->pragma("user_version"), 2);
    auto statement = (*db)->prepare("SELECT y FROM t");
    ASSERT_TRUE(statement);
    ASSERT_TRUE(*statement->step());
    EXPECT_EQ(statement->integer(0), 2);
  }
  auto copy = Database::open(path + ".v1.bak", Database::Mode::read_write, Durability::power_cut);
  ASSERT_TRUE(copy);
  EXPECT_EQ(*(*copy)->pragma("user_version"), 1);
  EXPECT_TRUE((*copy)->migrate(7, kTwo)) << "the copy is whole: it can be migrated itself";
}

TEST(Migration, AStepThatFailsLeavesTheVersionBefore) {
  TempDir dir;
  const std::string path = dir.path() + "/some.db";
  constexpr std::string_view kGood[] = {"CREATE TABLE t (x INTEGER) STRICT;"};
  constexpr std::string_view kBad[] = {kGood[0],
                                       "CREATE TABLE u (x INTEGER) STRICT; CREATE TABLE t (x INTEGER) STRICT;"};
  auto db = Database::open(path, Database::Mode::read_write, Durability::power_cut);
  ASSERT_TRUE((*db)->migrate(7, kGood));
  EXPECT_FALSE((*db)->migrate(7, kBad));
  EXPECT_EQ(*(*db)->pragma("user_version"), 1);
  EXPECT_FALSE((*db)->prepare("SELECT * FROM u")) << "half a step must not stay";
  EXPECT_TRUE((*db)->migrate(7, kGood));
}

// A limit on file size stands for a full disk: writes fail in the middle, in a child so that the limit is nobody
// else's.
TEST(SqliteStore, AFullDiskIsAnErrorAndLosesNothingThatWasAcknowledged) {
  TempDir dir;
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    auto store = open_sqlite({.data_dir = dir.data()});
    if (!store) _exit(10);
    if (!(*store)->save_action(make_action(1))) _exit(11);
    const rlimit limit{200'000, 200'000};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(12);
    uint64_t number = 2;
    for (; number < 10'000; ++number) {
      const auto saved = (*store)->save_action(make_action(number));
      if (saved) continue;
      if (saved.error().code != Code::io) _exit(13);
      if (saved.error().message.find("--data-dir") == std::string::npos) _exit(14);
      break;
    }
    if (number == 10'000) _exit(15);
    if ((*store)->find_action(make_action(number).id)) _exit(16);       // what failed is not there
    if (!(*store)->find_action(make_action(number - 1).id)) _exit(17);  // what was acknowledged is
    std::vector<Detection> batch;
    for (uint64_t i = 0; i < 2'000; ++i) batch.push_back(make_detection(i));
    const auto inserted = (*store)->insert(batch);
    if (inserted || inserted.error().code != Code::io) _exit(18);
    if ((*store)->counters()->detections != 0) _exit(19);  // all or nothing
    if ((*store)->insert(std::vector{make_detection(1)}).has_value() == false)
      _exit(20);  // and it goes on when there is room
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  auto store = open_sqlite({.data_dir = dir.data()});
  ASSERT_TRUE(store) << store.error().str();
  EXPECT_TRUE((*store)->find_action(make_action(1).id));
  const auto chain = verify_audit_of(dir.data(), {});
  ASSERT_TRUE(chain);
  EXPECT_FALSE(chain->broken) << chain->broken->expected << " / " << chain->broken->found;
}

}  // namespace
}  // namespace quell::record
