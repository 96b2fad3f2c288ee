#pragma once
// Small files that are there whole or not at all.
#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/result.h"

namespace quell::record {

/// Errors: Code::not_found, Code::limit (larger than 64 KiB), Code::permission_denied, Code::io.
Result<std::string> read_small_file(const std::string& path);

/// Writes beside it, flushes, and renames. Errors: Code::io, Code::permission_denied.
Result<void> replace_file(const std::string& path, std::string_view content, mode_t mode);

/// What was renamed or removed in the folder stays so after a power cut. Errors: as above.
Result<void> flush_folder(const std::string& folder);

}  // namespace quell::record
