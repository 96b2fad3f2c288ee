// Rule tests, exceptions and folding on the command line: what they print and how they end.
#include <gtest/gtest.h>

#include "base/json.h"
#include "capture/scap/writer.h"
#include "capture/scenario/scenario.h"
#include "process.h"

namespace quell::cli {
namespace {

constexpr const char* kRules =
    "- rule: File opened\n"
    "  desc: d\n"
    "  condition: evt.type = openat and fd.name startswith /data/ and proc.name != trusted\n"
    "  output: \"%proc.name opened %fd.name at %evt.num\"\n"
    "  priority: NOTICE\n";

constexpr const char* kScenario =
    "why: a test of the command\n"
    "rules: [rules.yaml]\n"
    "events:\n"
    "  - {evt.type: openat, proc.name: cat, fd.name: /data/a}\n"
    "  - {evt.type: openat, proc.name: trusted, fd.name: /data/a}\n"
    "expect: [{rule: File opened, event: 0, fields: {fd.name: /data/a}}]\n";

class NoiseCli : public ::testing::Test {
 protected:
  void SetUp() override { rules_ = folder_.file("rules.yaml", kRules); }
  Finished run(std::vector<std::string> arguments) {
    // No exceptions of the machine that the test runs on.
    arguments.insert(arguments.end(), {"--data-dir", folder_.path() + "/data"});
    return quell(folder_, std::move(arguments));
  }
  /// A capture of cat that opens a file of every given name.
  std::string capture(const std::vector<std::string>& names) const {
    std::string text = "why: x\nprocesses: {tool: {proc.name: cat}}\nexpect: []\nevents:\n";
    for (const std::string& name : names) text += "  - {evt.type: openat, process: tool, fd.name: " + name + "}\n";
    const auto scenario = capture::parse_scenario("s.yaml", text);
    EXPECT_TRUE(scenario) << scenario.error().str();
    const std::string path = folder_.path() + "/c.scap";
    auto writer = capture::ScapWriter::create(path, scenario->snapshot, {.gzip = false});
    for (const auto& event : scenario->events) EXPECT_TRUE((*writer)->append(event.bytes, 0, false));
    EXPECT_TRUE((*writer)->close());
    return path;
  }
  static size_t count(const std::string& text) {
    return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  }

  TempFolder folder_;
  std::string rules_;
};

TEST_F(NoiseCli, RuleTestEndsAsItsCasesDo) {
  const std::string good = folder_.file("good.yaml", kScenario);
  EXPECT_EQ(run({"rule", "test", good}).status, 0);
  const Finished mutated = run({"rule", "test", good, "--mutate", "-o", "json"});
  EXPECT_EQ(mutated.status, 7) << mutated.err;
  const auto report = Json::parse(mutated.out);
  ASSERT_TRUE(report.has_value()) << mutated.out;
  EXPECT_EQ(report->at("terms").u64(), 3u);
  ASSERT_EQ(report->at("unnoticed").array()->size(), 2u);
  EXPECT_EQ(report->at("unnoticed").array()->at(0).at("term").str(), "evt.type = openat");

  std::string wrong = kScenario;
  wrong.replace(wrong.rfind("/data/a"), 7, "/data/b");
  const Finished failed = run({"rule", "test", folder_.file("wrong.yaml", wrong), "-o", "json"});
  EXPECT_EQ(failed.status, 1) << failed.err;
  const auto json = Json::parse(failed.out);
  ASSERT_TRUE(json.has_value()) << failed.out;
  const Json& difference = json->at("cases").array()->at(0).at("differences").array()->at(0);
  EXPECT_EQ(difference.at("kind").str(), "field");
  EXPECT_EQ(difference.at("expected").str(), "/data/b");
  EXPECT_EQ(difference.at("actual").str(), "/data/a");

  const Finished broken = run({"rule", "test", good, folder_.file("broken.yaml", "why: x\nevents: 7\n")});
  EXPECT_EQ(broken.status, 3);
  EXPECT_NE(broken.err.find("broken.yaml:2:"), std::string::npos) << broken.err;
  EXPECT_NE(broken.out.find("good.yaml"), std::string::npos) << "the others still run";
  EXPECT_EQ(run({"rule", "test", folder_.path() + "/none.yaml"}).status, 5);
  const std::string other = folder_.file("other.yaml", std::string(kRules) + "  enabled: false\n");
  EXPECT_EQ(run({"rule", "test", good, "--rules", other}).status, 1) << "against other rules than it names";
}

TEST_F(NoiseCli, TheShippedScenariosHold) {
  const Finished result = run({"rule", "test"});
  EXPECT_EQ(result.status, 0) << result.out << result.err;
  EXPECT_GE(count(result.out), 76u);
}

TEST_F(NoiseCli, ShippedExceptionsKnowTheProgramInTheImage) {
  const std::string body =
      "why: the shipped rules with the shipped exceptions\n"
      "exact: false\n"
      "events:\n"
      "  - {evt.type: connect, fd.type: unix, fd.name: /var/run/docker.sock, proc.exepath: /portainer, container.id: "
      "3ad7b26ded6d,\n"
      "     container.image: 'portainer/portainer-ee:2.19'}\n"
      "  - {evt.type: connect, fd.type: unix, fd.name: /var/run/docker.sock, proc.exepath: /bin/sh, container.id: "
      "3ad7b26ded6d,\n"
      "     container.image: 'portainer/portainer-ee:2.19'}\n"
      "expect: [{rule: Container runtime socket used from container, event: 1}]\n"
      "near_miss: [{rule: Container runtime socket used from container, event: 0, because: that is its job}]\n";
  const Finished result = run({"rule", "test", folder_.file("s.yaml", body)});
  EXPECT_EQ(result.status, 0) << result.out << result.err;
}

TEST_F(NoiseCli, ShippedExceptionsHaveAnOwnerAndARule) {
  const auto list = Json::parse(run({"exception", "list", "-o", "json"}).out);
  ASSERT_TRUE(list.has_value());
  EXPECT_GE(list->at("items").array()->size(), 3u);
  for (const Json& exception : *list->at("items").array()) {
    EXPECT_EQ(exception.at("state").str(), "active") << exception.dump();
    EXPECT_NE(exception.at("owner").str(), "") << exception.dump();
    EXPECT_GE(exception.at("reason").str().size(), 20u) << exception.dump();
  }
}

TEST_F(NoiseCli, DetectFoldsByTheClockOfTheCapture) {
  // One event per millisecond.
  const std::string scap = capture({"/data/a", "/data/a", "/data/b", "/data/a", "/data/a", "/data/a"});
  EXPECT_EQ(count(run({"detect", scap, "--rules", rules_}).out), 6u) << "not unless it is asked for";
  const Finished folded = run({"detect", scap, "--rules", rules_, "--fold-window", "3ms", "--stats", "-o", "json"});
  EXPECT_EQ(folded.status, 0) << folded.err;
  EXPECT_EQ(run({"detect", scap, "--rules", rules_, "--fold-window", "3ms", "-o", "json"}).out, folded.out);
  std::vector<std::string> said;
  std::istringstream lines(folded.out);
  for (std::string line; std::getline(lines, line);) {
    const auto json = Json::parse(line);
    ASSERT_TRUE(json.has_value()) << line;
    said.push_back(json->at("output_fields").at("fd.name").str() + " " +
                   std::to_string(json->at("quell").at("folded").u64()));
  }
  EXPECT_EQ(said, (std::vector<std::string>{"/data/a 0", "/data/b 0", "/data/a 1", "/data/a 0", "/data/a 2"}));
  EXPECT_NE(folded.err.find("detections: 6\nfolded: 3\n"), std::string::npos) << folded.err;
  EXPECT_EQ(run({"detect", scap, "--rules", rules_, "--fold-window", "soon"}).status, 2);

  const std::string by = folder_.file("by.yaml", std::string(kRules) + "  fold: {by: [proc.name], window: 1h}\n");
  EXPECT_EQ(count(run({"detect", scap, "--rules", by, "--fold-window", "1ms"}).out), 2u) << "the first, and the count";
  const std::string off = folder_.file("off.yaml", std::string(kRules) + "  fold: off\n");
  EXPECT_EQ(count(run({"detect", scap, "--rules", off, "--fold-window", "1h"}).out), 6u);
}

TEST_F(NoiseCli, ExceptionsSilenceUntilTheirLastDay) {
  const std::string scap = capture({"/data/a", "/data/b"});
  const auto exception = [&](const std::string& expires) {
    return folder_.file("e.yaml",
                        "- rule: File opened\n  exceptions:\n"
                        "    - {name: a, fields: [fd.name], values: [[/data/a]], owner: anna, expires: " +
                            expires + "}\n");
  };
  EXPECT_EQ(count(run({"detect", scap, "--rules", rules_, "--exceptions", exception("2099-12-31")}).out), 1u);
  const Finished expired = run({"detect", scap, "--rules", rules_, "--exceptions", exception("2020-12-31")});
  EXPECT_EQ(expired.status, 0);
  EXPECT_EQ(count(expired.out), 2u);
  EXPECT_NE(expired.err.find("e.yaml:3:"), std::string::npos) << expired.err;
  const auto list = Json::parse(
      run({"exception", "list", "--rules", rules_, "--exceptions", folder_.path() + "/e.yaml", "-o", "json"}).out);
  ASSERT_TRUE(list.has_value());
  EXPECT_EQ(list->at("items").array()->at(0).at("state").str(), "expired");
  EXPECT_EQ(list->at("items").array()->at(0).at("owner").str(), "anna");

  const Finished broken = run({"detect", scap, "--rules", rules_, "--exceptions", exception("someday")});
  EXPECT_EQ(broken.status, 3);
  EXPECT_NE(broken.err.find("e.yaml:3:"), std::string::npos) << broken.err;
  const std::string orphan =
      folder_.file("o.yaml", "- rule: File opend\n  exceptions: [{name: a, fields: [fd.name], values: [[x]]}]\n");
  const Finished warned = run({"rule", "check", rules_, "--exceptions", orphan});
  EXPECT_EQ(warned.status, 0);
  EXPECT_NE((warned.out + warned.err).find("o.yaml:1:9"), std::string::npos) << warned.out;
  EXPECT_EQ(run({"rule", "check", rules_, "--exceptions", folder_.path() + "/none"}).status, 5);
}

TEST_F(NoiseCli, WithoutAStoreOrAServerItSaysWhatIsMissing) {
  EXPECT_EQ(run({"rule", "suggest", "d-0000000000000000"}).status, 5);
  EXPECT_EQ(run({"rule", "reload"}).status, 8);
  EXPECT_EQ(run({"rule", "list", "--running"}).status, 8);
  EXPECT_EQ(run({"exception", "remove", "x"}).status, 5);
}

}  // namespace
}  // namespace quell::cli
