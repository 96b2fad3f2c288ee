#pragma once
// The items of a triage bundle: one row and one function each.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "os/triage.h"

namespace quell::os {

/// The file of one item as it grows, with its bounds.
class TriageFile {
 public:
  TriageFile(const TriageLimits& limits, uint64_t max_bytes)
      : limits_(limits), max_bytes_(max_bytes), started_(system_clock().monotonic_ns()) {}
  /// Adds one entry; false when the item is to end: the entry did not fit, time is up, or all is cancelled.
  bool add(std::string_view entry);
  /// The same with a newline behind it.
  bool add_line(std::string_view line);
  bool may_go_on();

  const std::string& text() const { return text_; }
  uint64_t entries() const { return entries_; }
  const std::string& cut_short() const { return cut_short_; }
  uint64_t started_ns() const { return started_; }

 private:
  const TriageLimits& limits_;
  const uint64_t max_bytes_, started_;
  std::string text_, cut_short_;
  uint64_t entries_ = 0;
};

struct TriageContext {
  const Os& os;
  const TriageSources& sources;
};

struct TriageItemRow {
  const char* name;
  const char* file;
  Result<void> (*collect)(const TriageContext& context, TriageFile& file);
};

Result<void> collect_processes(const TriageContext& context, TriageFile& file);
Result<void> collect_sockets(const TriageContext& context, TriageFile& file);
Result<void> collect_mounts(const TriageContext& context, TriageFile& file);
Result<void> collect_modules(const TriageContext& context, TriageFile& file);
Result<void> collect_system(const TriageContext& context, TriageFile& file);
Result<void> collect_logins(const TriageContext& context, TriageFile& file);
Result<void> collect_users(const TriageContext& context, TriageFile& file);
Result<void> collect_schedules(const TriageContext& context, TriageFile& file);

inline constexpr TriageItemRow kTriageItems[] = {
    {"processes", "processes.jsonl", collect_processes}, {"sockets", "sockets.txt", collect_sockets},
    {"modules", "modules.txt", collect_modules},         {"mounts", "mounts.txt", collect_mounts},
    {"logins", "logins.jsonl", collect_logins},          {"users", "users.jsonl", collect_users},
    {"schedules", "schedules.jsonl", collect_schedules}, {"system", "system.json", collect_system},
};

}  // namespace quell::os
