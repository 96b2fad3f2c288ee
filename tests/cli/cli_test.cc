// What the command line promises: help, suggestions, exit codes, data on stdout and all else on stderr.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/json.h"
#include "process.h"

namespace quell::cli {
namespace {

constexpr const char* kRule =
    "- rule: Anything\n"
    "  desc: every event\n"
    "  condition: evt.num > 0\n"
    "  output: \"event %evt.num by %proc.name\"\n"
    "  priority: NOTICE\n";

class Cli : public ::testing::Test {
 protected:
  Finished run(std::vector<std::string> arguments) { return quell(folder_, std::move(arguments)); }
  /// Public sample captures; empty if they are not there.
  static std::string sample(const std::string& name) {
    const char* data = std::getenv("QUELL_TEST_DATA");
    return data == nullptr ? std::string() : std::string(data) + "/samples/scap/" + name;
  }
  TempFolder folder_;
};

TEST_F(Cli, HelpOfEveryCommandBeginsWithTwoExamples) {
  const std::vector<std::vector<std::string>> commands = {{},
                                                          {"up"},
                                                          {"detect"},
                                                          {"record"},
                                                          {"rule"},
                                                          {"rule", "check"},
                                                          {"rule", "list"},
                                                          {"rule", "explain"},
                                                          {"rule", "fields"},
                                                          {"rule", "test"},
                                                          {"rule", "suggest"},
                                                          {"rule", "reload"},
                                                          {"exception"},
                                                          {"exception", "list"},
                                                          {"exception", "remove"},
                                                          {"action"},
                                                          {"action", "preview"},
                                                          {"action", "run"},
                                                          {"action", "undo"},
                                                          {"action", "list"},
                                                          {"action", "show"},
                                                          {"policy"},
                                                          {"policy", "check"},
                                                          {"policy", "explain"},
                                                          {"policy", "test"},
                                                          {"policy", "backtest"},
                                                          {"policy", "promote"},
                                                          {"capture"},
                                                          {"capture", "list"},
                                                          {"capture", "show"},
                                                          {"capture", "export"},
                                                          {"audit"},
                                                          {"audit", "list"},
                                                          {"audit", "show"},
                                                          {"audit", "verify"},
                                                          {"audit", "head"},
                                                          {"audit", "export"},
                                                          {"evidence"},
                                                          {"evidence", "list"},
                                                          {"evidence", "show"},
                                                          {"evidence", "export"},
                                                          {"evidence", "verify"},
                                                          {"evidence", "hold"},
                                                          {"evidence", "release"},
                                                          {"version"}};
  for (std::vector<std::string> command : commands) {
    std::string name = "  quell";
    for (const std::string& word : command) name += " " + word;
    command.emplace_back("--help");
    const Finished help = run(command);
    EXPECT_EQ(help.status, 0) << name;
    EXPECT_EQ(help.err, "") << name;
    ASSERT_TRUE(help.out.starts_with("Examples:\n" + name)) << help.out;
    const size_t second = help.out.find('\n', 11) + 1;
    EXPECT_TRUE(help.out.substr(second).starts_with("  quell")) << help.out;
  }
}

TEST_F(Cli, TyposSuggestTheNearestWord) {
  const auto suggests = [&](std::vector<std::string> arguments, const std::string& word) {
    const Finished result = run(std::move(arguments));
    EXPECT_EQ(result.status, 2) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find("\"" + word + "\""), std::string::npos) << result.err;
  };
  suggests({"detct"}, "detect");
  suggests({"rule", "chekc"}, "check");
  suggests({"action", "preveiw"}, "preview");
  suggests({"detect", "--rulez", "x"}, "--rules");
  suggests({"version", "--ouput"}, "--output");
  suggests({"record", "--out", "x", "--events", "opeant"}, "openat");
}

TEST_F(Cli, UsageErrorsExitWithTwo) {
  EXPECT_EQ(run({}).status, 2);
  EXPECT_EQ(run({"detect"}).status, 2);
  EXPECT_EQ(run({"version", "-o", "yaml"}).status, 2);
  EXPECT_EQ(run({"version", "--timeout", "soon"}).status, 2);
  EXPECT_EQ(run({"up", "--listen", "nowhere"}).status, 2);
  EXPECT_EQ(run({"up", "--listen", "0.0.0.0:80"}).status, 2);
  EXPECT_EQ(run({"action", "list", "--server", "ftp://x"}).status, 2);
  EXPECT_EQ(run({"record", "--out", "x", "--for", "a while"}).status, 2);
  EXPECT_EQ(run({"record"}).status, 2);
}

TEST_F(Cli, GlobalFlagsWorkBeforeAndAfterTheCommand) {
  const Finished before = run({"-o", "json", "version"});
  const Finished after = run({"version", "-o", "json"});
  EXPECT_EQ(before.status, 0);
  EXPECT_EQ(before.out, after.out);
  EXPECT_EQ(Json::parse(after.out)->at("apiVersion").str(), "quell/v1");
  EXPECT_TRUE(run({"--version"}).out.starts_with("quell "));
}

TEST_F(Cli, ActionWithoutATerminalNeedsYes) {
  const Finished result = run({"action", "run", "container.pause", "container:x", "--data-dir", folder_.path()});
  EXPECT_EQ(result.status, 2);
  EXPECT_NE(result.err.find("--yes"), std::string::npos);
}

TEST_F(Cli, NobodyThereExitsWithEightAndSaysHowToStartOne) {
  const std::vector<std::vector<std::string>> commands = {{"action", "list"},
                                                          {"action", "show", "a-1"},
                                                          {"action", "undo", "a-1"},
                                                          {"action", "preview", "process.kill", "process:1"},
                                                          {"action", "run", "process.kill", "process:1", "--yes"}};
  for (std::vector<std::string> command : commands) {
    command.insert(command.end(), {"--data-dir", folder_.path()});
    const Finished result = run(command);
    EXPECT_EQ(result.status, 8) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find("quell up --data-dir " + folder_.path()), std::string::npos) << result.err;
  }
}

TEST_F(Cli, BrokenRuleFileNamesItsPlaceAndExitsWithThree) {
  const std::string rules = folder_.file("broken.yaml",
                                         "- rule: Broken\n"
                                         "  desc: misspelt field\n"
                                         "  condition: proc.nmae = bash\n"
                                         "  output: x\n"
                                         "  priority: NOTICE\n");
  const Finished checked = run({"rule", "check", rules});
  EXPECT_EQ(checked.status, 3);
  EXPECT_NE(checked.out.find(rules + ":3:"), std::string::npos) << checked.out;
  EXPECT_NE(checked.out.find("proc.name"), std::string::npos) << checked.out;
  EXPECT_EQ(run({"detect", "/dev/null", "--rules", rules}).status, 3);
  EXPECT_EQ(run({"up", "--rules", rules, "--data-dir", folder_.path()}).status, 3);
  EXPECT_EQ(run({"rule", "list", rules}).status, 3);
  const Finished json = run({"rule", "check", rules, "-o", "json"});
  EXPECT_EQ(json.status, 3);
  const auto document = Json::parse(json.out);
  ASSERT_TRUE(document.has_value()) << json.out;
  EXPECT_FALSE(document->at("valid").boolean());
  EXPECT_EQ(document->at("errors").u64(), 1u);
}

TEST_F(Cli, EveryErrorOfEveryFileIsToldInOneRun) {
  const std::string rules = folder_.path() + "/rules";
  std::filesystem::create_directory(rules);
  std::ofstream(rules + "/a.yaml")
      << "- rule: A\n  desc: d\n  condition: proc.nope = 1\n  output: x\n  priority: NOTICE\n";
  std::ofstream(rules + "/b.yaml")
      << "- rule: B\n  desc: d\n  condition: evt.type = open and\n  output: x\n  priority: NOTICE\n";
  const Finished result = run({"rule", "check", rules});
  EXPECT_EQ(result.status, 3);
  EXPECT_NE(result.out.find("a.yaml:3:"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("b.yaml:3:"), std::string::npos) << result.out;
}

TEST_F(Cli, MissingFilesExitWithFive) {
  EXPECT_EQ(run({"rule", "check", folder_.path() + "/none.yaml"}).status, 5);
  EXPECT_EQ(run({"rule", "check", folder_.path()}).status, 5);  // a folder without rules
  const std::string rules = folder_.file("rules.yaml", kRule);
  const Finished missing = run({"detect", folder_.path() + "/none.scap", "--rules", rules});
  EXPECT_EQ(missing.status, 5);
  EXPECT_NE(missing.err.find("none.scap"), std::string::npos);
  EXPECT_EQ(run({"rule", "explain", "Anythin", "--rules", rules}).status, 5);
  EXPECT_EQ(run({"rule", "fields", "proc.nmae"}).status, 5);
  EXPECT_EQ(run({"up", "--scope", "cgroup:quell-no-such-group", "--rules", rules, "--data-dir", folder_.path(),
                 "--listen", ":0"})
                .status,
            5);
  EXPECT_EQ(
      run({"up", "--scope", "pid:999999999", "--rules", rules, "--data-dir", folder_.path(), "--listen", ":0"}).status,
      5);
}

TEST_F(Cli, WhatIsNoCaptureIsSaidWithThePlace) {
  const std::string rules = folder_.file("rules.yaml", kRule);
  const std::string text = folder_.file("text.scap", "this is no capture");
  const Finished result = run({"detect", text, "--rules", rules});
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_NE(result.err.find(text), std::string::npos);
}

TEST_F(Cli, PortInUseIsOneSentenceWithTheRemedy) {
  const int taken = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(taken, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(taken, 1), 0);
  socklen_t size = sizeof address;
  getsockname(taken, reinterpret_cast<sockaddr*>(&address), &size);
  const std::string listen_on = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  const Finished result =
      run({"up", "--scope", "pid:" + std::to_string(getpid()), "--rules", folder_.file("rules.yaml", kRule),
           "--data-dir", folder_.path() + "/data", "--listen", listen_on});
  close(taken);
  EXPECT_EQ(result.status, 1);
  EXPECT_NE(result.err.find(listen_on), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("--listen"), std::string::npos) << result.err;
}

TEST_F(Cli, RulesAreListedAndExplained) {
  const std::string rules = folder_.file("rules.yaml", kRule);
  EXPECT_EQ(run({"rule", "list", rules, "-o", "name"}).out, "Anything\n");
  const auto list = Json::parse(run({"rule", "list", rules, "-o", "json"}).out);
  ASSERT_TRUE(list.has_value());
  EXPECT_EQ((*list->at("items").array())[0].at("priority").str(), "Notice");
  const Finished explained = run({"rule", "explain", "Anything", "--rules", rules});
  EXPECT_EQ(explained.status, 0);
  EXPECT_NE(explained.out.find("evt.num > 0"), std::string::npos);
  EXPECT_NE(explained.out.find("lowered form"), std::string::npos);
  EXPECT_EQ(explained.out.find("if a name begins with"), std::string::npos);
  const std::string by_name = folder_.file("names.yaml", R"(
- rule: Shadow
  desc: d
  condition: evt.type in (openat, openat2) and evt.is_open_read=true and fd.name in (/etc/shadow, /etc/gshadow)
  output: o
  priority: INFO
)");
  const Finished names = run({"rule", "explain", "Shadow", "--rules", by_name});
  EXPECT_NE(names.out.find("openat, openat2: for reading, if a name begins with /etc/gshadow, /etc/shadow or"),
            std::string::npos)
      << names.out;
  const Finished fields = run({"rule", "fields", "proc.name", "-o", "name"});
  EXPECT_EQ(fields.out, "proc.name\n");
}

TEST_F(Cli, DetectPrintsOneObjectPerLineAndStatsApart) {
  const std::string capture = sample("cat_write.scap");
  if (capture.empty()) {
    std::puts("SKIPPED: QUELL_TEST_DATA is not set");
    GTEST_SKIP();
  }
  const std::string rules = folder_.file("rules.yaml", kRule);
  const Finished result = run({"detect", capture, "--rules", rules, "-o", "json", "--stats"});
  ASSERT_EQ(result.status, 0) << result.err;
  std::istringstream lines(result.out);
  size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const auto json = Json::parse(line);
    ASSERT_TRUE(json.has_value()) << line;
    for (const char* key :
         {"time", "rule", "priority", "source", "tags", "output", "output_fields", "hostname", "quell"}) {
      EXPECT_NE(json->find(key), nullptr) << key;
    }
    EXPECT_NE(json->at("quell").at("id").str(), "");
  }
  EXPECT_GT(count, 0u);
  EXPECT_NE(result.err.find("detections: " + std::to_string(count) + "\n"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("losses: 0"), std::string::npos) << result.err;

  const Finished profiled =
      run({"detect", capture, "--rules", rules, "-o", "json", "--profile", "--profile-every", "1"});
  EXPECT_EQ(profiled.out, result.out) << "measuring changes nothing";
  EXPECT_NE(profiled.err.find("Anything\n"), std::string::npos) << profiled.err;
  EXPECT_EQ(run({"detect", capture, "--rules", rules, "--profile-every", "0"}).status, 2);
  EXPECT_EQ(run({"detect", capture, "--rules", rules, "--rule-matching", "some"}).status, 2);
  const std::string two = folder_.file("two.yaml", std::string(kRule) +
                                                       "- rule: Second\n  desc: d\n  condition: evt.num > "
                                                       "0\n  output: x\n  priority: NOTICE\n");
  const auto lines_of = [&](const char* matching) {
    const std::string out = run({"detect", capture, "--rules", two, "--rule-matching", matching}).out;
    return static_cast<size_t>(std::count(out.begin(), out.end(), '\n'));
  };
  EXPECT_EQ(lines_of("first"), count);
  EXPECT_EQ(lines_of("all"), 2 * count);

  EXPECT_EQ(run({"detect", capture, "--rules", rules, "-o", "json"}).out, result.out)
      << "a replay gives the same, ids included";
  EXPECT_EQ(run({"detect", capture, "--rules", rules, "--exit-on-detection", "-q"}).status, 10);
  const std::string quiet = folder_.file(
      "quiet.yaml", "- rule: None\n  desc: d\n  condition: evt.num < 0\n  output: x\n  priority: NOTICE\n");
  EXPECT_EQ(run({"detect", capture, "--rules", quiet, "--exit-on-detection"}).status, 0);
  // The two forms in which a second rule file may follow.
  EXPECT_EQ(run({"detect", capture, "--rules", quiet, rules, "--exit-on-detection"}).status, 10);
  EXPECT_EQ(run({"detect", capture, "--rules", quiet, "--rules", rules, "--exit-on-detection"}).status, 10);
}

TEST_F(Cli, DamagedCaptureIsEvaluatedAsFarAsItIsSound) {
  const std::string capture = sample("tcp-client-server.scap");
  if (capture.empty()) {
    std::puts("SKIPPED: QUELL_TEST_DATA is not set");
    GTEST_SKIP();
  }
  const std::string rules = folder_.file("rules.yaml", kRule);
  std::string bytes = read_file(capture);
  const std::string cut = folder_.file("cut.scap", bytes.substr(0, bytes.size() * 9 / 10));
  const Finished result = run({"detect", cut, "--rules", rules});
  EXPECT_EQ(result.status, 1);
  EXPECT_FALSE(result.out.empty());
  EXPECT_TRUE(result.err.starts_with("quell: error: " + cut)) << result.err;
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1);
}

TEST_F(Cli, ReplayIsToldWhatNamesPointedTo) {
  const std::string rules = folder_.file("rules.yaml",
                                         "- rule: Neighbour\n"
                                         "  desc: a name\n"
                                         "  condition: evt.type = connect and fd.sip.name = neighbour.example\n"
                                         "  output: connected\n"
                                         "  priority: NOTICE\n");
  for (const char* bad : {"neighbour.example", "=127.0.0.1", "neighbour.example=nowhere"}) {
    const Finished refused = run({"detect", "none.scap", "--rules", rules, "--resolve", bad});
    EXPECT_EQ(refused.status, 2) << bad;
    EXPECT_NE(refused.err.find("--resolve"), std::string::npos) << refused.err;
  }
  const std::string capture = sample("connect_localhost.scap");
  if (capture.empty()) {
    std::puts("SKIPPED: QUELL_TEST_DATA is not set");
    GTEST_SKIP();
  }
  EXPECT_EQ(run({"detect", capture, "--rules", rules}).out, "");
  EXPECT_NE(run({"detect", capture, "--rules", rules, "--resolve", "neighbour.example=127.0.0.1"}).out, "");
  EXPECT_EQ(run({"detect", capture, "--rules", rules, "--resolve", "neighbour.example=127.0.0.2"}).out, "");
}

TEST_F(Cli, ReaderThatGoesAwayIsAnErrorNotACrash) {
  const std::string capture = sample("tcp-client-server.scap");
  if (capture.empty()) {
    std::puts("SKIPPED: QUELL_TEST_DATA is not set");
    GTEST_SKIP();
  }
  const std::string rules = folder_.file("rules.yaml", kRule);
  const std::string command = std::string(QUELL_BINARY) + " detect " + capture + " --rules " + rules + " 2>" +
                              folder_.path() + "/err; echo $? >" + folder_.path() + "/status";
  const std::string piped = "{ " + command + "; } | true";
  ASSERT_EQ(std::system(piped.c_str()), 0);
  // The pipeline ends with its reader; the writer may take a moment longer.
  for (int i = 0; i < 500 && read_file(folder_.path() + "/status").empty(); ++i) usleep(20'000);
  EXPECT_EQ(read_file(folder_.path() + "/status"), "1\n");
}

}  // namespace
}  // namespace quell::cli
