#pragma once
// Paths as text: no file system is asked, because an event is about a moment that is gone. Rules speak of the path that
// the program named, made absolute.
#include <string>
#include <string_view>

namespace quell {

inline constexpr size_t kMaxPath = 1024;
/// Stands for a directory descriptor that is not in the table.
inline constexpr std::string_view kUnknownDirectory = "<UNKNOWN>";
/// What a path becomes that is longer than kMaxPath.
inline constexpr std::string_view kPathTooLong = "/DIR_TOO_LONG/FILENAME_TOO_LONG";

/// True for what absolute_path() leaves as it is: absolute, nothing to collapse, not too long.
bool is_normal_path(std::string_view path);

/// `name` made absolute and normalised: joined to `directory` unless it is absolute, "//", "." and ".." collapsed, no
/// trailing "/" (but "/" itself). ".." stops at "/", and at kUnknownDirectory: nobody knows what is above it. Below an
/// empty directory a relative name stays relative and keeps its leading "..". A result longer than kMaxPath becomes
/// kPathTooLong.
std::string absolute_path(std::string_view directory, std::string_view name);
/// The same into `out`, whose memory is used again. `out` must not hold what the views look at.
void absolute_path(std::string_view directory, std::string_view name, std::string& out);

}  // namespace quell
