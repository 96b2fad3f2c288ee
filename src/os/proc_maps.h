#pragma once
// The memory of a process as /proc/PID/maps and pagemap tell it.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quell::os {

/// One mapping: [start, end), page-aligned.
struct MemoryRegion {
  uint64_t start = 0, end = 0;
  std::string permissions;  // "rwxp", "r--s"
  uint64_t offset = 0;      // in the mapped file
  uint32_t device_major = 0, device_minor = 0;
  uint64_t inode = 0;  // 0: no file
  std::string path;    // "" anonymous, "[heap]", "/usr/bin/a", "/tmp/x (deleted)"; newlines as the kernel escapes them
  uint64_t size() const { return end - start; }
  bool is_anonymous() const { return inode == 0; }
};

/// Ascending. Errors: malformed with the line's number (a line without a range, or regions that overlap).
Result<std::vector<MemoryRegion>> parse_maps(std::string_view text);

struct PageRange {
  uint64_t start = 0, end = 0;
};
/// Parts of [start, end) that have content: present or in swap; ranges nearer than 64 KiB are joined. `pagemap` is a
/// descriptor of /proc/PID/pagemap. At most `limit` ranges: what remains then is one range. Errors: by errno.
Result<std::vector<PageRange>> populated_ranges(int pagemap, uint64_t start, uint64_t end, size_t limit);

}  // namespace quell::os
