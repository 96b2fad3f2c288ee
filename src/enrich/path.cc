#include "enrich/path.h"

namespace quell::enrich {

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
