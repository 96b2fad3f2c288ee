#include "base/path.h"

namespace quell {
namespace {

// Nothing to collapse: absolute, no empty, "." or ".." component, no trailing '/'. Most paths are so.
bool is_normal(std::string_view path) {
  if (path.empty() || path[0] != '/') return false;
  if (path.size() == 1) return true;
  if (path.back() == '/') return false;
  for (size_t i = 0; i + 1 < path.size(); ++i)
    if (path[i] == '/' && (path[i + 1] == '/' || path[i + 1] == '.')) return false;
  return true;
}

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

std::string absolute_path(std::string_view directory, std::string_view name) {
  const bool is_absolute = !name.empty() && name.front() == '/';
  if ((is_absolute ? name.size() : directory.size() + name.size() + 1) > kMaxPath) return std::string(kPathTooLong);
  if (is_absolute && is_normal(name)) return std::string(name);
  if (is_absolute) directory = {};

  std::string out;
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
  return out;
}

}  // namespace quell
