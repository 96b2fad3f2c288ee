#include "detect/falco/lists.h"

#include <gtest/gtest.h>

#include <random>

#include "detect/falco/exceptions.h"
#include "detect/falco/loader.h"
#include "test_semantics.h"

namespace quell::detect::falco {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_delimiter(char c) { return is_blank(c) || c == '(' || c == ')' || c == ',' || c == '='; }

// The replacement as its definition reads: list by list, over the whole text.
std::string replaced_naively(std::string text,
                             const std::vector<std::pair<std::string, std::vector<std::string>>>& lists) {
  for (const auto& [name, items] : lists) {
    std::string joined;
    for (const std::string& item : items) joined += (joined.empty() ? "" : ", ") + quote_item(item);
    for (size_t at = text.find(name); at != std::string::npos;) {
      size_t end = at + name.size();
      if ((at > 0 && !is_delimiter(text[at - 1])) || (end < text.size() && !is_delimiter(text[end]))) {
        at = text.find(name, at + 1);
        continue;
      }
      while (at > 0 && is_blank(text[at - 1])) --at;
      while (end < text.size() && is_blank(text[end])) ++end;
      if (items.empty() && at > 0 && text[at - 1] == ',') {
        --at;
      } else if (items.empty() && end < text.size() && text[end] == ',') {
        ++end;
      }
      const std::string front = at > 0 ? text.substr(0, at) + ' ' : "";
      const std::string behind = text.substr(end);
      text = front + joined + ' ' + behind;
      at = text.find(name, front.size() + joined.size() + 1);
    }
  }
  return text;
}

TEST(Lists, FastReplacementIsTheNaiveOne) {
  std::mt19937 random(7);
  const auto below = [&](size_t limit) { return random() % limit; };
  const std::vector<std::string> words{"a", "b", "c", "d", "x", "a1", "\"a", "xa", "proc.name", "in", "\"b c\""};
  const std::vector<std::string> gaps{" ", ",", ", ", "(", ")", "=", "  ", "\n", " , ", "\t(", ") ", "\" ", "'", ",,"};
  const auto make_text = [&](size_t length) {
    std::string text = below(2) ? "" : gaps[below(gaps.size())];
    for (size_t i = 0; i < length; ++i) text += words[below(words.size())] + gaps[below(gaps.size())];
    return text;
  };
  for (int round = 0; round < 5000; ++round) {
    std::vector<std::pair<std::string, std::vector<std::string>>> lists;
    std::string file;
    for (const char* name : {"a", "b", "c", "d"}) {
      std::vector<std::string> items;
      for (size_t i = below(3); i > 0; --i) items.push_back(below(3) ? words[below(6)] : make_text(2));
      lists.emplace_back(name, items);
    }
    std::shuffle(lists.begin(), lists.end(), random);
    // Every list is defined anew in the order of definition, so none expands items of others when it is resolved.
    for (auto& [name, items] : lists) {
      file += "- list: " + name + "\n  items: [";
      for (size_t i = 0; i < items.size(); ++i) {
        std::string quoted = "\"";
        for (const char c : items[i])
          quoted += c == '"' ? "\\\"" : c == '\n' ? "\\n" : c == '\t' ? "\\t" : std::string(1, c);
        file += (i ? ", " : "") + quoted + '"';
      }
      file += "]\n";
    }
    const auto parsed = yaml::parse("lists.yaml", file);
    ASSERT_TRUE(parsed) << parsed.error().str() << '\n' << file;
    Definitions<ListDefinition> definitions;
    size_t index = 0;
    for (const yaml::Node* item : (*parsed)->documents()[0]->items()) {
      ListDefinition list;
      list.name = item->find("list")->text();
      for (const yaml::Node* value : item->find("items")->items()) {
        // What names an earlier list is put in one level deep when the list is resolved: the naive side does the same.
        list.items.push_back(value);
      }
      definitions.put(std::move(list), index++);
    }
    std::vector<std::pair<std::string, std::vector<std::string>>> resolved;
    for (size_t i = 0; i < lists.size(); ++i) {
      std::vector<std::string> items;
      for (const std::string& item : lists[i].second) {
        const auto other = std::find_if(lists.begin(), lists.begin() + static_cast<long>(i),
                                        [&](const auto& list) { return list.first == item; });
        if (other == lists.begin() + static_cast<long>(i)) {
          items.push_back(item);
        } else {
          items.insert(items.end(), other->second.begin(), other->second.end());
        }
      }
      resolved.emplace_back(lists[i].first, std::move(items));
    }
    auto table = ListTable::create(definitions);
    ASSERT_TRUE(table);
    const std::string text = make_text(1 + below(12));
    SourcedText source;
    source.append_exact(text, *(*parsed)->documents()[0], 0);
    const auto fast = table->substitute(source);
    ASSERT_TRUE(fast);
    // A name at the very start directly followed by itself is where blanks at the start differ; they mean nothing.
    EXPECT_EQ(fast->str(), replaced_naively(text, resolved)) << "text <" << text << "> lists\n" << file;
    if (testing::Test::HasFailure()) return;
  }
}

std::string with_lists(const std::string& lists, const std::string& condition) {
  const TestSemantics semantics;
  Loader loader(semantics);
  const FileResult result = loader.load("r.yaml", lists + "- rule: r\n  desc: d\n  condition: evt.type=open and " +
                                                      condition + "\n  output: o\n  priority: INFO\n");
  EXPECT_TRUE(result.successful()) << verbose(result);
  return loader.rules().rules.empty() ? "" : loader.rules().rules[0].condition->str();
}

TEST(Lists, InConditions) {
  EXPECT_EQ(with_lists("- list: l\n  items: [cat]\n", "proc.name= l or proc.name=x"),
            "((evt.type = open and proc.name = cat) or proc.name = x)");
  EXPECT_EQ(with_lists("- list: l\n  items: []\n", "proc.name in (a, l, b)"),
            "(evt.type = open and proc.name in (a, b))");
  EXPECT_EQ(with_lists("- list: l\n  items: []\n", "proc.name in (l, b)"), "(evt.type = open and proc.name in (b))");
  EXPECT_EQ(with_lists("- list: l\n  items: []\n", "proc.name in (l)"), "(evt.type = open and proc.name in ())");
  EXPECT_EQ(with_lists("- list: l\n  items: [a, b c]\n", "proc.name in (l)"),
            "(evt.type = open and proc.name in (a, \"b c\"))");
  EXPECT_EQ(with_lists("- list: l\n  items: [a]\n", "proc.cmdline = 'x l y'"),
            "(evt.type = open and proc.cmdline = \"x a y\")");
  EXPECT_EQ(with_lists("- list: l\n  items: [a]\n", "proc.name in (l-x, xl, l)"),
            "(evt.type = open and proc.name in (l-x, xl, a))");
  EXPECT_EQ(with_lists("- list: a b\n  items: [x, y]\n", "proc.name in (a b)"),
            "(evt.type = open and proc.name in (x, y))");
  EXPECT_EQ(with_lists("- list: i\n  items: [x]\n- list: l\n  items: [i, y]\n", "proc.name in (l)"),
            "(evt.type = open and proc.name in (x, y))");
  // Three levels: the innermost list was looked through before the text that names it came in.
  EXPECT_EQ(
      with_lists("- list: i\n  items: [x]\n- list: k\n  items: [i]\n- list: l\n  items: [k]\n", "proc.name in (l)"),
      "(evt.type = open and proc.name in (i))");
}

TEST(Lists, AHundredThousandItems) {
  std::string lists = "- list: big\n  items:\n";
  for (int i = 0; i < 100'000; ++i) lists += "    - item_" + std::to_string(i) + "\n";
  for (int i = 0; i < 1000; ++i)
    lists += "- list: small_" + std::to_string(i) + "\n  items: [item_" + std::to_string(i) + "]\n";
  const TestSemantics semantics;
  Loader loader(semantics);
  std::string rules;
  for (int i = 0; i < 3; ++i)
    rules += "- rule: r" + std::to_string(i) +
             "\n  desc: d\n  condition: evt.type=open and proc.name in (big)\n  output: o\n  priority: INFO\n";
  ASSERT_TRUE(loader.load("big.yaml", lists + rules).successful());
  EXPECT_EQ(loader.rules().rules.at(2).condition->children.at(1)->check.values.size(), 100'000u);
}

TEST(Lists, GrowthIsBounded) {
  std::string text = "- list: l0\n  items: [" + std::string(1000, 'x') + "]\n";
  for (int i = 0; i < 9; ++i) {
    // Later lists are put into the text of earlier ones, so this multiplies by ten each time.
    text = "- list: l" + std::to_string(i + 1) + "\n  items: [";
    for (int j = 0; j < 10; ++j) text += "l" + std::to_string(i) + (j < 9 ? ", " : "]\n");
  }
  std::string file;
  for (int i = 9; i > 0; --i) {
    file += "- list: l" + std::to_string(i) + "\n  items: [";
    for (int j = 0; j < 10; ++j) file += "l" + std::to_string(i - 1) + (j < 9 ? ", " : "]\n");
  }
  file += "- list: l0\n  items: [" + std::string(1000, 'x') + "]\n";
  const TestSemantics semantics;
  Loader loader(semantics);
  const FileResult result = loader.load("laughs.yaml", file + "- macro: m\n  condition: proc.name in (l9)\n");
  ASSERT_EQ(result.errors.size(), 1u);
  EXPECT_EQ(result.errors[0].code, LoadCode::err_validate);
}

}  // namespace
}  // namespace quell::detect::falco
