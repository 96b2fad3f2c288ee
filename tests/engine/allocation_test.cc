// Evaluating an event that no rule matches allocates nothing. This binary counts every allocation.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "detect/engine.h"
#include "detect/falco/condition_parser.h"
#include "fake_state.h"

namespace {
size_t g_allocations = 0;
}

// Not inlined: the compiler would take malloc and free for a mismatch.
[[gnu::noinline]] void* operator new(size_t size, const std::nothrow_t&) noexcept {
  ++g_allocations;
  return std::malloc(size);
}
[[gnu::noinline]] void* operator new(size_t size) {
  if (void* memory = operator new(size, std::nothrow)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace quell::detect {
namespace {

TEST(Engine, AllocatesNothingWhereNothingFires) {
  RuleSet rules;
  for (const char* condition :
       {"evt.type = openat and fd.name in (/etc/shadow, /etc/sudoers) and not proc.name in (sshd, sudo)",
        "evt.type = openat and evt.is_open_write = true and fd.directory startswith /usr/bin",
        "evt.type in (open, openat) and fd.name pmatch (/root/.ssh, /home/*/.ssh) and proc.aname contains httpd",
        "evt.type = openat and fd.filename glob *.pem and not (proc.name = nginx and fd.directory = /etc/nginx)",
        "evt.type = openat and fd.name icontains SECRET and proc.pname = bash",
        "evt.type = execve and proc.cmdline contains \"nc -e\"",
        "evt.type = connect and fd.sport in (1, 2, 3, 4, 5)"}) {
    Rule rule;
    rule.name = condition;
    rule.condition = *falco::parse_condition(condition);
    rules.rules.push_back(std::move(rule));
  }
  Engine engine(*compile(rules, {}));
  FakeState state;
  state.add(1, 0, "init");
  for (int64_t tid = 2; tid < 10; ++tid) state.add(tid, 1, "worker-with-a-long-name-" + std::to_string(tid));
  std::vector<std::unique_ptr<FakeEvent>> events;
  for (int i = 0; i < 1000; ++i)
    events.push_back(std::make_unique<FakeEvent>(EventBuilder(ev::SYSCALL_OPENAT_2_X, 5, 2 + i % 8)
                                                     .num<int64_t>(-2)
                                                     .num<int64_t>(-100)
                                                     .text("/srv/www/data/file-" + std::to_string(i))
                                                     .num<uint32_t>(3)
                                                     .build(),
                                                 state));
  const auto run = [&](size_t first, size_t last) {
    size_t matches = 0;
    for (size_t i = first; i < last; ++i) matches += engine.evaluate(events[i]->context).size();
    return matches;
  };
  // Processes and buffers become known; then every path is a new one.
  EXPECT_EQ(run(0, 100), 0u);
  const size_t before = g_allocations;
  const size_t matches = run(100, events.size());
  const size_t allocations = g_allocations - before;
  EXPECT_EQ(matches, 0u);
  EXPECT_EQ(allocations, 0u);
}

}  // namespace
}  // namespace quell::detect
