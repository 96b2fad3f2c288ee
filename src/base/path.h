#pragma once
// Paths as text: no file system is asked. Rules speak of the path that the program named, made absolute.
#include <string>
#include <string_view>

namespace quell {

/// `name` made absolute and normalised: joined to `directory` unless it is absolute, "//", "." and ".." collapsed, no trailing "/"
/// (but "/" itself). A result longer than kMaxPath becomes "/DIR_TOO_LONG/FILENAME_TOO_LONG".
std::string absolute_path(std::string_view directory, std::string_view name);

inline constexpr size_t kMaxPath = 1024;

}  // namespace quell
