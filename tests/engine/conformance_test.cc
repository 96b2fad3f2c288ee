// The public vectors of condition evaluation, each through the parser, the checks, the compiled program and the naive
// evaluator.
#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <boost/json/src.hpp>
#include <cstdlib>
#include <fstream>

#include "detect/engine.h"
#include "detect/falco/condition_parser.h"
#include "fake_state.h"
#include "naive.h"

namespace quell::detect {
namespace {

namespace json = boost::json;

std::pair<IpAddress, uint16_t> endpoint(const std::string& text) {
  const size_t colon = text.rfind(':');
  std::string host = text.substr(0, colon);
  if (host.front() == '[') host = host.substr(1, host.size() - 2);
  IpAddress address;
  address.family = host.find(':') == std::string::npos ? 4 : 6;
  EXPECT_EQ(inet_pton(address.family == 4 ? AF_INET : AF_INET6, host.c_str(), address.bytes.data()), 1);
  return {address, static_cast<uint16_t>(std::stoi(text.substr(colon + 1)))};
}

std::string unhex(std::string_view text) {
  std::string out;
  for (size_t i = 0; i + 1 < text.size(); i += 2)
    out += static_cast<char>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16));
  return out;
}

// The event and the world that a vector describes.
std::unique_ptr<FakeEvent> make_event(const json::object& context, FakeState& state) {
  const std::string kind(context.at("event").as_string());
  const json::object& fields = context.at("fields").as_object();
  const auto text = [&](const char* key) { return std::string(fields.at(key).as_string()); };
  int64_t parent = 0;
  if (const auto* names = fields.if_contains("ancestors (parent first) comm")) {
    int64_t tid = 100;
    const json::array& list = names->as_array();
    for (size_t i = 0; i < list.size(); ++i, ++tid)
      state.add(tid, i + 1 < list.size() ? tid + 1 : 0, std::string(list[i].as_string()));
    parent = 100;
  }
  Thread& thread = state.add(10, parent, fields.contains("proc.name") ? text("proc.name") : "test");
  if (kind == "execve exit")
    return std::make_unique<FakeEvent>(EventBuilder(ev::SYSCALL_EXECVE_19_X, 5, 10).num<int64_t>(0).build(), state);
  if (kind == "open exit, success") {
    uint32_t flags = 0;
    if (fields.contains("evt.arg.flags")) flags = 3 | 4;  // O_RDWR|O_CREAT
    const std::string name = text("fd.name");
    auto event = std::make_unique<FakeEvent>(EventBuilder(ev::SYSCALL_OPEN_X, 5, 10)
                                                 .num<int64_t>(3)
                                                 .text(name)
                                                 .num(flags)
                                                 .num<uint32_t>(0)
                                                 .num<uint32_t>(0)
                                                 .num<uint64_t>(0)
                                                 .build(),
                                             state);
    Fd fd;
    fd.type = FdType::file;
    fd.name = name;
    thread.fds->set(3, make_fd(fd));
    event->attach(3);
    return event;
  }
  if (kind == "open exit, failed with -1")
    return std::make_unique<FakeEvent>(
        EventBuilder(ev::SYSCALL_OPEN_X, 5, 10).num<int64_t>(-1).text("/x").num<uint32_t>(1).num<uint32_t>(0).build(),
        state);
  if (kind == "epoll_create exit") {
    auto event = std::make_unique<FakeEvent>(
        EventBuilder(ev::SYSCALL_EPOLL_CREATE_X, 5, 10).num<int64_t>(fields.at("evt.rawarg.res").as_int64()).build(),
        state);
    event->event.cpu = static_cast<uint16_t>(fields.at("evt.cpu").as_int64());
    return event;
  }
  if (kind == "read exit") {
    const std::string data = unhex(fields.at("evt.buffer").at("hex").as_string());
    return std::make_unique<FakeEvent>(EventBuilder(ev::SYSCALL_READ_X, 5, 10)
                                           .num<int64_t>(1)
                                           .raw(data.data(), data.size())
                                           .num<int64_t>(3)
                                           .num<uint32_t>(9)
                                           .build(),
                                       state);
  }
  if (kind == "connect exit, success") {
    Fd fd;
    std::tie(fd.tuple.source, fd.tuple.source_port) = endpoint(text("client"));
    std::tie(fd.tuple.dest, fd.tuple.dest_port) = endpoint(text("server"));
    fd.type = fd.tuple.source.family == 4 ? FdType::ipv4 : FdType::ipv6;
    fd.role = SocketRole::client;
    thread.fds->set(3, make_fd(fd));
    auto event = std::make_unique<FakeEvent>(
        EventBuilder(ev::SOCKET_CONNECT_X, 5, 10).num<int64_t>(0).empty().num<int64_t>(3).build(), state);
    event->attach(3);
    return event;
  }
  ADD_FAILURE() << "unknown event in a vector: " << kind;
  return nullptr;
}

TEST(Conformance, ConditionEvaluation) {
  const char* data = std::getenv("QUELL_TEST_DATA");
  if (data == nullptr) {
    puts("SKIPPED: QUELL_TEST_DATA is not set");
    GTEST_SKIP();
  }
  std::ifstream file(std::string(data) + "/samples/conformance/condition-evaluation.jsonl");
  ASSERT_TRUE(file);
  size_t vectors = 0;
  for (std::string line; std::getline(file, line);) {
    const json::object vector = json::parse(line).as_object();
    const std::string filter(vector.at("filter").as_string());
    SCOPED_TRACE(filter);
    ++vectors;
    FakeState state;
    const auto event = make_event(vector.at("context").as_object(), state);
    ASSERT_NE(event, nullptr);
    const auto parsed = falco::parse_condition(filter);
    if (const auto* compiles = vector.if_contains("compiles")) {
      const bool sound = parsed && semantics().check_condition("syscall", **parsed).empty();
      EXPECT_EQ(sound, compiles->as_bool());
      continue;
    }
    ASSERT_TRUE(parsed) << parsed.error().message;
    RuleSet rules;
    rules.rules.emplace_back();
    rules.rules[0].name = "vector";
    rules.rules[0].condition = *parsed;
    const auto program = compile(rules, {});
    ASSERT_TRUE(program) << program.error().message;
    Engine engine(*program);
    const bool expected = vector.at("expect").as_bool();
    EXPECT_EQ(!engine.evaluate(event->context).empty(), expected);
    EXPECT_EQ(!engine.evaluate(event->context).empty(), expected) << "the second time, with results remembered";
    EXPECT_EQ(naive_holds(**parsed, event->context), expected) << "naive evaluator";
  }
  EXPECT_GE(vectors, 103u);
}

}  // namespace
}  // namespace quell::detect
