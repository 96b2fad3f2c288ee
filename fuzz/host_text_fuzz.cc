// What the doors to the host read that others write: maps, shadow, passwd, login records, thread states, and the
// records of actions that come back from the journal.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/json.h"
#include "os/file_quarantine.h"
#include "os/freezer.h"
#include "os/login_records.h"
#include "os/proc_fs.h"
#include "os/proc_maps.h"
#include "os/shadow_file.h"
#include "os/suspend.h"
#include "os/user_account.h"

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

/// What was read from text and written again reads as the same.
template <typename Record, typename Read>
void check_round_trip(const quell::Json& json, const Read& read) {
  const quell::Result<Record> first = read(json);
  if (!first) return;
  quell::JsonWriter out;
  quell::os::write_json(out, *first);
  const auto again = quell::Json::parse(out.take());
  check(again.has_value());
  check(read(*again).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quell;
  using namespace quell::os;
  const std::string_view text(reinterpret_cast<const char*>(data), size);

  if (const auto regions = parse_maps(text)) {
    uint64_t last = 0;
    for (const MemoryRegion& region : *regions) {
      check(region.start < region.end && region.start >= last && region.permissions.size() == 4);
      last = region.end;
    }
  }

  // Another user's line, and every byte around ours, stay as they were.
  for (const char* user : {"alice", "root"}) {
    const auto line = find_shadow_line(text, user);
    if (!line) continue;
    check(replace_shadow_line(text, *line).value() == text);
    ShadowLine changed = *line;
    changed.fields[ShadowLine::kPassword].insert(0, "!");
    const auto replaced = replace_shadow_line(text, changed);
    check(replaced.has_value() && replaced->size() == text.size() + 1);
    check(replace_shadow_line(*replaced, *line).value() == text);
  }
  for (const PasswdEntry& entry : parse_passwd_file(text)) check(!entry.name.empty());
  login_defs_number(text, "UID_MIN");
  check(parse_login_records(text, 8).size() <= 8);
  if (const auto stat = parse_proc_stat(text); !stat) check(!stat.error().message.empty());

  if (const auto json = Json::parse(text)) {
    check_round_trip<QuarantineRecord>(*json, quarantine_record_from_json);
    check_round_trip<FileAttributes>(*json, file_attributes_from_json);
    check_round_trip<UserRecord>(*json, user_record_from_json);
    check_round_trip<SuspendPlan>(*json, suspend_plan_from_json);
    check_round_trip<Freezer>(*json, freezer_from_json);
  }
  return 0;
}
