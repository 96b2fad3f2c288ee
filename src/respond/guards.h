#pragma once
// What responses never do, in one table. Checked for the preview, and again on the held identity immediately before the
// effect.
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "respond/action_spec.h"
#include "respond/responder.h"

namespace quell::respond {

struct GuardPolicy {
  int64_t self_pid = -1;  // -1: this process
  /// What responses may touch; null: everything. A container is in scope if its pid 1 is.
  std::function<bool(const os::ProcessFacts&)> in_scope{};
  std::string scope{};  // as the user gave it, for messages
  /// Containers that carry one of these labels with a value other than "false" are left alone.
  std::vector<std::string> protected_labels = {"quell.protected"};
};

struct GuardInput {
  const World& world;
  const GuardPolicy& policy;
  const ActionSpec& action;
  const Subject& subject;
  const std::vector<os::ProcessFacts>& affected;
};

struct GuardRule {
  std::string_view name;
  std::string_view summary;
  std::optional<Refusal> (*check)(const GuardInput& input);
  bool forceable = false;  // Command::force passes it
};

std::span<const GuardRule> guard_rules();

/// The first rule that says no.
std::optional<Refusal> check_guards(const GuardInput& input, bool force);

}  // namespace quell::respond
