// Whatever comes, the tables hold: random events of any code, well-formed and not.
#include <gtest/gtest.h>

#include <random>

#include "chaos.h"

namespace quell::enrich {

TEST(Survival, RandomEvents) {
  for (uint32_t seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    std::vector<uint8_t> bytes(60'000);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    SCOPED_TRACE(seed);
    EXPECT_EQ(live_through(bytes), live_through(bytes)) << "the same events give the same tables";
  }
}

TEST(Survival, MutatedEvents) {
  std::mt19937 random(7);
  StateTables tables{{}};
  tables.load({});
  Event event;
  uint64_t number = 0, refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::vector<uint8_t> seed(200);
    for (uint8_t& byte : seed) byte = static_cast<uint8_t>(random());
    Chaos chaos(seed);
    auto bytes = chaotic_event(chaos, static_cast<uint64_t>(round) * 1'000'000);
    bytes[random() % bytes.size()] ^= static_cast<uint8_t>(1u << (random() % 8));
    if (random() % 4 == 0) bytes.resize(random() % bytes.size());
    if (!Event::parse(bytes, event)) {
      ++refused;
      continue;
    }
    tables.apply(event, ++number);
  }
  EXPECT_GT(number, 1000u);
  EXPECT_GT(refused, 100u);
}

}  // namespace quell::enrich
