#pragma once
// What the process actions share: finding the process again that a record means.
#include <string>

#include "respond/action_spec.h"

namespace quell::respond {

/// The recorded process, held; or, without it, what that means for an effect on it.
struct HeldProcess {
  os::ProcessHandle handle;
  std::optional<Look> look;  // set: there is no such process to look at
};
HeldProcess hold_recorded(const Call& call);

/// "700 (nc)"
std::string display_process(const os::ProcessFacts& facts);

/// One object with the identity and what was seen.
std::string process_proof(const Target& target, std::string_view seen);

}  // namespace quell::respond
