#pragma once
// Every action: to add one, write its file and its line here. The API, the CLI, previews and the audit read the rows.
#include <string_view>
#include <vector>

#include "respond/actions/container_kill.h"
#include "respond/actions/container_pause.h"
#include "respond/actions/container_set_restart_policy.h"
#include "respond/actions/container_start.h"
#include "respond/actions/container_stop.h"
#include "respond/actions/container_unpause.h"
#include "respond/actions/process_kill.h"

namespace quell::respond {

inline constexpr const ActionSpec* kActions[] = {
    &kContainerPause, &kContainerUnpause,          &kContainerStop, &kContainerKill,
    &kContainerStart, &kContainerSetRestartPolicy, &kProcessKill,
};

/// Null if there is none of that name.
constexpr const ActionSpec* find_action_spec(std::string_view name) {
  for (const ActionSpec* spec : kActions)
    if (spec->name == name) return spec;
  return nullptr;
}

}  // namespace quell::respond
