#pragma once
// Synthetic captures with a fixed seed: the same file on every machine. The mixes follow two recorded ones that the
// field measures by: `mixed` (only rule-relevant and state events, behaviours aimed at rules among them) and `big`
// (every event type of a busy build host).
#include <cstdint>
#include <string>

#include "base/result.h"

namespace quell::bench {

enum class Mix { mixed, big };

/// Writes a plain capture of `events` events to `path`. The process table holds hosts services, shells and three
/// containers.
Result<void> write_capture(const std::string& path, Mix mix, uint64_t events);

}  // namespace quell::bench
