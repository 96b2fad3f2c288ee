#pragma once
// container.isolate_network: the container runs on and reaches nobody, and nobody reaches it; flows that live end.
#include "respond/actions/network.h"

namespace quell::respond {

extern const ActionSpec kContainerIsolateNetwork;

}  // namespace quell::respond
