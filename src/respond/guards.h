#pragma once
// What responses never do, in one table. Checked for the preview, and again on the held identity immediately before the
// effect.
#include <array>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "respond/action_spec.h"
#include "respond/responder.h"

namespace quell::respond {

/// A weekly stretch of time, UTC, in which nothing acts by itself. Over midnight if it ends before it begins.
struct MaintenanceWindow {
  std::string name;
  uint8_t weekdays = 0x7f;                  // bit 0 is Sunday: of its beginning
  uint32_t from_minute = 0, to_minute = 0;  // of the day
  bool covers(uint64_t realtime_ns) const;
};

/// At most `count` automatic actions in `window_s`.
struct Rate {
  uint32_t count = 0;
  uint64_t window_s = 0;
};

/// What came by itself lately.
struct Automatic {
  uint64_t at_ns = 0;
  std::string policy, target;
};

struct GuardPolicy {
  int64_t self_pid = -1;  // -1: this process
  /// What responses may touch; null: everything. A container is in scope if its pid 1 is.
  std::function<bool(const os::ProcessFacts&)> in_scope{};
  std::string scope{};  // as the user gave it, for messages
  /// Containers that carry one of these labels with a value other than "false" are left alone.
  std::vector<std::string> protected_labels = {"quell.protected", "quell.io/protected"};
  /// Containers of such names (globs), and of such Kubernetes namespaces.
  std::vector<std::string> protected_names = {};
  std::vector<std::string> protected_namespaces = {"kube-system", "kube-node-lease", "quell"};
  std::vector<MaintenanceWindow> maintenance = {};
  Rate per_machine{30, 600}, per_policy{20, 600}, per_target{5, 600};
  /// Approvals by class: collect, soft, hard, wide, critical.
  std::array<uint32_t, 5> approvals = {0, 0, 0, 1, 2};
};

struct GuardInput {
  const World& world;
  const GuardPolicy& policy;
  const ActionSpec& action;
  const Subject& subject;
  const std::vector<os::ProcessFacts>& affected;
  const Command& command;
  const StopSwitch& stop;
  const std::deque<Automatic>& recent;  // oldest first
};

struct GuardRule {
  std::string_view name;
  std::string_view summary;
  std::optional<Refusal> (*check)(const GuardInput& input);
  bool forceable = false;  // a person's Command::force passes it
};

std::span<const GuardRule> guard_rules();

/// The first rule that says no.
std::optional<Refusal> check_guards(const GuardInput& input);

/// What the class of the action, and who asked for it, need together.
ApprovalNeed approval_need(const GuardPolicy& policy, const ActionSpec& action, const Command& command);

}  // namespace quell::respond
