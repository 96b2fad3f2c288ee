#include "base/path.h"

namespace quell {
namespace {

// Appends the components of `path` to `out` (which ends without '/'), resolving "." and "..".
void append_components(std::string& out, std::string_view path) {
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part == "..") {
      const size_t last = out.rfind('/');
      out.resize(last == std::string::npos ? 0 : last);
    } else if (!part.empty() && part != ".") {
      out += '/';
      out += part;
    }
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
}

// Nothing to collapse: absolute, no empty, "." or ".." component, no trailing '/'. Most paths are so.
bool is_normal(std::string_view path) {
  if (path.empty() || path[0] != '/') return false;
  if (path.size() == 1) return true;
  if (path.back() == '/') return false;
  for (size_t i = 0; i + 1 < path.size(); ++i)
    if (path[i] == '/' && (path[i + 1] == '/' || path[i + 1] == '.')) return false;
  return true;
}

}  // namespace

std::string absolute_path(std::string_view directory, std::string_view name) {
  const bool is_absolute = !name.empty() && name[0] == '/';
  if ((is_absolute ? name.size() : directory.size() + name.size() + 1) > kMaxPath)
    return "/DIR_TOO_LONG/FILENAME_TOO_LONG";
  if (is_absolute && is_normal(name)) return std::string(name);

  std::string out;
  out.reserve(directory.size() + name.size() + 1);
  // A directory that is not known ("<UNKNOWN>") stays in front as it is.
  if (!is_absolute) {
    if (!directory.empty() && directory[0] != '/') {
      const size_t slash = directory.find('/');
      out = directory.substr(0, slash);
      directory = slash == std::string_view::npos ? std::string_view{} : directory.substr(slash);
    }
    append_components(out, directory);
  }
  append_components(out, name);
  if (out.empty()) out = "/";
  return out;
}

}  // namespace quell
