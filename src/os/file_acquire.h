#pragma once
// A copy of a file as evidence, with everything that is known about it.
#include <cstdint>
#include <functional>
#include <string>

#include "base/json.h"
#include "os/file_attributes.h"
#include "os/file_place.h"

namespace quell::os {

struct AcquireLimits {
  uint64_t max_bytes = 1ull << 30;     // a larger file is refused, not cut
  uint64_t max_ns = 60'000'000'000;    // asked between two reads: a network file system can hold one read longer
  std::function<bool()> is_cancelled;  // before each MiB; empty: never
};

struct AcquiredFile {
  FileAttributes attributes;        // before the first byte was read
  uint64_t bytes = 0;               // at most the size of the beginning: what is appended meanwhile is not copied
  std::string sha256;               // of the copy
  bool changed_while_read = false;  // size, times or inode change differ after the last byte: the copy may be mixed
  bool is_unlinked = false;
  std::string layer;  // overlay_layer()
  uint64_t started_realtime_ns = 0, duration_ns = 0;
};
void write_json(JsonWriter& out, const AcquiredFile& file);

/// Copies what `source` (O_PATH) holds into the new file `name` of `directory`: mode 0600, flushed. Nothing is left on
/// failure. Errors: refused (not a regular file, a kernel's file system), limit (size), timeout, cancelled,
/// permission_denied, already_exists, io (a full disk).
Result<AcquiredFile> acquire_file(int source, int directory, const std::string& name, const AcquireLimits& limits);
/// The same by place, with the layer.
Result<AcquiredFile> acquire_file(const Os& os, const FilePlace& place, int directory, const std::string& name,
                                  const AcquireLimits& limits);

/// SHA-256 of what a descriptor holds (O_PATH is enough). Errors: by errno, limit.
Result<std::string> hash_file(int fd, uint64_t max_bytes);

/// Empty if this process may read everybody's files, else why not in one sentence.
std::string why_no_acquire();

}  // namespace quell::os
