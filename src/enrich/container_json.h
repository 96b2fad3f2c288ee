#pragma once
// Container metadata as the JSON text that container events carry: {"container": {"id": ..., "name": ..., ...}}.
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/container.h"

namespace quell::enrich {

/// Every key is optional, unknown keys are ignored, a key of the wrong type is an error. A trailing NUL is allowed.
/// Of duplicate keys the first wins. Errors: Code::malformed (not JSON, not an object, wrong type of a key).
Result<Container> parse_container_json(std::string_view text);

/// The reverse: what a recorded event carries. parse_container_json(container_json(c)) gives c again.
std::string container_json(const Container& container);

}  // namespace quell::enrich
