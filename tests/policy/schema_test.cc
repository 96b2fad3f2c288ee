// What is published is what the reader checks.
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/json.h"

#include "respond/policy/detection_fields.h"
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

// A document as YAML's readers in editors see it: plain numbers and truth values are such.
void write_node(JsonWriter& out, const yaml::Node& node) {
  if (node.is_map()) {
    out.begin_object();
    for (const yaml::Entry& entry : node.entries()) {
      out.key(entry.key->text());
      write_node(out, *entry.value);
    }
    out.end_object();
  } else if (node.is_sequence()) {
    out.begin_array();
    for (const yaml::Node* item : node.items()) write_node(out, *item);
    out.end_array();
  } else if (node.is_null()) {
    out.null();
  } else if (node.style() == yaml::Style::plain && (node.text() == "true" || node.text() == "false")) {
    out.boolean(node.text() == "true");
  } else if (node.style() == yaml::Style::plain && node.as_i64()) {
    out.number(*node.as_i64());
  } else if (node.style() == yaml::Style::plain && node.as_double()) {
    out.number(*node.as_double());
  } else {
    out.string(node.text());
  }
}

std::vector<std::string> documents_of(const std::string& text) {
  std::vector<std::string> out;
  const auto file = yaml::parse("p.yaml", text);
  if (!file) return out;
  for (const yaml::Node* document : (*file)->documents()) {
    JsonWriter json;
    write_node(json, *document);
    out.push_back(json.take());
  }
  return out;
}

/// Every fenced block of yaml in a page that is a policy.
std::vector<std::string> policies_in_page(const std::string& page) {
  std::vector<std::string> out;
  const std::string fence = "```yaml\n";
  for (size_t at = 0; (at = page.find(fence, at)) != std::string::npos;) {
    const size_t from = at + fence.size();
    at = page.find("```", from);
    const std::string block = page.substr(from, at - from);
    if (block.find("kind: ResponsePolicy") != std::string::npos) out.push_back(block);
  }
  return out;
}

TEST(PolicySchema, EveryEntityFieldIsInTheDocs) {
  const std::string page = file_text("docs/policies.md");
  for (const EntityField& field : entity_fields())
    EXPECT_NE(page.find(fmt::format("`{}`", field.name)), std::string::npos) << field.name;
}

TEST(PolicySchema, PoliciesOfTheDocsAreSound) {
  const auto policies = policies_in_page(file_text("docs/policies.md"));
  EXPECT_FALSE(policies.empty());
  for (const std::string& text : policies) EXPECT_EQ(read(text).errors, 0u) << readable(read(text).problems);
}

TEST(PolicySchema, AnotherValidatorAgreesWithTheReader) {
  const std::string kept = "  mode: observe\n  match: {rule: Shell}\n  actions: [container.pause]\n";
  std::vector<std::pair<std::string, bool>> documents;
  for (const auto& entry : std::filesystem::directory_iterator(QUELL_SOURCE_DIR "/content/policies")) {
    if (entry.path().extension() != ".yaml") continue;
    const std::string text = file_text("content/policies/" + entry.path().filename().string());
    for (std::string& one : documents_of(text)) documents.emplace_back(std::move(one), true);
  }
  for (const std::string& text : policies_in_page(file_text("docs/policies.md")))
    for (std::string& one : documents_of(text)) documents.emplace_back(std::move(one), true);
  ASSERT_GE(documents.size(), 9u);
  for (const char* wrong :
       {"  scop: {}\n", "  threshold: {count: 0, window: 60s}\n", "  threshold: {count: 2, window: 60}\n",
        "  confidence: {gte: 2}\n", "  scope: {maxTargets: many}\n", "  limits: {perPolicy: often}\n",
        "  evidence: {before: [nothing]}\n", "  approval: {required: three_of(x)}\n", "  exclude: [{}]\n",
        "  expires: soon\n", "  health: {minHealthyReplicas: lots}\n"}) {
    const std::string text = policy_text("p", kept + wrong);
    EXPECT_GT(read(text).errors, 0u) << wrong;
    documents.emplace_back(documents_of(text).at(0), false);
  }
  const auto folder = std::filesystem::temp_directory_path() / fmt::format("quell-schema-{}", getpid());
  std::filesystem::create_directories(folder);
  std::string command =
      "node " QUELL_SOURCE_DIR "/tests/policy/validate.cjs " QUELL_SOURCE_DIR "/docs/policy.schema.json";
  for (size_t i = 0; i < documents.size(); ++i) {
    const std::string path = (folder / fmt::format("{:03}.json", i)).string();
    std::ofstream(path) << documents[i].first;
    command += " " + path;
  }
  FILE* pipe = popen((command + " 2>/dev/null").c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::vector<std::string> answers;
  char line[4096];
  while (fgets(line, sizeof line, pipe) != nullptr) answers.emplace_back(line);
  const int status = pclose(pipe);
  std::filesystem::remove_all(folder);
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  if (code == 127) GTEST_SKIP() << "node is not installed";
  if (code == 3) GTEST_SKIP() << "the validator is not installed: npm install --no-save ajv@8 in the source folder";
  ASSERT_EQ(code, 0);
  ASSERT_EQ(answers.size(), documents.size());
  for (size_t i = 0; i < documents.size(); ++i)
    EXPECT_EQ(answers[i] == "ok\n", documents[i].second) << documents[i].first << answers[i];
}

}  // namespace
}  // namespace quell::respond::policy
