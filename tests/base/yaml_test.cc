#include "base/yaml.h"

#include <gtest/gtest.h>

namespace quell::yaml {
namespace {

std::shared_ptr<const File> parsed(std::string text) {
  auto file = parse("test.yaml", std::move(text), DuplicateKeys::report);
  EXPECT_TRUE(file) << (file ? "" : file.error().str());
  return file ? *file : nullptr;
}

Error refused(std::string text, const Limits& limits = {}) {
  auto file = parse("test.yaml", std::move(text), DuplicateKeys::refuse, limits);
  EXPECT_FALSE(file);
  return file ? Error{} : file.error();
}

// The character of the file that the first occurrence of `word` in the scalar's text maps to, and its place.
std::string place_of(const Node& scalar, std::string_view word) {
  const size_t at = scalar.text().find(word);
  EXPECT_NE(at, std::string::npos) << word << " in " << scalar.text();
  const Mark mark = scalar.position_of(at);
  EXPECT_EQ(scalar.file().text().substr(mark.offset, 1), word.substr(0, 1));
  return std::to_string(mark.line + 1) + ':' + std::to_string(mark.column + 1);
}

TEST(Yaml, TreeWithPlaces) {
  const auto file = parsed("- name: first\n  tags: [a, 'b c', \"d\"]\n  none:\n- 12\n---\n{x: ~}\n");
  ASSERT_EQ(file->documents().size(), 2u);
  const Node& list = *file->documents()[0];
  ASSERT_TRUE(list.is_sequence());
  const Node& first = *list.items()[0];
  EXPECT_EQ(first.find("name")->text(), "first");
  EXPECT_EQ(first.find("name")->where(), "test.yaml:1:9");
  EXPECT_EQ(first.find("name")->end().column, 13u);
  EXPECT_EQ(first.find("tags")->items()[1]->text(), "b c");
  EXPECT_EQ(first.find("tags")->items()[1]->style(), Style::single_quoted);
  EXPECT_TRUE(first.find("none")->is_null());
  EXPECT_EQ(first.find("nothing"), nullptr);
  EXPECT_EQ(list.items()[1]->text(), "12");
  EXPECT_TRUE(file->documents()[1]->find("x")->is_null());
}

TEST(Yaml, EmptyAndNullDocuments) {
  EXPECT_TRUE(parsed("")->documents().empty());
  EXPECT_TRUE(parsed("# nothing\n")->documents().empty());
  ASSERT_EQ(parsed("---\n")->documents().size(), 1u);
  EXPECT_TRUE(parsed("---\n")->documents()[0]->is_null());
  EXPECT_FALSE(parsed("'~'")->documents()[0]->is_null());
  EXPECT_FALSE(parsed("!!str null")->documents()[0]->is_null());
}

TEST(Yaml, PositionsInsideScalars) {
  const auto file = parsed(
      "plain: one two\n"
      "folded_plain: one\n  two\n\n  three\n"
      "single: 'it''s here'\n"
      "double: \"a\\tb \\u00e9 c \\\n    d\"\n"
      "literal: |  # note\n    first\n      second é third\n\n    last\n"
      "folded: >-\n  one\n  two\n\n  three\n");
  const Node& map = *file->documents()[0];
  EXPECT_EQ(place_of(*map.find("plain"), "two"), "1:12");
  EXPECT_EQ(place_of(*map.find("folded_plain"), "two"), "3:3");
  EXPECT_EQ(place_of(*map.find("folded_plain"), "three"), "5:3");
  EXPECT_EQ(place_of(*map.find("single"), "here"), "6:16");
  EXPECT_EQ(place_of(*map.find("double"), "c"), "7:22");
  EXPECT_EQ(place_of(*map.find("double"), "d"), "8:5");
  EXPECT_EQ(place_of(*map.find("literal"), "first"), "10:5");
  EXPECT_EQ(place_of(*map.find("literal"), "third"), "11:16");
  EXPECT_EQ(place_of(*map.find("literal"), "last"), "13:5");
  EXPECT_EQ(place_of(*map.find("folded"), "two"), "16:3");
  EXPECT_EQ(place_of(*map.find("folded"), "three"), "18:3");
  const Node& plain = *map.find("plain");
  EXPECT_EQ(plain.position_of(1000), plain.end());
}

TEST(Yaml, PositionBehindAnchorAndTag) {
  const auto file = parsed("a: &x !!str one two\nb: *x\n");
  const Node& map = *file->documents()[0];
  EXPECT_EQ(place_of(*map.find("a"), "two"), "1:17");
  EXPECT_EQ(map.find("b"), map.find("a"));
}

TEST(Yaml, BooleanWords) {
  for (const char* word : {"true", "True", "TRUE", "yes", "on", "y", "Y"})
    EXPECT_TRUE(*parsed(word)->documents()[0]->as_bool()) << word;
  for (const char* word : {"false", "No", "OFF", "n"}) EXPECT_FALSE(*parsed(word)->documents()[0]->as_bool()) << word;
  for (const char* word : {"maybe", "tRUE", "1", "[true]", "yesno"})
    EXPECT_FALSE(parsed(word)->documents()[0]->as_bool()) << word;
}

TEST(Yaml, TypedEntriesNameWhatTheyExpected) {
  const auto file =
      parsed("count: 12\nneg: -3\nhex: 0x1f\nrate: 1.5\nname: x\nlist: [a, b]\nbad: [a, {b: c}]\nempty:\n");
  const Node& map = *file->documents()[0];
  EXPECT_EQ(*map.get_u64("count"), 12u);
  EXPECT_EQ(*map.get_i64("neg"), -3);
  EXPECT_EQ(*map.get_u64("hex"), 31u);
  EXPECT_EQ(*map.get_double("rate"), 1.5);
  EXPECT_EQ(*map.get_strings("list"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(*map.get_string("absent", "default"), "default");
  EXPECT_EQ(*map.get_u64("empty", 7), 7u);
  EXPECT_TRUE(map.get_strings("absent")->empty());
  EXPECT_EQ(map.get_u64("neg").error().code, Code::invalid_argument);
  EXPECT_EQ(map.get_u64("neg").error().where, "test.yaml:2:6");
  EXPECT_NE(map.get_u64("neg").error().message.find("neg"), std::string::npos);
  EXPECT_FALSE(map.get_bool("name"));
  EXPECT_FALSE(map.get_string("list"));
  EXPECT_FALSE(map.get_strings("bad"));
  EXPECT_FALSE(map.get_string("absent"));
  EXPECT_FALSE(map.get_string("empty"));
  EXPECT_FALSE(map.get_map("list"));
  EXPECT_TRUE(map.get_sequence("list"));
  EXPECT_FALSE(map.find("name")->get_string("key"));
}

TEST(Yaml, UnknownKeyGetsASuggestion) {
  const auto file = parsed("name: x\nenabeld: true\n");
  const auto result = file->documents()[0]->only_keys({"name", "enabled"});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().where, "test.yaml:2:1");
  EXPECT_NE(result.error().message.find("'enabled'"), std::string::npos);
  EXPECT_TRUE(file->documents()[0]->only_keys({"name", "enabeld"}));
}

TEST(Yaml, SyntaxErrorsHavePlaceAndContext) {
  const Error flow = refused("a: 1\nb: [1, 2\nc: 3\n");
  EXPECT_EQ(flow.code, Code::malformed);
  EXPECT_EQ(flow.where.substr(0, 10), "test.yaml:");
  EXPECT_NE(flow.message.find("while parsing"), std::string::npos);
  EXPECT_NE(flow.message.find("2:4"), std::string::npos) << flow.message;
  EXPECT_EQ(refused("a: \xff\n").where, "test.yaml:1:4");
  EXPECT_EQ(refused("a: *x\n").code, Code::malformed);
  EXPECT_EQ(refused("a: &x [*x]\n").code, Code::malformed);
}

TEST(Yaml, DuplicateKeys) {
  EXPECT_EQ(refused("a: 1\nb: 2\na: 3\n").where, "test.yaml:3:1");
  const auto file = parsed("a: 1\nb: 2\na: 3\n");
  ASSERT_EQ(file->duplicate_keys().size(), 1u);
  EXPECT_EQ(file->documents()[0]->find("a")->text(), "1");
}

TEST(Yaml, Limits) {
  EXPECT_EQ(refused(std::string(65, '[') + std::string(65, ']')).code, Code::limit);
  EXPECT_TRUE(parse("x", std::string(64, '[') + std::string(64, ']')));
  EXPECT_EQ(refused(std::string(100'000, '[')).code, Code::limit);
  EXPECT_EQ(refused("- abc\n", {.bytes = 5}).code, Code::limit);
  std::string laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) laughs += (j ? ", *a" : "*a") + std::to_string(i - 1);
    laughs += "]\n";
  }
  EXPECT_EQ(refused(laughs).code, Code::limit);
}

TEST(Yaml, MissingFile) { EXPECT_EQ(parse_file("/nonexistent/rules.yaml").error().code, Code::not_found); }

}  // namespace
}  // namespace quell::yaml
