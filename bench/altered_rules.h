#pragma once
// Many rules that are like real ones: copies of rules with other constants, no two the same.
#include <string>
#include <vector>

#include "base/result.h"

namespace quell::bench {

/// Writes `count` rules to `path`, made from the enabled rules of `files` in turn; always the same for the same input.
/// Names of paths, programs and images, addresses and ports are altered; what says which kind of event a rule is about
/// stays. Errors: of reading the files, and of writing.
Result<void> write_altered_rules(const std::vector<std::string>& files, size_t count, const std::string& path);

/// Writes a rule that compares the path of opens with a list of `entries` paths.
Result<void> write_long_list(size_t entries, const std::string& path);

}  // namespace quell::bench
