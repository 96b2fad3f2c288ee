// The published captures: counts, and agreement with another reader of the format, event by event.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <set>
#include <sstream>

#include "capture/scap/reader.h"
#include "drain.h"

namespace quell::capture {
namespace {
using namespace testing;

struct Sample {
  const char* name;
  uint64_t event_blocks;
  size_t threads;  // 0: not stated
};
constexpr Sample kSamples[] = {
    {"cat_write", 345, 0},    {"connect_localhost", 374, 0},   {"open-multiple-files", 1272, 0},
    {"empty", 143, 218},      {"psp_privileged", 2059, 0},     {"psp_write_tmp_test", 229, 0},
    {"curl_google", 1536, 0}, {"single_ipv6_conn", 1728, 154}, {"tcp-client-server", 2302, 0},
};

class ScapSamples : public ::testing::TestWithParam<Sample> {
 protected:
  void SetUp() override {
    const char* data = std::getenv("QUELL_TEST_DATA");
    if (data == nullptr) {
      std::cout << "SKIPPED: QUELL_TEST_DATA is not set" << std::endl;
      GTEST_SKIP();
    }
    path_ = std::string(data) + "/samples/scap/" + GetParam().name + ".scap";
  }
  std::string path_;
};

TEST_P(ScapSamples, ReadsToTheEnd) {
  auto source = open_scap(path_);
  ASSERT_TRUE(source) << source.error().str();
  const Drained all = drain(**source);
  EXPECT_FALSE(all.error) << all.error->str();
  EXPECT_TRUE(all.all_parse);
  EXPECT_EQ(all.counters.events, GetParam().event_blocks);
  EXPECT_EQ(all.counters.skipped_blocks, 0u);
  EXPECT_EQ(all.counters.skipped_events, 0u);
  EXPECT_EQ(all.counters.skipped_entries, 0u);
  EXPECT_EQ(all.counters.enters_not_kept, 0u);
  if (GetParam().threads > 0) {
    EXPECT_EQ((*source)->snapshot().threads.size(), GetParam().threads);
  }
  EXPECT_FALSE((*source)->snapshot().threads.empty());
  EXPECT_FALSE((*source)->snapshot().machine.hostname.empty());
  for (const Read& read : all.events) {
    EXPECT_LE(read.number, GetParam().event_blocks);
    EXPECT_FALSE(read.event.spec().has(kEvOldVersion) && read.event.spec().dir == EventDir::exit)
        << read.event.spec().id;
  }
}

struct Line {
  uint64_t time;
  std::string type;
  int64_t tid;
  bool enter;
};

/// The name that sysdig shows: system calls without an event of their own travel in a generic one, with a number.
std::string_view shown_type(const Event& event) {
  if (event.code() != ev::GENERIC_X) return event.spec().name;
  const SyscallSpec* call = syscall_by_code(static_cast<uint32_t>(event.param(0).u64()));
  return call != nullptr ? call->name : event.spec().name;
}

/// sysdig writes a system call without a name as "<unknown>".
std::string_view without_brackets(std::string_view name) {
  return name.starts_with('<') && name.ends_with('>') ? name.substr(1, name.size() - 2) : name;
}

std::map<uint64_t, Line> read_with_sysdig(const std::string& path) {
  std::map<uint64_t, Line> lines;
  const std::string command =
      "sysdig -r '" + path + "' -p '%evt.num %evt.rawtime %evt.type %thread.tid %evt.dir' 2>/dev/null";
  FILE* pipe = ::popen(command.c_str(), "r");
  char buffer[512];
  while (pipe != nullptr && std::fgets(buffer, sizeof buffer, pipe) != nullptr) {
    std::istringstream in(buffer);
    uint64_t number = 0;
    Line line;
    std::string dir;
    if (in >> number >> line.time >> line.type >> line.tid >> dir) {
      line.enter = dir == ">";
      lines[number] = line;
    }
  }
  if (pipe != nullptr) ::pclose(pipe);
  return lines;
}

TEST_P(ScapSamples, AgreesWithSysdig) {
  if (std::system("command -v sysdig >/dev/null 2>&1") != 0) {
    std::cout << "SKIPPED: sysdig is not installed" << std::endl;
    GTEST_SKIP();
  }
  const std::map<uint64_t, Line> lines = read_with_sysdig(path_);
  auto source = open_scap(path_);
  ASSERT_TRUE(source) << source.error().str();
  const Drained all = drain(**source);
  std::set<uint64_t> ours;
  size_t compared = 0;
  for (const Read& read : all.events) {
    ours.insert(read.number);
    const EventCode code = read.event.code();
    const auto line = lines.find(read.number);
    if (line == lines.end()) {
      // sysdig numbers these two and keeps them to itself.
      EXPECT_TRUE(code == ev::PROCINFO_E || code == ev::CONTAINER_JSON_2_E)
          << read.number << " " << read.event.spec().id;
      continue;
    }
    ++compared;
    EXPECT_EQ(line->second.time, read.event.ts_ns()) << read.number;
    EXPECT_EQ(without_brackets(line->second.type), shown_type(read.event)) << read.number;
    EXPECT_EQ(line->second.tid, read.event.tid()) << read.number;
  }
  // What only sysdig shows are enter events, which we merge into their exits.
  for (const auto& [number, line] : lines) {
    if (!ours.contains(number)) {
      EXPECT_TRUE(line.enter) << number << " " << line.type;
    }
  }
  const bool holds_system_calls = std::string_view(GetParam().name) != "empty";
  EXPECT_EQ(compared > 0, holds_system_calls);
}

INSTANTIATE_TEST_SUITE_P(Published, ScapSamples, ::testing::ValuesIn(kSamples), [](const auto& sample) {
  std::string name = sample.param.name;
  for (char& c : name)
    if (!isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
});

}  // namespace
}  // namespace quell::capture
