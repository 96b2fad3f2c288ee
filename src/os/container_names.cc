#include "os/container_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "base/text.h"

namespace quell::os {

ImageName split_image_name(std::string_view name) {
  ImageName image;
  if (name.starts_with("sha256:") || is_full_hex_id(name)) return image;
  if (const size_t at = name.find('@'); at != std::string_view::npos) {
    image.digest = name.substr(at + 1);
    name = name.substr(0, at);
  }
  // The last ':' is a tag's unless a '/' follows: then it is the port of the registry.
  if (const size_t colon = name.rfind(':');
      colon != std::string_view::npos && name.find('/', colon) == std::string_view::npos) {
    image.tag = name.substr(colon + 1);
    name = name.substr(0, colon);
  }
  image.repository = name;
  if (image.tag.empty() && image.digest.empty() && !name.empty()) image.tag = "latest";
  return image;
}

bool is_full_hex_id(std::string_view text) {
  return text.size() == 64 &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string short_id(std::string_view full_id) {
  return std::string(is_full_hex_id(full_id) ? full_id.substr(0, 12) : full_id);
}

int64_t parse_rfc3339_s(std::string_view text) {
  // "YYYY-MM-DDThh:mm:ss", a fraction, then "Z" or "+hh:mm".
  const auto part = [&](size_t from, size_t count) -> int {
    uint64_t value = 0;
    return from + count <= text.size() && parse_u64(text.substr(from, count), value) ? static_cast<int>(value) : -1;
  };
  std::tm tm{};
  tm.tm_year = part(0, 4) - 1900;
  tm.tm_mon = part(5, 2) - 1;
  tm.tm_mday = part(8, 2);
  tm.tm_hour = part(11, 2);
  tm.tm_min = part(14, 2);
  tm.tm_sec = part(17, 2);
  if (tm.tm_year < 70 || tm.tm_mon < 0 || tm.tm_mday < 1 || tm.tm_hour < 0 || tm.tm_min < 0 || tm.tm_sec < 0) return 0;
  int64_t seconds = ::timegm(&tm);
  if (const size_t sign = text.find_first_of("+-", 19); sign != std::string_view::npos) {
    const int hours = part(sign + 1, 2), minutes = part(sign + 4, 2);
    if (hours < 0 || minutes < 0) return 0;
    const int64_t offset = hours * 3600 + minutes * 60;
    seconds += text[sign] == '+' ? -offset : offset;
  }
  return seconds;
}

Result<std::string> resolve_candidate(std::string_view query, const std::vector<Candidate>& candidates) {
  const auto one_of = [&](auto&& matches, std::string_view how) -> Result<std::string> {
    std::vector<const Candidate*> found;
    for (const Candidate& candidate : candidates)
      if (matches(candidate)) found.push_back(&candidate);
    if (found.empty()) return std::string();
    if (found.size() == 1) return found[0]->id;
    std::string list;
    for (size_t i = 0; i < found.size() && i < 5; ++i)
      list += fmt::format("{}{}{}", i == 0 ? "" : ", ", found[i]->id,
                          found[i]->name.empty() ? "" : " (" + found[i]->name + ")");
    if (found.size() > 5) list += fmt::format(" and {} more", found.size() - 5);
    return Error{Code::invalid_argument,
                 fmt::format("\"{}\" {} {} containers: {}. Give the full id.", query, how, found.size(), list),
                 {}};
  };
  QUELL_TRY(std::string by_id, one_of([&](const Candidate& c) { return c.id == query; }, "is the id of"));
  if (!by_id.empty()) return by_id;
  QUELL_TRY(std::string by_name,
            one_of([&](const Candidate& c) { return !query.empty() && c.name == query; }, "is the name of"));
  if (!by_name.empty()) return by_name;
  if (query.size() >= kShortestPrefix) {
    QUELL_TRY(std::string by_prefix,
              one_of([&](const Candidate& c) { return c.id.starts_with(query); }, "begins the id of"));
    if (!by_prefix.empty()) return by_prefix;
  }
  return Error{Code::not_found, fmt::format("no container has the id or name \"{}\"", query), {}};
}

}  // namespace quell::os
