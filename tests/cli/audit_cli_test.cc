// `quell audit` and `quell evidence` on a data directory that nobody runs on.
#include <gtest/gtest.h>

#include "base/json.h"
#include "base/sha256.h"
#include "model/audit_json.h"
#include "process.h"
#include "record/evidence/files.h"
#include "record/sqlite/database.h"

namespace quell::cli {
namespace {

class AuditCli : public ::testing::Test {
 protected:
  void SetUp() override {
    auto store = record::open_store({.data_dir = data_});
    ASSERT_TRUE(store) << store.error().str();
    ActionRecord action;
    action.id = "a-1";
    action.command.action = "container.pause";
    action.command.actor = "uid:5";
    action.state = ActionState::contained;
    ASSERT_TRUE((*store)->save_action(action));
    action.id = "a-2";
    action.state = ActionState::refused_guard;
    ASSERT_TRUE((*store)->save_action(action));
    auto files = record::EvidenceFiles::open({.folder = data_ + "/evidence"}, **store, **store);
    ASSERT_TRUE(files);
    for (const char* content : {"first", "second"}) {
      auto writer = (*files)->begin({.kind = EvidenceKind::logs, .name = "log \x1b[31m", .action_id = "a-1"});
      ASSERT_TRUE(writer);
      ASSERT_TRUE((*writer)->write({reinterpret_cast<const uint8_t*>(content), strlen(content)}));
      auto item = (*writer)->finish();
      ASSERT_TRUE(item);
      items_.push_back(*item);
    }
  }
  Finished run(std::vector<std::string> arguments) {
    arguments.emplace_back("--data-dir");
    arguments.push_back(data_);
    return quell(folder_, std::move(arguments));
  }
  Json json_of(const Finished& finished) {
    auto json = Json::parse(finished.out);
    EXPECT_TRUE(json) << finished.out << finished.err;
    return json ? *json : Json();
  }
  void sql(const std::string& text) {
    auto db = record::Database::open(data_ + "/actions.db", record::Database::Mode::read_write,
                                     record::Durability::process_crash);
    ASSERT_TRUE(db);
    ASSERT_TRUE((*db)->execute(text));
  }
  size_t custody_of(const std::string& id) {
    size_t count = 0;
    const Finished listed = run({"audit", "list", "--action", id, "-o", "json"});
    if (const auto* items = json_of(listed).at("items").array()) count = items->size();
    return count;
  }

  TempFolder folder_;
  const std::string data_ = folder_.path() + "/data";
  std::vector<EvidenceItem> items_;
};

TEST_F(AuditCli, ListsShowsAndFilters) {
  const Json all = json_of(run({"audit", "list", "-o", "json"}));
  ASSERT_NE(all.at("items").array(), nullptr);
  EXPECT_EQ(all.at("items").array()->size(), 5u);
  EXPECT_EQ(all.at("items").array()->front().at("seq").u64(), 5u) << "newest first";
  EXPECT_EQ(json_of(run({"audit", "list", "--kind", "refusal", "-o", "json"})).at("items").array()->size(), 1u);
  EXPECT_EQ(json_of(run({"audit", "list", "--actor", "uid:5", "-o", "json"})).at("items").array()->size(), 2u);
  EXPECT_EQ(json_of(run({"audit", "list", "--since", "1h", "-o", "json"})).at("items").array()->size(), 5u);
  EXPECT_EQ(json_of(run({"audit", "list", "--until", "2020-01-01", "-o", "json"})).at("items").array()->size(), 0u);
  EXPECT_EQ(run({"audit", "list", "--kind", "nonsense"}).status, 2);
  EXPECT_EQ(run({"audit", "list", "--since", "yesterday"}).status, 2);
  EXPECT_EQ(run({"audit", "list"}).status, 0);
  EXPECT_EQ(json_of(run({"audit", "show", "2", "-o", "json"})).at("subject").str(), "a-1");
  EXPECT_EQ(run({"audit", "show", "2"}).status, 0);
  EXPECT_EQ(run({"audit", "show", "99"}).status, 5);
  EXPECT_EQ(quell(folder_, {"audit", "list", "--data-dir", folder_.path() + "/none"}).status, 5);
}

TEST_F(AuditCli, VerifiesAgainstAHeadAndAnExport) {
  EXPECT_EQ(run({"audit", "verify"}).status, 0);
  const Finished head = run({"audit", "head"});
  ASSERT_EQ(head.status, 0);
  const std::string head_file = folder_.file("head.json", head.out);
  const std::string hash = json_of(head).at("hash").str();
  EXPECT_EQ(run({"audit", "verify", "--head", head_file}).status, 0);
  EXPECT_EQ(run({"audit", "verify", "--head", hash}).status, 0);
  EXPECT_EQ(run({"audit", "verify", "--head", std::string(64, 'a')}).status, 1);
  EXPECT_EQ(run({"audit", "verify", "--head", folder_.path() + "/none"}).status, 5);
  EXPECT_EQ(run({"audit", "verify", "--key", json_of(head).at("public_key").str()}).status, 0);
  EXPECT_EQ(run({"audit", "verify", "--key", std::string(64, 'a')}).status, 1);

  const std::string file = folder_.path() + "/export.jsonl";
  EXPECT_EQ(run({"audit", "export", "--to", file}).status, 0);
  EXPECT_NE(run({"audit", "export", "--to", file}).status, 0) << "nothing is overwritten";
  EXPECT_EQ(run({"audit", "verify", "--file", file, "--head", head_file}).status, 0);
  EXPECT_EQ(run({"audit", "export", "--after-seq", "2"}).status, 0);
  std::string altered = read_file(file);
  altered.replace(altered.find("uid:5"), 5, "uid:6");
  EXPECT_EQ(run({"audit", "verify", "--file", folder_.file("altered.jsonl", altered)}).status, 1);

  sql("DROP TRIGGER audit_is_never_changed; UPDATE audit SET actor = 'x' WHERE seq = 3;");
  const Finished broken = run({"audit", "verify", "-o", "json"});
  EXPECT_EQ(broken.status, 1);
  EXPECT_FALSE(json_of(broken).at("is_whole").boolean());
  EXPECT_EQ(json_of(broken).at("break").at("seq").u64(), 3u);
  EXPECT_EQ(json_of(broken).at("break").at("fault").str(), "altered");
  EXPECT_EQ(run({"audit", "verify"}).status, 1);
}

TEST_F(AuditCli, EvidenceIsListedHeldAndExportedWithItsCustody) {
  EXPECT_EQ(json_of(run({"evidence", "list", "--action", "a-1", "-o", "json"})).at("items").array()->size(), 2u);
  EXPECT_EQ(run({"evidence", "list", "--kind", "nonsense"}).status, 2);
  const Finished table = run({"evidence", "list"});
  EXPECT_EQ(table.status, 0);
  EXPECT_EQ(table.out.find('\x1b'), std::string::npos) << "a terminal does not obey names";
  EXPECT_EQ(run({"evidence", "show", items_[0].id}).status, 0);
  EXPECT_EQ(run({"evidence", "show", "e-none"}).status, 5);

  EXPECT_EQ(run({"evidence", "hold", items_[0].id, "--reason", "case 12"}).status, 0);
  EXPECT_TRUE(json_of(run({"evidence", "show", items_[0].id, "-o", "json"})).at("is_held").boolean());
  EXPECT_EQ(run({"evidence", "release", items_[0].id}).status, 0);
  EXPECT_EQ(run({"evidence", "hold", "e-none"}).status, 5);
  EXPECT_EQ(custody_of(items_[0].id), 3u);

  const std::string to = folder_.path() + "/copy";
  EXPECT_EQ(run({"evidence", "export", items_[0].id, "--to", to}).status, 0);
  EXPECT_EQ(read_file(to), "first");
  const auto manifest = Json::parse(read_file(to + ".custody.json"));
  ASSERT_TRUE(manifest);
  EXPECT_EQ(manifest->at("evidence").at("sha256").str(), items_[0].sha256);
  ASSERT_EQ(manifest->at("custody").array()->size(), 4u) << "collected, held, released, exported";
  for (const Json& one : *manifest->at("custody").array()) {
    const auto entry = audit_entry_from_export(one.dump());
    ASSERT_TRUE(entry);
    EXPECT_EQ(audit_hash(*entry), entry->hash);
  }
  EXPECT_NE(run({"evidence", "export", items_[0].id, "--to", to}).status, 0) << "nothing is overwritten";
  EXPECT_EQ(custody_of(items_[0].id), 4u) << "and nothing was handed out";
  EXPECT_EQ(run({"evidence", "export", "--action", "a-1", "--to", folder_.path() + "/case"}).status, 0);
  EXPECT_EQ(read_file(folder_.path() + "/case/" + items_[1].id), "second");
  EXPECT_EQ(run({"evidence", "export", "--to", to}).status, 2);
  EXPECT_EQ(run({"audit", "verify"}).status, 0);
}

TEST_F(AuditCli, AlteredEvidenceIsFoundAndNotExported) {
  EXPECT_EQ(run({"evidence", "verify"}).status, 0);
  const std::string path = record::evidence_object_path(data_ + "/evidence", items_[0].sha256);
  std::filesystem::permissions(path, std::filesystem::perms::owner_write | std::filesystem::perms::owner_read);
  std::ofstream(path) << "forged";
  EXPECT_EQ(run({"evidence", "verify"}).status, 1);
  EXPECT_EQ(run({"evidence", "verify", items_[1].id}).status, 0);
  const Json found = json_of(run({"evidence", "verify", "-o", "json"}));
  ASSERT_EQ(found.at("findings").array()->size(), 1u);
  EXPECT_EQ(found.at("findings").array()->front().at("fault").str(), "altered");
  EXPECT_EQ(run({"evidence", "export", items_[0].id, "--to", folder_.path() + "/copy"}).status, 1);
  EXPECT_FALSE(std::filesystem::exists(folder_.path() + "/copy"));
}

}  // namespace
}  // namespace quell::cli
