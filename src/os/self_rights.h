#pragma once
// What this process may do, for saying beforehand which actions it cannot do and why.
#include <cstdint>

namespace quell::os {

// Numbers of capabilities(7).
inline constexpr unsigned kCapChown = 0, kCapDacOverride = 1, kCapFowner = 3, kCapKill = 5, kCapLinuxImmutable = 9,
                          kCapSysPtrace = 19, kCapSysAdmin = 21;

/// Whether the calling thread's effective set has it.
bool has_capability(unsigned number);

}  // namespace quell::os
