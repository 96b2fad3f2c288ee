#pragma once
// utmp, wtmp and btmp: who logged in, when, from where.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace quell::os {

struct LoginRecord {
  enum class Kind : uint8_t { other, boot, run_level, login, session, end };
  Kind kind = Kind::other;  // session: a user is (was) in; login: a prompt waits; end: the session of that line is over
  int64_t pid = 0;
  std::string user, line, host;
  uint64_t time_ns = 0;  // since the epoch
};
std::string_view to_string(LoginRecord::Kind kind);

/// The last `limit` records of a file in the layout of glibc on 64-bit Linux (384 bytes each); a part of one at the end
/// is passed over. Text ends at its first NUL; empty records are left out.
std::vector<LoginRecord> parse_login_records(std::string_view bytes, size_t limit);

}  // namespace quell::os
