// Behaviours played live under the sensor with the upstream rules: each fires the rules that it is about.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <set>

#include "e2e/quell_up.h"
#include "stage.h"

namespace quell::test {
namespace {

#define SKIP_WITHOUT(condition, why)         \
  if (!(condition)) {                        \
    std::cout << "SKIPPED: " << why << "\n"; \
    GTEST_SKIP() << why;                     \
  }

TEST(UpstreamLive, BehavioursFireTheirRules) {
  const char* data = std::getenv("QUELL_TEST_DATA");
  SKIP_WITHOUT(data != nullptr, "QUELL_TEST_DATA is not set");
  const std::string why = Stage::missing();
  SKIP_WITHOUT(why.empty(), why);
  const auto stage = Stage::build(QUELL_PLAYER);
  ASSERT_TRUE(stage) << stage.error().str();

  // Some rules are off unless somebody wants them.
  char enabling[] = "/var/tmp/quell-upstream-XXXXXX.yaml";
  const int file = mkstemps(enabling, 5);
  ASSERT_GE(file, 0);
  close(file);
  std::ofstream overrides(enabling);
  std::set<std::string> wanted;
  for (const Behaviour& behaviour : behaviours())
    if (behaviour.live) wanted.insert(behaviour.rules.begin(), behaviour.rules.end());
  for (const std::string& rule : wanted)
    overrides << "- rule: " << rule << "\n  enabled: true\n  override: {enabled: replace}\n";
  overrides.close();
  const std::string rules = std::string(data) + "/falco-rules/";
  const auto up = QuellUp::start({"--scope", "cgroup:" + (*stage)->root_group(), "--rules", rules + "falco_rules.yaml",
                                  rules + "falco-incubating_rules.yaml", rules + "falco-sandbox_rules.yaml", enabling,
                                  "--docker-socket", (*stage)->sockets().docker, "--containerd-socket",
                                  (*stage)->sockets().containerd});
  ASSERT_NE(up, nullptr);

  size_t played = 0;
  for (const Behaviour& behaviour : behaviours()) {
    if (!behaviour.live) continue;
    SCOPED_TRACE(behaviour.name);
    const auto done = (*stage)->play(behaviour);
    ASSERT_TRUE(done) << done.error().str();
    ++played;
    std::set<std::string> open(behaviour.rules.begin(), behaviour.rules.end());
    up->wait_for([&](const Json& json) {
      if (open.erase(json.at("rule").str()) > 0 && behaviour.place != Place::host) {
        EXPECT_FALSE(json.at("quell").at("container_id").str().empty()) << json.dump();
      }
      return open.empty();
    });
    for (const std::string& rule : open) ADD_FAILURE() << "'" << rule << "' did not fire";
  }
  EXPECT_GE(played, 10u);
  EXPECT_EQ(up->stop(), 0) << up->messages();
  unlink(enabling);
}

}  // namespace
}  // namespace quell::test
