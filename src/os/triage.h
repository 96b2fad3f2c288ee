#pragma once
// What an analyst wants to know of a host first, in one folder: processes, sockets, mounts, modules, users, schedules,
// logins, the kernel. Each item has its own time, and its own error: one that fails or is slow takes nothing from the
// others. Passwords' hashes are never copied.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "os/os.h"

namespace quell::os {

struct TriageSources {
  std::string etc = "/etc", var = "/var", run = "/run", usr = "/usr";
};

struct TriageLimits {
  uint64_t max_bytes = 256ull << 20;     // of all files together, the manifest not counted
  uint64_t item_max_ns = 5'000'000'000;  // asked between entries
  std::function<bool()> is_cancelled;    // between entries; empty: never
};

struct TriageItem {
  std::string name, file;  // "processes", "processes.jsonl"; no file if there was nothing to write
  uint64_t entries = 0, bytes = 0, duration_ns = 0;
  std::string sha256;
  std::string error;      // what failed; what came before it is in the file
  std::string cut_short;  // why there is less than there was: "time", "bytes", "cancelled"; empty: all is there
};

struct TriageBundle {
  std::vector<TriageItem> items;
  uint64_t bytes = 0, started_realtime_ns = 0, duration_ns = 0;
  std::string manifest_sha256;
};

/// Names of all items, in the order in which they are collected (the most volatile first).
std::vector<std::string> triage_item_names();

/// Makes the folder `name` (0700) in `directory` with a file (0600) for each item and manifest.json, which has the
/// SHA-256 of each. Errors: already_exists, invalid_argument (`name`), permission_denied, io (a full disk: then nothing
/// is left).
Result<TriageBundle> collect_triage(const Os& os, const TriageSources& sources, int directory, const std::string& name,
                                    const TriageLimits& limits);

}  // namespace quell::os
