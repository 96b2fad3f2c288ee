#include "os/shadow_file.h"

#include <fmt/format.h>

#include "base/text.h"

namespace quell::os {
namespace {

/// Where the user's line begins and ends (without its newline).
struct Place {
  size_t begin = 0, end = 0, number = 0;
};

Result<Place> find_line(std::string_view text, std::string_view user) {
  std::optional<Place> found;
  size_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t newline = text.find('\n', begin);
    const size_t end = newline == std::string_view::npos ? text.size() : newline;
    const std::string_view line = text.substr(begin, end - begin);
    ++number;
    if (line.substr(0, line.find(':')) == user && line.find(':') != std::string_view::npos) {
      if (found)
        return Error{Code::conflict, fmt::format("user {} has more than one line", user),
                     fmt::format("lines {} and {}", found->number, number)};
      found = Place{begin, end, number};
    }
    begin = end + 1;
  }
  if (found) return *found;
  return Error{Code::not_found, fmt::format("there is no user {}", user), {}};
}

}  // namespace

std::string ShadowLine::text() const {
  std::string out = fields[0];
  for (size_t i = 1; i < fields.size(); ++i) out += ":" + fields[i];
  return out;
}

Result<ShadowLine> parse_shadow_line(std::string_view line) {
  const auto parts = split(line, ':');
  ShadowLine out;
  if (parts.size() != out.fields.size() || parts[0].empty() || line.find('\n') != std::string_view::npos)
    return Error{Code::malformed, fmt::format("a line of shadow has 9 fields, this one {}", parts.size()), {}};
  for (size_t i = 0; i < parts.size(); ++i) out.fields[i] = parts[i];
  return out;
}

Result<ShadowLine> find_shadow_line(std::string_view text, std::string_view user) {
  QUELL_TRY(const Place place, find_line(text, user));
  auto line = parse_shadow_line(text.substr(place.begin, place.end - place.begin));
  if (line) return line;
  Error error = line.error();
  error.where = fmt::format("line {}", place.number);
  return error;
}

Result<std::string> replace_shadow_line(std::string_view text, const ShadowLine& line) {
  QUELL_TRY(const Place place, find_line(text, line.fields[ShadowLine::kName]));
  std::string out(text.substr(0, place.begin));
  out += line.text();
  out += text.substr(place.end);
  return out;
}

std::vector<PasswdEntry> parse_passwd_file(std::string_view text) {
  std::vector<PasswdEntry> entries;
  for (std::string_view line : split(text, '\n')) {
    const auto parts = split(line, ':');
    uint64_t uid = 0, gid = 0;
    if (parts.size() != 7 || parts[0].empty() || parts[0][0] == '+' || parts[0][0] == '-' || parts[0][0] == '#' ||
        !parse_u64(parts[2], uid) || !parse_u64(parts[3], gid) || uid > UINT32_MAX || gid > UINT32_MAX)
      continue;
    PasswdEntry entry;
    entry.name = parts[0], entry.home = parts[5], entry.shell = parts[6];
    entry.uid = static_cast<uint32_t>(uid), entry.gid = static_cast<uint32_t>(gid);
    entry.has_password_here = parts[1] != "x";
    entries.push_back(std::move(entry));
  }
  return entries;
}

std::optional<uint32_t> login_defs_number(std::string_view text, std::string_view key) {
  for (std::string_view line : split(text, '\n')) {
    const size_t begin = line.find_first_not_of(" \t");
    if (begin == std::string_view::npos) continue;
    line.remove_prefix(begin);
    if (!line.starts_with(key)) continue;
    line.remove_prefix(key.size());
    const size_t value = line.find_first_not_of(" \t");
    if (value == 0 || value == std::string_view::npos) continue;
    const size_t end = line.find_first_of(" \t\r#", value);
    uint64_t number = 0;
    if (parse_u64(line.substr(value, end - value), number) && number <= UINT32_MAX)
      return static_cast<uint32_t>(number);
  }
  return std::nullopt;
}

}  // namespace quell::os
