#pragma once
// Every action: to add one, write its file and its line here. The API, the CLI, previews and the audit read the rows.
#include <string_view>
#include <vector>

#include "respond/actions/container_isolate_network.h"
#include "respond/actions/container_kill.h"
#include "respond/actions/container_pause.h"
#include "respond/actions/container_set_restart_policy.h"
#include "respond/actions/container_start.h"
#include "respond/actions/container_stop.h"
#include "respond/actions/container_unpause.h"
#include "respond/actions/host_network.h"
#include "respond/actions/process_kill.h"
#include "respond/actions/process_kill_tree.h"
#include "respond/actions/process_net_block.h"
#include "respond/actions/process_suspend.h"

namespace quell::respond {

// clang-format off
inline constexpr const ActionSpec* kActions[] = {
    &kContainerPause, &kContainerUnpause, &kContainerStop, &kContainerKill, &kContainerStart, &kContainerSetRestartPolicy,
    &kContainerIsolateNetwork,
    &kProcessKill, &kProcessKillTree, &kProcessSuspend, &kProcessResume, &kProcessNetBlock,
    &kHostBlockIp, &kHostUnblockIp, &kHostIsolateNetwork,
};
// clang-format on

/// Null if there is none of that name.
constexpr const ActionSpec* find_action_spec(std::string_view name) {
  for (const ActionSpec* spec : kActions)
    if (spec->name == name) return spec;
  return nullptr;
}

}  // namespace quell::respond
