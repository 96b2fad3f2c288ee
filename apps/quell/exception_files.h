#pragma once
// The exceptions that a person keeps in exceptions.d of the data directory: one file each where quell wrote it.
#include <string>

#include "base/result.h"

namespace quell::cli {

/// Writes `yaml` as FOLDER/NAME.yaml, made if missing; complete or not at all. Returns its path.
/// Errors: already_exists, permission_denied, io.
Result<std::string> add_exception_file(const std::string& folder, const std::string& name, const std::string& yaml);

/// Removes the file whose only exception is called `name`. Returns its path.
/// Errors: not_found; conflict (the file holds more: `where` is the entry's place).
Result<std::string> remove_exception_file(const std::string& folder, const std::string& name);

/// Appends to a file of exceptions, made if missing. Errors: permission_denied, io.
Result<void> append_exceptions(const std::string& path, const std::string& yaml);

}  // namespace quell::cli
