// Noise and change on a living `quell up`: repeats that become a count, rules that change under load, exceptions that
// come and go.
#include <map>
#include <set>

#include "up_fixture.h"

namespace quell::cli {
namespace {

namespace fs = std::filesystem;

class UpNoise : public Up {
 protected:
  static std::vector<Json> lines(const std::string& text) {
    std::vector<Json> out;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) {
      auto json = Json::parse(line);
      EXPECT_TRUE(json.has_value()) << line;
      if (json) out.push_back(*std::move(json));
    }
    return out;
  }
  static std::string file_of(const Json& detection) { return detection.at("output_fields").at("fd.name").str(); }
  /// GET over the control socket.
  Json ask(const std::string& target) const {
    const std::string file = folder_.path() + "/asked";
    const std::string line =
        "curl -s --unix-socket " + data_dir() + "/quell.sock 'http://quell" + target + "' > " + file;
    EXPECT_EQ(std::system(line.c_str()), 0);
    auto json = Json::parse(read_file(file));
    EXPECT_TRUE(json.has_value()) << read_file(file);
    return json ? *std::move(json) : Json();
  }
  /// Replaces the rules as an editor does: readers see the old or the new ones, never half.
  void replace_rules(const std::string& text) const {
    const std::string next = folder_.file("rules.yaml.next", text);
    fs::rename(next, rules_);
  }
  uint64_t metric(const Process& up, const std::string& name) const {
    std::string status;
    const std::string page = get(address(up) + "/metrics", status);
    const size_t at = page.find("\n" + name + " ");
    return at == std::string::npos ? 0 : std::strtoull(page.c_str() + at + name.size() + 2, nullptr, 10);
  }
  template <typename Condition>
  static bool within(std::chrono::seconds limit, Condition&& condition) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return true;
  }
};

TEST_F(UpNoise, RepeatsBecomeACountThatIsToldAndKept) {
  Process up(folder_, up_arguments({"--fold-window", "60s"}), "up");
  ASSERT_TRUE(up.says("http://")) << up.err();
  const std::string marker = folder_.path() + "/quell-up-marker";
  inside("for i in 1 2 3 4 5 6 7 8 9 10; do true > " + marker + "-same; done; true > " + marker + "-other");
  ASSERT_TRUE(up.says("quell-up-marker-other", std::chrono::seconds(20))) << up.err();
  ASSERT_TRUE(within(std::chrono::seconds(10), [&] { return metric(up, "quell_triage_folded_total") == 9; }));
  std::map<std::string, size_t> printed;
  for (const Json& line : lines(up.out())) ++printed[file_of(line)];
  EXPECT_EQ(printed, (std::map<std::string, size_t>{{marker + "-same", 1}, {marker + "-other", 1}}));
  up.signal(SIGTERM);
  ASSERT_EQ(up.wait(), 0) << up.err();

  const auto all = lines(up.out());
  ASSERT_EQ(all.size(), 3u) << "the end tells what was counted";
  EXPECT_EQ(all[2].at("quell").at("folded").u64(), 9u);
  EXPECT_EQ(all[2].at("quell").at("id").str(), all[0].at("quell").at("id").str());
  EXPECT_EQ(file_of(all[2]), marker + "-same");
  EXPECT_EQ(all[0].at("quell").at("rules").at("generation").u64(), 1u);
  EXPECT_EQ(all[0].at("quell").at("rules").at("hash").str().size(), 16u);

  Process again(folder_, up_arguments(), "again");
  ASSERT_TRUE(again.says("http://")) << again.err();
  const Json stored = ask("/v1/detections/" + all[0].at("quell").at("id").str());
  EXPECT_EQ(stored.at("quell").at("folded").u64(), 9u) << "the store has one detection with its count";
  EXPECT_EQ(ask("/v1/detections").at("items").array()->size(), 2u);
  EXPECT_EQ(ask("/v1/detections?rule=Nothing").at("items").array()->size(), 0u);
  again.signal(SIGTERM);
  EXPECT_EQ(again.wait(), 0);
}

TEST_F(UpNoise, WhatIsNotPrintedIsStoredAndSaid) {
  Process up(folder_, up_arguments({"--fold-window", "0", "--max-per-minute", "3"}), "up");
  ASSERT_TRUE(up.says("http://")) << up.err();
  inside("for i in 1 2 3 4 5 6 7 8; do true > " + folder_.path() + "/quell-up-marker-$i; done");
  ASSERT_TRUE(within(std::chrono::seconds(20), [&] { return ask("/v1/detections").at("items").array()->size() == 8; }));
  // Counters are published a few times a second.
  EXPECT_TRUE(within(std::chrono::seconds(10), [&] {
    std::string status;
    return get(address(up) + "/metrics", status).find("quell_triage_unprinted_total{cause=\"max_per_minute\"} 5") !=
           std::string::npos;
  }));
  up.signal(SIGTERM);
  EXPECT_EQ(up.wait(), 0);
  EXPECT_EQ(lines(up.out()).size(), 3u);
  EXPECT_NE(up.err().find("\"Marker opened\": 5 more"), std::string::npos) << up.err();
}

// Every event of a steady load is shown to exactly one generation of the rules, however often they change.
TEST_F(UpNoise, RulesChangeUnderLoadAndNoEventIsLost) {
  constexpr int kEvents = 1500;
  constexpr uint64_t kSwaps = 20;
  Process up(folder_, up_arguments({"--fold-window", "0"}), "up");
  ASSERT_TRUE(up.says("http://")) << up.err();
  std::thread load([&] {
    inside("i=0; while [ $i -lt " + std::to_string(kEvents) + " ]; do : > " + folder_.path() +
           "/quell-up-marker-$i-; i=$((i+1)); sleep 0.001; done");
  });
  for (uint64_t swap = 1; swap <= kSwaps; ++swap) {
    replace_rules(std::string(kRules) + "# " + std::to_string(swap) + "\n");
    const Finished reload = quell(folder_, {"rule", "reload", "--data-dir", data_dir(), "-o", "json"});
    EXPECT_EQ(reload.status, 0) << reload.err;
    const auto answer = Json::parse(reload.out);
    ASSERT_TRUE(answer.has_value()) << reload.out;
    EXPECT_TRUE(answer->at("in_force").boolean()) << reload.out;
    EXPECT_EQ(answer->at("generation").u64(), swap + 1);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  load.join();
  ASSERT_TRUE(up.says("quell-up-marker-" + std::to_string(kEvents - 1) + "-", std::chrono::seconds(30)));
  EXPECT_TRUE(within(std::chrono::seconds(10), [&] { return metric(up, "quell_detect_rule_swaps_total") == kSwaps; }));
  EXPECT_EQ(metric(up, "quell_detect_rules_generation"), kSwaps + 1);
  up.signal(SIGTERM);
  ASSERT_EQ(up.wait(), 0) << up.err();

  std::map<std::string, int> seen;
  std::set<uint64_t> generations;
  uint64_t latest = 0;
  for (const Json& line : lines(up.out())) {
    ++seen[file_of(line)];
    const uint64_t generation = line.at("quell").at("rules").at("generation").u64();
    generations.insert(generation);
    EXPECT_GE(generation, latest) << "generations follow each other";
    latest = generation;
  }
  EXPECT_EQ(seen.size(), static_cast<size_t>(kEvents));
  for (const auto& [file, count] : seen) EXPECT_EQ(count, 1) << file;
  EXPECT_GE(generations.size(), 3u) << "the load was over before the rules changed";
}

TEST_F(UpNoise, ExceptionsComeAndGoWhileItRuns) {
  Process up(folder_, up_arguments({"--fold-window", "0"}), "up");
  ASSERT_TRUE(up.says("http://")) << up.err();
  const std::string marker = folder_.path() + "/quell-up-marker-";
  // The shell's parents are outside of the scope: who they are must be readable while it opens the file, for the
  // exception to fit the second time as well.
  const auto open_marker = [&](const std::string& name) {
    inside("sleep 0.2 && true > " + marker + name + " && sleep 0.2");
  };
  open_marker("a");
  ASSERT_TRUE(up.says(marker + "a", std::chrono::seconds(20))) << up.err();
  const std::string id = lines(up.out()).at(0).at("quell").at("id").str();

  const std::vector<std::string> suggest = {"rule",       "suggest",  id,         "--rules", rules_,
                                            "--data-dir", data_dir(), "--reason", "a test"};
  const Finished shown = quell(folder_, suggest);
  ASSERT_EQ(shown.status, 0) << shown.err;
  const std::string proposal = folder_.file("proposal.yaml", shown.out);
  EXPECT_EQ(quell(folder_, {"rule", "check", rules_, "--exceptions", proposal}).status, 0)
      << "what is printed is a file";
  std::vector<std::string> apply = suggest;
  apply.insert(apply.end(), {"--apply", "-o", "json"});
  const Finished applied = quell(folder_, apply);
  ASSERT_EQ(applied.status, 0) << applied.err;
  EXPECT_EQ(quell(folder_, apply).status, 1) << "it is there already";
  const auto json = Json::parse(applied.out);
  ASSERT_TRUE(json.has_value()) << applied.out;
  EXPECT_EQ(json->at("detections").u64(), 1u);
  EXPECT_EQ(json->at("suggestions").array()->at(0).at("silenced").u64(), 1u);
  const std::string name = json->at("suggestions").array()->at(0).at("name").str();

  ASSERT_TRUE(up.says("generation 2", std::chrono::seconds(20))) << up.err();
  ASSERT_TRUE(within(std::chrono::seconds(10), [&] { return metric(up, "quell_detect_rule_swaps_total") == 1; }));
  open_marker("a");
  open_marker("b");
  ASSERT_TRUE(up.says(marker + "b", std::chrono::seconds(20))) << up.err();
  size_t told = 0;
  for (const Json& line : lines(up.out())) told += file_of(line) == marker + "a" ? 1 : 0;
  EXPECT_EQ(told, 1u) << "silenced by the exception";
  EXPECT_EQ(ask("/v1/rules").at("exceptions").array()->at(0).at("state").str(), "active");

  folder_.file("data/exceptions.d/broken.yaml",
               "- rule: Marker opened\n  exceptions: [{name: x, fields: [no.field]}]\n");
  ASSERT_TRUE(within(std::chrono::seconds(10), [&] { return metric(up, "quell_detect_failed_reloads_total") > 0; }));
  const Finished refused = quell(folder_, {"rule", "reload", "--data-dir", data_dir()});
  EXPECT_EQ(refused.status, 3) << refused.err;
  EXPECT_NE(refused.err.find("broken.yaml:2:"), std::string::npos) << refused.err;
  const Finished listed = quell(folder_, {"rule", "list", "--running", "--data-dir", data_dir(), "-o", "name"});
  EXPECT_EQ(listed.out, "Marker opened\n");
  EXPECT_NE(listed.err.find("broken.yaml:2:"), std::string::npos) << listed.err;
  // Of the rules alone: a busy machine may lose events, and a runtime of its own be silent.
  const auto health_of_rules = [&] {
    std::string status;
    const auto health = Json::parse(get(address(up) + "/healthz", status));
    return health.has_value() ? health->at("components").at("rules").at("status").str() : std::string();
  };
  EXPECT_EQ(health_of_rules(), "degraded");
  fs::remove(data_dir() + "/exceptions.d/broken.yaml");
  ASSERT_TRUE(within(std::chrono::seconds(30), [&] { return health_of_rules() == "ok"; }));

  const Finished removed = quell(folder_, {"exception", "remove", name, "--data-dir", data_dir()});
  EXPECT_EQ(removed.status, 0) << removed.err;
  ASSERT_TRUE(up.says("generation 3", std::chrono::seconds(20))) << up.err();
  up.signal(SIGTERM);
  EXPECT_EQ(up.wait(), 0);
}

}  // namespace
}  // namespace quell::cli
