// What is published is what the reader checks.
#include <fstream>
#include <sstream>

#include "respond/policy/schema.h"
#include "world.h"

namespace quell::respond::policy {
namespace {

std::string file_text(const std::string& path) {
  std::ifstream in(std::string(QUELL_SOURCE_DIR "/") + path);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

// QUELL_UPDATE=1 policy_test writes what is expected.
void expect_current(const std::string& path, const std::string& text) {
  if (std::getenv("QUELL_UPDATE") != nullptr) std::ofstream(std::string(QUELL_SOURCE_DIR "/") + path) << text;
  EXPECT_TRUE(file_text(path) == text) << path << " is not what the rows say; QUELL_UPDATE=1 policy_test writes it";
}

TEST(PolicySchema, ThePublishedSchemaIsCurrent) { expect_current("docs/policy.schema.json", json_schema()); }

TEST(PolicySchema, TheReferenceIsCurrent) {
  const std::string begin = "<!-- reference: begin -->\n", end = "<!-- reference: end -->\n";
  const std::string text = file_text("docs/policies.md");
  const size_t from = text.find(begin), to = text.find(end);
  ASSERT_TRUE(from != std::string::npos && to != std::string::npos);
  expect_current("docs/policies.md",
                 text.substr(0, from + begin.size()) + "\n" + reference_markdown() + text.substr(to));
}

TEST(PolicySchema, EveryRowIsReachableAndSaysWhatItMeans) {
  for (const KeyRow& row : key_rows()) {
    EXPECT_FALSE(row.doc.empty() && row.object.substr(0, 4) != "test") << row.object << "." << row.key;
    if (row.shape == Shape::choice || row.shape == Shape::choices) {
      EXPECT_FALSE(words_of(row.of).empty()) << row.of;
    }
    const auto is_of = [&](const KeyRow& other) { return other.object == row.of; };
    if (row.shape == Shape::object || row.shape == Shape::objects || row.shape == Shape::object_map) {
      EXPECT_TRUE(std::any_of(key_rows().begin(), key_rows().end(), is_of)) << row.of;
    }
  }
}

}  // namespace
}  // namespace quell::respond::policy
