#include "respond/policy/promote.h"

#include "respond/policy/bind.h"

namespace quell::respond::policy {

std::optional<Mode> next_mode(Mode mode) {
  if (mode == Mode::enforce) return {};
  return mode == Mode::observe ? Mode::approve : Mode::enforce;
}

Result<std::string> with_mode(const Policy& policy, Mode mode) {
  const yaml::Node* node = node_at(policy.document, {"spec", "mode"});
  if (node == nullptr || !node->is_scalar())
    return Error{Code::invalid_argument, "the policy says no mode", policy.file ? policy.file->name() : std::string()};
  std::string text = policy.file->text();
  text.replace(node->start().offset, node->end().offset - node->start().offset, to_string(mode));
  return text;
}

}  // namespace quell::respond::policy
