// Conditions are written by people and by machines. Whatever the text: no crash, and a tree that is printed reads back
// the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "detect/falco/condition_parser.h"
#include "detect/falco/event_types.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quell::detect;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto tree = falco::parse_condition(text);
  if (!tree) {
    if (tree.error().pos.offset > size || tree.error().message.empty()) std::abort();
    return 0;
  }
  const auto again = falco::parse_condition((*tree)->str());
  if (!again || !same(**again, **tree)) std::abort();
  std::vector<falco::EventTypeError> errors;
  falco::possible_events(**tree, errors);
  return 0;
}
