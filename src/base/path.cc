#include "base/path.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace quell {
namespace {

// Appends the parts of `text` to `out`, which holds a normalised prefix without trailing '/' ("" is the root or
// nothing). `floor` is the length below which ".." does not fold.
void fold(std::string_view text, std::string& out, size_t floor, bool absolute) {
  size_t at = 0;
  while (at < text.size()) {
    size_t end = text.find('/', at);
    if (end == std::string_view::npos) end = text.size();
    const std::string_view part = text.substr(at, end - at);
    at = end + 1;
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      const size_t slash = out.rfind('/');
      const std::string_view last =
          slash == std::string::npos ? std::string_view(out) : std::string_view(out).substr(slash + 1);
      const size_t cut = slash == std::string::npos ? 0 : slash;
      if (out.size() > floor && cut >= floor && last != "..") {
        out.resize(cut);
        continue;
      }
      if (absolute || floor > 0) continue;
    }
    if (absolute || !out.empty()) out += '/';
    out += part;
  }
}

}  // namespace

bool is_normal_path(std::string_view path) {
  // Nothing to collapse: no component is empty or begins with '.' (a hidden file goes the long way). Most paths are so.
  if (path.empty() || path[0] != '/' || path.size() > kMaxPath) return false;
  if (path.size() == 1) return true;
  if (path.back() == '/') return false;
  const char* at = path.data();
  size_t left = path.size() - 1;  // positions that have a successor
#ifdef __SSE2__
  const __m128i slash = _mm_set1_epi8('/'), dot = _mm_set1_epi8('.');
  for (; left >= 16; at += 16, left -= 16) {
    const __m128i here = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const __m128i next = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at + 1));
    const __m128i special = _mm_or_si128(_mm_cmpeq_epi8(next, slash), _mm_cmpeq_epi8(next, dot));
    if (_mm_movemask_epi8(_mm_and_si128(_mm_cmpeq_epi8(here, slash), special)) != 0) return false;
  }
#endif
  for (; left > 0; ++at, --left)
    if (at[0] == '/' && (at[1] == '/' || at[1] == '.')) return false;
  return true;
}

void absolute_path(std::string_view directory, std::string_view name, std::string& out) {
  const bool is_absolute = !name.empty() && name.front() == '/';
  if ((is_absolute ? name.size() : directory.size() + name.size() + 1) > kMaxPath) {
    out = kPathTooLong;
    return;
  }
  if (is_absolute && is_normal_path(name)) {
    out = name;
    return;
  }
  if (is_absolute) directory = {};

  out.clear();
  out.reserve(directory.size() + name.size() + 2);
  size_t floor = 0;
  if (directory.substr(0, kUnknownDirectory.size()) == kUnknownDirectory) {
    out = kUnknownDirectory;
    floor = out.size();
    directory.remove_prefix(floor);
  }
  const bool rooted = is_absolute || (floor == 0 && !directory.empty() && directory.front() == '/');
  fold(directory, out, floor, rooted);
  fold(name, out, floor, rooted);
  if (out.empty() && rooted) out = "/";
}

std::string absolute_path(std::string_view directory, std::string_view name) {
  std::string out;
  absolute_path(directory, name, out);
  return out;
}

}  // namespace quell
