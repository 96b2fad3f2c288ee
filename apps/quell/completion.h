#pragma once
// A container's metadata that came after the event: fills what a detection could not know yet.
#include <memory>
#include <string_view>

#include "model/container.h"
#include "model/detection.h"

namespace quell::cli {

/// True if the detection is of a container whose metadata is still unknown.
bool awaits_metadata(const Detection& detection);

/// Sets the container, every absent field of output_fields that metadata gives, and these fields' places in the
/// message, as far as `output_template` (the rule's) leads to them. What was known before is not touched. `now_ns`
/// (wall clock) is kept as the time of completion.
void complete(Detection& detection, std::shared_ptr<const Container> container, std::string_view output_template,
              uint64_t now_ns);

}  // namespace quell::cli
