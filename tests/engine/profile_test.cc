#include <gtest/gtest.h>

#include "detect/falco/condition_parser.h"
#include "detect/lowered.h"
#include "detect/rule_profile.h"
#include "fake_state.h"

namespace quell::detect {
namespace {

RuleSet two_rules() {
  RuleSet rules;
  for (const auto& [name, condition] :
       {std::pair{"opens by bash", "evt.type = openat and proc.name = bash and fd.name startswith /etc"},
        std::pair{"opens of shadow", "evt.type = openat and fd.name in (/etc/shadow, /etc/sudoers)"}}) {
    Rule rule;
    rule.name = name;
    rule.output = "%fd.name";
    rule.condition = *falco::parse_condition(condition);
    rules.rules.push_back(std::move(rule));
  }
  return rules;
}

TEST(Profile, CountsWhatItSamples) {
  const auto program = *compile(two_rules(), {});
  Engine engine(program);
  RuleProfile profile(2);
  engine.profile_into(&profile);
  FakeState state;
  state.add(10, 0, "bash");
  state.add(11, 0, "other");
  for (int i = 0; i < 100; ++i) {
    FakeEvent event(EventBuilder(ev::SYSCALL_OPENAT_2_X, 5, i < 50 ? 10 : 11)
                        .num<int64_t>(-2)
                        .num<int64_t>(-100)
                        .text("/etc/shadow")
                        .num<uint32_t>(1)
                        .build(),
                    state);
    for (const RuleIndex rule : engine.evaluate(event.context)) engine.render(rule, event.context);
  }
  const RuleProfile::Report report = profile.report();
  EXPECT_EQ(report.events, 100u);
  EXPECT_EQ(report.sampled, 50u);
  ASSERT_EQ(report.rules.size(), 2u);
  for (const RuleCost& cost : report.rules) {
    const bool by_bash = cost.rule == "opens by bash";
    EXPECT_EQ(cost.matches, by_bash ? 50u : 100u) << cost.rule;
    EXPECT_EQ(cost.candidates, by_bash ? 25u : 50u) << cost.rule;
    EXPECT_GT(cost.render_ns, 0u) << cost.rule;
  }
  // Rules that are read again go on where they were.
  engine.swap(*compile(two_rules(), {}));
  EXPECT_EQ(profile.report().rules.size(), 2u);
  EXPECT_EQ(profile.report().rules[0].matches + profile.report().rules[1].matches, 150u);
}

TEST(Lowered, SaysHowEachTermIsAnswered) {
  const auto program = *compile(two_rules(), {});
  const auto groups = lowered_form(*program, 0);
  ASSERT_EQ(groups.size(), 1u);
  EXPECT_EQ(groups[0].events, std::vector<std::string>{"openat"});
  EXPECT_EQ(groups[0].rules, 2u);
  ASSERT_EQ(groups[0].terms.size(), 2u);
  EXPECT_EQ(groups[0].terms[0].answered, Answered::with_process);
  EXPECT_EQ(groups[0].terms[0].text, "proc.name = bash");
  EXPECT_EQ(groups[0].terms[0].other_rules, 0u);
  EXPECT_EQ(groups[0].terms[1].answered, Answered::by_value);
  EXPECT_EQ(groups[0].terms[1].other_rules, 1u);
  EXPECT_GT(groups[0].instructions, 0u);
  EXPECT_LT(groups[0].instructions, 10'000u);
}

}  // namespace
}  // namespace quell::detect
