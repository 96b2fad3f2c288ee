// Looking for all constants at once finds what looking for each alone finds.
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "detect/answers.h"
#include "detect/falco/condition_parser.h"
#include "detect/text_index.h"

namespace quell::detect {
namespace {

std::set<uint32_t> within(const ByteTrie& trie, std::string_view text) {
  std::set<uint32_t> out;
  trie.visit_within<false>(text, [&](uint32_t id) { out.insert(id); });
  return out;
}

TEST(ByteTrie, FindsTextsWithinOthersAndOverlapping) {
  ByteTrie trie;
  trie.insert("she", 0);
  trie.insert("he", 1);
  trie.insert("hers", 2);
  trie.insert("e", 3);
  trie.insert("he", 4);
  trie.freeze();
  EXPECT_EQ(within(trie, "ushers"), (std::set<uint32_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(within(trie, "her"), (std::set<uint32_t>{1, 3, 4}));
  EXPECT_EQ(within(trie, "ssh"), (std::set<uint32_t>{}));
  EXPECT_EQ(within(trie, ""), (std::set<uint32_t>{}));
}

TEST(TextIndex, AgreesWithEachPredicateAlone) {
  std::mt19937 random(7);
  const auto pick = [&](size_t count) { return std::uniform_int_distribution<size_t>(0, count - 1)(random); };
  // Few letters, so that constants overlap and texts hit them.
  const auto word = [&](size_t most) {
    std::string out;
    for (size_t i = 0, length = pick(most + 1); i < length; ++i) out += "abA/"[pick(4)];
    return out;
  };
  static const char* const kOps[] = {"=",    "contains", "icontains", "startswith", "endswith",         "in",
                                     "glob", "iglob",    "pmatch",    "regex",      "startswith anyof", "exists",
                                     "!=",   "oneof",    "allof",     "in",         "contains anyof"};
  for (int round = 0; round < 60; ++round) {
    std::vector<Predicate> predicates;
    for (int i = 0; i < 60; ++i) {
      const std::string op = kOps[pick(std::size(kOps))];
      const auto quoted = [&] { return "\"" + word(4) + "\""; };
      std::string text = "proc.name ";
      if (op == "exists") {
        text += op;
      } else if (op == "oneof" || op == "allof") {
        text += "contains " + op + " (" + quoted() + ", " + quoted() + ")";
      } else if (op == "in" || op == "pmatch" || op.ends_with("anyof")) {
        text += op + " (" + quoted() + ", " + quoted() + ", " + quoted() + ")";
      } else if (op.ends_with("glob")) {
        text += op + " \"" + word(2) + "*" + word(3) + "?" + word(1) + "\"";
      } else if (op == "regex") {
        text += op + " \"" + word(2) + ".*" + word(2) + "\"";
      } else {
        text += op + " " + quoted();
      }
      const auto parsed = falco::parse_condition(text);
      ASSERT_TRUE(parsed) << text;
      auto compiled = compile_predicate((*parsed)->check, false);
      ASSERT_TRUE(compiled.predicate) << text;
      compiled.predicate->leaf = static_cast<uint32_t>(i);
      predicates.push_back(std::move(*compiled.predicate));
    }
    TextIndex index;
    for (const Predicate& p : predicates) index.add(p);
    index.freeze();
    LeafSet found;
    found.resize(predicates.size());
    for (int i = 0; i < 200; ++i) {
      const std::string text = word(12);
      found.clear();
      index.match(text, found);
      for (const Predicate& p : predicates)
        ASSERT_EQ(found.has(p.leaf), present_value_holds(p, Value::text(text), nullptr)) << p.text << " of " << text;
    }
  }
}

TEST(Answers, KeepsTheNewestAndTellsLookupsApart) {
  Answers answers;
  answers.reset(2);
  const Word one[] = {1, 2};
  const Word two[] = {3, 4};
  EXPECT_EQ(answers.find(0, "a"), nullptr);
  answers.put(0, "a", one, 2);
  answers.put(1, "a", two, 1);
  ASSERT_NE(answers.find(0, "a"), nullptr);
  EXPECT_EQ(answers.find(0, "a")[1], 2u);
  EXPECT_EQ(answers.find(1, "a")[0], 3u);
  EXPECT_EQ(answers.find(2, "a"), nullptr);
  EXPECT_EQ(answers.find(0, ""), nullptr);
  const std::string longest(Answers::kMaxValue, 'x');
  answers.put(0, longest, two, 2);
  EXPECT_NE(answers.find(0, longest), nullptr);
  answers.put(0, longest + "x", two, 2);
  EXPECT_EQ(answers.find(0, longest + "x"), nullptr) << "too long to be kept";
  size_t kept = 0;
  for (int i = 0; i < 100'000; ++i) answers.put(5, std::to_string(i), one, 2);
  for (int i = 0; i < 100'000; ++i) kept += answers.find(5, std::to_string(i)) != nullptr ? 1 : 0;
  EXPECT_GT(kept, 1000u);
  EXPECT_LT(kept, 20'000u) << "the table has a bound";
  answers.reset(2);
  EXPECT_EQ(answers.find(0, "a"), nullptr);
}

}  // namespace
}  // namespace quell::detect
