// Memory of children of this test, which know what is in it.
#include "os/memory_dump.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "base/json.h"
#include "base/sha256.h"
#include "host_support.h"
#include "os/freezer.h"

namespace quell::os {
namespace {

std::string sha256_of(const std::string& bytes) {
  Sha256 sum;
  sum.update({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  return sum.finish();
}

/// Where the child put what the test looks for: mapped before the fork, so the address is known here.
class Memory {
 public:
  explicit Memory(size_t size, int protection = PROT_READ | PROT_WRITE)
      : size_(size),
        address_(
            static_cast<char*>(::mmap(nullptr, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))) {
  }
  ~Memory() { ::munmap(address_, size_); }
  char* get() const { return address_; }
  uint64_t address() const { return reinterpret_cast<uint64_t>(address_); }

 private:
  size_t size_;
  char* address_;
};

const DumpedRegion* region_of(const MemoryDump& dump, uint64_t address) {
  for (const DumpedRegion& region : dump.regions)
    if (region.region.start <= address && address < region.region.end) return &region;
  return nullptr;
}

std::string bytes_at(const TestFolder& folder, const MemoryDump& dump, uint64_t address, size_t size) {
  const std::string file = folder.read("dump");
  if (const DumpedRegion* region = region_of(dump, address))
    for (const MemoryPiece& piece : region->pieces)
      if (piece.address <= address && address + size <= piece.address + piece.size)
        return file.substr(piece.file_offset + (address - piece.address), size);
  return "<not in the dump>";
}

TEST(MemoryDump, HoldsWhatTheProcessHad) {
  const Memory memory(1 << 20), huge(1ull << 40, PROT_READ | PROT_WRITE);
  TestChild child([&] {
    std::strcpy(memory.get() + 5000, "the secret of the child");
    std::strcpy(huge.get() + (1ull << 39), "an island");
    ::mprotect(memory.get() + 8192, 4096, PROT_NONE);
  });
  TestFolder folder;
  const auto dump = dump_memory(machine(), child.handle(), folder.fd(), "dump", {});
  ASSERT_TRUE(dump) << dump.error().str();
  EXPECT_EQ(dump->end, DumpEnd::complete);
  EXPECT_EQ(bytes_at(folder, *dump, memory.address() + 5000, 23), "the secret of the child");
  EXPECT_EQ(bytes_at(folder, *dump, huge.address() + (1ull << 39), 9), "an island");
  struct stat info {};
  ASSERT_EQ(::stat((folder.path() + "/dump").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  EXPECT_EQ(static_cast<uint64_t>(info.st_size), dump->file_size);
  const std::string file = folder.read("dump");
  EXPECT_EQ(sha256_of(file), dump->sha256);
  uint64_t bytes = 0;
  for (const DumpedRegion& region : dump->regions) {
    std::string own;
    for (const MemoryPiece& piece : region.pieces) own += file.substr(piece.file_offset, piece.size);
    EXPECT_EQ(own.size(), region.bytes);
    EXPECT_EQ(own.empty() ? "" : sha256_of(own), region.sha256) << region.region.path;
    bytes += region.bytes;
  }
  EXPECT_EQ(bytes, dump->bytes);
  EXPECT_LT(dump->bytes, 200u << 20);
  const auto manifest = Json::parse(folder.read("dump.json"));
  ASSERT_TRUE(manifest) << manifest.error().str();
  EXPECT_EQ(manifest->at("sha256").str(), dump->sha256);
  EXPECT_EQ(manifest->at("process").at("pid").i64(), child.pid());
  EXPECT_EQ(manifest->at("regions").array()->size(), dump->regions.size());
  EXPECT_EQ(dump_memory(machine(), child.handle(), folder.fd(), "dump", {}).error().code, Code::already_exists);
  EXPECT_EQ(dump_memory(machine(), child.handle(), folder.fd(), "../x", {}).error().code, Code::invalid_argument);
}

TEST(MemoryDump, OfAFrozenProcess) {
  for (const char* hierarchy : {"unified", "freezer"}) {
    TestCgroup group(hierarchy);
    if (!group.made()) GTEST_SKIP() << "SKIPPED: no right to make cgroups of " << hierarchy;
    TestChild child([&] { group.add(::getpid()); });
    const auto plan = plan_cgroup_freeze(child.pid());
    ASSERT_TRUE(plan && freeze(plan->freezer, 10'000'000'000));
    TestFolder folder;
    const auto dump = dump_memory(machine(), child.handle(), folder.fd(), "dump", {});
    ASSERT_TRUE(dump) << dump.error().str();
    EXPECT_GT(dump->bytes, 100'000u);
    EXPECT_EQ(state_of(plan->freezer).value(), Frozen::yes);
    ASSERT_TRUE(thaw(plan->freezer, 10'000'000'000));
  }
}

TEST(MemoryDump, BudgetsAndCancelLeaveAManifestThatSaysSo) {
  const Memory memory(8 << 20);
  TestChild child([&] { std::memset(memory.get(), 7, 8 << 20); });
  const ProcessHandle handle = child.handle();
  for (const DumpEnd end : {DumpEnd::bytes_used_up, DumpEnd::time_used_up, DumpEnd::cancelled}) {
    TestFolder folder;
    MemoryDumpLimits limits;
    int asked = 0;
    if (end == DumpEnd::bytes_used_up) limits.max_bytes = (3 << 20) + 5;
    if (end == DumpEnd::time_used_up) limits.max_ns = 0;
    if (end == DumpEnd::cancelled) limits.is_cancelled = [&] { return ++asked > 3; };
    const auto dump = dump_memory(machine(), handle, folder.fd(), "dump", limits);
    ASSERT_TRUE(dump) << dump.error().str();
    EXPECT_EQ(dump->end, end);
    EXPECT_LE(dump->bytes, limits.max_bytes);
    EXPECT_TRUE(std::any_of(dump->regions.begin(), dump->regions.end(),
                            [](const DumpedRegion& region) { return !region.skipped.empty(); }));
    EXPECT_EQ(Json::parse(folder.read("dump.json"))->at("end").str(), to_string(end));
    EXPECT_EQ(sha256_of(folder.read("dump")), dump->sha256);
  }
}

TEST(MemoryDump, WhatCannotBeReadIsAGap) {
  TestFolder folder;
  const std::string path = folder.write("short", "less than a page");
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  // Pages behind the end of the file: reading them is an error for the process as for us.
  void* mapped = ::mmap(nullptr, 64 << 10, PROT_READ, MAP_SHARED, fd, 0);
  TestChild child;
  const auto dump = dump_memory(machine(), child.handle(), folder.fd(), "dump", {});
  ASSERT_TRUE(dump) << dump.error().str();
  const DumpedRegion* region = region_of(*dump, reinterpret_cast<uint64_t>(mapped));
  ASSERT_NE(region, nullptr);
  EXPECT_EQ(region->bytes, 4096u);
  ASSERT_EQ(region->gaps.size(), 1u);
  EXPECT_EQ(region->gaps[0].size, (64u << 10) - 4096);
  EXPECT_EQ(region->gaps[0].error_number, EIO);
  ::munmap(mapped, 64 << 10);
  ::close(fd);
}

TEST(MemoryDump, GoneNotAllowedAndDiskFull) {
  QUELL_NEEDS_ROOT();
  TestChild child;
  const ProcessHandle handle = child.handle();
  TestFolder folder;
  ::chmod(folder.path().c_str(), 0777);
  as_nobody([&] {
    EXPECT_EQ(dump_memory(machine(), handle, folder.fd(), "dump", {}).error().code, Code::permission_denied);
    EXPECT_NE(why_no_memory_dump(), "");
  });
  EXPECT_EQ(why_no_memory_dump(), "");
  const bool ran = in_mount_namespace([&] {
    ASSERT_EQ(::mount("tmpfs", folder.path().c_str(), "tmpfs", 0, "size=64k"), 0);
    const int small = ::open(folder.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    EXPECT_EQ(dump_memory(machine(), handle, small, "dump", {}).error().code, Code::io);
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
    ::close(small);
  });
  EXPECT_TRUE(ran);
  child.reap();
  EXPECT_EQ(dump_memory(machine(), handle, folder.fd(), "dump", {}).error().code, Code::gone);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(MemoryDump, AnExecDuringTheDumpEndsIt) {
  const Memory memory(4 << 20);
  int start[2];
  ASSERT_EQ(::pipe(start), 0);
  TestChild child([&] {
    std::memset(memory.get(), 7, 4 << 20);
    if (::fork() == 0) ::_exit(0);
    std::thread([&] {
      char byte;
      if (::read(start[0], &byte, 1) == 1) ::execl("/bin/sleep", "sleep", "60", nullptr);
    }).detach();
  });
  TestFolder folder;
  const ProcessHandle handle = child.handle();
  bool has_started = false;
  MemoryDumpLimits limits;
  limits.is_cancelled = [&] {
    if (!has_started) {
      has_started = true;
      (void)!::write(start[1], "x", 1);
      EXPECT_TRUE(eventually([&] { return machine().process_facts(child.pid())->comm == "sleep"; }));
    }
    return false;
  };
  const auto dump = dump_memory(machine(), handle, folder.fd(), "dump", limits);
  ASSERT_TRUE(dump) << dump.error().str();
  EXPECT_EQ(dump->end, DumpEnd::address_space_gone);
  ::close(start[0]);
  ::close(start[1]);
}

TEST(MemoryDump, Speed) {
  constexpr size_t kSize = 128 << 20;
  const Memory memory(kSize);
  TestChild child([&] {
    for (size_t i = 0; i < kSize; i += 8) *reinterpret_cast<uint64_t*>(memory.get() + i) = i * 0x9e3779b97f4a7c15;
  });
  TestFolder folder;
  const auto dump = dump_memory(machine(), child.handle(), folder.fd(), "dump", {});
  ASSERT_TRUE(dump) << dump.error().str();
  EXPECT_GE(dump->bytes, kSize);
  std::printf("memory dump: %.0f MiB in %.0f ms, %.0f MiB/s\n", static_cast<double>(dump->bytes) / (1 << 20),
              static_cast<double>(dump->duration_ns) / 1e6,
              static_cast<double>(dump->bytes) / (1 << 20) / (static_cast<double>(dump->duration_ns) / 1e9));
}

TEST(ProcMaps, LinesAndWhatIsWrongWithThem) {
  const auto regions = parse_maps(
      "55d0-55d1 r-xp 00001000 fe:01 1234                       /usr/bin/a b (deleted)\n"
      "7f00-7f10 rw-p 00000000 00:00 0 \n"
      "7fff0000-7fff2000 rw-p 00000000 00:00 0                          [stack]\n");
  ASSERT_TRUE(regions) << regions.error().str();
  ASSERT_EQ(regions->size(), 3u);
  EXPECT_EQ((*regions)[0].path, "/usr/bin/a b (deleted)");
  EXPECT_EQ((*regions)[0].device_major, 0xfeu);
  EXPECT_EQ((*regions)[0].inode, 1234u);
  EXPECT_EQ((*regions)[0].offset, 0x1000u);
  EXPECT_TRUE((*regions)[1].path.empty());
  EXPECT_EQ((*regions)[2].size(), 0x2000u);
  for (const char* bad : {"x", "10-5 r-xp 0 0:0 0", "1-2 rx 0 0:0 0", "1-2 r-xp g 0:0 0", "1-2 r-xp 0 00 0",
                          "1-2 r-xp 0 0:0 x", "1-5 r-xp 0 0:0 0\n4-6 r-xp 0 0:0 0"})
    EXPECT_EQ(parse_maps(bad).error().code, Code::malformed) << bad;
}

}  // namespace
}  // namespace quell::os
