#pragma once
// How the state tables of a live source look things up on this machine.
#include <string>
#include <vector>

#include "base/result.h"
#include "enrich/tables.h"
#include "model/snapshot.h"

namespace quell::cli {

/// The tables as /proc tells them now. Errors: permission_denied, io.
Result<Snapshot> scan_machine();

/// Options whose functions read /proc, and runc's state below `runc_roots` (os::RuntimeSockets); on_new_container is
/// left to the caller.
enrich::Options live_table_options(const std::vector<std::string>& runc_roots);

}  // namespace quell::cli
