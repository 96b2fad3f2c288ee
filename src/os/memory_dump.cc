#include "os/memory_dump.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <system_error>

#include "base/clock.h"
#include "base/json.h"
#include "base/sha256.h"
#include "base/text.h"
#include "os/descriptor.h"
#include "os/proc_fs.h"
#include "os/self_rights.h"

namespace quell::os {
namespace {

constexpr size_t kChunk = 1 << 20;
constexpr uint64_t kPage = 4096;
constexpr size_t kMaxPieces = 4096;  // of one region
constexpr size_t kMaxGaps = 256;     // of one region; what is beyond is not read
constexpr size_t kMaxMapsText = 64 << 20;

/// Lower is read first.
int worth(const MemoryRegion& region) {
  const bool writable = region.permissions[1] == 'w', executable = region.permissions[2] == 'x';
  if (region.is_anonymous() && executable && region.path.empty()) return 0;
  if (region.path.starts_with("[stack") || region.path == "[heap]") return 1;
  if (region.is_anonymous() && writable) return 2;
  if (region.path.ends_with(" (deleted)") || region.path.starts_with("/memfd:")) return 3;
  if (writable) return 4;
  if (region.is_anonymous()) return 5;
  return executable ? 6 : 7;
}

/// Why this region is never read; empty for most.
std::string why_never(const MemoryRegion& region) {
  if (region.path == "[vvar]" || region.path == "[vvar_vclock]" || region.path == "[vsyscall]")
    return "the kernel's own, the same for all processes";
  const bool is_memory_file = region.path.starts_with("/dev/shm/") || region.path.starts_with("/dev/zero");
  if (region.path.starts_with("/dev/") && !is_memory_file) return "memory of a device: reading may disturb it";
  return {};
}

class Dumper {
 public:
  Dumper(int mem, int pagemap, int file, const std::string& name, const MemoryDumpLimits& limits)
      : mem_(mem), pagemap_(pagemap), file_(file), name_(name), limits_(limits), buffer_(kChunk) {}

  Result<void> run(std::vector<MemoryRegion> regions, MemoryDump& dump) {
    for (MemoryRegion& region : regions) {
      DumpedRegion& made = dump.regions.emplace_back();
      made.skipped = why_never(region);
      made.region = std::move(region);
    }
    std::vector<size_t> order(dump.regions.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return worth(dump.regions[a].region) < worth(dump.regions[b].region); });
    for (const size_t index : order) {
      DumpedRegion& region = dump.regions[index];
      if (!region.skipped.empty()) continue;
      if (end_ == DumpEnd::complete) QUELL_CHECK(dump_region(region));
      if (end_ != DumpEnd::complete && region.skipped.empty()) region.skipped = fmt::format("{}", to_string(end_));
    }
    dump.end = end_;
    dump.bytes = bytes_;
    dump.file_size = offset_;
    // Holes at the end do not make the file longer by themselves.
    if (::ftruncate(file_, static_cast<off_t>(offset_)) != 0) return errno_error(errno, "cannot write", name_);
    dump.sha256 = whole_.finish();
    return {};
  }

 private:
  Result<void> dump_region(DumpedRegion& region) {
    std::vector<PageRange> ranges{{region.region.start, region.region.end}};
    // Memory that was never touched reads as zeros, and would be made by reading it.
    if (region.region.is_anonymous() && pagemap_ >= 0)
      if (auto populated = populated_ranges(pagemap_, region.region.start, region.region.end, kMaxPieces))
        ranges = std::move(*populated);
    Sha256 sum;
    for (const PageRange& range : ranges) {
      QUELL_CHECK(dump_range(region, range, sum));
      if (end_ != DumpEnd::complete || region.gaps.size() >= kMaxGaps) break;
    }
    if (region.gaps.size() >= kMaxGaps && end_ == DumpEnd::complete) region.skipped = "too many gaps";
    if (region.bytes > 0) region.sha256 = sum.finish();
    return {};
  }

  Result<void> dump_range(DumpedRegion& region, const PageRange& range, Sha256& sum) {
    for (uint64_t at = range.start; at < range.end && region.gaps.size() < kMaxGaps;) {
      if (!may_go_on()) return {};
      const size_t wanted = std::min({kChunk, static_cast<size_t>(range.end - at), left_bytes()});
      const ssize_t count = ::pread(mem_, buffer_.data(), wanted, static_cast<off_t>(at));
      if (count < 0 && errno == EINTR) continue;
      if (count == 0) {
        end_ = DumpEnd::address_space_gone;
        return {};
      }
      if (count < 0) {
        at = skip_gap(region, at, range.end, errno);
        continue;
      }
      QUELL_CHECK(store(region, at, {buffer_.data(), static_cast<size_t>(count)}, sum));
      at += static_cast<uint64_t>(count);
    }
    return {};
  }

  size_t left_bytes() const { return static_cast<size_t>(limits_.max_bytes - bytes_); }

  bool may_go_on() {
    if (limits_.is_cancelled && limits_.is_cancelled())
      end_ = DumpEnd::cancelled;
    else if (system_clock().monotonic_ns() - started_ >= limits_.max_ns)
      end_ = DumpEnd::time_used_up;
    else if (bytes_ >= limits_.max_bytes)
      end_ = DumpEnd::bytes_used_up;
    return end_ == DumpEnd::complete;
  }

  /// Where reading can go on behind `at`. A mapping is seldom readable in islands, so the steps double: what lies
  /// between two of them is part of the gap.
  uint64_t skip_gap(DumpedRegion& region, uint64_t at, uint64_t end, int number) {
    uint64_t step = kPage, next = at;
    uint8_t probe = 0;
    do {
      next = std::min(next + step, end);
      step = std::min<uint64_t>(step * 2, 64 << 20);
    } while (next < end && ::pread(mem_, &probe, 1, static_cast<off_t>(next)) < 0);
    if (!region.gaps.empty() && region.gaps.back().address + region.gaps.back().size == at)
      region.gaps.back().size += next - at;
    else
      region.gaps.push_back({at, next - at, number});
    return next;
  }

  Result<void> store(DumpedRegion& region, uint64_t address, std::span<const uint8_t> bytes, Sha256& sum) {
    sum.update(bytes);
    whole_.update(bytes);
    if (!region.pieces.empty() && region.pieces.back().address + region.pieces.back().size == address)
      region.pieces.back().size += bytes.size();
    else
      region.pieces.push_back({address, offset_, bytes.size()});
    // Runs of pages that are not zero are written, the others stay holes.
    for (size_t at = 0; at < bytes.size();) {
      size_t end = at;
      while (end < bytes.size() && !is_zero(bytes.subspan(end, std::min(kPage, bytes.size() - end))))
        end = std::min(end + kPage, bytes.size());
      if (end > at) QUELL_CHECK(write_at(bytes.subspan(at, end - at), offset_ + at));
      at = end + (end < bytes.size() ? kPage : 0);
    }
    offset_ += bytes.size();
    region.bytes += bytes.size();
    bytes_ += bytes.size();
    return {};
  }

  static bool is_zero(std::span<const uint8_t> bytes) {
    return bytes[0] == 0 && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
  }

  Result<void> write_at(std::span<const uint8_t> bytes, uint64_t offset) {
    while (!bytes.empty()) {
      const ssize_t count = ::pwrite(file_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return errno_error(errno, "cannot write", name_);
      offset += static_cast<uint64_t>(count);
      bytes = bytes.subspan(static_cast<size_t>(count));
    }
    return {};
  }

  int mem_, pagemap_, file_;
  const std::string& name_;
  const MemoryDumpLimits& limits_;
  std::vector<uint8_t> buffer_;
  Sha256 whole_;
  uint64_t offset_ = 0, bytes_ = 0;
  const uint64_t started_ = system_clock().monotonic_ns();
  DumpEnd end_ = DumpEnd::complete;
};

Result<Descriptor> open_of_process(int64_t pid, const char* file) {
  auto opened = open_at(AT_FDCWD, fmt::format("/proc/{}/{}", pid, file), O_RDONLY);
  if (opened) return opened;
  Error error = opened.error();
  if (error.code == Code::not_found || error.code == Code::gone)
    return Error{Code::gone, fmt::format("process {} does not exist any more", pid), {}};
  if (error.code == Code::permission_denied)
    error.message = fmt::format("the memory of process {} may not be read: CAP_SYS_PTRACE is needed", pid);
  return error;
}

}  // namespace

std::string_view to_string(DumpEnd end) {
  switch (end) {
    case DumpEnd::complete: return "complete";
    case DumpEnd::bytes_used_up: return "bytes_used_up";
    case DumpEnd::time_used_up: return "time_used_up";
    case DumpEnd::cancelled: return "cancelled";
    case DumpEnd::address_space_gone: return "address_space_gone";
  }
  return "complete";
}

std::string to_json(const MemoryDump& dump) {
  JsonWriter out;
  out.begin_object();
  out.text("format", "quell-memory-dump-1");
  out.key("process").begin_object();
  out.text("boot_id", dump.process.id.boot_id).integer("pid", dump.process.id.pid);
  out.integer("start_ticks", dump.process.id.start_ticks).text("name", dump.process.comm);
  out.text("exe", dump.process.exepath).text("command_line", join_parts(dump.process.args)).end_object();
  out.text("started", iso8601_utc(dump.started_realtime_ns)).integer("duration_ns", dump.duration_ns);
  out.text("end", to_string(dump.end)).integer("bytes", dump.bytes).integer("file_size", dump.file_size);
  out.text("sha256", dump.sha256);
  out.key("regions").begin_array();
  for (const DumpedRegion& region : dump.regions) {
    out.begin_object();
    out.text("start", fmt::format("{:x}", region.region.start)).text("end", fmt::format("{:x}", region.region.end));
    out.text("permissions", region.region.permissions).text("path", region.region.path);
    out.integer("offset", region.region.offset).integer("inode", region.region.inode);
    out.text("device", fmt::format("{}:{}", region.region.device_major, region.region.device_minor));
    out.integer("bytes", region.bytes).text("sha256", region.sha256);
    out.key("pieces").begin_array();
    for (const MemoryPiece& piece : region.pieces) {
      out.begin_object().text("address", fmt::format("{:x}", piece.address));
      out.integer("file_offset", piece.file_offset).integer("size", piece.size).end_object();
    }
    out.end_array().key("gaps").begin_array();
    for (const MemoryGap& gap : region.gaps) {
      out.begin_object().text("address", fmt::format("{:x}", gap.address)).integer("size", gap.size);
      out.integer("errno", gap.error_number).text("error", std::generic_category().message(gap.error_number));
      out.end_object();
    }
    out.end_array();
    if (!region.skipped.empty()) out.text("skipped", region.skipped);
    out.end_object();
  }
  out.end_array().end_object();
  return out.take();
}

Result<MemoryDump> dump_memory(const Os& os, const ProcessHandle& process, int directory, const std::string& name,
                               const MemoryDumpLimits& limits) {
  if (!is_file_name(name)) return Error{Code::invalid_argument, "not a file name", name};
  const int64_t pid = process.facts().id.pid;
  MemoryDump dump;
  dump.process = process.facts();
  dump.started_realtime_ns = system_clock().realtime_ns();
  const uint64_t started = system_clock().monotonic_ns();
  // mem first: it stays with this address space. Read afterwards, maps may be a newer program's; its addresses then
  // read as "gone", never as the wrong program's bytes.
  QUELL_TRY(const Descriptor mem, open_of_process(pid, "mem"));
  QUELL_TRY(const Descriptor maps, open_of_process(pid, "maps"));
  auto pagemap = open_of_process(pid, "pagemap");
  if (os.wait_exit(process, 0)) return Error{Code::gone, fmt::format("process {} does not exist any more", pid), {}};
  QUELL_TRY(const std::string text, read_whole(maps.get(), kMaxMapsText, fmt::format("/proc/{}/maps", pid)));
  QUELL_TRY(std::vector<MemoryRegion> regions, parse_maps(text));

  QUELL_TRY(const Descriptor file, open_at(directory, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  const auto written = [&]() -> Result<void> {
    Dumper dumper(mem.get(), pagemap ? pagemap->get() : -1, file.get(), name, limits);
    QUELL_CHECK(dumper.run(std::move(regions), dump));
    QUELL_CHECK(sync_file(file.get(), name));
    dump.duration_ns = system_clock().monotonic_ns() - started;
    return write_new_file(directory, name + ".json", to_json(dump));
  }();
  if (!written) {
    ::unlinkat(directory, name.c_str(), 0);
    return written.error();
  }
  return dump;
}

std::string why_no_memory_dump() { return has_capability(kCapSysPtrace) ? std::string() : "CAP_SYS_PTRACE is missing"; }

}  // namespace quell::os
