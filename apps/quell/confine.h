#pragma once
// What a recording of a scope may tell about the rest of the machine: who the ancestors are of those inside, by number
// and name, and nothing else.
#include "apps/quell/scope.h"
#include "enrich/tables.h"
#include "model/snapshot.h"

namespace quell::cli {

/// Keeps the processes inside of the scope and their ancestors; of those outside no argument, environment, folder,
/// control group or descriptor. Everything stays if the scope is the whole machine.
void confine(Snapshot& snapshot, const WatchScope& scope);

/// The same for what is read while events flow.
void confine(enrich::Options& options, const WatchScope& scope);

}  // namespace quell::cli
