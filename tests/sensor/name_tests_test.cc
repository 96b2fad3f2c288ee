// Tests of names as they are laid out for the kernel programs.
#include "capture/ebpf/name_tests.h"

#include <gtest/gtest.h>

#include <cstring>

namespace quell::capture {
namespace {

struct Memory {
  std::vector<quell_name_test> tests{kEventCodeCount, quell_name_test{}};
  std::vector<quell_name_prefix> prefixes{kNamePrefixes, quell_name_prefix{}};
  NameTests names{tests, prefixes};
  const quell_name_test& operator[](EventCode code) const { return tests[code]; }
};

Interest with(std::initializer_list<std::pair<EventCode, NameTest>> tests) {
  Interest interest;
  interest.plain_files_matter = false;
  interest.names.resize(kEventCodeCount);
  for (const auto& [code, test] : tests) interest.names[code] = test;
  return interest;
}

constexpr uint32_t kAlways = Need::kAlways;

TEST(SensorNameTests, LeavesNothingOutWithoutATest) {
  Memory memory;
  memory.names.set(Interest{});
  for (const quell_name_test& test : memory.tests) {
    EXPECT_EQ(test.any_success, kAlways);
    EXPECT_EQ(test.any_failure, kAlways);
  }
}

TEST(SensorNameTests, PrefixesStandOnce) {
  Memory memory;
  const NameTest test{{2, 0}, {"/etc/", "/root/.ssh"}};
  memory.names.set(with({{ev::SYSCALL_OPEN_X, test}, {ev::SYSCALL_OPENAT_2_X, test}, {ev::SYSCALL_CHDIR_X, test}}));
  EXPECT_EQ(memory[ev::SYSCALL_OPEN_X].any_success, 2u);
  EXPECT_EQ(memory[ev::SYSCALL_OPEN_X].any_failure, 0u);
  EXPECT_EQ(memory[ev::SYSCALL_OPEN_X].count, 2);
  EXPECT_EQ(memory[ev::SYSCALL_OPEN_X].first, memory[ev::SYSCALL_OPENAT_2_X].first);
  EXPECT_EQ(memory[ev::SYSCALL_CHDIR_X].any_success, kAlways) << "its programs do not look at names";
  const quell_name_prefix& second = memory.prefixes[memory[ev::SYSCALL_OPEN_X].first + size_t{1}];
  EXPECT_EQ(std::memcmp(second.text, "/root/.ssh\0\0", 12), 0);
  EXPECT_EQ(std::memcmp(second.mask, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0", 12), 0);
}

TEST(SensorNameTests, TheNextOnesStandElsewhere) {
  Memory memory;
  memory.names.set(with({{ev::SYSCALL_UNLINK_2_X, {{0, 0}, {"/a"}}}}));
  const size_t before = memory[ev::SYSCALL_UNLINK_2_X].first;
  memory.names.set(with({{ev::SYSCALL_UNLINK_2_X, {{0, 0}, {"/b"}}}}));
  EXPECT_NE(memory[ev::SYSCALL_UNLINK_2_X].first, before);
  EXPECT_EQ(std::memcmp(memory.prefixes[before].text, "/a", 2), 0) << "a program may still be looking there";
  memory.names.set(with({}));
  EXPECT_EQ(memory[ev::SYSCALL_UNLINK_2_X].any_success, kAlways);
}

TEST(SensorNameTests, OpenedFilesThatMatterAreTold) {
  Memory memory;
  Interest interest = with({{ev::SYSCALL_OPEN_X, {{0, 0}, {"/a"}}}, {ev::SYSCALL_UNLINK_2_X, {{0, 0}, {"/a"}}}});
  interest.plain_files_matter = true;
  memory.names.set(interest);
  EXPECT_EQ(memory[ev::SYSCALL_OPEN_X].any_success, kAlways);
  EXPECT_EQ(memory[ev::SYSCALL_OPEN_X].any_failure, 0u);
  EXPECT_EQ(memory[ev::SYSCALL_UNLINK_2_X].any_success, 0u);
}

TEST(SensorNameTests, WhatDoesNotFitIsTold) {
  Memory memory;
  memory.names.set(with({{ev::SYSCALL_UNLINK_2_X, {{0, 0}, std::vector<std::string>(17, "/a")}},
                         {ev::SYSCALL_RENAME_X, {{0, 0}, {std::string(65, '/')}}},
                         {ev::SYSCALL_MKDIR_2_X, {{0, 0}, {""}}},
                         {ev::SYSCALL_RMDIR_2_X, {{0, 0}, {}}}}));
  EXPECT_EQ(memory[ev::SYSCALL_UNLINK_2_X].any_success, kAlways);
  EXPECT_EQ(memory[ev::SYSCALL_RENAME_X].any_success, kAlways);
  EXPECT_EQ(memory[ev::SYSCALL_MKDIR_2_X].any_success, kAlways);
  EXPECT_EQ(memory[ev::SYSCALL_RMDIR_2_X].any_success, 0u) << "only names that cannot be compared";
  EXPECT_EQ(memory[ev::SYSCALL_RMDIR_2_X].count, 0);

  Interest many = with({});
  size_t fitting = 0, sets = 0;
  for (size_t code = 0; code < kEventCodeCount; ++code) {
    if (!has_file_names(static_cast<EventCode>(code))) continue;
    std::vector<std::string> prefixes;
    for (int i = 0; i < kNamePrefixesEach; ++i)
      prefixes.push_back("/" + std::to_string(code) + "/" + std::to_string(i));
    many.names[code] = {{0, 0}, prefixes};
    ++sets;
  }
  memory.names.set(many);
  for (const quell_name_test& test : memory.tests) fitting += test.any_success == 0 ? 1 : 0;
  EXPECT_EQ(fitting, size_t{kNamePrefixes / 2 / kNamePrefixesEach});
  EXPECT_GT(sets, fitting);
}

}  // namespace
}  // namespace quell::capture
