// A living `quell up`, limited to a control group of our own: detection, endpoints, control, reload, end, recording and
// replay.
#include <functional>

#include "up_fixture.h"

namespace quell::cli {
namespace {

TEST_F(Up, DetectsServesAndEnds) {
  const std::string capture = folder_.path() + "/rec.scap";
  Process up(folder_, up_arguments({"--record", capture}), "up");
  ASSERT_TRUE(up.says("http://")) << up.err();

  inside("true > " + folder_.path() + "/quell-up-marker-1");
  ASSERT_TRUE(up.says("quell-up-marker-1", std::chrono::seconds(20))) << up.err();
  const std::string line = up.out().substr(0, up.out().find('\n'));
  const auto detection = Json::parse(line);
  ASSERT_TRUE(detection.has_value()) << line;
  EXPECT_EQ(detection->at("rule").str(), "Marker opened");
  EXPECT_EQ(detection->at("quell").at("container_id").str(), "host");
  EXPECT_GE(detection->at("quell").at("detect_ns").u64(), detection->at("quell").at("kernel_ns").u64());

  EXPECT_EQ(unwell(up), "");
  std::string status;
  get(address(up) + "/healthz", status);
  EXPECT_EQ(status, "200");
  get(address(up) + "/readyz", status);
  EXPECT_EQ(status, "200");
  EXPECT_NE(get(address(up) + "/metrics", status).find("quell_detect_detections_total"), std::string::npos);
  get(address(up) + "/v1/detections", status);
  EXPECT_EQ(status, "403") << "control is not for the port";
  EXPECT_EQ(quell(folder_, {"action", "list", "--data-dir", data_dir()}).status, 0);

  const Finished second = quell(folder_, up_arguments());
  EXPECT_EQ(second.status, 1) << "a data directory has one owner";
  EXPECT_TRUE(up.is_running());

  const Finished guarded =
      quell(folder_, {"action", "preview", "process.kill", "process:1", "--data-dir", data_dir(), "-o", "json"});
  EXPECT_EQ(guarded.status, 6) << guarded.err;
  EXPECT_NE(Json::parse(guarded.out)->at("refusal").object(), nullptr);
  EXPECT_EQ(quell(folder_, {"action", "preview", "process.kill", "process:999999999", "--data-dir", data_dir()}).status,
            5);
  EXPECT_EQ(quell(folder_, {"action", "preview", "no.such", "process:1", "--data-dir", data_dir()}).status, 5);
  EXPECT_EQ(quell(folder_, {"action", "show", "a-0000000000000000", "--data-dir", data_dir()}).status, 5);

  up.signal(SIGTERM);
  EXPECT_EQ(up.wait(), 0) << up.err();
  const std::string live = up.out();

  // The recording gives the same detections again; only when and by whom it was seen differs.
  const Finished replay = quell(folder_, {"detect", capture, "--rules", rules_, "-o", "json"});
  ASSERT_EQ(replay.status, 0) << replay.err;
  std::istringstream live_lines(live), replayed_lines(replay.out);
  std::string live_line, replayed_line;
  size_t count = 0;
  while (std::getline(live_lines, live_line)) {
    ASSERT_TRUE(std::getline(replayed_lines, replayed_line)) << "replay has fewer";
    const auto one = Json::parse(live_line), other = Json::parse(replayed_line);
    EXPECT_EQ(one->at("rule").str(), other->at("rule").str());
    EXPECT_EQ(one->at("output_fields").dump(), other->at("output_fields").dump());
    ++count;
  }
  EXPECT_FALSE(std::getline(replayed_lines, replayed_line)) << "replay has more";
  EXPECT_GT(count, 0u);
}

TEST_F(Up, HangupReadsTheRulesAgainAndABrokenFileChangesNothing) {
  Process up(folder_, up_arguments(), "up");
  ASSERT_TRUE(up.says("http://")) << up.err();
  folder_.file("rules.yaml",
               "- rule: Broken\n  desc: d\n  condition: proc.nmae = x\n  output: x\n  priority: NOTICE\n");
  up.signal(SIGHUP);
  ASSERT_TRUE(up.says("rules.yaml:3:")) << up.err();
  inside("true > " + folder_.path() + "/quell-up-marker-2");
  ASSERT_TRUE(up.says("quell-up-marker-2", std::chrono::seconds(20))) << up.err();
  std::string status;
  EXPECT_EQ(Json::parse(get(address(up) + "/healthz", status))->at("status").str(), "degraded");

  std::string renamed = kRules;
  renamed.replace(renamed.find("Marker opened"), 13, "Marker again");
  folder_.file("rules.yaml", renamed);
  up.signal(SIGHUP);
  ASSERT_TRUE(up.says("in force", std::chrono::seconds(20))) << up.err();
  bool is_swapped = false;
  for (int i = 0; i < 100 && !is_swapped; ++i) {
    is_swapped = get(address(up) + "/metrics", status).find("quell_detect_rule_swaps_total 1") != std::string::npos;
    usleep(50'000);
  }
  EXPECT_TRUE(is_swapped);
  inside("true > " + folder_.path() + "/quell-up-marker-3");
  ASSERT_TRUE(up.says("Marker again", std::chrono::seconds(20))) << up.out();
  EXPECT_EQ(unwell(up), "");
  up.signal(SIGINT);
  EXPECT_EQ(up.wait(), 0);
}

TEST_F(Up, KeepsWhatSurroundsADetectionAndCleansUpAfterACrash) {
  std::string asking = kRules;
  asking += "  capture: true\n";
  folder_.file("rules.yaml", asking);
  const auto parts = [&](const std::string& extension) {
    std::vector<std::string> names;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(data_dir() + "/captures", error))
      if (entry.path().extension() == extension) names.push_back(entry.path().string());
    return names;
  };
  const auto becomes = [](const std::function<bool()>& condition) {
    for (int i = 0; i < 200 && !condition(); ++i) usleep(50'000);
    return condition();
  };
  {
    Process up(folder_, up_arguments({"--capture-after", "5m"}), "killed");
    ASSERT_TRUE(up.says("http://")) << up.err();
    inside("true > " + folder_.path() + "/quell-up-marker-5");
    ASSERT_TRUE(up.says("quell-up-marker-5", std::chrono::seconds(20))) << up.err();
    ASSERT_TRUE(becomes([&] { return !parts(".part").empty(); })) << up.err();
    up.signal(SIGKILL);
    up.wait();
    EXPECT_FALSE(parts(".part").empty());
    EXPECT_TRUE(parts(".scap").empty()) << "nothing that is not whole has the final name";
  }
  Process up(folder_, up_arguments({"--capture-after", "300ms"}), "again");
  ASSERT_TRUE(up.says("http://")) << up.err();
  EXPECT_TRUE(parts(".part").empty());
  std::string status;
  EXPECT_NE(get(address(up) + "/metrics", status).find("quell_flight_leftover_files_total 1"), std::string::npos);
  inside("ls /etc > /dev/null; true > " + folder_.path() + "/quell-up-marker-6; ls /usr > /dev/null");
  ASSERT_TRUE(up.says("quell-up-marker-6", std::chrono::seconds(20))) << up.err();
  ASSERT_TRUE(becomes([&] { return parts(".scap").size() == 1; })) << up.err();
  EXPECT_EQ(unwell(up), "");
  up.signal(SIGTERM);
  EXPECT_EQ(up.wait(), 0) << up.err();

  const Finished replay = quell(folder_, {"detect", parts(".scap").at(0), "--rules", rules_, "-o", "json"});
  EXPECT_EQ(replay.status, 0) << replay.err;
  const auto live = Json::parse(up.out().substr(0, up.out().find('\n')));
  const auto replayed = Json::parse(replay.out.substr(0, replay.out.find('\n')));
  ASSERT_TRUE(live && replayed) << replay.out;
  EXPECT_EQ(live->at("output_fields").dump(), replayed->at("output_fields").dump());

  for (const std::vector<std::string>& wrong : {std::vector<std::string>{"--capture", "some"},
                                                {"--capture-priority", "high"},
                                                {"--capture-memory", "1K"},
                                                {"--capture-before", "soon"},
                                                {"--capture-disk", "much"}})
    EXPECT_EQ(quell(folder_, up_arguments(wrong)).status, 2) << wrong[0];
}

// Each shell comes from outside of the scope and is gone before anybody can look it up.
TEST_F(Up, WhoComesAndGoesAtOnceHasAName) {
  constexpr int kTimes = 20;
  Process up(folder_, up_arguments({"--fold-window", "0"}), "up");
  ASSERT_TRUE(up.says("http://")) << up.err();
  for (int i = 0; i < kTimes; ++i) inside("true > " + folder_.path() + "/quell-up-marker-" + std::to_string(i) + "-");
  ASSERT_TRUE(up.says("quell-up-marker-" + std::to_string(kTimes - 1) + "-", std::chrono::seconds(20))) << up.err();
  up.signal(SIGTERM);
  EXPECT_EQ(up.wait(), 0) << up.err();
  int count = 0;
  std::istringstream lines(up.out());
  for (std::string line; std::getline(lines, line); ++count) {
    const auto detection = Json::parse(line);
    ASSERT_TRUE(detection.has_value()) << line;
    EXPECT_EQ(detection->at("output_fields").at("proc.name").str(), "sh");
    EXPECT_EQ(detection->at("quell").at("process").at("cmdline").str().substr(0, 10), "sh -c echo");
  }
  EXPECT_EQ(count, kTimes);
}

TEST_F(Up, RecordsForAWhile) {
  const std::string capture = folder_.path() + "/short.scap";
  Process record(folder_, {"record", "--scope", "cgroup:" + group_, "--out", capture, "--for", "3s"}, "record");
  ASSERT_TRUE(record.says("recording")) << record.err();
  inside("true > " + folder_.path() + "/quell-up-marker-4");
  EXPECT_EQ(record.wait(), 0) << record.err();
  const Finished replay = quell(folder_, {"detect", capture, "--rules", rules_});
  EXPECT_EQ(replay.status, 0) << replay.err;
  EXPECT_NE(replay.out.find("quell-up-marker-4"), std::string::npos);
  struct stat status {};
  ASSERT_EQ(stat(capture.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0077, 0u) << "captures hold what others typed";
  if (std::system("command -v sysdig >/dev/null") != 0) {
    std::printf("sysdig is not installed: whether it opens the capture was not tried\n");
    return;
  }
  EXPECT_EQ(std::system(("sysdig -r " + capture + " >/dev/null").c_str()), 0);
}

}  // namespace
}  // namespace quell::cli
