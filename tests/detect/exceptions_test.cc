// Exceptions as people keep them: in files of their own, with an owner, a reason and a last day. And `fold`.
#include <gtest/gtest.h>

#include "base/moment.h"
#include "detect/engine.h"
#include "detect/falco/loader.h"

namespace quell::detect::falco {
namespace {

constexpr const char* kRules =
    "- list: tools\n"
    "  items: [cat]\n"
    "- rule: r\n"
    "  desc: d\n"
    "  condition: evt.type = open and proc.name in (tools)\n"
    "  output: o\n"
    "  priority: INFO\n"
    "  exceptions:\n"
    "    - name: known\n"
    "      fields: [proc.name, fd.name]\n"
    "      comps: [=, startswith]\n";

/// On a day in June.
LoaderOptions in_june() {
  LoaderOptions options;
  options.now_ns = *parse_iso8601_utc("2026-06-15T12:00:00Z");
  return options;
}

class Exceptions : public ::testing::Test {
 protected:
  Loader loader_{semantics(), in_june()};
  void SetUp() override { ASSERT_TRUE(loader_.load("rules.yaml", kRules).successful()); }

  FileResult load(const std::string& text) { return loader_.load("mine.yaml", text, FileKind::exceptions); }
  std::string condition() const { return loader_.rules().rules.at(0).condition->str(); }
  /// "line:column" of the only problem.
  static std::string place(const std::vector<Problem>& problems) {
    EXPECT_EQ(problems.size(), 1u);
    if (problems.size() != 1) return {};
    EXPECT_EQ(problems[0].file, "mine.yaml");
    return std::to_string(problems[0].line) + ":" + std::to_string(problems[0].column);
  }
};

TEST_F(Exceptions, AddValuesToWhatTheRuleForesaw) {
  const FileResult result = load(
      "- rule: r\n"
      "  exceptions:\n"
      "    - name: known\n"
      "      values:\n"
      "        - [cat, /srv/]\n"
      "      owner: anna\n"
      "      reason: the nightly backup\n"
      "      expires: 2026-06-15\n");
  EXPECT_TRUE(result.successful()) << readable(result);
  EXPECT_TRUE(result.warnings.empty()) << readable(result);
  EXPECT_TRUE(result.schema_warnings.empty() || result.schema == SchemaStatus::failed);
  EXPECT_NE(condition().find("(proc.name = cat and fd.name startswith /srv/)"), std::string::npos) << condition();
  const auto& records = loader_.rules().exceptions;
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].rule, "r");
  EXPECT_EQ(records[0].name, "known");
  EXPECT_EQ(records[0].owner, "anna");
  EXPECT_EQ(records[0].reason, "the nightly backup");
  EXPECT_EQ(records[0].expires_ns, parse_iso8601_utc("2026-06-16T00:00:00Z")) << "the last day counts";
  EXPECT_FALSE(records[0].is_expired);
  EXPECT_EQ(records[0].value_count, 1u);
  EXPECT_EQ(records[0].file + ":" + std::to_string(records[0].line), "mine.yaml:3");
}

TEST_F(Exceptions, BringFieldsOfTheirOwnAndRepeatThemselves) {
  const std::string one =
      "- rule: r\n  exceptions:\n    - {name: own, fields: [proc.pname], comps: [=], values: [[cron]]}\n"
      "  override: {exceptions: append}\n";
  const std::string same_again =
      "- rule: r\n  exceptions:\n    - {name: own, fields: [proc.pname], comps: [=], values: [[make]]}\n";
  EXPECT_TRUE(load(one).successful());
  EXPECT_TRUE(load(same_again).successful()) << "two files may speak of one exception";
  EXPECT_NE(condition().find("proc.pname = cron"), std::string::npos);
  EXPECT_NE(condition().find("proc.pname = make"), std::string::npos);
  EXPECT_FALSE(
      load("- rule: r\n  exceptions:\n    - {name: own, fields: [fd.name], comps: [=], values: [[x]]}\n").successful())
      << "the same name for something else";
}

TEST_F(Exceptions, ValuesMayStandInAList) {
  const FileResult result = load(
      "- list: my_tools\n  items: [tar, cat]\n"
      "- rule: r\n  exceptions:\n    - {name: by_list, fields: proc.pname, comps: in, values: [my_tools, make]}\n");
  EXPECT_TRUE(result.successful()) << readable(result);
  EXPECT_NE(condition().find("proc.pname in (tar, cat, make)"), std::string::npos) << condition();
}

TEST_F(Exceptions, ThatHaveExpiredDoNothingAndSaySo) {
  const std::string before = condition();
  const FileResult result = load(
      "- rule: r\n  exceptions:\n"
      "    - name: old\n"
      "      fields: [proc.pname]\n"
      "      values: [[cron]]\n"
      "      owner: anna\n"
      "      expires: 2026-06-14\n");
  EXPECT_TRUE(result.successful()) << readable(result);
  EXPECT_EQ(place(result.warnings), "7:16");
  EXPECT_EQ(condition(), before);
  ASSERT_EQ(loader_.rules().exceptions.size(), 1u);
  EXPECT_TRUE(loader_.rules().exceptions[0].is_expired);
}

TEST_F(Exceptions, OfWhichOneEntryExpiredKeepTheOthers) {
  ASSERT_TRUE(load("- rule: r\n  exceptions:\n"
                   "    - {name: known, values: [[cat, /a/]], expires: 2026-06-14}\n")
                  .successful());
  ASSERT_TRUE(
      load("- rule: r\n  exceptions:\n    - {name: known, values: [[cat, /b/]], expires: 2026-12-31}\n").successful());
  EXPECT_EQ(condition().find("/a/"), std::string::npos);
  EXPECT_NE(condition().find("/b/"), std::string::npos);
}

TEST_F(Exceptions, OfARuleThatNobodyDefinesAreAWarning) {
  const FileResult result =
      load("- rule: s\n  exceptions:\n    - {name: x, fields: [proc.name], values: [[cron]], owner: anna}\n");
  EXPECT_TRUE(result.successful()) << readable(result);
  EXPECT_EQ(place(result.warnings), "1:9");
  ASSERT_EQ(loader_.rules().exceptions.size(), 1u);
  EXPECT_TRUE(loader_.rules().exceptions[0].is_orphan);
  EXPECT_EQ(loader_.rules().exceptions[0].owner, "anna");
}

TEST_F(Exceptions, CannotChangeAnythingElse) {
  EXPECT_EQ(place(load("- rule: r\n  condition: never\n  exceptions: []\n").errors), "2:3");
  EXPECT_EQ(place(load("- macro: m\n  condition: proc.name = x\n").errors), "1:3");
  EXPECT_EQ(place(load("- rule: r\n  exceptions: []\n  override: {exceptions: replace}\n").errors), "3:14");
  EXPECT_FALSE(load("- rule: r\n").successful());
}

TEST_F(Exceptions, SayWhereTheyAreWrong) {
  EXPECT_EQ(place(load("- rule: r\n  exceptions:\n    - {name: x, fields: [proc.nmae], values: [[a]]}\n").errors),
            "3:26");
  EXPECT_EQ(place(load("- rule: r\n  exceptions:\n    - {name: known, values: [[a]]}\n").errors), "3:30");
  EXPECT_EQ(place(load("- rule: r\n  exceptions:\n    - name: x\n      fields: [proc.name]\n      values: [[a]]\n"
                       "      expires: next year\n")
                      .errors),
            "6:16");
}

TEST_F(Exceptions, AreAcceptedInRuleFilesToo) {
  Loader loader(semantics(), in_june());
  const FileResult result = loader.load("rules.yaml", std::string(kRules) +
                                                          "      values: [[cat, /srv/]]\n"
                                                          "      owner: anna\n"
                                                          "      expires: 2026-01-01\n");
  EXPECT_TRUE(result.successful()) << readable(result);
  EXPECT_EQ(result.warnings.size(), 1u);
  ASSERT_EQ(loader.rules().rules.size(), 1u);
  EXPECT_EQ(loader.rules().rules[0].condition->str().find("/srv/"), std::string::npos);
  ASSERT_EQ(loader.rules().rules[0].exceptions.size(), 1u) << "its fields stay for others to add values to";
  EXPECT_EQ(loader.rules().rules[0].exceptions[0].fields, (std::vector<std::string>{"proc.name", "fd.name"}));
}

FileResult load_fold(Loader& loader, const std::string& fold) {
  return loader.load("fold.yaml",
                     "- rule: f\n  desc: d\n  condition: evt.type = open\n  output: o\n  priority: INFO\n" + fold);
}

TEST(Fold, IsReadFromTheRule) {
  Loader loader(semantics());
  FileResult result = load_fold(loader, "  fold: {by: [proc.name, 'tolower(fd.name)'], window: 2m}\n");
  ASSERT_TRUE(result.successful()) << readable(result);
  EXPECT_TRUE(result.warnings.empty()) << readable(result);
  EXPECT_EQ(result.schema, SchemaStatus::ok);
  EXPECT_EQ(loader.rules().rules[0].fold, (FoldSpec{{"proc.name", "tolower(fd.name)"}, 120'000'000'000}));
  EXPECT_TRUE(compile(loader.rules(), {}).has_value());
  ASSERT_TRUE(load_fold(loader, "  fold: off\n").successful());
  EXPECT_EQ(loader.rules().rules[0].fold, (FoldSpec{{}, 0}));
  result = loader.load("more.yaml", "- rule: f\n  fold: {window: 1s}\n  override: {fold: replace}\n");
  ASSERT_TRUE(result.successful()) << readable(result);
  EXPECT_EQ(loader.rules().rules[0].fold, (FoldSpec{{}, 1'000'000'000}));
}

TEST(Fold, ThatIsWrongIsRefusedWithItsPlace) {
  const std::pair<const char*, const char*> cases[] = {{"  fold: on\n", "6:9"},
                                                       {"  fold: [proc.name]\n", "6:9"},
                                                       {"  fold: {window: soon}\n", "6:18"},
                                                       {"  fold: {by: proc.name}\n", "6:14"},
                                                       {"  fold: {by: [proc.name, proc.nmae]}\n", "6:26"}};
  for (const auto& [fold, place] : cases) {
    Loader loader(semantics());
    const FileResult result = load_fold(loader, fold);
    ASSERT_EQ(result.errors.size(), 1u) << fold;
    EXPECT_EQ(std::to_string(result.errors[0].line) + ":" + std::to_string(result.errors[0].column), place) << fold;
  }
  Loader loader(semantics());
  const FileResult result = load_fold(loader, "  fold: {windwo: 1s}\n");
  ASSERT_EQ(result.warnings.size(), 1u);
  EXPECT_EQ(result.warnings[0].code, LoadCode::unknown_key);
}

}  // namespace
}  // namespace quell::detect::falco
