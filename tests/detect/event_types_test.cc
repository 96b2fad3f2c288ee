#include "detect/falco/event_types.h"

#include <gtest/gtest.h>

#include "detect/falco/condition_parser.h"

namespace quell::detect::falco {
namespace {

EventSet events_of(std::string_view condition) {
  std::vector<EventTypeError> errors;
  const auto tree = parse_condition(condition);
  EXPECT_TRUE(tree) << condition;
  const EventSet set = possible_events(**tree, errors);
  EXPECT_TRUE(errors.empty()) << condition;
  return set;
}

EventSet named(std::initializer_list<const char*> names) {
  EventSet set;
  for (const char* name : names)
    for (const EventCode code : event_codes_named(name)) set.set(code);
  return set;
}

const EventSet kAll = EventSet().set();

TEST(EventTypes, Checks) {
  EXPECT_EQ(events_of("evt.type = open"), named({"open"}));
  EXPECT_EQ(events_of("syscall.type = open"), named({"open"}));
  EXPECT_EQ(events_of("evt.type in (open, close)"), named({"open", "close"}));
  EXPECT_EQ(events_of("evt.type in ()"), EventSet());
  EXPECT_EQ(events_of("evt.type != open"), ~named({"open"}));
  EXPECT_EQ(events_of("evt.type exists"), kAll);
  EXPECT_EQ(events_of("not evt.type exists"), EventSet());
  EXPECT_EQ(events_of("evt.type contains open"), kAll);
  EXPECT_EQ(events_of("not evt.type contains open"), kAll);
  EXPECT_EQ(events_of("evt.type = anyof (open, close)"), named({"open", "close"}));
  EXPECT_EQ(events_of("not evt.type = oneof (open, open)"), kAll);
  EXPECT_EQ(events_of("proc.name = open"), kAll);
  EXPECT_EQ(events_of("not proc.name = open"), kAll);
  EXPECT_TRUE(events_of("evt.type = container").test(ev::ASYNCEVENT_E));
  EXPECT_TRUE(events_of("evt.type = container").test(ev::CONTAINER_JSON_E));
  EXPECT_TRUE(events_of("evt.type = container_removed").test(ev::ASYNCEVENT_E));
}

TEST(EventTypes, Combinations) {
  EXPECT_EQ(events_of("evt.type = open and proc.name = x"), named({"open"}));
  EXPECT_EQ(events_of("evt.type = open or proc.name = x"), kAll);
  EXPECT_EQ(events_of("evt.type = open and evt.type = close"), EventSet());
  EXPECT_EQ(events_of("not (not evt.type = open)"), named({"open"}));
  EXPECT_EQ(events_of("not (not (evt.type = open and not evt.type = close))"), named({"open"}));
  EXPECT_EQ(events_of("not (evt.type = open or evt.type = close)"), ~named({"open", "close"}));
  EXPECT_EQ(events_of("not (evt.type = open and proc.name = x)"), kAll);
  EXPECT_EQ(events_of("not (evt.type != open or proc.name = x)"), named({"open"}));
}

TEST(EventTypes, EventNumbersStartAtOne) {
  for (const char* never : {"evt.num = 0", "evt.num < 1", "evt.num <= 0", "evt.num < 0", "evt.num in (0, 0x0)",
                            "evt.num in ()", "not evt.num >= 1", "not evt.num != 0", "not evt.num > 0"})
    EXPECT_EQ(events_of(never), EventSet()) << never;
  for (const char* possible :
       {"evt.num = 1", "evt.num != 1", "evt.num > 1", "evt.num < -1", "evt.num in (0, 1)", "evt.num exists",
        "not evt.num = 0", "evt.num = x", "not evt.num = 5", "evt.num > 0", "evt.num = val(proc.pid)"})
    EXPECT_EQ(events_of(possible), kAll) << possible;
  EXPECT_EQ(events_of("evt.type = open and not evt.num = 0"), named({"open"}));
}

TEST(EventTypes, UndecidableUsesAreErrors) {
  for (const char* bad : {"evt.type = val(proc.name)", "tolower(evt.type) = open", "not evt.type in val(proc.args)",
                          "concat(evt.type, proc.name) = a"}) {
    std::vector<EventTypeError> errors;
    possible_events(**parse_condition(bad), errors);
    EXPECT_EQ(errors.size(), 1u) << bad;
  }
}

}  // namespace
}  // namespace quell::detect::falco
