#pragma once
// Values of a detection by the names that policies use: what its rule printed, and what is kept of the entities.
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "model/detection.h"

namespace quell::respond::policy {

struct EntityField {
  std::string_view name, doc;
  /// Appends the value to `out` (cleared by the caller); false if there is none.
  bool (*get)(const Detection& detection, std::string& out);
};
std::span<const EntityField> entity_fields();

/// Calls `visit` with each value of the field: a list has several, what is not there has none. An output field counts
/// first; `container.label[NAME]` is a label of the container or its pod.
void for_each_value(const Detection& detection, std::string_view field,
                    const std::function<void(std::string_view)>& visit);

/// The first value; false if there is none.
bool first_value(const Detection& detection, std::string_view field, std::string& out);

/// A label of the container or its pod; null if it has none of that name.
const std::string* find_label(const Detection& detection, const std::string& name);

}  // namespace quell::respond::policy
