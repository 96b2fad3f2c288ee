#include "os/file_acquire.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/clock.h"
#include "base/sha256.h"
#include "base/text.h"
#include "os/self_rights.h"

namespace quell::os {
namespace {

constexpr size_t kChunk = 1 << 20;

/// Reads until the end or `stop_at` bytes, and calls `use(bytes)` for each part. Returns the number of bytes.
template <typename Use>
Result<uint64_t> for_each_chunk(int fd, uint64_t stop_at, uint64_t max_bytes, const Use& use) {
  std::vector<uint8_t> buffer(kChunk);
  uint64_t total = 0;
  while (total < stop_at) {
    const ssize_t count = ::read(fd, buffer.data(), std::min<uint64_t>(buffer.size(), stop_at - total));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno_error(errno, "cannot read the file");
    if (count == 0) break;
    total += static_cast<uint64_t>(count);
    if (total > max_bytes) return Error{Code::limit, fmt::format("the file is larger than {} bytes", max_bytes), {}};
    QUELL_CHECK(use(std::span<const uint8_t>(buffer.data(), static_cast<size_t>(count))));
  }
  return total;
}

}  // namespace

void write_json(JsonWriter& out, const AcquiredFile& file) {
  out.begin_object().key("attributes");
  write_json(out, file.attributes);
  out.integer("bytes", file.bytes).text("sha256", file.sha256).flag("changed_while_read", file.changed_while_read);
  out.flag("unlinked", file.is_unlinked);
  if (!file.layer.empty()) out.text("layer", file.layer);
  out.text("started", iso8601_utc(file.started_realtime_ns)).integer("duration_ns", file.duration_ns).end_object();
}

Result<AcquiredFile> acquire_file(int source, int directory, const std::string& name, const AcquireLimits& limits) {
  if (!is_file_name(name)) return Error{Code::invalid_argument, "not a file name", name};
  if (const std::string why = why_not_readable(source); !why.empty())
    return Error{Code::refused, "the file is not read: " + why, {}};
  AcquiredFile out;
  out.started_realtime_ns = system_clock().realtime_ns();
  const uint64_t started = system_clock().monotonic_ns();
  QUELL_TRY(out.attributes, read_attributes(source));
  if (out.attributes.size > limits.max_bytes)
    return Error{Code::limit,
                 fmt::format("the file has {} bytes, more than the {} allowed", out.attributes.size, limits.max_bytes),
                 {}};
  out.is_unlinked = out.attributes.links == 0;
  QUELL_TRY(const Descriptor file, reopen_for_reading(source));
  QUELL_TRY(const Descriptor copy, open_at(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  const auto copied = [&]() -> Result<void> {
    Sha256 sum;
    // Not beyond the size of the beginning: a log may grow as fast as it is copied.
    QUELL_TRY(
        out.bytes,
        for_each_chunk(
            file.get(), out.attributes.size, limits.max_bytes, [&](std::span<const uint8_t> bytes) -> Result<void> {
              if (limits.is_cancelled && limits.is_cancelled()) return Error{Code::cancelled, "cancelled", {}};
              if (system_clock().monotonic_ns() - started > limits.max_ns)
                return Error{Code::timeout, fmt::format("not copied within {} ms", limits.max_ns / 1'000'000), {}};
              sum.update(bytes);
              return write_all(copy.get(), bytes, name);
            }));
    out.sha256 = sum.finish();
    QUELL_CHECK(sync_file(copy.get(), name));
    return sync_file(directory, name);
  }();
  if (!copied) {
    ::unlinkat(directory, name.c_str(), 0);
    return copied.error();
  }
  QUELL_TRY(const FileAttributes after, read_attributes(source));
  out.changed_while_read = after.size != out.attributes.size || after.modified_ns != out.attributes.modified_ns ||
                           after.changed_ns != out.attributes.changed_ns || out.bytes != after.size;
  out.duration_ns = system_clock().monotonic_ns() - started;
  return out;
}

Result<AcquiredFile> acquire_file(const Os& os, const FilePlace& place, int directory, const std::string& name,
                                  const AcquireLimits& limits) {
  QUELL_TRY(const Descriptor source, open_place(os, place));
  auto file = acquire_file(source.get(), directory, name, limits);
  if (!file) {
    Error error = file.error();
    if (error.where.empty()) error.where = place.path;
    return error;
  }
  file->layer = overlay_layer(source.get(), place);
  return file;
}

Result<std::string> hash_file(int fd, uint64_t max_bytes) {
  QUELL_TRY(const Descriptor file, reopen_for_reading(fd));
  Sha256 sum;
  QUELL_TRY([[maybe_unused]] const uint64_t bytes,
            for_each_chunk(file.get(), UINT64_MAX, max_bytes, [&](std::span<const uint8_t> part) -> Result<void> {
              sum.update(part);
              return {};
            }));
  return sum.finish();
}

std::string why_no_acquire() {
  open_how how{};
  how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  const Descriptor root(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof how)));
  if (!root && errno == ENOSYS) return "this kernel has no openat2: Linux 5.6 or newer is needed";
  if (!has_capability(kCapDacOverride)) return "CAP_DAC_OVERRIDE is missing: other users' files cannot be read";
  if (!has_capability(kCapSysPtrace))
    return "CAP_SYS_PTRACE is missing: other processes' root directories cannot be entered";
  return {};
}

}  // namespace quell::os
