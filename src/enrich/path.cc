#include "enrich/path.h"

namespace quell::enrich {
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

std::string normalise_path(std::string_view dir, std::string_view name) {
  const bool name_is_absolute = !name.empty() && name.front() == '/';
  if (name_is_absolute) dir = {};
  if (dir.size() + name.size() + 1 > kMaxPath) return std::string(kPathTooLong);

  std::string out;
  out.reserve(dir.size() + name.size() + 2);
  size_t floor = 0;
  if (dir.substr(0, kUnknownDirectory.size()) == kUnknownDirectory) {
    out = kUnknownDirectory;
    floor = out.size();
    dir.remove_prefix(floor);
  }
  const bool absolute = name_is_absolute || (floor == 0 && !dir.empty() && dir.front() == '/');
  fold(dir, out, floor, absolute);
  fold(name, out, floor, absolute);
  if (out.empty() && absolute) out = "/";
  return out;
}

std::string as_directory(std::string path) {
  if (!path.empty() && path.back() != '/') path += '/';
  return path;
}

std::string_view without_deleted_mark(std::string_view path) {
  constexpr std::string_view kMark = " (deleted)";
  if (path.size() > kMark.size() && path.substr(path.size() - kMark.size()) == kMark) path.remove_suffix(kMark.size());
  return path;
}

}  // namespace quell::enrich
