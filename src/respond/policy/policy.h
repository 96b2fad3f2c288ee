#pragma once
// A response policy as it was read: what, when, whom, how far. Immutable; shared between threads.
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/yaml.h"
#include "model/action.h"
#include "respond/policy/action_facts.h"
#include "respond/policy/condition.h"
#include "respond/policy/values.h"

namespace quell::respond::policy {

enum class Mode : uint8_t { observe, approve, enforce };
std::string_view to_string(Mode mode);

struct Threshold {
  uint32_t count = 1;
  std::string distinct{};  // field whose values are counted; empty: detections are
  uint64_t window_ns = 0;
  std::vector<std::string> group_by{};
};

/// Numbers from 0 to 1; every bound that is there must hold.
struct Confidence {
  std::optional<double> gte{}, gt{}, lte{}, lt{};
  bool allows(double value) const {
    return !(gte && value < *gte) && !(gt && value <= *gt) && !(lte && value > *lte) && !(lt && value >= *lt);
  }
};

struct Scope {
  GlobList clusters{}, namespaces{}, images{}, hosts{};  // empty: everywhere
  uint32_t max_targets = 0;                              // 0: no limit
};

using LabelGlobs = std::vector<std::pair<std::string, std::string>>;  // name, glob of the value

/// One entry of `exclude`; everything in it must hold.
struct Exclusion {
  LabelGlobs labels{};
  std::vector<std::string> entity_groups{};  // one of them
  Condition condition{};
};

struct Evidence {
  std::vector<std::string> before{};
  uint64_t budget_ns = 0;  // 0: the engine's default
  uint64_t capture_before_ns = 0, capture_after_ns = 0;
};

struct Step {
  enum class Kind : uint8_t { action, notify, when };
  Kind kind = Kind::action;
  uint32_t number = 0;  // of actions and notifications in file order, from 0: names the step in outcomes
  // action
  std::string action{};
  EffectClass effect_class = EffectClass::soft;
  TargetKind target = TargetKind::container;
  uint64_t ttl_ns = 0;                  // 0: does not expire
  ActionParams params{};                // checked; a list is joined with commas
  std::vector<std::string> notify{};    // notify
  std::vector<ActionState> verified{};  // when: the state of the action that ran last
  std::vector<Step> then{};
};

struct Limits {
  Rate per_target{};
  Rate per_policy{10, 600 * kSecondNs};
  Rate per_cluster{50, 3600 * kSecondNs};
  bool disarms = true;  // else the firing is dropped and that is all
};

struct Health {
  Amount min_healthy{};
  bool respect_pdb = false;
};

struct Approval {
  Approvers required{};
  uint64_t expires_ns = 600 * kSecondNs;
  bool soft_only_on_timeout = false;  // else it is cancelled
};

struct Policy {
  std::string name, owner;
  uint64_t version = 1;
  Mode mode = Mode::observe;
  Condition match;
  std::optional<Threshold> threshold;
  Confidence confidence;
  Scope scope;
  std::vector<Exclusion> exclude;
  Evidence evidence;
  std::vector<Step> steps;
  uint32_t step_count = 0;  // actions and notifications
  Limits limits;
  Health health;
  std::optional<Approval> approval;
  uint64_t expires_ns = 0;  // 0: never

  bool wants_own_outcomes = false;  // it names the source `quell`
  std::string hash;  // SHA-256 of everything in the document but `mode`, whatever its format and comments

  // Where it was read from; the node belongs to the file.
  std::shared_ptr<const yaml::File> file;
  const yaml::Node* document = nullptr;
};

/// Calls `visit` with every action and notification, those behind an `if` included, in order.
template <typename Visit>
void for_each_step(const std::vector<Step>& steps, Visit&& visit) {
  for (const Step& step : steps) {
    if (step.kind == Step::Kind::when) {
      for_each_step(step.then, visit);
    } else {
      visit(step);
    }
  }
}

struct EntityGroup {
  GlobList containers{}, images{}, namespaces{}, hosts{}, users{};
  LabelGlobs labels{};
};

/// What policies refer to: lists of the configuration.
struct PolicyConfig {
  std::string cluster{};
  std::map<std::string, EntityGroup> entity_groups{};
  std::map<std::string, std::vector<std::string>> approver_groups{};
  std::vector<std::string> notify{};
};

}  // namespace quell::respond::policy
