#pragma once
// The ladder: observe → approve → enforce.
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "respond/policy/policy.h"

namespace quell::respond::policy {

/// The rung above; nothing above enforce.
std::optional<Mode> next_mode(Mode mode);

/// The text of the policy's file with another mode in it and every other byte as it was, the line's comment included.
/// Errors: invalid_argument (the policy has no mode to replace).
Result<std::string> with_mode(const Policy& policy, Mode mode);

}  // namespace quell::respond::policy
