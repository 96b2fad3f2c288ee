#pragma once
// Paths as text: joined and normalised without asking the file system, because the event is about a moment that is
// gone.
#include <string>
#include <string_view>

namespace quell::enrich {

inline constexpr size_t kMaxPath = 1024;
/// Stands for a directory descriptor that is not in the table.
inline constexpr std::string_view kUnknownDirectory = "<UNKNOWN>";
/// What a path becomes that is longer than kMaxPath.
inline constexpr std::string_view kPathTooLong = "/DIR_TOO_LONG/FILENAME_TOO_LONG";

/// `name` if it is absolute, else `dir`/`name`, with "//", "." and ".." folded and no trailing '/' (but "/" stays).
/// ".." stops at "/", and at kUnknownDirectory: nobody knows what is above it. A relative result keeps its leading
/// "..".
std::string normalise_path(std::string_view dir, std::string_view name);

/// With exactly one '/' at its end; empty stays empty. The form of a working directory.
std::string as_directory(std::string path);

/// Without the " (deleted)" that the kernel appends to unlinked files.
std::string_view without_deleted_mark(std::string_view path);

}  // namespace quell::enrich
