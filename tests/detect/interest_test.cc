// What a sensor may leave out, from conditions.
#include "detect/interest.h"

#include <gtest/gtest.h>

#include "detect/engine.h"
#include "detect/falco/loader.h"

namespace quell::detect {
namespace {

constexpr uint32_t kAlways = Need::kAlways;

RuleSet rules_of(const std::vector<std::string>& conditions, const std::string& output = "o") {
  falco::Loader loader(semantics());
  std::string text;
  for (size_t i = 0; i < conditions.size(); ++i) {
    text += "- rule: r" + std::to_string(i) + "\n  desc: d\n  condition: " + conditions[i] + "\n  output: \"" + output +
            "\"\n  priority: INFO\n";
  }
  const auto result = loader.load("rules.yaml", text);
  EXPECT_TRUE(result.successful()) << text;
  return loader.rules();
}

Interest interest_in(const std::vector<std::string>& conditions, const std::string& output = "o") {
  const RuleSet rules = rules_of(conditions, output);
  const auto program = compile(rules, {});
  EXPECT_TRUE(program);
  return interest_of(rules, wanted_event_codes(**program));
}

Need openat_need(const std::string& test) {
  return interest_in({"evt.type=openat and " + test}).need(ev::SYSCALL_OPENAT_2_X);
}

TEST(Interest, Results) {
  const Need success{kAlways, 0}, failure{0, kAlways}, ever{};
  EXPECT_EQ(openat_need("fd.num>=0"), success);
  EXPECT_EQ(openat_need("fd.num>0"), success) << "0 is a success, too; it may be delivered";
  EXPECT_EQ(openat_need("fd.num>-1"), success);
  EXPECT_EQ(openat_need("fd.num<0"), failure);
  EXPECT_EQ(openat_need("not fd.num>=0"), ever) << "true as well where there is no descriptor to tell";
  EXPECT_EQ(openat_need("evt.rawres>=0"), success);
  EXPECT_EQ(openat_need("evt.rawres<=-1"), failure);
  EXPECT_EQ(openat_need("evt.rawres>=-2"), ever);
  EXPECT_EQ(openat_need("evt.rawres=-13"), failure);
  EXPECT_EQ(openat_need("not evt.rawres=-13"), ever);
  EXPECT_EQ(openat_need("evt.res=SUCCESS"), success);
  EXPECT_EQ(openat_need("evt.res!=SUCCESS"), failure);
  EXPECT_EQ(openat_need("evt.res=EACCES"), failure);
  EXPECT_EQ(openat_need("evt.res!=EACCES"), ever);
  EXPECT_EQ(openat_need("evt.failed=true"), failure);
  EXPECT_EQ(openat_need("evt.failed=false"), success);
  EXPECT_EQ(openat_need("proc.name=x"), ever);
}

TEST(Interest, Flags) {
  EXPECT_EQ(openat_need("evt.is_open_write=true"), (Need{2, 2}));
  EXPECT_EQ(openat_need("evt.is_open_write=true and fd.num>=0"), (Need{2, 0}));
  EXPECT_EQ(openat_need("(evt.is_open_write=true or evt.is_open_read=true)"), (Need{3, 3}));
  EXPECT_EQ(openat_need("(evt.is_open_write=true or fd.name=/x)"), (Need{}));
  EXPECT_EQ(openat_need("not evt.is_open_write=true"), (Need{})) << "a mask cannot say that bits are absent";
  EXPECT_EQ(openat_need("(evt.is_open_write=true and fd.num>=0 or evt.failed=true)"), (Need{2, kAlways}));
  EXPECT_EQ(openat_need("not (evt.failed=true or fd.name=/x)"), (Need{kAlways, 0}));
  EXPECT_EQ(interest_in({"evt.type=creat and evt.is_open_write=true"}).need(ev::SYSCALL_CREAT_X), Need{});
}

TEST(Interest, SeveralRulesJoin) {
  const Interest interest = interest_in({"evt.type=openat and evt.is_open_write=true and fd.num>=0",
                                         "evt.type in (openat, open) and evt.is_open_read=true and evt.failed=true"});
  EXPECT_EQ(interest.need(ev::SYSCALL_OPENAT_2_X), (Need{2, 1}));
  EXPECT_EQ(interest.need(ev::SYSCALL_OPEN_X), (Need{0, 1}));
  EXPECT_FALSE(interest.plain_files_matter);
}

TEST(Interest, PlainFilesMatterToOtherEvents) {
  const std::string open = "evt.type=openat and evt.is_open_write=true and fd.name startswith /etc";
  EXPECT_FALSE(interest_in({open}).plain_files_matter);
  EXPECT_FALSE(interest_in({open, "evt.type=execve and proc.name=x"}).plain_files_matter);
  EXPECT_TRUE(interest_in({open, "evt.type=read and fd.name=/etc/shadow"}).plain_files_matter);
  EXPECT_TRUE(interest_in({open, "evt.type=dup and fd.type=ipv4"}).plain_files_matter);
  EXPECT_TRUE(interest_in({open, "evt.type=write and proc.name=x"}, "%fd.name").plain_files_matter);
  EXPECT_TRUE(interest_in({open, "evt.type=write and proc.name=x"}, "%evt.args").plain_files_matter);
  EXPECT_TRUE(interest_in({open, "evt.type=execve and fd.types intersects (file)"}).plain_files_matter);
  EXPECT_TRUE(interest_in({open, "proc.name=x and fd.name=/x"}).plain_files_matter) << "no type: every event";
}

TEST(Interest, GenericCallsByName) {
  const Interest interest = interest_in({"evt.type in (getppid, openat)", "syscall.type=times and proc.name=x"});
  EXPECT_TRUE(interest.wants_generic(syscall_by_name("getppid")->code));
  EXPECT_TRUE(interest.wants_generic(syscall_by_name("times")->code));
  EXPECT_FALSE(interest.wants_generic(syscall_by_name("getpid")->code));
  EXPECT_FALSE(interest_in({"evt.type=openat"}).wants_generic(syscall_by_name("getppid")->code));
}

}  // namespace
}  // namespace quell::detect
