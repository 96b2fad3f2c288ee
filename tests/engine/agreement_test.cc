// The compiled program and the naive evaluator agree on random rules over random events; printing a condition and
// parsing it again changes nothing.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "detect/engine.h"
#include "detect/falco/condition_parser.h"
#include "naive.h"
#include "random_rules.h"

namespace quell::detect {
namespace {

/// How many pairs of rule and event are compared: a sample, unless QUELL_PROPERTY_PAIRS asks for more.
size_t wanted_pairs() {
  const char* text = std::getenv("QUELL_PROPERTY_PAIRS");
  return text == nullptr ? 200'000 : std::strtoull(text, nullptr, 10);
}

std::vector<RuleIndex> naive_matches(const RuleSet& rules, const EventContext& context) {
  std::vector<RuleIndex> out;
  for (size_t r = 0; r < rules.rules.size(); ++r)
    if (naive_holds(*rules.rules[r].condition, context)) out.push_back(static_cast<RuleIndex>(r));
  return out;
}

TEST(Agreement, ProgramEqualsNaiveEvaluation) {
  constexpr int kEvents = 40;
  const size_t wanted = wanted_pairs();
  size_t pairs = 0;
  size_t matches = 0;
  for (uint32_t seed = 1; pairs < wanted; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Generator g(seed);
    // Two sets: one is in force, the other takes its place now and then. Some have more rules than a word has bits.
    const RuleSet sets[] = {g.rules(seed % 16 == 0 ? 100 : 1 + g.pick(20)), g.rules(1 + g.pick(20))};
    std::shared_ptr<const Program> all[2], first[2];
    for (size_t i = 0; i < 2; ++i) {
      ASSERT_FALSE(sets[i].rules.empty()) << "the generator writes what does not parse";
      const auto every = compile(sets[i], {});
      ASSERT_TRUE(every) << every.error().message;
      all[i] = *every;
      first[i] = *compile(sets[i], {.match_all = false});
    }
    Engine engine_all(all[0]);
    Engine engine_first(first[0]);
    size_t in_force = 0;
    FakeState state;
    g.populate(state);
    for (int i = 0; i < kEvents; ++i) {
      const auto event = g.event(state);
      const RuleSet& rules = sets[in_force];
      const std::vector<RuleIndex> expected = naive_matches(rules, event->context);
      const auto got = engine_all.evaluate(event->context);
      for (const RuleIndex rule : expected)
        if (std::find(got.begin(), got.end(), rule) == got.end())
          ADD_FAILURE() << "missed: " << rules.rules[rule].condition_text;
      for (const RuleIndex rule : got)
        if (std::find(expected.begin(), expected.end(), rule) == expected.end())
          ADD_FAILURE() << "wrongly matched: " << rules.rules[rule].condition_text;
      ASSERT_EQ(std::vector<RuleIndex>(got.begin(), got.end()), expected)
          << event->event.spec().name << " of " << event->event.tid() << ", event " << i;
      if (g.pick(5) == 0) {  // not always: each engine finds what is remembered with the process to be the other's
        const auto best = engine_first.evaluate(event->context);
        ASSERT_EQ(best.size(), expected.empty() ? 0u : 1u);
        ASSERT_TRUE(expected.empty() || best[0] == expected[0]);
      }
      matches += expected.size();
      pairs += rules.rules.size();
      if (g.pick(4) == 0) g.disturb(state);
      if (g.pick(20) == 0) {
        in_force = 1 - in_force;
        engine_all.swap(all[in_force]);
        engine_first.swap(first[in_force]);
      }
    }
  }
  EXPECT_GT(matches, pairs / 50) << "random rules that never match prove nothing";
  EXPECT_LT(matches, pairs - pairs / 50) << "nor do those that always do";
}

TEST(Agreement, PrintedConditionsParseToTheSame) {
  const size_t wanted = wanted_pairs() / 20;
  Generator g(4711);
  for (size_t i = 0; i < wanted; ++i) {
    const std::string text = g.condition(4);
    const auto parsed = falco::parse_condition(text);
    ASSERT_TRUE(parsed) << text << ": " << parsed.error().message;
    const std::string printed = (*parsed)->str();
    const auto again = falco::parse_condition(printed);
    ASSERT_TRUE(again) << printed << ": " << again.error().message;
    ASSERT_TRUE(same(**parsed, **again)) << text << "\n" << printed;
    ASSERT_EQ((*again)->str(), printed);
  }
}

}  // namespace
}  // namespace quell::detect
