#include "base/json.h"

#include <gtest/gtest.h>
#include <limits>

namespace quell {

TEST(Json, WhatIsWrittenReadsBack) {
  JsonWriter out;
  out.begin_object();
  out.text("text", "a\"b\\c\n\x01 \xff \xE3\x81\x82").integer("negative", int64_t{-5});
  out.integer("large", std::numeric_limits<uint64_t>::max()).key("whole").number(2.0).key("nan").number(0.0 / 0.0);
  out.flag("yes", true).texts("list", {"a", "b"}).key("raw").raw(R"({"x":[]})").key("none").raw("");
  out.end_object();
  const std::string text = out.take();

  const auto json = Json::parse(text);
  ASSERT_TRUE(json) << json.error().str();
  EXPECT_EQ(json->at("text").str(), "a\"b\\c\n\x01 \xEF\xBF\xBD \xE3\x81\x82");
  EXPECT_EQ(json->at("negative").i64(), -5);
  EXPECT_EQ(json->at("large").u64(), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(std::get<double>(json->at("whole").value()), 2.0);
  EXPECT_TRUE(json->at("nan").is_null());
  EXPECT_TRUE(json->at("yes").boolean());
  EXPECT_EQ(json->at("list").texts(), (std::vector<std::string>{"a", "b"}));
  EXPECT_NE(json->at("raw").at("x").array(), nullptr);
  EXPECT_TRUE(json->at("none").is_null());
  EXPECT_EQ(json->find("absent"), nullptr);
  EXPECT_TRUE(json->at("absent").at("deeper").is_null());
  EXPECT_EQ(json->dump(), text) << "order and form are kept";
}

TEST(Json, HostileTextIsRefused) {
  for (const std::string_view text : {"", "{", "[1,]", "{\"a\":1}x", "\"\xff\"", "nul", "1e999999"})
    EXPECT_EQ(Json::parse(text).error().code, Code::malformed) << text;
  EXPECT_FALSE(Json::parse(std::string(100'000, '[')));
}

}  // namespace quell
