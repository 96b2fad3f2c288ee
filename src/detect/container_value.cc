#include "detect/container_value.h"

#include <string>
#include <utility>
#include <vector>

#include "detect/output.h"

namespace quell::detect {

OutputValue container_value(std::string_view field, const Container& container) {
  if (!field.starts_with("container.") && !field.starts_with("k8s.")) return {};
  OutputTemplate whole;
  if (!OutputTemplate::parse("%" + std::string(field), &whole).empty()) return {};
  EventContext context;
  context.container_event = &container;
  Arena arena;
  std::vector<std::pair<std::string, OutputValue>> values;
  whole.collect(Extract{context, arena}, values);
  return values.empty() ? OutputValue() : std::move(values.front().second);
}

}  // namespace quell::detect
