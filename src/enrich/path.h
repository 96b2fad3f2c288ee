#pragma once
// Forms of paths that the tables keep. Joining and normalising is absolute_path() of base.
#include <string>
#include <string_view>

namespace quell::enrich {

/// With exactly one '/' at its end; empty stays empty. The form of a working directory.
std::string as_directory(std::string path);

/// Without the " (deleted)" that the kernel appends to unlinked files.
std::string_view without_deleted_mark(std::string_view path);

}  // namespace quell::enrich
