// Loading with the real field catalogue: everything that is wrong with a rule in one run, extra fields, selections.
#include <gtest/gtest.h>

#include "detect/engine.h"
#include "detect/falco/loader.h"

namespace quell::detect::falco {
namespace {

// A rule file with one rule.
std::string rule_with(const std::string& condition) {
  return "- rule: r\n  desc: d\n  condition: " + condition + "\n  output: o\n  priority: INFO\n";
}

TEST(LoaderPlaces, AllErrorsOfARuleInOneRun) {
  const std::string broken =
      "- rule: r\n  desc: d\n  condition: evt.type = opne and proc.nobody = 1 and undefined_one\n"
      "  output: o %proc.nobody\n  priority: x\n  enabled: maybe\n  tags: t\n"
      "  exceptions: [{name: e, fields: [proc.noone], values: [[a]]}]\n";
  const auto complaints = [](const FileResult& result) {
    std::string all;
    for (const Problem& problem : result.errors) all += problem.message + "\n";
    return all;
  };
  Loader loader(semantics());
  const FileResult result = loader.load("rules.yaml", broken);
  const std::string all = complaints(result);
  for (const char* part : {"Invalid priority", "Can't decode YAML scalar value", "Value of tags must be a sequence",
                           "unknown event type opne", "nonexistent field proc.nobody",
                           "Undefined macro 'undefined_one'", "unknown filter: proc.nobody"})
    EXPECT_NE(all.find(part), std::string::npos) << part << " is missing in\n" << all;

  // The same by override.
  ASSERT_TRUE(loader.load("base.yaml", rule_with("evt.type = open")).successful());
  const std::string by_override =
      complaints(loader.load("more.yaml",
                             "- rule: r\n  condition: and proc.nobody = 1\n  output: \"%\"\n  priority: x\n"
                             "  enabled: maybe\n"
                             "  override: {condition: append, output: append, priority: replace, enabled: replace}\n"));
  for (const char* part : {"Invalid priority", "Can't decode YAML scalar value", "nonexistent field proc.nobody",
                           "formatting cannot end with a %"})
    EXPECT_NE(by_override.find(part), std::string::npos) << part << " is missing in\n" << by_override;
}

TEST(Loader, ExtraFieldsAreCheckedWithEachRule) {
  Loader loader(semantics(), {.extra_outputs = {{.fields = {{"", "%proc.pid"}, {"who", "%user.name@%evt.hostname"}}}}});
  ASSERT_TRUE(loader.load("rules.yaml", rule_with("evt.type = open")).successful());
  const Rule& rule = loader.rules().rules.at(0);
  ASSERT_EQ(rule.extra_fields.size(), 2u);
  EXPECT_EQ(rule.extra_fields[1].name, "who");
  Loader strict(semantics(), {.extra_outputs = {{.fields = {{"", "%proc.nobody"}}}}});
  const FileResult refused = strict.load("rules.yaml", rule_with("evt.type = open"));
  ASSERT_EQ(refused.errors.size(), 1u);
  EXPECT_EQ(refused.errors[0].code, LoadCode::err_compile_output);
}

TEST(Loader, SelectionsSayWhatTheyDoNotFit) {
  RuleSet rules;
  rules.rules.resize(2);
  rules.rules[0].name = "Shell in container";
  rules.rules[0].tags = {"container"};
  rules.rules[1].name = "Shell on host";
  const Selection selections[] = {{false, Selection::By::name, "Shell*"},
                                  {true, Selection::By::tag, "container"},
                                  {false, Selection::By::name, "Shell"},
                                  {false, Selection::By::tag, "cont*"}};
  const auto idle = select(rules, selections);
  EXPECT_TRUE(rules.rules[0].enabled);
  EXPECT_FALSE(rules.rules[1].enabled);
  ASSERT_EQ(idle.size(), 2u);
  EXPECT_EQ(idle[0].pattern, "Shell");
  EXPECT_EQ(idle[1].pattern, "cont*");
}

}  // namespace
}  // namespace quell::detect::falco
