#pragma once
// What a test of a file name says about how the name begins.
#include <optional>
#include <string>
#include <vector>

#include "detect/ast.h"
#include "model/event_schema.h"

namespace quell::detect {

/// How a file name of such an event begins whenever `check` is true for it: with one of these, or it is not absolute
/// and normal as the process gave it. Nothing if the check does not say.
std::optional<std::vector<std::string>> name_prefixes(const Check& check, EventCode code);

/// Whatever begins with one of `prefixes` begins with one of the result, which has at most NameTest::kMaxPrefixes of at
/// most kMaxLength bytes, sorted, none within another. Nothing if every absolute name would do.
std::optional<std::vector<std::string>> fewer_prefixes(std::vector<std::string> prefixes);

}  // namespace quell::detect
