#pragma once
// Field values of a detection that is stored: what its output named, and what is kept of process, ancestors and
// container.
#include <optional>
#include <string>
#include <string_view>

#include "model/detection.h"

namespace quell::cli {

/// The field's value as text; nothing if the detection does not tell.
std::optional<std::string> field_of(const Detection& detection, std::string_view field);

}  // namespace quell::cli
