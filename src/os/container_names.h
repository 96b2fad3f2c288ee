#pragma once
// Small facts about containers that every runtime needs.
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "model/container.h"

namespace quell::os {

struct ImageName {
  std::string repository, tag, digest;  // digest with its algorithm: "sha256:…"
};
/// "registry:5000/a/b:1.2@sha256:…". A bare image id ("sha256:…" or 64 hex digits) names no
/// repository: all three stay empty. A name without tag and digest means the tag "latest".
ImageName split_image_name(std::string_view name);

/// 64 lower-case hex digits.
bool is_full_hex_id(std::string_view text);

/// What container.id shows: the first 12 digits of 64, or the whole of a name of one's own choice.
std::string short_id(std::string_view full_id);

/// Seconds since the epoch of "2026-11-22T10:17:34.019Z" or with an offset "+02:00"; 0 if it does not parse.
int64_t parse_rfc3339_s(std::string_view text);

/// One container that a query may mean.
struct Candidate {
  std::string id;    // as answered
  std::string name;  // may be empty
};
inline constexpr size_t kShortestPrefix = 3;
/// By id, then by name, then by prefix (at least kShortestPrefix characters) of the id. Errors: not_found;
/// invalid_argument that names the candidates when there are several.
Result<std::string> resolve_candidate(std::string_view query, const std::vector<Candidate>& candidates);

}  // namespace quell::os
