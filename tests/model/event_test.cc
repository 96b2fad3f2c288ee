#include "model/event.h"

#include <gtest/gtest.h>

namespace quell {

TEST(EventTable, RowsStandAtTheirCode) {
  for (uint16_t code = 0; code < kEventCodeCount; ++code) EXPECT_EQ(kEventTable[code].code, code);
}

TEST(EventTable, KnowsWhichParameterHoldsTheDescriptor) {
  EXPECT_EQ(event_spec(ev::SYSCALL_READ_X).fd_param, 2);
  EXPECT_EQ(event_spec(ev::SYSCALL_UNLINKAT_2_X).fd_param, 1);
  EXPECT_EQ(event_spec(ev::SYSCALL_OPENAT_2_X).fd_param, -1) << "openat creates one, it does not use one";
  EXPECT_EQ(event_spec(ev::SYSCALL_EXECVE_19_X).fd_param, -1);
}

TEST(EventTable, NamesToCodes) {
  EXPECT_EQ(event_codes_named("execveat"), (std::vector<EventCode>{ev::SYSCALL_EXECVEAT_E, ev::SYSCALL_EXECVEAT_X}));
  EXPECT_EQ(event_codes_named("getpid"), (std::vector<EventCode>{ev::GENERIC_E, ev::GENERIC_X}));
  EXPECT_TRUE(event_codes_named("no_such_call").empty());
}

TEST(SyscallTable, LooksUpByCodeNumberAndName) {
  for (size_t i = 1; i < kSyscallTable.size(); ++i) EXPECT_LT(kSyscallTable[i - 1].code, kSyscallTable[i].code);
  for (const SyscallSpec& call : kSyscallTable) EXPECT_EQ(syscall_by_code(call.code), &call);
  EXPECT_EQ(syscall_by_code(5)->name, "open");
  EXPECT_EQ(syscall_by_code(60'000), nullptr);
  EXPECT_EQ(syscall_by_number(59)->name, "execve");
  EXPECT_EQ(syscall_by_name("openat")->x86_64, 257);
}

TEST(Event, RoundTrip) {
  const auto bytes = EventBuilder(ev::SYSCALL_OPENAT_2_X, 42, 7)
                         .num<int64_t>(3)
                         .num<int64_t>(-100)
                         .text("/etc/shadow")
                         .num<uint32_t>(1)
                         .num<uint32_t>(0)
                         .num<uint32_t>(8)
                         .empty()
                         .build();
  Event event;
  ASSERT_TRUE(Event::parse(bytes, event));
  EXPECT_EQ(event.ts_ns(), 42u);
  EXPECT_EQ(event.tid(), 7);
  EXPECT_EQ(event.param(0).i64(), 3);
  EXPECT_EQ(event.param(1).i64(), -100);
  EXPECT_EQ(event.param(2).text(), "/etc/shadow");
  EXPECT_TRUE(event.param(6).empty());
  EXPECT_TRUE(event.carries(6));
  EXPECT_FALSE(event.carries(7));
}

TEST(Event, LargePayloadUsesWideLengths) {
  const std::string big(100'000, 'x');
  const auto bytes =
      EventBuilder(ev::ASYNCEVENT_E, 1, -1).num<uint32_t>(0).text("container").raw(big.data(), big.size()).build();
  Event event;
  ASSERT_TRUE(Event::parse(bytes, event));
  EXPECT_EQ(event.param(2).len, big.size());
}

TEST(Event, EveryTruncationIsRefused) {
  const auto bytes = EventBuilder(ev::SYSCALL_OPEN_X, 1, 1).num<int64_t>(3).text("/a").num<uint32_t>(1).build();
  for (size_t length = 0; length < bytes.size(); ++length) {
    Event event;
    EXPECT_FALSE(Event::parse(std::span(bytes).first(length), event)) << length;
  }
}

TEST(Event, LengthsBeyondTheEventAreRefused) {
  auto bytes = EventBuilder(ev::SYSCALL_OPEN_X, 1, 1).num<int64_t>(3).text("/a").num<uint32_t>(1).build();
  bytes[sizeof(EventHeader) + 2] = 0xFF;  // the path's length
  Event event;
  EXPECT_EQ(Event::parse(bytes, event).error().code, Code::malformed);
}

}  // namespace quell
