#include <gtest/gtest.h>

#include "blocks.h"
#include "capture/scap/reader.h"
#include "drain.h"

namespace quell::capture {
namespace {
using namespace testing;
using namespace scap;

std::unique_ptr<EventSource> open_bytes(const Bytes& bytes) {
  auto source = open_scap_bytes(bytes);
  EXPECT_TRUE(source) << (source ? "" : source.error().str());
  return source ? std::move(*source) : nullptr;
}
Drained drain_bytes(const Bytes& bytes) { return drain(*open_bytes(bytes)); }

Bytes close_x(uint64_t ts, uint64_t tid, int64_t fd) {
  return ev2(ev::SYSCALL_CLOSE_X, ts, tid, {num64(0), num64(fd)});
}

TEST(ScapReader, RefusesWhatIsNotACapture) {
  const auto code = [](const Bytes& bytes) { return open_scap_bytes(bytes).error().code; };
  EXPECT_EQ(code({}), Code::truncated);
  EXPECT_EQ(code({1, 2, 3}), Code::malformed);
  EXPECT_EQ(code(Bytes(64, 'x')), Code::malformed);
  EXPECT_EQ(code(section(2, 2)), Code::unsupported) << "a newer major version";
  EXPECT_EQ(code(section(2, 1, kByteOrderSwapped)), Code::unsupported);
  EXPECT_EQ(code(section(2, 1, 77)), Code::malformed);
  Bytes cut = section();
  cut.resize(20);
  EXPECT_EQ(code(cut), Code::truncated);
  EXPECT_EQ(open_scap("/nonexistent/x.scap").error().code, Code::not_found);
}

TEST(ScapReader, AnEmptyCaptureEnds) {
  const Drained all = drain_bytes(section(7));
  EXPECT_TRUE(all.events.empty());
  EXPECT_FALSE(all.error);
}

TEST(ScapReader, MergesAnOldEnterIntoItsExitAndKeepsNumbers) {
  const Drained all = drain_bytes(section() + ev2(ev::SYSCALL_READ_E, 1, 7, {num64(5), num32(100)}) +
                                  ev2(ev::SYSCALL_READ_X, 2, 7, {num64(3), text("ab")}) + close_x(3, 7, 5));
  ASSERT_EQ(all.events.size(), 2u);
  const Event& read = all.events[0].event;
  EXPECT_EQ(all.events[0].number, 2u) << "the enter event is number 1";
  EXPECT_EQ(read.nparams(), 4u);
  EXPECT_EQ(read.param(1).text(), "ab");
  EXPECT_EQ(read.param(2).i64(), 5);
  EXPECT_EQ(read.param(3).u64(), 100u);
  EXPECT_EQ(all.events[1].number, 3u);
  EXPECT_EQ(all.counters.events, 3u);
}

TEST(ScapReader, AnExitWithoutItsEnterGetsDefaults) {
  const Drained all = drain_bytes(section() + ev2(ev::SYSCALL_WRITE_E, 1, 7, {num64(5), num32(100)}) +
                                  ev2(ev::SYSCALL_READ_X, 2, 7, {num64(3), text("ab")}) +
                                  ev2(ev::SYSCALL_READ_X, 3, 8, {num64(3), text("ab")}));
  ASSERT_EQ(all.events.size(), 2u);
  for (const Read& read : all.events) {
    EXPECT_EQ(read.event.param(2).i64(), 0) << "not the descriptor of another call";
    EXPECT_EQ(read.event.param(2).len, 8u);
  }
}

TEST(ScapReader, AnEnterIsUsedOnce) {
  const Bytes exit = ev2(ev::SYSCALL_SETUID_X, 2, 7, {num64(0)});
  const Drained all = drain_bytes(section() + ev2(ev::SYSCALL_SETUID_E, 1, 7, {num32(1000)}) + exit + exit);
  ASSERT_EQ(all.events.size(), 2u);
  EXPECT_EQ(all.events[0].event.param(1).u64(), 1000u);
  EXPECT_TRUE(all.events[1].event.param(1).empty());
}

TEST(ScapReader, ChangesOldTypesThroughSeveralVersions) {
  std::vector<Bytes> params = {num64(0), text("sh"), text("-c"), num64(9), num64(9), num64(1), text("/"), num64(1024)};
  const Drained all = drain_bytes(section() + ev1(ev::SYSCALL_EXECVE_8_X, 5, 9, params));
  ASSERT_EQ(all.events.size(), 1u);
  const Event& exec = all.events[0].event;
  EXPECT_EQ(exec.code(), ev::SYSCALL_EXECVE_19_X);
  EXPECT_EQ(exec.nparams(), exec.spec().params.size());
  EXPECT_EQ(exec.param(1).text(), "sh");
  EXPECT_EQ(exec.param(4).i64(), 9);
  EXPECT_FALSE(exec.param(27).len);
}

TEST(ScapReader, WritesTheOldestContainerEventAsJson) {
  const Drained all =
      drain_bytes(section() + ev1(ev::CONTAINER_E, 5, 0, {text("abc"), num32(0), text("a\"b"), text("img")}) +
                  ev2(ev::CONTAINER_E, 6, 0, {text("abc")}));
  ASSERT_EQ(all.events.size(), 2u);
  EXPECT_EQ(all.events[0].event.code(), ev::CONTAINER_JSON_2_E);
  EXPECT_EQ(all.events[0].event.param(0).text(), R"({"container":{"id":"abc","type":0,"name":"a\"b","image":"img"}})");
  EXPECT_EQ(all.events[1].event.param(0).text(), R"({"container":{"id":"abc","type":0,"name":"","image":""}})");
}

TEST(ScapReader, EnterEventsThatRemainAreForTheTablesAlone) {
  const Drained all =
      drain_bytes(section() + ev2(ev::SYSCALL_OPEN_E, 1, 7, {text("/etc"), num32(1), num32(0)}) +
                  ev2(ev::SYSCALL_OPEN_X, 2, 7, {num64(3), text("/etc"), num32(1), num32(0), num32(8), num64(12)}));
  ASSERT_EQ(all.events.size(), 2u);
  EXPECT_TRUE(all.events[0].state_only);
  EXPECT_FALSE(all.events[1].state_only);
}

TEST(ScapReader, ReadsFlagsAndLargeBlocks) {
  Bytes flagged;
  ByteWriter w(flagged);
  w.write(uint16_t{3});
  w.write(uint32_t{1});
  const Bytes close = event(ev::SYSCALL_CLOSE_X, 1, 7, {num64(0), num64(4)});
  const Bytes json = event(ev::CONTAINER_JSON_2_E, 2, 0, {text(std::string(100'000, 'x'))}, false, true);
  const Drained all =
      drain_bytes(section() + block(kEventFlagsV2, flagged + close) + event_block(kEventV2Large, json, 5));
  ASSERT_EQ(all.events.size(), 2u);
  EXPECT_TRUE(all.events[0].state_only);
  EXPECT_EQ(all.events[0].cpu, 3);
  EXPECT_EQ(all.events[1].event.param(0).len, 100'001u);
  EXPECT_EQ(all.events[1].cpu, 5);
}

TEST(ScapReader, CountsWhatItDoesNotKnow) {
  const Drained all = drain_bytes(section() + block(0x999, Bytes(40, 1)) + close_x(1, 7, 4) + block(0x999, {}) +
                                  ev2(60'000, 2, 7, {}) + close_x(3, 7, 4));
  EXPECT_FALSE(all.error);
  ASSERT_EQ(all.events.size(), 2u);
  EXPECT_EQ(all.events[1].number, 3u);
  EXPECT_EQ(all.counters.skipped_blocks, 2u);
  EXPECT_EQ(all.counters.skipped_events, 1u);
}

TEST(ScapReader, IgnoresParametersOfANewerSchema) {
  const Drained all = drain_bytes(section() + ev2(ev::SYSCALL_CLOSE_X, 1, 7, {num64(0), num64(4), num64(99)}));
  ASSERT_EQ(all.events.size(), 1u);
  EXPECT_EQ(all.events[0].event.nparams(), 2u);
  EXPECT_EQ(all.events[0].event.param(1).i64(), 4);
}

TEST(ScapReader, AnAppendedCaptureRestarts) {
  Bytes user;
  ByteWriter w(user);
  w.write(uint32_t{4 + 1 + 4 + 2 + 3});
  w.write(uint8_t{1});
  w.write(uint32_t{42});
  w.write_str16("dev");
  const Bytes first = section() + close_x(1, 7, 4) + close_x(2, 7, 4);
  const Bytes second = section() + block(kUserListV2, user) + close_x(3, 7, 4);
  auto source = open_bytes(first + second);
  EXPECT_TRUE(source->snapshot().groups.empty());
  EventBatch batch;
  ASSERT_EQ(*source->fill(batch, 0), Pull::more);
  EXPECT_EQ(batch.size(), 2u);
  ASSERT_EQ(*source->fill(batch, 0), Pull::restarted);
  EXPECT_EQ(batch.size(), 1u);
  ASSERT_EQ(source->snapshot().groups.size(), 1u);
  EXPECT_EQ(source->snapshot().groups[0].name, "dev");
  EXPECT_EQ(*source->fill(batch, 0), Pull::ended);
  EXPECT_EQ(*source->fill(batch, 0), Pull::ended);
}

TEST(ScapReader, ReadsGzipMembersAndMixtures) {
  const Bytes capture = section() + close_x(1, 7, 4);
  for (const Bytes& bytes : {gzip(capture), gzip(capture) + gzip(close_x(2, 7, 4)), gzip(capture) + Bytes(700, 0),
                             gzip(section()) + gzip({}) + gzip({}) + close_x(2, 7, 4), gzip(capture) + capture}) {
    const Drained all = drain_bytes(bytes);
    EXPECT_FALSE(all.error) << all.error->str();
    EXPECT_GE(all.events.size(), 1u);
  }
  EXPECT_EQ(drain_bytes(gzip(capture) + gzip(close_x(2, 7, 4))).events.size(), 2u);
}

TEST(ScapReader, ATruncatedCaptureGivesItsPrefixAtEveryByte) {
  const Bytes head = section();
  Bytes whole = head;
  std::vector<size_t> ends = {whole.size()};
  for (int i = 0; i < 6; ++i) {
    whole = whole + (i % 2 ? close_x(static_cast<uint64_t>(i), 7, 4)
                           : ev1(ev::SYSCALL_CLOSE_X, static_cast<uint64_t>(i), 7, {num64(0)}));
    ends.push_back(whole.size());
  }
  for (size_t length = head.size(); length <= whole.size(); ++length) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(length));
    const Drained all = drain_bytes(cut);
    const auto complete = static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), length) - ends.begin()) - 1;
    EXPECT_EQ(all.events.size(), complete) << length;
    const bool boundary = ends[complete] == length;
    ASSERT_EQ(all.error.has_value(), !boundary) << length;
    if (!boundary) {
      EXPECT_EQ(all.error->code, Code::truncated);
      EXPECT_EQ(all.error->where, std::to_string(ends[complete])) << "where the unfinished block begins";
    }
  }
  for (size_t length = 1; length < head.size(); ++length)
    EXPECT_FALSE(open_scap_bytes(Bytes(head.begin(), head.begin() + static_cast<ptrdiff_t>(length))));
}

TEST(ScapReader, ATruncatedGzipIsTruncatedEvenBetweenBlocks) {
  Bytes zipped = gzip(section() + close_x(1, 7, 4));
  zipped.resize(zipped.size() - 4);  // all the data is there, the end mark is not
  const Drained all = drain_bytes(zipped);
  EXPECT_EQ(all.events.size(), 1u);
  ASSERT_TRUE(all.error);
  EXPECT_EQ(all.error->code, Code::truncated);
}

TEST(ScapReader, MalformedBlocksStopAfterTheGoodOnes) {
  const Bytes good = section() + close_x(1, 7, 4);
  std::vector<Bytes> bad;
  Bytes trailer = close_x(2, 7, 4);
  trailer[trailer.size() - 4] ^= 4;
  bad.push_back(trailer);
  Bytes tiny = close_x(2, 7, 4);
  ByteWriter(tiny).patch(4, uint32_t{8});
  bad.push_back(tiny);
  Bytes huge = close_x(2, 7, 4);
  ByteWriter(huge).patch(4, uint32_t{0x7FFFFFF0});
  bad.push_back(huge);
  for (const uint32_t length : {uint32_t{25}, uint32_t{1000}}) {
    Bytes wrong = event(ev::SYSCALL_CLOSE_X, 2, 7, {num64(0), num64(4)});
    ByteWriter(wrong).patch(16, length);
    bad.push_back(event_block(kEventV2, wrong));
  }
  Bytes many = event(ev::SYSCALL_CLOSE_X, 2, 7, {num64(0), num64(4)});
  ByteWriter(many).patch(22, UINT32_MAX);
  bad.push_back(event_block(kEventV2, many));
  Bytes past = event(ev::SYSCALL_CLOSE_X, 2, 7, {num64(0), num64(4)});
  ByteWriter(past).patch(28, uint16_t{9});
  bad.push_back(event_block(kEventV2, past));
  bad.push_back(event_block(kEventV2, Bytes(10, 0)));
  bad.push_back(event_block(kEventV1, Bytes(10, 0)));
  bad.push_back(ev1(ev::SYSCALL_CLOSE_X, 2, 7, {num64(0), num64(4), num64(1)}));
  for (size_t i = 0; i < bad.size(); ++i) {
    auto source = open_bytes(good + bad[i] + close_x(3, 7, 4));
    const Drained all = drain(*source);
    EXPECT_EQ(all.events.size(), 1u) << i;
    ASSERT_TRUE(all.error) << i;
    EXPECT_EQ(all.error->code, Code::malformed) << i;
    EXPECT_EQ(all.error->where, std::to_string(good.size())) << i;
    EventBatch batch;
    EXPECT_FALSE(source->fill(batch, 0)) << "an error stays";
  }
}

TEST(ScapReader, ReadsThreadsOfEveryVersion) {
  for (uint32_t version = 1; version <= 9; ++version) {
    Bytes body;
    ByteWriter w(body);
    for (int64_t tid : {10, 11}) {
      const size_t start = body.size();
      if (version >= 9) w.write(uint32_t{0});
      for (const int64_t id : {tid, int64_t{10}, int64_t{1}}) w.write(id);
      if (version >= 6) w.write(int64_t{6});
      if (version >= 8) w.write(int64_t{8});
      w.write_str16("bash");
      w.write_str16("/bin/bash");
      if (version >= 7) w.write_str16("/usr/bin/bash");
      w.write_str16(std::string_view("-l\0-i\0", 6));
      w.write_str16("/root");
      w.write(int64_t{1024});
      for (const uint32_t v : {1u, 2u, 3u}) w.write(v);
      if (version >= 2) {
        for (const uint32_t v : {4u, 5u, 6u}) w.write(v);
        for (const uint64_t v : {uint64_t{7}, uint64_t{8}}) w.write(v);
      }
      if (version >= 3) w.write_str16(std::string_view("A=1\0", 4));
      if (version >= 4) {
        w.write(int64_t{20});
        w.write(int64_t{21});
        w.write_str16(std::string_view("cpu=/x\0", 7));
      }
      if (version >= 5) w.write_str16("/");
      if (version >= 9) {
        w.write(uint32_t{1000});  // loginuid, exe_writable, caps: the layout before the tty went in
        w.write(uint8_t{1});
        for (const uint64_t v : {uint64_t{1}, uint64_t{2}, uint64_t{3}}) w.write(v);
        w.patch(start, static_cast<uint32_t>(body.size() - start));
      }
    }
    const uint32_t type = version < 4 ? std::array{0u, kProcessListV1, kProcessListV2, kProcessListV3}[version]
                                      : kProcessListV4 + version - 4;
    const auto source = open_bytes(section() + block(type, body));
    const Snapshot& snapshot = source->snapshot();
    ASSERT_EQ(snapshot.threads.size(), 2u) << version;
    EXPECT_EQ(source->counters().skipped_entries, 0u) << version;
    const Thread& t = snapshot.threads[1];
    EXPECT_EQ(t.tid, 11);
    EXPECT_EQ(t.pid, 10);
    EXPECT_EQ(t.cwd, "/root/");
    EXPECT_EQ(t.args.size(), 6u);
    EXPECT_EQ(t.gid, 3u);
    EXPECT_EQ(t.sid, version >= 6 ? 6 : -1);
    EXPECT_EQ(t.vpgid, version >= 8 ? 8 : -1);
    EXPECT_EQ(t.exepath, version >= 7 ? "/usr/bin/bash" : "");
    EXPECT_EQ(t.page_faults_minor, version >= 2 ? 8u : 0u);
    EXPECT_EQ(t.vpid, version >= 4 ? 21 : -1);
    EXPECT_EQ(t.loginuid, version >= 9 ? 1000u : UINT32_MAX);
    EXPECT_EQ(t.exe_writable, version >= 9);
    EXPECT_EQ(t.cap_effective, version >= 9 ? 3u : 0u);
    EXPECT_EQ(t.tty, 0u);
    EXPECT_EQ(t.pgid, -1);
  }
}

TEST(ScapReader, LeavesOutAndCountsUnreadableEntries) {
  Bytes body;
  ByteWriter w(body);
  const auto group = [&](uint32_t gid, std::string_view name, uint32_t length) {
    w.write(length);
    w.write(uint8_t{1});
    w.write(gid);
    w.write_str16(name);
  };
  group(1, "a", 12);
  w.write(uint32_t{6});  // too short for a group
  w.write(uint16_t{1});
  group(2, std::string(300, 'x'), 4 + 1 + 4 + 2 + 300);  // longer than the format allows
  group(3, "c", 12);
  w.write(uint32_t{2});  // shorter than itself: what follows cannot be found
  group(4, "d", 12);
  const auto source = open_bytes(section() + block(kUserListV2, body));
  ASSERT_EQ(source->snapshot().groups.size(), 2u);
  EXPECT_EQ(source->snapshot().groups[1].gid, 3u);
  EXPECT_EQ(source->counters().skipped_entries, 3u);
}

TEST(ScapReader, ReadsDescriptorsOfBothVersions) {
  for (const bool sized : {false, true}) {
    Bytes body;
    ByteWriter w(body);
    w.write(uint64_t{10});
    const auto entry = [&](int64_t fd, uint8_t type, const Bytes& rest) {
      if (sized) w.write(static_cast<uint32_t>(4 + 8 + 8 + 1 + rest.size()));
      w.write(fd);
      w.write(uint64_t{77});
      w.write(type);
      w.append(rest.data(), rest.size());
    };
    Bytes name;
    ByteWriter(name).write_str16("/etc/passwd");
    entry(0, 1, name);
    Bytes file;
    ByteWriter fw(file);
    fw.write(uint32_t{0x1001});
    fw.write_str16("/etc/shadow");
    if (sized) fw.write(uint32_t{5});
    entry(1, 16, file);
    entry(2, 5, {0, 0, 0, 0, 22, 0, 2});                                 // 0.0.0.0:22, TCP
    entry(3, 3, {10, 0, 0, 1, 10, 0, 0, 2, 0x39, 0x30, 0xBB, 0x01, 2});  // 10.0.0.1:12345 -> 10.0.0.2:443
    Bytes mapped(10, 0);
    mapped = mapped + Bytes{255, 255, 127, 0, 0, 1};
    entry(4, 4, mapped + mapped + Bytes{1, 0, 2, 0, 3});
    if (sized) entry(5, 99, {1, 2, 3});
    const auto source = open_bytes(section() + block(sized ? kFdListV2 : kFdListV1, body));
    const Snapshot& snapshot = source->snapshot();
    ASSERT_EQ(snapshot.fd_lists.size(), 1u);
    const auto& fds = snapshot.fd_lists[0].fds;
    ASSERT_EQ(fds.size(), sized ? 6u : 5u);
    EXPECT_EQ(fds[0].second.name, "/etc/passwd");
    EXPECT_EQ(fds[1].second.name, "/etc/shadow");
    EXPECT_TRUE(fds[1].second.has(kFdCloexec));
    EXPECT_EQ(fds[1].second.dev, sized ? 5u : 0u);
    EXPECT_EQ(fds[2].second.name, "0.0.0.0:22");
    EXPECT_EQ(snapshot.listening_ports, std::vector<uint16_t>{22});
    EXPECT_EQ(fds[3].second.name, "10.0.0.1:12345->10.0.0.2:443");
    EXPECT_EQ(fds[4].second.type, FdType::ipv4) << "IPv4 through an IPv6 socket";
    EXPECT_EQ(fds[4].second.name, "127.0.0.1:1->127.0.0.1:2");
    if (sized) {
      EXPECT_EQ(fds[5].second.name, "unknown-type:[99]");
    }
  }
}

}  // namespace
}  // namespace quell::capture
