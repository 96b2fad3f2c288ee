#include "base/metrics.h"

#include <gtest/gtest.h>

namespace quell::metrics {
namespace {

TEST(Metrics, FamiliesAreKeptTogetherWithOneHelpAndType) {
  Registry registry;
  uint64_t events = 7;
  registry.add([&](Page& page) { page.counter("quell_lost_total", "Lost events.", 1, {{"cause", "ring_full"}}); });
  registry.add([&](Page& page) { page.counter("quell_events_total", "Events read.", events); });
  registry.add([&](Page& page) { page.counter("quell_lost_total", "Lost events.", 2, {{"cause", "scratch"}}); });
  EXPECT_EQ(registry.render(),
            "# HELP quell_events_total Events read.\n"
            "# TYPE quell_events_total counter\n"
            "quell_events_total 7\n"
            "# HELP quell_lost_total Lost events.\n"
            "# TYPE quell_lost_total counter\n"
            "quell_lost_total{cause=\"ring_full\"} 1\n"
            "quell_lost_total{cause=\"scratch\"} 2\n");
  events = 8;
  EXPECT_NE(registry.render().find("quell_events_total 8\n"), std::string::npos);
}

TEST(Metrics, LabelValuesAndHelpAreEscaped) {
  Page page;
  page.gauge("quell_x", "a\\b\nc", 0.5, {{"path", "/a\"b\\c\nd"}});
  EXPECT_EQ(page.str(),
            "# HELP quell_x a\\\\b\\nc\n# TYPE quell_x gauge\n"
            "quell_x{path=\"/a\\\"b\\\\c\\nd\"} 0.5\n");
}

TEST(Metrics, HistogramBucketsAreCumulativeAndEndWithInfinity) {
  Histogram histogram;
  histogram.observe_ns(1'000);              // exactly the first bound: in it
  histogram.observe_ns(2'000'000'000);      // 2 s
  histogram.observe_ns(3'600'000'000'000);  // beyond every bound
  EXPECT_EQ(histogram.count(), 3u);
  Page page;
  page.histogram("quell_t_seconds", "T.", histogram, {{"stage", "detect"}});
  const std::string text = page.str();
  EXPECT_NE(text.find("quell_t_seconds_bucket{stage=\"detect\",le=\"1e-06\"} 1\n"), std::string::npos) << text;
  EXPECT_NE(text.find("quell_t_seconds_bucket{stage=\"detect\",le=\"1\"} 1\n"), std::string::npos);
  EXPECT_NE(text.find("quell_t_seconds_bucket{stage=\"detect\",le=\"2.5\"} 2\n"), std::string::npos);
  EXPECT_NE(text.find("quell_t_seconds_bucket{stage=\"detect\",le=\"60\"} 2\n"), std::string::npos);
  EXPECT_NE(text.find("quell_t_seconds_bucket{stage=\"detect\",le=\"+Inf\"} 3\n"), std::string::npos);
  EXPECT_NE(text.find("quell_t_seconds_count{stage=\"detect\"} 3\n"), std::string::npos);
}

}  // namespace
}  // namespace quell::metrics
