#pragma once
// host.block_ip, host.unblock_ip, host.isolate_network: nftables tables of our own in the machine's network, with the
// time limit in the kernel.
#include "respond/actions/network.h"

namespace quell::respond {

extern const ActionSpec kHostBlockIp, kHostUnblockIp, kHostIsolateNetwork;

}  // namespace quell::respond
