#pragma once
// Where in a file the loader stands, as a chain from the file down; and the making of problems from it.
#include "base/yaml.h"
#include "detect/falco/problem.h"
#include "detect/falco/sourced_text.h"

namespace quell::detect::falco {

/// One step of the chain. Lives on the stack of whoever reads the item; borrows its parent.
struct Context {
  const Context* parent = nullptr;
  std::string_view item_type;
  std::string item_name;
  const yaml::Node* node = nullptr;
};

/// A problem at the start of the innermost item.
Problem problem_at(const Context& context, LoadCode code, std::string message, std::string suggestion = {});
/// A problem at another place.
Problem problem_at(const Context& context, const yaml::File& file, const yaml::Mark& mark, LoadCode code,
                   std::string message, std::string suggestion = {});

/// "did you mean 'x'?" or nothing.
std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& known);

}  // namespace quell::detect::falco
