#pragma once
// What the program's exit status says. The numbers are a promise to scripts.
#include "base/result.h"

namespace quell::cli {

enum class Exit : int {
  done = 0,
  failed = 1,
  usage = 2,
  invalid_rules = 3,  // rules or configuration
  not_authorised = 4,
  not_found = 5,
  refused = 6,  // by a safety rule
  partly_done = 7,
  unreachable = 8,        // server or sensor unreachable or timed out
  detections_found = 10,  // only with --exit-on-detection
  interrupted = 130,
};

/// The status for an Error that ends a command.
inline Exit exit_of(Code code) {
  switch (code) {
    case Code::invalid_argument: return Exit::usage;
    case Code::invalid_rules: return Exit::invalid_rules;
    case Code::permission_denied: return Exit::not_authorised;
    case Code::not_found:
    case Code::gone:
    case Code::stale: return Exit::not_found;
    case Code::refused: return Exit::refused;
    case Code::unavailable:
    case Code::timeout: return Exit::unreachable;
    case Code::cancelled: return Exit::interrupted;
    default: return Exit::failed;
  }
}

}  // namespace quell::cli
