#pragma once
// From checked nodes to policies. Tolerant: what the shape check complained about becomes a default here, so that one
// run finds everything.
#include <string>
#include <string_view>
#include <vector>

#include "base/yaml.h"
#include "respond/policy/reader.h"

namespace quell::respond::policy {

/// The value behind a chain of keys; null if one of them is not there.
const yaml::Node* node_at(const yaml::Node* node, std::initializer_list<std::string_view> keys);
/// A scalar's text, or that of each scalar of a list.
std::vector<std::string> texts_of(const yaml::Node* node);
/// Without the leaves that are not there.
Condition bind_condition(const yaml::Node* node);
/// Bit n: severity n passes.
uint8_t severity_mask(const yaml::Node& node);
LabelGlobs bind_labels(const yaml::Node* node);

/// Everything but the steps.
void bind_policy(const yaml::Node& document, Policy& policy);

/// The steps, with what is wrong with their actions, parameters and notifications.
void bind_steps(const yaml::Node* node, const ReadOptions& options, Policy& policy, Problems& problems);

/// What is allowed by form and makes no sense, or not here.
void lint_policy(const Policy& policy, const ReadOptions& options, Problems& problems);

}  // namespace quell::respond::policy
