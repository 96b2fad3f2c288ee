#pragma once
// Disables a local user and enables it again: the password is locked ("!" before it) and the account expires on the
// first day of 1970 — both, because a login by key does not ask for the password. Who is logged in stays so: see
// processes_of_user. Files are replaced whole and atomically, under the lock that passwd(1) and its kin take.
// The password's hash is in no record: only a digest of it, for recognising it again.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "os/os.h"

namespace quell::os {

/// Where the files are and who must not be touched.
struct UserFiles {
  std::string etc = "/etc";
  std::vector<std::string> protected_users;   // by name
  uint64_t lock_timeout_ns = 15'000'000'000;  // as lckpwdf(3)
};

struct UserRecord {
  std::string name;
  uint32_t uid = 0;
  std::string expire_before;    // field 8 of shadow, "" for never
  std::string password_digest;  // SHA-256 of field 2
  bool operator==(const UserRecord&) const = default;
};
void write_json(JsonWriter& out, const UserRecord& record);
/// Errors: malformed.
Result<UserRecord> user_record_from_json(const Json& json);

/// Changes nothing. Errors: not_found (no such local user); refused (root and every other name of uid 0, users below
/// UID_MIN of login.defs, protected ones); conflict (two lines of that name); unsupported (the password is in passwd,
/// or shadow is a link: another tool manages it); malformed; permission_denied.
Result<UserRecord> plan_disable_user(const UserFiles& files, const std::string& name);

/// What the files say. `changed`: neither as before nor as we left it.
enum class UserState : uint8_t { enabled, disabled, changed };
std::string_view to_string(UserState state);
/// Errors: not_found, malformed, permission_denied.
Result<UserState> look_user(const UserFiles& files, const UserRecord& record);

/// Doing it twice is doing it once. Errors: as plan_disable_user; conflict if the line has changed since the plan;
/// stale if the name belongs to another uid now; timeout (somebody holds the lock); io (a full disk: nothing changed).
Result<void> disable_user(const UserFiles& files, const UserRecord& record);

/// Puts exactly the recorded fields back. Errors: conflict if they are not what we left; as disable_user.
Result<void> enable_user(const UserFiles& files, const UserRecord& record);

/// Living processes that the user started, whoever they are now (login uid), or runs as.
Result<std::vector<ProcessFacts>> processes_of_user(const Os& os, uint32_t uid);

/// Empty if this process may change `files`, else why not in one sentence.
std::string why_no_user_change(const UserFiles& files);

}  // namespace quell::os
