// Options about rules that commands share, and the field catalogue as commands show it.
#include <gtest/gtest.h>

#include <map>

#include "base/json.h"
#include "process.h"

namespace quell::cli {
namespace {

constexpr const char* kRules =
    "- rule: Reader\n"
    "  desc: opens\n"
    "  condition: evt.type in (open, openat) and static.place = test\n"
    "  output: \"%proc.name reads %fd.name\"\n"
    "  priority: NOTICE\n"
    "  tags: [file]\n"
    "- rule: Start\n"
    "  desc: programs\n"
    "  condition: evt.type = execve\n"
    "  output: \"%proc.name starts\"\n"
    "  priority: DEBUG\n"
    "  tags: [process]\n";

class RuleFlags : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* data = std::getenv("QUELL_TEST_DATA");
    if (data == nullptr) {
      std::puts("SKIPPED: QUELL_TEST_DATA is not set");
      GTEST_SKIP();
    }
    capture_ = std::string(data) + "/samples/scap/cat_write.scap";
    rules_ = folder_.file("rules.yaml", kRules);
  }
  Finished detect(std::vector<std::string> more) {
    std::vector<std::string> line = {"detect", capture_, "-r", rules_, "--static-field", "place=test", "-o", "json"};
    line.insert(line.end(), more.begin(), more.end());
    return quell(folder_, line);
  }
  /// How many detections each rule gave.
  std::map<std::string, size_t> counts(std::vector<std::string> more) {
    const Finished result = detect(std::move(more));
    EXPECT_EQ(result.status, 0) << result.err;
    std::map<std::string, size_t> out;
    std::istringstream lines(result.out);
    for (std::string line; std::getline(lines, line);) {
      const auto json = Json::parse(line);
      EXPECT_TRUE(json) << line;
      if (json) ++out[json->at("rule").str()];
    }
    return out;
  }
  TempFolder folder_;
  std::string capture_, rules_;
};

TEST_F(RuleFlags, SelectionsApplyInTheOrderOfTheLine) {
  const auto both = counts({});
  ASSERT_GT(both.at("Reader"), 0u);
  ASSERT_GT(both.at("Start"), 0u);
  using Names = std::map<std::string, size_t>;
  EXPECT_EQ(counts({"--disable", "Sta*"}), (Names{{"Reader", both.at("Reader")}}));
  EXPECT_EQ(counts({"--disable", "tag:file"}), (Names{{"Start", both.at("Start")}}));
  EXPECT_EQ(counts({"--disable", "*", "--enable", "tag:process"}), (Names{{"Start", both.at("Start")}}));
  EXPECT_EQ(counts({"--enable", "tag:process", "--disable", "*"}), Names{});
  EXPECT_EQ(counts({"--disable", "Start", "--disable", "Reader", "--enable", "Reader"}),
            (Names{{"Reader", both.at("Reader")}}));
  EXPECT_EQ(counts({"--minimum-priority", "notice"}), (Names{{"Reader", both.at("Reader")}}));
  EXPECT_EQ(quell(folder_, {"detect", capture_, "-r", rules_, "--minimum-priority", "loud"}).status, 2);

  const Finished typo = detect({"--disable", "Strat"});
  EXPECT_EQ(typo.status, 0);
  EXPECT_NE(typo.err.find("Strat"), std::string::npos) << "a selection that fits no rule is said";
}

TEST_F(RuleFlags, OutputsAreExtended) {
  const Finished result =
      detect({"--disable", "Start", "--append-output", "at %static.place", "--extra-field", "evt.num", "--extra-field",
              "who=%proc.name@%evt.hostname", "--extra-field", "evt.time.iso8601", "--suggested-output"});
  ASSERT_EQ(result.status, 0) << result.err;
  const auto json = Json::parse(result.out.substr(0, result.out.find('\n')));
  ASSERT_TRUE(json);
  const Json& fields = json->at("output_fields");
  const std::string message = json->at("quell").at("message").str();
  EXPECT_NE(message.find(" at test container_id=host container_name=host container_image_repository= "
                         "container_image_tag= k8s_pod_name=<NA> k8s_ns_name=<NA> static_place=test"),
            std::string::npos)
      << message;
  EXPECT_GT(fields.at("evt.num").u64(), 0u) << "a plain extra field keeps its type";
  EXPECT_GT(fields.at("evt.time.iso8601").u64(), 0u) << "times are numbers";
  EXPECT_EQ(fields.at("who").str(),
            json->at("quell").at("process").at("name").str() + "@" + json->at("hostname").str());
  EXPECT_EQ(fields.at("static.place").str(), "test");

  EXPECT_EQ(detect({"--append-output", "%proc.nobody"}).status, 3) << "rules that do not load";
  EXPECT_EQ(detect({"--extra-field", "proc.nobody"}).status, 3);
  EXPECT_EQ(detect({"--extra-field", "=x"}).status, 2);
  EXPECT_EQ(detect({"--static-field", "9x=1"}).status, 2);
  EXPECT_EQ(detect({"--static-field", "nothing"}).status, 2);
}

TEST_F(RuleFlags, LinesAreShownAsAsked) {
  const auto first = [&](std::vector<std::string> more) {
    more.insert(more.end(), {"--disable", "Start"});
    const Finished result = detect(std::move(more));
    EXPECT_EQ(result.status, 0) << result.err;
    return *Json::parse(result.out.substr(0, result.out.find('\n')));
  };
  const Json plain = first({});
  for (const char* name : {"output", "output_fields", "tags"}) EXPECT_NE(plain.find(name), nullptr) << name;
  EXPECT_EQ(plain.find("message"), nullptr);
  const Json bare = first({"--json-include-output-property=false", "--json-include-output-fields-property=false",
                           "--json-include-tags-property=false", "--json-include-message-property"});
  for (const char* name : {"output", "output_fields", "tags"}) EXPECT_EQ(bare.find(name), nullptr) << name;
  EXPECT_EQ(bare.at("message").str(), plain.at("quell").at("message").str());

  const Json dated = first({"--time-format-iso-8601"});
  const std::string time = plain.at("time").str();
  EXPECT_EQ(dated.at("output").str(),
            time.substr(0, time.size() - 1) + "+0000: Notice " + plain.at("quell").at("message").str());
  EXPECT_EQ(dated.at("output_fields").at("evt.time.iso8601").u64(), plain.at("output_fields").at("evt.time").u64());
  EXPECT_EQ(dated.at("output_fields").find("evt.time"), nullptr);

  EXPECT_EQ(detect({"--json-include-tags-property=perhaps"}).status, 2);
}

TEST_F(RuleFlags, PayloadsCanBeBase64) {
  const std::string rule =
      folder_.file("payload.yaml",
                   "- rule: Bytes\n  desc: moves bytes\n  condition: evt.type in (read, write) and evt.rawres > 0\n"
                   "  output: \"%evt.buffer\"\n  priority: NOTICE\n");
  const auto message = [&](std::vector<std::string> more) {
    std::vector<std::string> line = {"detect", capture_, "-r", rule, "-o", "json"};
    line.insert(line.end(), more.begin(), more.end());
    const Finished result = quell(folder_, line);
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_FALSE(result.out.empty());
    return Json::parse(result.out.substr(0, result.out.find('\n')))->at("quell").at("message").str();
  };
  const std::string plain = message({}), encoded = message({"--buffer-format-base64"});
  EXPECT_EQ(encoded.size() % 4, 0u) << encoded;
  EXPECT_EQ(encoded.size(), (plain.size() + 2) / 3 * 4) << "a short payload is whole either way";
  EXPECT_EQ(encoded.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="),
            std::string::npos);
}

TEST_F(RuleFlags, ConstantsAreKnownWhenRulesAreOnlyLookedAt) {
  EXPECT_EQ(quell(folder_, {"rule", "check", rules_}).status, 3);
  EXPECT_EQ(quell(folder_, {"rule", "check", rules_, "--static-field", "place=test"}).status, 0);
  EXPECT_EQ(quell(folder_, {"rule", "list", rules_, "--static-field", "place=test", "-o", "name"}).out,
            "Reader\nStart\n");
}

TEST(RuleFields, DocumentationIsOfTheseRows) {
  TempFolder folder;
  const Finished written = quell(folder, {"rule", "fields", "-o", "markdown"});
  ASSERT_EQ(written.status, 0) << written.err;
  std::ifstream file(QUELL_SOURCE_DIR "/docs/fields.md");
  std::stringstream kept;
  kept << file.rdbuf();
  EXPECT_TRUE(kept.str() == written.out) << "stale: quell rule fields -o markdown > docs/fields.md";
}

TEST(ActionCatalogue, DocumentationIsOfTheseRows) {
  TempFolder folder;
  const Finished written = quell(folder, {"action", "catalogue", "-o", "markdown"});
  ASSERT_EQ(written.status, 0) << written.err;
  std::ifstream file(QUELL_SOURCE_DIR "/docs/response.md");
  std::stringstream kept;
  kept << file.rdbuf();
  EXPECT_TRUE(kept.str() == written.out) << "stale: quell action catalogue -o markdown > docs/response.md";
}

TEST(RuleFields, AreFilteredByNameTextAndClass) {
  TempFolder folder;
  const auto names = [&](std::vector<std::string> more) {
    std::vector<std::string> line = {"rule", "fields", "-o", "name"};
    line.insert(line.end(), more.begin(), more.end());
    return quell(folder, line).out;
  };
  EXPECT_EQ(names({"fd.dev"}), "fd.dev\nfd.dev.major\nfd.dev.minor\n");
  EXPECT_EQ(names({"--search", "INODE", "--class", "fd"}), "fd.ino\n");
  EXPECT_EQ(names({"--class", "util"}), "util.cnt\nstatic\n");
  EXPECT_EQ(quell(folder, {"rule", "fields", "--class", "files"}).status, 2);
  EXPECT_EQ(quell(folder, {"rule", "fields", "--search", "no such words"}).status, 5);
  EXPECT_NE(quell(folder, {"rule", "fields", "proc.aname"}).out.find("proc.aname[2] = sshd"), std::string::npos);
  const auto json = Json::parse(quell(folder, {"rule", "fields", "fd.ip", "-o", "jsonl"}).out);
  ASSERT_TRUE(json);
  EXPECT_EQ(json->at("class").str(), "fd");
  EXPECT_TRUE(json->at("filter_only").boolean());
  EXPECT_FALSE(json->at("transformers").boolean());
}

}  // namespace
}  // namespace quell::cli
