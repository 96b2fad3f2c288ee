#pragma once
// What an action would do to a subject: the blast radius, in words and in numbers.
#include <string>
#include <vector>

#include "os/os.h"
#include "respond/responder.h"
#include "respond/world.h"

namespace quell::respond {

struct ActionSpec;

struct Plan {
  std::vector<std::string> effects;        // sentences: what will happen
  std::vector<std::string> warnings;       // what may surprise
  std::string undo;                        // how it is undone, or what compensates
  std::vector<os::ProcessFacts> affected;  // every process that it touches, the target first
  std::string restart_policy;              // of the container; empty where there is none
  std::string pre_state_json;              // what undo restores
  bool already_in_effect = false;
  std::string already_reason;  // "already_paused", "already_gone"
};

/// The preview document (see Preview::json). At most 100 affected processes are listed; affected_count counts all.
std::string plan_to_json(const ActionSpec& spec, const Subject& subject, const Plan& plan, const Command& command,
                         uint64_t ttl_s, const ApprovalNeed& approval, const std::optional<Refusal>& refusal);

}  // namespace quell::respond
