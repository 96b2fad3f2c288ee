// What the tables ask the machine while they follow it.
#include "apps/quell/live_tables.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/clock.h"

namespace quell::cli {
namespace {

TEST(LiveTables, ARecycledTidIsNotTheThreadThatIsMeant) {
  const enrich::Options options = live_table_options({});
  Thread self;
  self.tid = self.pid = getpid();
  EXPECT_TRUE(options.is_alive(self)) << "when it began is not known";
  self.clone_ns = system_clock().realtime_ns();
  EXPECT_TRUE(options.is_alive(self));
  self.clone_ns = 1;
  EXPECT_FALSE(options.is_alive(self)) << "we began much later";
  Thread nobody;
  nobody.tid = nobody.pid = 1 << 30;
  EXPECT_FALSE(options.is_alive(nobody));
}

}  // namespace
}  // namespace quell::cli
