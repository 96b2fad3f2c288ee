#include "detect/output.h"

#include <gtest/gtest.h>

#include "base/text.h"
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

TEST(Output, PayloadsCanBeBase64) {
  FakeState state;
  state.add(10, 0, "cat");
  const std::string payload = std::string("a\0b\xff", 4) + std::string(2000, 'x');
  FakeEvent event(EventBuilder(ev::SYSCALL_WRITE_X, 1, 10)
                      .num<int64_t>(static_cast<int64_t>(payload.size()))
                      .raw(payload.data(), payload.size())
                      .num<int64_t>(1)
                      .num<uint32_t>(static_cast<uint32_t>(payload.size()))
                      .build(),
                  state);
  Arena arena;
  const auto shown = [&](const char* text, bool as_base64) {
    OutputTemplate out;
    EXPECT_TRUE(OutputTemplate::parse(text, &out).empty());
    std::vector<NamedValue> fields;
    const std::string message = out.render({event.context, arena, nullptr, nullptr, as_base64}, &fields);
    EXPECT_EQ(fields.size(), 1u);
    EXPECT_EQ(std::get<std::string>(fields[0].second), message);
    return message;
  };
  EXPECT_EQ(shown("%evt.buffer", false), printable(payload).substr(0, 1023));
  EXPECT_EQ(shown("%evt.buffer", true), base64(payload.substr(0, 765))) << "what is cut can be decoded";
  EXPECT_EQ(shown("%evt.arg.data", true), base64(payload));
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
