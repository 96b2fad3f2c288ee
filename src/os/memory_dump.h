#pragma once
// The memory of a process as evidence: what /proc/PID/mem gives, without stopping it and without ptrace (which never
// finishes on a frozen process). A process that runs on changes while it is read: suspend it first for one moment's
// truth.
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "os/os.h"
#include "os/proc_maps.h"

namespace quell::os {

struct MemoryDumpLimits {
  uint64_t max_bytes = 4ull << 30;     // of memory, pages of zeros included
  uint64_t max_ns = 60'000'000'000;    // for everything
  std::function<bool()> is_cancelled;  // asked before each MiB; empty: never
};

/// Memory that could not be read.
struct MemoryGap {
  uint64_t address = 0, size = 0;
  int error_number = 0;
};

/// Consecutive memory in the dump file.
struct MemoryPiece {
  uint64_t address = 0, file_offset = 0, size = 0;
};

struct DumpedRegion {
  MemoryRegion region;
  std::vector<MemoryPiece> pieces;  // ascending; anonymous memory that was never touched has none
  std::vector<MemoryGap> gaps;
  uint64_t bytes = 0;   // sum of the pieces
  std::string sha256;   // of the pieces' bytes in order; empty if there are none
  std::string skipped;  // why (part of) it is missing: a sentence; empty if all was read
};

/// Why a dump ended.
enum class DumpEnd : uint8_t { complete, bytes_used_up, time_used_up, cancelled, address_space_gone };
std::string_view to_string(DumpEnd end);

struct MemoryDump {
  ProcessFacts process;
  DumpEnd end = DumpEnd::complete;
  std::vector<DumpedRegion> regions;  // ascending address; the file has them in order of worth
  uint64_t bytes = 0, file_size = 0;
  std::string sha256;  // of the whole file, as sha256sum prints it
  uint64_t started_realtime_ns = 0, duration_ns = 0;
};
/// The manifest.
std::string to_json(const MemoryDump& dump);

/// Writes `name` (sparse: pages of zeros are holes) and `name`.json, the manifest, into `directory`, both new, mode
/// 0600, flushed. Regions are read in order of worth for an analyst: executable anonymous memory, stacks and heap,
/// other writable memory, memory of deleted files, then what the disk has as well; never devices' memory, which reading
/// may disturb. An exec or exit during the dump ends it with what was read so far: the descriptor stays with the memory
/// of the old program, never the new one's. Budget, time and cancel are no errors. Errors: gone, permission_denied
/// (CAP_SYS_PTRACE), already_exists, invalid_argument (`name`), io (a full disk: then nothing is left).
Result<MemoryDump> dump_memory(const Os& os, const ProcessHandle& process, int directory, const std::string& name,
                               const MemoryDumpLimits& limits);

/// Empty if this process may read the memory of others, else why not in one sentence.
std::string why_no_memory_dump();

}  // namespace quell::os
