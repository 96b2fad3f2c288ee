#include "detect/output.h"

#include <gtest/gtest.h>

#include "fake_state.h"

namespace quell::detect {
namespace {

std::string render(const std::string& text) {
  FakeState state;
  state.add(1, 0, "systemd");
  Thread& thread = state.add(10, 1, "bash");
  thread.args = std::string("-c\0id\0", 6);
  FakeEvent event(EventBuilder(ev::SYSCALL_OPENAT_2_X, 1'714'558'830'123'456'789, 10)
                      .num<int64_t>(-2)
                      .num<int64_t>(-100)
                      .text("/etc/shadow")
                      .num<uint32_t>(3)
                      .num<uint32_t>(0644)
                      .build(),
                  state);
  OutputTemplate out;
  const auto findings = OutputTemplate::parse(text, &out);
  EXPECT_TRUE(findings.empty()) << text << ": " << findings[0].message;
  Arena arena;
  return out.render({event.context, arena});
}

TEST(Output, ReplacesTokensGreedily) {
  EXPECT_EQ(render("run (%proc.name) by %proc.pname."), "run (bash) by systemd.");
  EXPECT_EQ(render("%evt.type.%evt.res"), "openat.ENOENT");
  EXPECT_EQ(render("%evt.arg.name"), "/etc/shadow");
  EXPECT_EQ(render("%evt.arg.flags"), "O_RDWR");
  EXPECT_EQ(render("%evt.arg[0]"), "ENOENT");
  EXPECT_EQ(render("%evt.arg.mode"), "0644");
  EXPECT_EQ(render("%proc.aname[1]"), "systemd");
  EXPECT_EQ(render("%proc.cmdline"), "bash -c id");
  EXPECT_EQ(render("%fd.name %fd.num"), "/etc/shadow -1");
  EXPECT_EQ(render("%toupper(proc.name)!"), "BASH!");
  EXPECT_EQ(render("%proc.name[x]"), "bash[x]") << "brackets after a field without argument are text";
}

TEST(Output, WidthCutsAndPads) {
  EXPECT_EQ(render("[%6proc.name]"), "[bash  ]");
  EXPECT_EQ(render("[%2proc.name]"), "[ba]");
}

TEST(Output, AbsentPrintsAsNa) { EXPECT_EQ(render("%proc.aname[7] %container.name"), "<NA> host"); }

TEST(Output, ReportsWhatIsWrong) {
  const auto findings = OutputTemplate::parse("a %proc.nmae b %", nullptr);
  ASSERT_EQ(findings.size(), 2u);
  EXPECT_TRUE(findings[0].unknown_filter);
  EXPECT_EQ(findings[0].suggestion, "did you mean proc.name?");
  EXPECT_EQ(findings[0].pos.offset, 2u);
  EXPECT_TRUE(findings[1].is_error);
  EXPECT_FALSE(findings[1].unknown_filter);
  EXPECT_EQ(OutputTemplate::parse("x %5", nullptr).size(), 1u);
}

}  // namespace
}  // namespace quell::detect
