#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "apps/quell/cli.h"
#include "apps/quell/rules.h"

namespace quell::cli {
namespace {

TEST(RuleFiles, FoldersStandForTheirYamlFilesByName) {
  char name[] = "/tmp/quell-rules-XXXXXX";
  ASSERT_NE(mkdtemp(name), nullptr);
  const std::string folder = name;
  for (const char* file : {"b.yaml", "a.yml", "c.txt", "d.yaml.bak"}) std::ofstream(folder + "/" + file) << "[]\n";
  std::filesystem::create_directory(folder + "/e.yaml");
  const auto files = find_rule_files({folder, folder + "/c.txt"});
  ASSERT_TRUE(files.has_value());
  EXPECT_EQ(*files, (std::vector<std::string>{folder + "/a.yml", folder + "/b.yaml", folder + "/c.txt"}));
  EXPECT_EQ(find_rule_files({folder + "/none"}).error().code, Code::not_found);
  EXPECT_EQ(find_rule_files({folder + "/e.yaml"}).error().code, Code::not_found);
  std::filesystem::remove_all(folder);
}

TEST(Durations, HaveAUnitAndABound) {
  EXPECT_EQ(*parse_duration_ms("90"), 90'000u);
  EXPECT_EQ(*parse_duration_ms("500ms"), 500u);
  EXPECT_EQ(*parse_duration_ms("10s"), 10'000u);
  EXPECT_EQ(*parse_duration_ms("5m"), 300'000u);
  EXPECT_EQ(*parse_duration_ms("2h"), 7'200'000u);
  for (const char* text : {"", "s", "-1s", "1.5s", "10 s", "10d", "99999999999999999999s", "99999999999h"}) {
    EXPECT_EQ(parse_duration_ms(text).error().code, Code::invalid_argument) << text;
  }
}

}  // namespace
}  // namespace quell::cli
