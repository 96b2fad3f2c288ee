// Fields that remember something from one event to the next.
#include "fields_print.h"

namespace quell::detect {
namespace {

using H = Happening;

TEST(Memory, DeltaIsSinceTheEventThatWasLookedAtBefore) {
  const World world;
  FieldMemory memory;
  const std::string text = "%evt.deltatime %evt.deltatime.s.%evt.deltatime.ns %util.cnt";
  EXPECT_EQ(printed(text, Scene(world, H::open, 1, kNow), &memory), "0 0.000000000 1");
  const Scene second(world, H::open, 2, kNow + kSecondNs + 5);
  EXPECT_EQ(printed(text, second, &memory), "1000000005 1.000000005 2");
  EXPECT_EQ(printed(text, second, &memory), "1000000005 1.000000005 2") << "asked again about the same event";
  EXPECT_EQ(printed(text, Scene(world, H::open, 4, kNow), &memory), "0 0.000000000 3") << "time went back";
}

TEST(Memory, ProcessorTimeIsBetweenSwitches) {
  const World world;
  FieldMemory memory;
  const std::string text = "%thread.exectime %thread.totexectime";
  EXPECT_EQ(printed(text, Scene(world, H::context_switch, 1, kNow), &memory), "0 0");
  EXPECT_EQ(printed(text, Scene(world, H::context_switch, 2, kNow + 40), &memory), "40 40");
  EXPECT_EQ(printed(text, Scene(world, H::open, 3, kNow + 50), &memory), "0 40");
  EXPECT_EQ(printed(text, Scene(world, H::context_switch, 4, kNow + 60), &memory), "20 60");
}

TEST(Memory, ProcessorUseIsTheDifferenceOfTicks) {
  World world;
  FieldMemory memory;
  const std::string text = "%thread.cpu %thread.cpu.user %thread.cpu.system";
  const auto at = [&](uint64_t number, uint64_t user, uint64_t system) {
    Scene scene(world, H::procinfo, number);
    scene.bytes = EventBuilder(ev::PROCINFO_E, kNow, World::kShell).num(user).num(system).build();
    EXPECT_TRUE(Event::parse(scene.bytes, scene.event));
    return printed(text, scene, &memory);
  };
  EXPECT_EQ(at(1, 100, 10), "0.0 0.0 0.0");
  EXPECT_EQ(at(2, 130, 15), "35.0 30.0 5.0");
  EXPECT_EQ(at(3, 999, 16), "100.0 100.0 1.0");
}

TEST(Memory, KeysAreBounded) {
  FieldMemory::Entry entry;
  for (int64_t key = 0; key < static_cast<int64_t>(FieldMemory::kMaxKeys) + 10; ++key) entry.of(key) = 1;
  EXPECT_EQ(entry.forgotten, FieldMemory::kMaxKeys);
  EXPECT_EQ(entry.by_key.size(), 10u);
}

}  // namespace
}  // namespace quell::detect
