#pragma once
// Lines of passwd and shadow, changed without touching a byte that is not meant.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quell::os {

/// One line of shadow: nine fields, of which we know the first, the second and the eighth.
struct ShadowLine {
  static constexpr size_t kName = 0, kPassword = 1, kLastChange = 2, kExpire = 7;
  std::array<std::string, 9> fields;
  std::string text() const;
};
/// Errors: malformed for anything but nine fields.
Result<ShadowLine> parse_shadow_line(std::string_view line);

/// The user's only line. Errors: not_found; conflict if there are two; malformed (that line; `where` is its number).
Result<ShadowLine> find_shadow_line(std::string_view text, std::string_view user);
/// `text` with the user's line replaced, everything else byte by byte as it was. Errors: as find_shadow_line.
Result<std::string> replace_shadow_line(std::string_view text, const ShadowLine& line);

struct PasswdEntry {
  std::string name;
  uint32_t uid = 0, gid = 0;
  std::string home, shell;
  bool has_password_here = false;  // a password in passwd itself, beside shadow
};
/// Lines that do not follow the form, comments and "+"/"-" lines of NIS are left out.
std::vector<PasswdEntry> parse_passwd_file(std::string_view text);

/// The number behind `key` in login.defs.
std::optional<uint32_t> login_defs_number(std::string_view text, std::string_view key);

}  // namespace quell::os
