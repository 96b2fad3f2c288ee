#include "os/proc_maps.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>

#include "base/text.h"

namespace quell::os {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kJoin = 65536;

// PAGEMAP_SCAN of Linux 6.7: walks page tables and passes over what is empty, so that a reservation of terabytes costs
// nothing. Declared here because older headers do not have it.
struct ScanRequest {
  uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
  uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
struct ScanRegion {
  uint64_t start, end, categories;
};
constexpr unsigned long kPagemapScan = _IOWR('f', 16, ScanRequest);
constexpr uint64_t kIsPresent = 1 << 3, kIsSwapped = 1 << 4;

/// Takes the next word off `line`.
std::string_view take_word(std::string_view& line) {
  const size_t begin = line.find_first_not_of(' ');
  if (begin == std::string_view::npos) return line = {};
  line.remove_prefix(begin);
  const size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

bool parse_pair(std::string_view text, char separator, uint64_t& first, uint64_t& second) {
  const size_t at = text.find(separator);
  return at != std::string_view::npos && parse_u64(text.substr(0, at), first, 16) &&
         parse_u64(text.substr(at + 1), second, 16);
}

class RangeList {
 public:
  explicit RangeList(size_t limit) : limit_(std::max<size_t>(limit, 1)) {}
  void add(uint64_t start, uint64_t end) {
    if (!ranges_.empty() && (start - ranges_.back().end < kJoin || ranges_.size() == limit_))
      ranges_.back().end = end;
    else
      ranges_.push_back({start, end});
  }
  std::vector<PageRange> take() { return std::move(ranges_); }

 private:
  size_t limit_;
  std::vector<PageRange> ranges_;
};

}  // namespace

Result<std::vector<MemoryRegion>> parse_maps(std::string_view text) {
  std::vector<MemoryRegion> regions;
  size_t number = 0;
  for (std::string_view line : split(text, '\n')) {
    ++number;
    if (line.empty()) continue;
    const auto malformed = [&](const char* what) {
      return Error{Code::malformed, fmt::format("a line of /proc/PID/maps {}", what), fmt::format("line {}", number)};
    };
    MemoryRegion region;
    uint64_t major = 0, minor = 0;
    if (!parse_pair(take_word(line), '-', region.start, region.end) || region.start >= region.end)
      return malformed("has no address range");
    region.permissions = take_word(line);
    if (region.permissions.size() != 4) return malformed("has no permissions");
    if (!parse_u64(take_word(line), region.offset, 16)) return malformed("has no offset");
    if (!parse_pair(take_word(line), ':', major, minor) || major > UINT32_MAX || minor > UINT32_MAX)
      return malformed("has no device");
    if (!parse_u64(take_word(line), region.inode)) return malformed("has no inode");
    region.device_major = static_cast<uint32_t>(major);
    region.device_minor = static_cast<uint32_t>(minor);
    if (const size_t path = line.find_first_not_of(' '); path != std::string_view::npos)
      region.path = line.substr(path);
    if (!regions.empty() && region.start < regions.back().end) return malformed("overlaps the one before");
    regions.push_back(std::move(region));
  }
  return regions;
}

Result<std::vector<PageRange>> populated_ranges(int pagemap, uint64_t start, uint64_t end, size_t limit) {
  RangeList list(limit);
  std::array<ScanRegion, 512> found;
  for (uint64_t at = start; at < end;) {
    ScanRequest request{};
    request.size = sizeof request;
    request.start = at;
    request.end = end;
    request.vec = reinterpret_cast<uint64_t>(found.data());
    request.vec_len = found.size();
    request.category_anyof_mask = kIsPresent | kIsSwapped;
    request.return_mask = kIsPresent | kIsSwapped;
    const int count = ::ioctl(pagemap, kPagemapScan, &request);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && at == start && (errno == ENOTTY || errno == EINVAL)) break;
    if (count < 0) return errno_error(errno, "cannot ask for populated pages", "pagemap");
    for (int i = 0; i < count; ++i) list.add(found[static_cast<size_t>(i)].start, found[static_cast<size_t>(i)].end);
    at = std::max(request.walk_end, at + kPage);
    if (at >= end) return list.take();
  }
  // Older kernels: one word of 64 bits per page, bits 63 and 62 tell present and swapped.
  std::array<uint64_t, 8192> words;
  for (uint64_t at = start; at < end;) {
    const size_t wanted = std::min<size_t>(words.size(), (end - at) / kPage);
    const ssize_t bytes = ::pread(pagemap, words.data(), wanted * 8, static_cast<off_t>(at / kPage * 8));
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return errno_error(errno, "cannot read", "pagemap");
    if (bytes < 8) break;
    for (size_t i = 0; i < static_cast<size_t>(bytes) / 8; ++i, at += kPage)
      if ((words[i] >> 62) != 0) list.add(at, at + kPage);
  }
  return list.take();
}

}  // namespace quell::os
