#include "api/json.h"

#include <gtest/gtest.h>

namespace quell::api {
namespace {

TEST(Json, ReadsMembersItemsAndScalars) {
  const auto json = Json::parse(R"({"a":"x\u0041","n":42,"b":true,"list":[1,"two",null],"o":{"k":"v"}})");
  ASSERT_TRUE(json.has_value());
  EXPECT_EQ(json->at("a").as_text(), "xA");
  EXPECT_EQ(json->at("n").as_u64(), 42u);
  EXPECT_EQ(json->at("b").as_bool(), true);
  EXPECT_EQ(json->at("o").text("k"), "v");
  ASSERT_EQ(json->at("list").items().size(), 3u);
  EXPECT_EQ(json->at("list").items()[1].display(), "two");
  EXPECT_EQ(json->at("list").items()[2].kind(), Json::Kind::null);
  EXPECT_EQ(json->members()[1].first, "n");
  EXPECT_EQ(json->at("o").str(), R"({"k":"v"})");
}

TEST(Json, AbsentAndMistypedValuesAreEmptyNotErrors) {
  const auto json = Json::parse(R"({"n":-1,"s":"1"})");
  ASSERT_TRUE(json.has_value());
  EXPECT_EQ(json->at("none").kind(), Json::Kind::null);
  EXPECT_EQ(json->at("none").at("deeper").display(), "");
  EXPECT_FALSE(json->at("n").as_u64().has_value());
  EXPECT_FALSE(json->at("s").as_u64().has_value());
  EXPECT_FALSE(json->at("s").as_bool().has_value());
  EXPECT_TRUE(json->at("s").items().empty());
}

TEST(Json, RefusesWhatIsNotOneDocument) {
  for (const char* text : {"", "{", "{} {}", "{\"a\":1,}", "nul", "\"\xff\"", "[1 2]"}) {
    const auto json = Json::parse(text);
    ASSERT_FALSE(json.has_value()) << text;
    EXPECT_EQ(json.error().code, Code::malformed);
  }
  EXPECT_FALSE(Json::parse(std::string(100'000, '[')).has_value());
}

}  // namespace
}  // namespace quell::api
