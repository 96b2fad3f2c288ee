#pragma once
// Which build this is. Filled in by CMake.
#include <string_view>

namespace quell {
extern const std::string_view kVersion;  // "0.1.0"
extern const std::string_view kCommit;   // short hash of the commit that was configured; "unknown" outside git
}  // namespace quell
